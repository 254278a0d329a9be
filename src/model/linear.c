// SPDX-License-Identifier: Apache-2.0
// A linear layer: weights packed once in the precision of the plan, and the product that
// first brings its rows of x into that precision. Everything between two products is f32,
// in every technique.
#include <math.h>
#include <string.h>

#include "model/model.h"

// Bytes of one panel of tile_n columns over k rows.
static size_t panel_bytes(const wb_kernels *kernels, wb_precision precision, int k) {
    switch (precision) {
        case WB_BF16: return kernels->panel_bytes_bf16(k);
        case WB_F16: return kernels->panel_bytes_f16(k);
        case WB_I8_DYNAMIC:
        case WB_I8_STATIC: return kernels->panel_bytes_i8(k);
        default: return kernels->panel_bytes_f32(k);
    }
}

static size_t count_panels(int n, const wb_kernels *kernels) {
    return ((size_t)n + (size_t)kernels->tile_n - 1) / (size_t)kernels->tile_n;
}

// ---- Packing ----

// Weights of a broken file may be NaN or infinite, and among denormals scale is too coarse for
// 127 to bound the quotient.
static int8_t round_i8(float quotient) {
    const float rounded = nearbyintf(quotient);
    if (!(rounded > -127.0f)) return rounded <= -127.0f ? -127 : 0;
    return rounded < 127.0f ? (int8_t)rounded : 127;
}

// q[n, k] <- w[n, k] smooth[k] (NULL: all 1) per output channel: symmetric, scale[j] = the row's
// greatest / 127, rounded to even. Symmetric, because a zero point of the weights would cost a sum
// over x in every product. row[k] is scratch.
static void quantize_channels(int8_t *q, float *scale, const float *w, const float *smooth, int n,
                              int k, float *row) {
    for (int j = 0; j < n; j++) {
        const float *from = w + (size_t)j * (size_t)k;
        int8_t *q_row = q + (size_t)j * (size_t)k;
        float largest = 0.0f;
        for (int i = 0; i < k; i++) {
            row[i] = smooth ? from[i] * smooth[i] : from[i];
            largest = fmaxf(largest, fabsf(row[i]));
        }
        scale[j] = largest / 127.0f;
        for (int i = 0; i < k; i++) q_row[i] = scale[j] > 0.0f ? round_i8(row[i] / scale[j]) : 0;
    }
}

// Panels and scales of an int8 matrix; the row-major int8 weights live only for the packing.
static wb_status pack_i8(wb_linear *linear, const wb_kernels *kernels, const float *w,
                         const float *smooth, wb_error *err) {
    linear->w_scale = wb_alloc_array((size_t)linear->n, sizeof *linear->w_scale);
    int8_t *q = wb_alloc((size_t)linear->n * (size_t)linear->k);
    float *row = wb_alloc((size_t)linear->k * sizeof *row);
    wb_status status = WB_OK;
    if (linear->w_scale && q && row) {
        quantize_channels(q, linear->w_scale, w, smooth, linear->n, linear->k, row);
        kernels->pack_i8(linear->panels, q, linear->n, linear->k);
    } else {
        status = wb_fail(err, WB_ERR_MEMORY, 0, "int8 weights of %d x %d", linear->n, linear->k);
    }
    wb_free(q);
    wb_free(row);
    return status;
}

// x[m, k] becomes x / smooth / step with one multiplication a cell, step = x_max / 127. Where there
// was nothing to represent, everything is 0.
static wb_status pack_i8_static(wb_linear *linear, const wb_kernels *kernels, const float *w,
                                const wb_matrix_scales *scales, wb_error *err) {
    if (!scales)
        return wb_fail(err, WB_ERR_ARGUMENT, 0, "i8-static weights of %d x %d without scales",
                       linear->n, linear->k);
    linear->x_factor = wb_alloc_array((size_t)linear->k, sizeof *linear->x_factor);
    if (!linear->x_factor) return wb_fail(err, WB_ERR_MEMORY, 0, "scales of %d columns", linear->k);
    linear->x_scale = scales->x_max / 127.0f;
    for (int i = 0; scales->x_max > 0.0f && i < linear->k; i++)
        linear->x_factor[i] = 127.0f / scales->x_max / (scales->smooth ? scales->smooth[i] : 1.0f);
    return pack_i8(linear, kernels, w, scales->smooth, err);
}

wb_status wb_linear_pack(wb_linear *linear, const wb_kernels *kernels, wb_precision precision,
                         bool is_autocast, const wb_matrix_scales *scales, const float *w,
                         const float *bias, int n, int k, wb_error *err) {
    const wb_precision stored = is_autocast ? WB_F32 : precision;
    *linear = (wb_linear){.n = n,
                          .k = k,
                          .precision = precision,
                          .is_autocast = is_autocast,
                          .panel_bytes = panel_bytes(kernels, stored, k)};
    linear->panels = wb_alloc(count_panels(n, kernels) * linear->panel_bytes);
    linear->bias = wb_alloc((size_t)n * sizeof *bias);
    wb_status status = WB_OK;
    if (!linear->panels || !linear->bias)
        status = wb_fail(err, WB_ERR_MEMORY, 0, "weights of %d x %d", n, k);
    if (!status) {
        memcpy(linear->bias, bias, (size_t)n * sizeof *bias);
        switch (stored) {
            case WB_BF16: kernels->pack_bf16(linear->panels, w, n, k); break;
            case WB_F16: kernels->pack_f16(linear->panels, w, n, k); break;
            case WB_I8_DYNAMIC: status = pack_i8(linear, kernels, w, NULL, err); break;
            case WB_I8_STATIC: status = pack_i8_static(linear, kernels, w, scales, err); break;
            default: kernels->pack_f32(linear->panels, w, n, k); break;
        }
    }
    if (status) wb_linear_free(linear);
    return status;
}

void wb_linear_free(wb_linear *linear) {
    wb_free(linear->panels);
    wb_free(linear->w_scale);
    wb_free(linear->bias);
    wb_free(linear->x_factor);
    *linear = (wb_linear){0};
}

size_t wb_linear_bytes(const wb_linear *linear, const wb_kernels *kernels) {
    const size_t n_vectors = linear->w_scale ? 2 : 1;
    const size_t n_factors = linear->x_factor ? (size_t)linear->k : 0;
    return count_panels(linear->n, kernels) * linear->panel_bytes +
           (n_vectors * (size_t)linear->n + n_factors) * sizeof(float);
}

size_t wb_linear_cast_bytes(const wb_linear *linear, const wb_kernels *kernels) {
    return linear->is_autocast ? panel_bytes(kernels, linear->precision, linear->k) : 0;
}

// ---- The product ----

// One call of wb_linear_forward, as its tasks see it.
typedef struct product_run {
    const wb_team *team;
    const wb_product *product;
    void *narrow;    // x in the precision; f32: not used
    float *x_scale;  // of narrow
    int n_tasks;
} product_run;

// narrow[m, k] <- x[m, k] in the matrix's precision, a share of the rows. Converting before the
// product rather than inside reads x once instead of once a panel.
static void convert_rows(void *context, int task, int worker) {
    (void)worker;
    const product_run *run = context;
    const wb_product *p = run->product;
    const wb_kernels *kernels = run->team->kernels;
    const int k = p->linear->k;
    int begin, end;
    wb_team_cut(&begin, &end, p->m, 1, task, run->n_tasks);
    const float *x = p->x + (size_t)begin * (size_t)p->ld_x;
    const size_t done = (size_t)begin * (size_t)k;
    switch (p->linear->precision) {
        case WB_BF16:
            kernels->cast_bf16((uint16_t *)run->narrow + done, k, x, p->ld_x, end - begin, k);
            break;
        case WB_F16:
            kernels->cast_f16((uint16_t *)run->narrow + done, k, x, p->ld_x, end - begin, k);
            break;
        case WB_I8_DYNAMIC:
            kernels->quantize_i8((uint8_t *)run->narrow + done, k, run->x_scale + begin, x, p->ld_x,
                                 end - begin, k);
            break;
        case WB_I8_STATIC:
            kernels->quantize_i8_static((uint8_t *)run->narrow + done, k, x, p->ld_x,
                                        p->linear->x_factor, end - begin, k);
            for (int i = begin; i < end; i++) run->x_scale[i] = p->linear->x_scale;
            break;
        default: break;
    }
}

// Columns [begin, end) of the product over panels that start with column begin; next as in
// wb_epilogue.
static void multiply_panels(const product_run *run, const void *panels, int begin, int end,
                            const void *next) {
    const wb_product *p = run->product;
    const wb_linear *linear = p->linear;
    const wb_kernels *kernels = run->team->kernels;
    const int column = p->first + begin, n = end - begin, k = linear->k;
    const wb_epilogue epilogue = {
        .bias = linear->bias + column, .activation = p->activation, .next = next};
    float *y = p->y + begin;
    switch (linear->precision) {
        case WB_BF16:
            kernels->gemm_bf16(y, p->ld_y, run->narrow, k, panels, p->m, n, k, &epilogue);
            break;
        case WB_F16:
            kernels->gemm_f16(y, p->ld_y, run->narrow, k, panels, p->m, n, k, &epilogue);
            break;
        case WB_I8_DYNAMIC:
        case WB_I8_STATIC:
            kernels->gemm_i8(y, p->ld_y, run->narrow, k, run->x_scale, panels,
                             linear->w_scale + column, p->m, n, k, &epilogue);
            break;
        default: kernels->gemm_f32(y, p->ld_y, p->x, p->ld_x, panels, p->m, n, k, &epilogue); break;
    }
}

// Autocast: one panel at a time is cast into the thread's scratch and used while it is in
// cache. PyTorch casts the whole matrix into memory and reads it back, the same work at more
// traffic.
static void multiply_cast_panels(const product_run *run, const void *panels, int begin, int end,
                                 int worker) {
    const wb_kernels *kernels = run->team->kernels;
    const wb_linear *linear = run->product->linear;
    void *cast = run->team->workspaces[worker].cast_panel;
    const int tile_n = kernels->tile_n;
    for (int column = begin; column < end; column += tile_n) {
        const int stop = column + tile_n < end ? column + tile_n : end;
        const size_t panel = (size_t)((column - begin) / tile_n);
        const void *panel_f32 = (const char *)panels + panel * linear->panel_bytes;
        if (linear->precision == WB_BF16)
            kernels->cast_panels_bf16(cast, panel_f32, stop - column, linear->k);
        else
            kernels->cast_panels_f16(cast, panel_f32, stop - column, linear->k);
        multiply_panels(run, cast, column, stop, NULL);
    }
}

static const void *panel_of(const wb_linear *linear, int panel) {
    return (const char *)linear->panels + (size_t)panel * linear->panel_bytes;
}

// What this worker multiplies after a panel: the one beside it, or the first of its share of the
// next product. Without it each product would begin with a wait for memory. Two threads, one text
// of 25 tokens, DistilBERT's size, EPYC Zen 4, with the shares that make it possible: f32 10.9 to
// 9.8 ms, bf16 5.7 to 5.2, int8 3.1 to 2.7.
static const void *find_next(const product_run *run, int task, int worker) {
    const wb_product *p = run->product;
    const wb_team *team = run->team;
    const int tile_n = team->kernels->tile_n;
    int begin, end;
    wb_team_share(&begin, &end, team, run->n_tasks, worker);
    if (task + 1 < run->n_tasks && task + 1 != end)
        return panel_of(p->linear, p->first / tile_n + task + 1);
    if (!p->next) return NULL;
    wb_team_share(&begin, &end, team, (int)count_panels(p->next->n, team->kernels), worker);
    return panel_of(p->next, begin);
}

// A share of the panels, all rows: the first panel of the product may be any, and the last may
// be cut short.
static void multiply_columns(void *context, int task, int worker) {
    const product_run *run = context;
    const wb_product *p = run->product;
    const int tile_n = run->team->kernels->tile_n;
    int begin, end;
    wb_team_cut(&begin, &end, p->n, tile_n, task, run->n_tasks);
    const void *panels = panel_of(p->linear, (p->first + begin) / tile_n);
    if (p->linear->is_autocast)
        multiply_cast_panels(run, panels, begin, end, worker);
    else
        multiply_panels(run, panels, begin, end, find_next(run, task, worker));
}

static void multiply(const wb_team *team, const wb_product *product) {
    const wb_workspace *workspace = wb_team_workspace(team);
    product_run run = {.team = team,
                       .product = product,
                       .narrow = workspace->narrow,
                       .x_scale = workspace->x_scale};
    if (product->linear->precision != WB_F32) {
        run.n_tasks = wb_team_row_tasks(team, product->m, product->linear->k);
        wb_team_run(team, convert_rows, &run, run.n_tasks);
    }
    const int tile_n = team->kernels->tile_n;
    run.n_tasks = team->pool ? (product->n + tile_n - 1) / tile_n : 1;
    wb_team_run_shares(team, multiply_columns, &run, run.n_tasks);
}

void wb_linear_forward(const wb_team *team, const wb_product *product) {
    const float *x = team->tap ? team->tap->see(team->tap->context, product) : NULL;
    wb_product changed = *product;
    if (x) {
        changed.x = x;
        changed.ld_x = product->linear->k;
    }
    multiply(team, &changed);
}
