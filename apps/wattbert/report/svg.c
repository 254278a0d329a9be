// SPDX-License-Identifier: Apache-2.0
// Rewrites what gnuplot 5 writes and nothing more general. Dropped: the prologue, titles (a browser
// shows them as tips), ids (they would repeat on one page), the background, groups without content
// (a third of the file), fonts (the page's are used).
#include "report/svg.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/base.h"
#include "report/html.h"
#include "report/look.h"

enum { MAX_SVG_BYTES = 16 << 20 };

static bool starts(const char *text, const char *with) {
    return !strncmp(text, with, strlen(with));
}

// The text after the next occurrence of mark, or the end of the text.
static const char *after(const char *text, const char *mark) {
    const char *found = strstr(text, mark);
    return found ? found + strlen(mark) : text + strlen(text);
}

// Elements and attributes that are left out: the text after the one that begins here, or NULL.
static const char *skip_unwanted(const char *at) {
    if (starts(at, "<title>")) return after(at, "</title>");
    if (starts(at, "<desc>")) return after(at, "</desc>");
    if (starts(at, "<defs>")) return after(at, "</defs>");
    // The background is the only rectangle that begins at the corner.
    if (starts(at, "<rect x=\"0\" y=\"0\"")) return after(at, "/>");
    if (starts(at, " id=\"")) return after(at + 5, "\"");
    if (starts(at, " font-family=\"")) return after(at + 14, "\"");
    if (starts(at, " color=\"black\"")) return at + 14;
    if (starts(at, "<g ")) {
        const char *end = after(at, ">");
        const char *next = end + strspn(end, " \t\n");
        if (starts(next, "</g>")) return next + 4;
    }
    return NULL;
}

// "rgb( 0, 114, 178)" or "black" becomes the variable it stands for; returns the text after it, or
// NULL where there is no colour of ours.
static const char *write_colour(FILE *page, const char *at) {
    int red, green, blue, n_bytes = 0;
    if (starts(at, "\"black\"")) {
        fputs("\"currentColor\"", page);
        return at + 7;
    }
    if (sscanf(at, "rgb(%d,%d,%d)%n", &red, &green, &blue, &n_bytes) != 3 || !n_bytes) return NULL;
    const int colour = look_colour_of(red, green, blue);
    if (colour < 0) return NULL;
    fprintf(page, "var(--%s)", look_colours[colour].css);
    return at + n_bytes;
}

static void write_body(FILE *page, const char *at) {
    bool is_gap = true;  // white space of any length counts as one line end
    while (*at && !starts(at, "</svg>")) {
        const char *next = skip_unwanted(at);
        if (!next && (*at == 'r' || *at == '"')) next = write_colour(page, at);
        if (next) {
            at = next;
            is_gap = false;
            continue;
        }
        const bool is_space = isspace((unsigned char)*at);
        if (!is_space || !is_gap) fputc(is_space && *at != ' ' ? '\n' : *at, page);
        is_gap = is_space && *at != ' ';
        at++;
    }
}

// *view_box <- the text between the quotes; returns the text after the <svg ...> tag, or NULL.
static const char *read_head(const char *text, char view_box[64]) {
    const char *tag = strstr(text, "<svg");
    const char *box = tag ? strstr(tag, "viewBox=\"") : NULL;
    if (!box) return NULL;
    box += 9;
    const size_t n_bytes = strspn(box, "0123456789. ");
    if (n_bytes == 0 || n_bytes >= 64 || box[n_bytes] != '"') return NULL;
    memcpy(view_box, box, n_bytes);
    view_box[n_bytes] = 0;
    return after(box, ">");
}

static wb_status open_svg(wb_file *file, const char *path, wb_error *err) {
    const wb_status status = wb_file_read(file, path, MAX_SVG_BYTES, err);
    if (status) return status;
    char view_box[64];
    if (file->data && read_head((const char *)file->data, view_box)) return WB_OK;
    wb_file_close(file);
    return wb_fail(err, WB_ERR_FORMAT, 0, "%s: not an SVG file of gnuplot", path);
}

wb_status svg_inline(FILE *page, const char *path, const char *css_class, const char *label,
                     wb_error *err) {
    wb_file file;
    const wb_status status = open_svg(&file, path, err);
    if (status) return status;
    char view_box[64];
    const char *body = read_head((const char *)file.data, view_box);
    fprintf(page, "<svg class=\"%s\" viewBox=\"%s\" role=\"img\" aria-label=\"", css_class,
            view_box);
    html_text(page, label);
    fputs("\">", page);
    write_body(page, body);
    fputs("</svg>\n", page);
    wb_file_close(&file);
    return WB_OK;
}

wb_status svg_marks(FILE *page, const char *path, wb_error *err) {
    wb_file file;
    const wb_status status = open_svg(&file, path, err);
    if (status) return status;
    const char *at = strstr((const char *)file.data, "<defs>");
    const char *end = at ? strstr(at, "<filter") : NULL;
    if (end) {
        fputs("<svg class=\"marks\" aria-hidden=\"true\" width=\"0\" height=\"0\"><defs>", page);
        for (at += strlen("<defs>"); at < end; at++)
            if (*at != '\t' && *at != '\n') fputc(*at, page);
        fputs("</defs></svg>\n", page);
    }
    wb_file_close(&file);
    return WB_OK;
}
