// SPDX-License-Identifier: Apache-2.0
// checkkernels --digest: what each kernel makes of seeded inputs, as a digest of its bits. The same
// file of digests holds on every instruction set of every architecture, which is how a set that
// never ran beside another is compared with it. Without products of bf16 and f16, which round as
// the CPU's instruction does.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "check.h"
#include "cpu/cpu.h"
#include "levels.h"

enum { DIGEST_CHARS = 16, MOST_FLOATS = 1 << 18 };

// Inputs and outputs of one kernel, and the hash of the outputs so far.
typedef struct digest {
    const wb_kernels *kernels;
    wb_random random;
    wb_sha256 hash;
    float *x, *w, *y, *scratch;  // [MOST_FLOATS]
    float *bias, *scale;         // [MOST_FLOATS]
    void *packed;
    uint8_t *bytes;
    int8_t *weights;
} digest;

static void fill(digest *d, float *x, size_t n, float range) {
    for (size_t i = 0; i < n; i++) x[i] = range * (float)(2.0 * wb_random_unit(&d->random) - 1.0);
}

static size_t size(int m, int n) {
    return (size_t)m * (size_t)n;
}

static void add_floats(digest *d, const float *y, int m, int n) {
    wb_sha256_add(&d->hash, y, size(m, n) * sizeof *y);
}

// Tiles, panels and chains that end in the middle, and one that DEPTH_F32 cuts.
static const int shapes[][3] = {{13, 70, 37}, {6, 64, 256}, {1, 33, 1030}, {25, 17, 1}};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

static void digest_gemm_f32(digest *d) {
    for (int s = 0; s < N_SHAPES; s++) {
        const int m = shapes[s][0], n = shapes[s][1], k = shapes[s][2];
        fill(d, d->x, size(m, k), 1.0f);
        fill(d, d->w, size(n, k), 1.0f);
        fill(d, d->bias, (size_t)n, 1.0f);
        d->kernels->pack_f32(d->packed, d->w, n, k);
        for (int a = WB_LINEAR; a <= WB_SILU; a++) {
            const wb_epilogue epilogue = {.bias = a == WB_RELU ? NULL : d->bias,
                                          .activation = (wb_activation)a};
            d->kernels->gemm_f32(d->y, n, d->x, k, d->packed, m, n, k, &epilogue);
            add_floats(d, d->y, m, n);
        }
    }
}

static void digest_gemm_i8(digest *d) {
    for (int s = 0; s < N_SHAPES; s++) {
        const int m = shapes[s][0], n = shapes[s][1], k = shapes[s][2];
        for (size_t i = 0; i < size(m, k); i++)
            d->bytes[i] = (uint8_t)(1 + wb_random_below(&d->random, 255));
        for (size_t i = 0; i < size(n, k); i++)
            d->weights[i] = (int8_t)((int)wb_random_below(&d->random, 255) - 127);
        fill(d, d->scale, (size_t)(m + n), 0.01f);
        fill(d, d->bias, (size_t)n, 1.0f);
        d->kernels->pack_i8(d->packed, d->weights, n, k);
        for (int a = WB_LINEAR; a <= WB_SILU; a++) {
            const wb_epilogue epilogue = {.bias = a == WB_RELU ? NULL : d->bias,
                                          .activation = (wb_activation)a};
            d->kernels->gemm_i8(d->y, n, d->bytes, k, d->scale, d->packed, d->scale + m, m, n, k,
                                &epilogue);
            add_floats(d, d->y, m, n);
        }
    }
}

static void digest_quantize(digest *d) {
    const int m = 9, k = 203;
    fill(d, d->x, size(m, k), 3.0f);
    memset(d->x + size(4, k), 0, (size_t)k * sizeof *d->x);
    d->kernels->quantize_i8(d->bytes, k, d->scale, d->x, k, m, k);
    wb_sha256_add(&d->hash, d->bytes, size(m, k));
    add_floats(d, d->scale, m, 1);
}

static void digest_quantize_static(digest *d) {
    const int m = 9, k = 203;
    fill(d, d->x, size(m, k), 3.0f);
    fill(d, d->bias, (size_t)k, 100.0f);
    d->x[7] = NAN;
    d->x[8] = INFINITY;
    d->kernels->quantize_i8_static(d->bytes, k, d->x, k, d->bias, m, k);
    wb_sha256_add(&d->hash, d->bytes, size(m, k));
}

// Every bit pattern but NaNs may come.
static void digest_casts(digest *d) {
    const int m = 7, k = 1001;
    uint16_t *narrow = d->packed;
    for (size_t i = 0; i < size(m, k); i++) {
        const float x = wb_f32_from_bits((uint32_t)wb_random_next(&d->random));
        d->x[i] = isnan(x) ? 1.0f : x;
    }
    d->kernels->cast_bf16(narrow, k, d->x, k, m, k);
    wb_sha256_add(&d->hash, narrow, size(m, k) * sizeof *narrow);
    d->kernels->cast_f16(narrow, k, d->x, k, m, k);
    wb_sha256_add(&d->hash, narrow, size(m, k) * sizeof *narrow);
}

static void digest_add_norm(digest *d) {
    static const int widths[] = {192, 70, 768, 5};
    for (int i = 0; i < 4; i++) {
        const int m = 7, n = widths[i];
        fill(d, d->x, size(m, n), 2.0f);
        fill(d, d->w, size(m, n), 2.0f);
        fill(d, d->bias, 2 * (size_t)n, 1.0f);
        d->kernels->add_norm(d->y, n, d->x, n, d->w, n, d->bias, d->bias + n, 1e-12f, m, n);
        add_floats(d, d->y, m, n);
    }
}

static void digest_softmax(digest *d) {
    const int m = 9, n = 77;
    for (int n_valid = n; n_valid > 0; n_valid -= 19) {
        fill(d, d->y, size(m, n), n_valid % 2 ? 5.0f : 100.0f);
        d->kernels->softmax(d->y, n, m, n, n_valid);
        add_floats(d, d->y, m, n);
    }
}

// Texts of one token, of a tile of keys and of more, heads of odd widths.
static const int heads[][2] = {{25, 64}, {1, 64}, {130, 64}, {70, 20}};  // n_keys, d_head

static void digest_flash(digest *d) {
    for (int i = 0; i < 4; i++) {
        const int n = heads[i][0], d_head = heads[i][1], ld = 3 * d_head;
        fill(d, d->x, size(n, ld), 2.0f);
        d->kernels->attention_flash(d->y, d_head, d->x, d->x + d_head, d->x + 2 * d_head, ld, n, n,
                                    d_head, 0.125f, d->scratch);
        add_floats(d, d->y, n, d_head);
    }
}

static void digest_standard(digest *d) {
    for (int i = 0; i < 4; i++) {
        const int n = heads[i][0], d_head = heads[i][1], ld = 3 * d_head;
        fill(d, d->x, size(n, ld), 2.0f);
        d->kernels->attention_scores(d->w, n, d->x, d->x + d_head, ld, n, n, d_head, 0.125f,
                                     d->scratch);
        add_floats(d, d->w, n, n);
        d->kernels->attention_context(d->y, d_head, d->w, n, d->x + 2 * d_head, ld, n, n, d_head);
        add_floats(d, d->y, n, d_head);
    }
}

static const struct {
    const char *name;
    void (*run)(digest *d);
} digests[] = {
    {"gemm_f32", digest_gemm_f32},
    {"gemm_i8", digest_gemm_i8},
    {"quantize_i8", digest_quantize},
    {"quantize_i8_static", digest_quantize_static},
    {"casts", digest_casts},
    {"add_norm", digest_add_norm},
    {"softmax", digest_softmax},
    {"attention_flash", digest_flash},
    {"attention_standard", digest_standard},
};

enum { N_DIGESTS = sizeof digests / sizeof digests[0] };

static void compute(char text[DIGEST_CHARS + 1], digest *d, size_t i) {
    char whole[WB_SHA256_TEXT];
    d->random.state = i + 1;
    wb_sha256_init(&d->hash);
    digests[i].run(d);
    wb_sha256_text(&d->hash, whole);
    snprintf(text, DIGEST_CHARS + 1, "%.*s", DIGEST_CHARS, whole);
}

// want <- the digest that the file has of this kernel, "" where it has none.
static void find(char want[DIGEST_CHARS + 1], const char *file, const char *kernel) {
    const size_t length = strlen(kernel);
    want[0] = 0;
    for (const char *line = file; *line; line += strcspn(line, "\n"), line += *line == '\n')
        if (strncmp(line, kernel, length) == 0 && line[length] == ' ')
            snprintf(want, DIGEST_CHARS + 1, "%.*s", DIGEST_CHARS, line + length + 1);
}

static int compare(digest *d, const char *file, const char *isa) {
    int n_failures = 0;
    for (size_t i = 0; i < N_DIGESTS; i++) {
        char want[DIGEST_CHARS + 1], got[DIGEST_CHARS + 1];
        find(want, file, digests[i].name);
        compute(got, d, i);
        if (strcmp(want, got) == 0) continue;
        printf("FAILED %s of %s: its digest is %s, not \"%s\"\n", digests[i].name, isa, got, want);
        n_failures++;
    }
    return n_failures;
}

static void *allocate(size_t n_bytes) {
    void *memory = aligned_alloc(64, n_bytes);
    if (!memory) exit(3);
    memset(memory, 0, n_bytes);
    return memory;
}

int digest_run(const char *path, const char *isa, uint32_t cpu_flags) {
    wb_file file;
    wb_error err;
    if (wb_file_read(&file, path, 1 << 16, &err)) {
        fprintf(stderr, "checkkernels: %s\n", err.message);
        return 2;
    }
    const size_t n_bytes = MOST_FLOATS * sizeof(float);
    digest d = {.x = allocate(n_bytes),
                .w = allocate(n_bytes),
                .y = allocate(n_bytes),
                .scratch = allocate(n_bytes),
                .bias = allocate(n_bytes),
                .scale = allocate(n_bytes),
                .packed = allocate(n_bytes),
                .bytes = allocate(n_bytes),
                .weights = allocate(n_bytes)};
    int n_sets = 0, n_failures = 0;
    for (const level *l = levels; l->name; l++) {
        wb_kernels kernels;
        if ((l->flags & cpu_flags) != l->flags || (isa && strcmp(isa, l->name))) continue;
        wb_kernels_select(&kernels, l->flags);
        d.kernels = &kernels;
        n_failures += compare(&d, (const char *)file.data, l->name);
        printf("%s\n", l->name);
        n_sets++;
    }
    printf("checkkernels: %d kernels of %d sets, %d of other bits\n", N_DIGESTS, n_sets,
           n_failures);
    free(d.x), free(d.w), free(d.y), free(d.scratch), free(d.bias), free(d.scale);
    free(d.packed), free(d.bytes), free(d.weights);
    wb_file_close(&file);
    return n_failures ? 1 : 0;
}
