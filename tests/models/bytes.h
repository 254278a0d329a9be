// SPDX-License-Identifier: Apache-2.0
// A growing run of bytes, to write files of every format with. Test code: it ends the program
// where memory does.
#ifndef WB_TEST_BYTES_H
#define WB_TEST_BYTES_H

#include <stddef.h>
#include <stdint.h>

typedef struct bytes {
    uint8_t *data;
    size_t n, capacity;
} bytes;

void put(bytes *b, const void *data, size_t n);
void put_text(bytes *b, const char *text);
void put_format(bytes *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void put_fill(bytes *b, uint8_t byte, size_t n);
void put_u8(bytes *b, uint8_t number);
void put_u16(bytes *b, uint16_t number);  // little-endian, as all of these
void put_u32(bytes *b, uint32_t number);
void put_u64(bytes *b, uint64_t number);

void set_u16(bytes *b, size_t at, uint16_t number);
void set_u32(bytes *b, size_t at, uint32_t number);
void set_u64(bytes *b, size_t at, uint64_t number);
uint16_t get_u16(const bytes *b, size_t at);
uint32_t get_u32(const bytes *b, size_t at);
uint64_t get_u64(const bytes *b, size_t at);

// The first place of text from byte first on; the program ends if there is none.
size_t find_text(const bytes *b, size_t first, const char *text);
size_t find_bytes(const bytes *b, size_t first, const void *data, size_t n);
// Bytes [at, at + n_old) become text.
void replace_bytes(bytes *b, size_t at, size_t n_old, const void *text, size_t n_new);
void replace_text(bytes *b, size_t first, const char *old_text, const char *new_text);
void clear_bytes(bytes *b);

uint32_t crc32_of(const uint8_t *data, size_t n);

#endif
