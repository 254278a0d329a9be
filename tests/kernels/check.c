// SPDX-License-Identifier: Apache-2.0
// Data, walled buffers, comparison and reports. A kernel that reads past a buffer faults at
// once (main.c catches the signal and names the kernel); one that writes outside it, on the side
// without a wall, disturbs the pattern.
#include "check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/half.h"

// Of the pattern on each side of a buffer: more than the widest tile's row.
enum { GUARD_BYTES = 512 };

static const uint8_t pattern[8] = {0xa5, 0x5a, 0xf8, 0x7f, 0xa5, 0x5a, 0xf8, 0x7f};

int check_below(check *c, int bound) {
    return (int)wb_random_below(&c->random, (uint64_t)bound);
}

float check_uniform(check *c, float low, float high) {
    return low + (high - low) * (float)wb_random_unit(&c->random);
}

int check_dimension(check *c, int most) {
    switch (check_below(c, 8)) {
        case 0: return 1;
        case 1: return most;
        case 2:
        case 3:
        case 4: {
            int power = 1;
            while (power * 2 <= most && check_below(c, 5)) power *= 2;
            const int n = power + check_below(c, 3) - 1;
            return n < 1 ? 1 : n > most ? most : n;
        }
        default: return 1 + check_below(c, most);
    }
}

check_data check_draw_data(check *c) {
    return check_below(c, 2) ? DATA_UNIFORM : (check_data)check_below(c, N_DATA);
}

const char *check_data_name(check_data data) {
    static const char *const names[N_DATA] = {"uniform", "mixed",    "equal", "alternating",
                                              "zero",    "denormal", "huge"};
    return names[data];
}

bool check_is_random(check_data data) {
    return data == DATA_UNIFORM || data == DATA_MIXED || data == DATA_ZERO;
}

void check_fill(check *c, float *x, size_t n, check_data data) {
    const float one = check_uniform(c, -1.0f, 1.0f);
    for (size_t i = 0; i < n; i++) {
        const float sign = check_below(c, 2) ? -1.0f : 1.0f;
        switch (data) {
            case DATA_UNIFORM: x[i] = check_uniform(c, -1.0f, 1.0f); break;
            case DATA_MIXED:
                x[i] = sign * ldexpf(check_uniform(c, 1.0f, 2.0f), check_below(c, 41) - 20);
                break;
            case DATA_EQUAL: x[i] = one; break;
            case DATA_ALTERNATING: x[i] = i % 2 ? one : -one; break;
            case DATA_DENORMAL:
                x[i] = sign * wb_f32_from_bits((uint32_t)check_below(c, 1 << 23));
                break;
            case DATA_HUGE:
                x[i] = sign * ldexpf(check_uniform(c, 1.0f, 2.0f), 40 + check_below(c, 10));
                break;
            default: x[i] = 0.0f; break;
        }
    }
}

static void fill_pattern(uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i++) p[i] = pattern[(uintptr_t)(p + i) % sizeof pattern];
}

static bool is_pattern(const uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (p[i] != pattern[(uintptr_t)(p + i) % sizeof pattern]) return false;
    return true;
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

// Grows the buffer's pages, a wall before and behind them.
static void map_pages(check_buffer *b, size_t n_bytes) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (n_bytes + page - 1) / page * page;
    if (b->capacity >= size) return;
    if (b->pages) munmap(b->pages - page, b->capacity + 2 * page);
    uint8_t *all = mmap(NULL, size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED || mprotect(all + page, size, PROT_READ | PROT_WRITE)) {
        fprintf(stderr, "checkkernels: no memory for a buffer of %zu bytes\n", n_bytes);
        exit(3);
    }
    b->pages = all + page;
    b->capacity = size;
}

void *check_bytes(check *c, size_t n_bytes, size_t alignment) {
    if (c->n_buffers == MAX_BUFFERS) {
        fprintf(stderr, "checkkernels: %s needs more than %d buffers\n", c->kernel, MAX_BUFFERS);
        exit(3);
    }
    check_buffer *b = &c->buffers[c->n_buffers++];
    map_pages(b, n_bytes + 64);
    const size_t from_end = (b->capacity - n_bytes) / alignment * alignment;
    b->data = check_below(c, 3) ? b->pages + from_end : b->pages;
    b->n_bytes = n_bytes;
    b->before = smaller((size_t)(b->data - b->pages), GUARD_BYTES);
    b->behind = smaller((size_t)(b->pages + b->capacity - b->data) - n_bytes, GUARD_BYTES);
    fill_pattern(b->data - b->before, b->before + n_bytes + b->behind);
    return b->data;
}

float *check_floats(check *c, size_t n) {
    return check_bytes(c, n * sizeof(float), sizeof(float));
}

float *check_random_floats(check *c, size_t n, check_data data) {
    float *x = check_floats(c, n);
    check_fill(c, x, n, data);
    return x;
}

void check_begin_round(check *c, const char *format, ...) {
    c->n_buffers = 0;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(c->shape, sizeof c->shape, format, arguments);
    va_end(arguments);
}

int check_rounds(const check *c, int n) {
    const int rounds = n * c->rounds / 100;
    return rounds > 0 ? rounds : 1;
}

bool check_guards(check *c) {
    for (int i = 0; i < c->n_buffers; i++) {
        const check_buffer *b = &c->buffers[i];
        if (is_pattern(b->data - b->before, b->before) &&
            is_pattern(b->data + b->n_bytes, b->behind))
            continue;
        check_fail(c, "wrote outside buffer %d of %zu bytes", i, b->n_bytes);
        return false;
    }
    return true;
}

bool check_gaps(check *c, const void *y, size_t element_bytes, int m, int n, int ld) {
    const uint8_t *bytes = y;
    for (int i = 0; i + 1 < m; i++) {
        const uint8_t *gap = bytes + ((size_t)i * (size_t)ld + (size_t)n) * element_bytes;
        if (is_pattern(gap, (size_t)(ld - n) * element_bytes)) continue;
        check_fail(c, "wrote behind column %d of row %d", n, i);
        return false;
    }
    return true;
}

void check_fail(check *c, const char *format, ...) {
    if (c->has_failed) return;  // one report a kernel: the first says enough
    c->has_failed = true;
    c->n_failures++;
    char what[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    printf("FAILED %s of %s, %s: %s\n    repeat: checkkernels --seed %llu --isa %s -f %s\n",
           c->kernel, c->isa, c->shape, what, (unsigned long long)c->seed, c->isa, c->kernel);
}

bool check_near(check *c, size_t index, double want, float got, double allowed) {
    if (fabs((double)got - want) <= allowed) return true;
    if (isnan(want) && isnan(got)) return true;
    if (isinf(want) && (double)got == want) return true;
    check_fail(c, "cell %zu: want %.9g, got %.9g, differ by %.3g, allowed %.3g", index, want,
               (double)got, fabs((double)got - want), allowed);
    return false;
}

bool check_same(check *c, const char *than, const float *want, int ld_want, const float *got,
                int ld_got, int m, int n) {
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            const float a = want[(size_t)i * (size_t)ld_want + (size_t)j];
            const float b = got[(size_t)i * (size_t)ld_got + (size_t)j];
            if (wb_f32_bits(a) == wb_f32_bits(b) || a == b || (isnan(a) && isnan(b))) continue;
            check_fail(c, "cell [%d, %d]: other bits than %s, want %a, got %a", i, j, than,
                       (double)a, (double)b);
            return false;
        }
    return true;
}

bool check_integer(check *c, size_t index, long long want, long long got) {
    if (want == got) return true;
    check_fail(c, "cell %zu: want %lld, got %lld", index, want, got);
    return false;
}

bool check_rounded(check *c, const uint16_t *y, int ld_y, const float *x, int ld_x, int m, int n,
                   bool is_bf16) {
    if (!check_guards(c) || !check_gaps(c, y, sizeof *y, m, n, ld_y)) return false;
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            const float from = x[(size_t)i * (size_t)ld_x + (size_t)j];
            const size_t cell = (size_t)i * (size_t)ld_y + (size_t)j;
            const float got = is_bf16 ? wb_bf16_to_f32(y[cell]) : wb_f16_to_f32(y[cell]);
            if (isnan(from) && isnan(got)) continue;
            const uint16_t want = is_bf16 ? wb_bf16_from_f32(from) : wb_f16_from_f32(from);
            if (!check_integer(c, cell, want, y[cell])) return false;
        }
    return true;
}
