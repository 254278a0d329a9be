// SPDX-License-Identifier: Apache-2.0
// Small pieces of HTML. Texts come from CSV files: everything passes html_text.
#ifndef HTML_H
#define HTML_H

#include <stdio.h>

#include "wattbert/error.h"

// Escapes what HTML would read, in text and in quoted attributes; invalid UTF-8 and control
// characters become U+FFFD.
void html_text(FILE *page, const char *text);
// printf, escaped. At most 1023 bytes.
void html_printf(FILE *page, const char *format, ...) WB_PRINTF(2, 3);
// "<tag>text</tag>"; tag may carry attributes: "td class=\"name\"".
void html_element(FILE *page, const char *tag, const char *text);

#endif
