// SPDX-License-Identifier: Apache-2.0
#include "report/html.h"

#include <stdarg.h>
#include <stdint.h>
#include <string.h>

// Bytes of the well-formed UTF-8 sequence here, 0 if there is none (Unicode 15, table 3-7).
static int sequence_bytes(const unsigned char *c) {
    if (c[0] < 0x80) return c[0] >= 0x20 && c[0] != 0x7f;
    if (c[0] < 0xc2 || c[0] > 0xf4) return 0;
    const int n_bytes = c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
    const unsigned char low = c[0] == 0xe0 ? 0xa0 : c[0] == 0xf0 ? 0x90 : 0x80;
    const unsigned char high = c[0] == 0xed ? 0x9f : c[0] == 0xf4 ? 0x8f : 0xbf;
    if (c[1] < low || c[1] > high) return 0;
    for (int i = 2; i < n_bytes; i++)
        if ((c[i] & 0xc0) != 0x80) return 0;
    return n_bytes;
}

void html_text(FILE *page, const char *text) {
    for (const unsigned char *c = (const unsigned char *)text; *c;) {
        const int n_bytes = sequence_bytes(c);
        if (*c == '&') {
            fputs("&amp;", page);
        } else if (*c == '<') {
            fputs("&lt;", page);
        } else if (*c == '>') {
            fputs("&gt;", page);
        } else if (*c == '"') {
            fputs("&quot;", page);
        } else if (*c == '\n' || *c == '\t') {
            fputc(' ', page);
        } else if (n_bytes == 0) {
            fputs("\ufffd", page);
        } else {
            fwrite(c, 1, (size_t)n_bytes, page);
        }
        c += n_bytes ? n_bytes : 1;
    }
}

void html_printf(FILE *page, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    html_text(page, text);
}

void html_element(FILE *page, const char *tag, const char *text) {
    fprintf(page, "<%s>", tag);
    html_text(page, text);
    fprintf(page, "</%.*s>", (int)strcspn(tag, " "), tag);
}
