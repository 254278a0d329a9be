// SPDX-License-Identifier: Apache-2.0
// gnuplot's SVG files made part of the page: their colours become the page's variables, so that a
// figure follows the reader's light or dark mode.
#ifndef SVG_H
#define SVG_H

#include <stdio.h>

#include "wattbert/error.h"

// Writes the drawing of the file at path as an <svg> element of the class, described by label.
// WB_ERR_IO, WB_ERR_FORMAT (not gnuplot's SVG): then nothing was written.
wb_status svg_inline(FILE *page, const char *path, const char *css_class, const char *label,
                     wb_error *err);

// Writes the marks' shapes that all drawings refer to, once a page.
wb_status svg_marks(FILE *page, const char *path, wb_error *err);

#endif
