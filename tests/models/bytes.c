// SPDX-License-Identifier: Apache-2.0
// A growing run of bytes.
#include "bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void reserve(bytes *b, size_t n) {
    if (n <= b->capacity - b->n) return;
    b->capacity = 2 * b->capacity + n;
    b->data = realloc(b->data, b->capacity);
    if (!b->data) abort();
}

void put(bytes *b, const void *data, size_t n) {
    reserve(b, n);
    if (n) memcpy(b->data + b->n, data, n);
    b->n += n;
}

void put_text(bytes *b, const char *text) {
    put(b, text, strlen(text));
}

void put_format(bytes *b, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= sizeof text) abort();
    put(b, text, (size_t)n);
}

void put_fill(bytes *b, uint8_t byte, size_t n) {
    reserve(b, n);
    if (n) memset(b->data + b->n, byte, n);
    b->n += n;
}

void put_u8(bytes *b, uint8_t number) {
    put(b, &number, 1);
}

void put_u16(bytes *b, uint16_t number) {
    put_u8(b, (uint8_t)number);
    put_u8(b, (uint8_t)(number >> 8));
}

void put_u32(bytes *b, uint32_t number) {
    put_u16(b, (uint16_t)number);
    put_u16(b, (uint16_t)(number >> 16));
}

void put_u64(bytes *b, uint64_t number) {
    put_u32(b, (uint32_t)number);
    put_u32(b, (uint32_t)(number >> 32));
}

static void set(bytes *b, size_t at, uint64_t number, size_t n) {
    if (at > b->n || n > b->n - at) abort();
    for (size_t i = 0; i < n; i++) b->data[at + i] = (uint8_t)(number >> (8 * i));
}

void set_u16(bytes *b, size_t at, uint16_t number) {
    set(b, at, number, 2);
}

void set_u32(bytes *b, size_t at, uint32_t number) {
    set(b, at, number, 4);
}

void set_u64(bytes *b, size_t at, uint64_t number) {
    set(b, at, number, 8);
}

static uint64_t get(const bytes *b, size_t at, size_t n) {
    uint64_t number = 0;
    if (at > b->n || n > b->n - at) abort();
    for (size_t i = 0; i < n; i++) number |= (uint64_t)b->data[at + i] << (8 * i);
    return number;
}

uint16_t get_u16(const bytes *b, size_t at) {
    return (uint16_t)get(b, at, 2);
}

uint32_t get_u32(const bytes *b, size_t at) {
    return (uint32_t)get(b, at, 4);
}

uint64_t get_u64(const bytes *b, size_t at) {
    return get(b, at, 8);
}

size_t find_bytes(const bytes *b, size_t first, const void *data, size_t n) {
    const uint8_t *found = first <= b->n ? memmem(b->data + first, b->n - first, data, n) : NULL;
    if (!found) {
        fprintf(stderr, "the test's own file has no \"%.*s\"\n", (int)n, (const char *)data);
        abort();
    }
    return (size_t)(found - b->data);
}

size_t find_text(const bytes *b, size_t first, const char *text) {
    return find_bytes(b, first, text, strlen(text));
}

void replace_bytes(bytes *b, size_t at, size_t n_old, const void *text, size_t n_new) {
    bytes rest = {0};
    put(&rest, b->data + at + n_old, b->n - at - n_old);
    b->n = at;
    put(b, text, n_new);
    put(b, rest.data, rest.n);
    clear_bytes(&rest);
}

void replace_text(bytes *b, size_t first, const char *old_text, const char *new_text) {
    replace_bytes(b, find_text(b, first, old_text), strlen(old_text), new_text, strlen(new_text));
}

void clear_bytes(bytes *b) {
    free(b->data);
    *b = (bytes){0};
}

uint32_t crc32_of(const uint8_t *data, size_t n) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}
