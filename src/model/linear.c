// SPDX-License-Identifier: Apache-2.0
// The product of a linear layer, which first brings its rows of x into the precision that the
// weights were packed in (pack.c). Between two products everything is f32, in every technique, or
// has the bits that come of it.
#include "model/model.h"

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
    wb_epilogue epilogue = {
        .bias = linear->bias + column, .activation = p->activation, .next = next};
    float *y = p->y + begin;
    const void *x = p->x_narrow ? p->x_narrow : run->narrow;
    switch (linear->precision) {
        case WB_BF16:
            if (p->y_narrow)
                kernels->gemm_bf16_to_bf16((uint16_t *)p->y_narrow + begin, p->ld_y, x, k, panels,
                                           p->m, n, k, &epilogue);
            else
                kernels->gemm_bf16(y, p->ld_y, x, k, panels, p->m, n, k, &epilogue);
            break;
        case WB_F16:
            kernels->gemm_f16(y, p->ld_y, run->narrow, k, panels, p->m, n, k, &epilogue);
            break;
        case WB_I8_DYNAMIC:
        case WB_I8_STATIC:
            if (p->y_narrow) {
                epilogue.y_i8 = (uint8_t *)p->y_narrow + begin;
                epilogue.factor = p->next->x_factor + begin;
            }
            kernels->gemm_i8(y, p->ld_y, x, k, run->x_scale, panels, linear->w_scale + column, p->m,
                             n, k, &epilogue);
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
    wb_team_share(&begin, &end, team, wb_linear_panels(p->next, team->kernels), worker);
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
    if (product->linear->precision == WB_I8_STATIC)
        for (int i = 0; i < product->m; i++) run.x_scale[i] = product->linear->x_scale;
    if (product->linear->precision != WB_F32 && !product->x_narrow) {
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

bool wb_linear_keeps_narrow(const wb_team *team, const wb_linear *from, const wb_linear *to) {
    if (team->tap || from->precision != to->precision) return false;
    return from->precision == WB_I8_STATIC ||
           (from->precision == WB_BF16 && team->kernels->gemm_bf16_to_bf16);
}
