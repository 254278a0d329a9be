// SPDX-License-Identifier: Apache-2.0
// The page is written as a stream: nothing is kept, so a report of any size takes no memory.
#include "report/html.h"

#include <stdarg.h>
#include <string.h>

#include "report/text.h"

void html_text(FILE *page, const char *text) {
    while (*text) {
        const int n_bytes = text_character_bytes(text);
        switch (*text) {
            case '&': fputs("&amp;", page); break;
            case '<': fputs("&lt;", page); break;
            case '>': fputs("&gt;", page); break;
            case '"': fputs("&quot;", page); break;
            case '\n':
            case '\t': fputc(' ', page); break;
            default:
                if (n_bytes)
                    fwrite(text, 1, (size_t)n_bytes, page);
                else
                    fputs("\ufffd", page);
        }
        text += n_bytes ? n_bytes : 1;
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
