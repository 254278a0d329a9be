// SPDX-License-Identifier: Apache-2.0
// The report from end to end: rows, figures, page. The page is one file that needs no other: style
// and drawings are inside, nothing is loaded, nothing runs.
#include "report/report.h"

#include <errno.h>
#include <locale.h>
#include <string.h>
#include <sys/stat.h>

#include "app.h"
#include "base/base.h"
#include "report/html.h"
#include "report/page.h"
#include "report/svg.h"

enum { PATH_BYTES = 4096 };

typedef struct report {
    const char *out_dir;
    char figures_dir[PATH_BYTES];
    summary summary;
    int n_drawn;
    const figure *drawn[16];
    char warning[512];  // why figures are missing; "" where none is
} report;

// ---- Figures ----

static void write_caption(FILE *page, const figure *f, const summary *s, int number) {
    fputs("<figcaption><b>", page);
    html_printf(page, "Figure %d. %s", number, f->title);
    if (f->has_energy) page_badge(page, s->method & METHOD_MODELLED);
    fputs("</b> ", page);
    html_text(page, f->how);
    int n_panels = 0;
    for (int i = 0; i < s->n_panels; i++) n_panels += f->is_shown(s, &s->panels[i]);
    if (!f->is_by_device && n_panels > PLOT_MAX_PANELS)
        html_printf(page, " Only the first %d of %d are drawn.", PLOT_MAX_PANELS, n_panels);
    fputs(" <small>", page);
    fprintf(
        page,
        "<span class=\"files\"><a href=\"figures/%s.svg\">SVG</a> <a href=\"figures/%s.png\">PNG"
        "</a> <a href=\"figures/%s.gp\">gnuplot script with the data</a></span></small>"
        "</figcaption>\n",
        f->name, f->name, f->name);
}

// Writes one form of a figure into the page; the narrow form is of no use outside it.
static wb_status inline_form(FILE *page, const report *r, const figure *f, bool is_narrow,
                             wb_error *err) {
    char name[64], path[PATH_BYTES];
    snprintf(name, sizeof name, "%s%s.svg", f->name, is_narrow ? "-narrow" : "");
    if (!wb_path_join(path, sizeof path, r->figures_dir, name))
        return wb_fail(err, WB_ERR_IO, 0, "%s: the path is too long", r->figures_dir);
    char label[1280], note[1024] = "";
    plot_source_note(f, &r->summary, note, sizeof note);
    snprintf(label, sizeof label, "%s. %s", f->title, note);
    const wb_status status = svg_inline(page, path, is_narrow ? "narrow" : "wide", label, err);
    if (is_narrow) remove(path);
    return status;
}

static wb_status write_figures(FILE *page, const report *r, wb_error *err) {
    fputs("<section aria-labelledby=\"figures\">\n<h2 id=\"figures\">Figures</h2>\n", page);
    if (*r->warning) {
        fputs("<p class=\"warning\"><strong>Figures are missing.</strong> ", page);
        html_text(page, r->warning);
        fputs(". The tables hold all numbers.</p>\n", page);
    }
    wb_status status = WB_OK;
    for (int i = 0; i < r->n_drawn && !status; i++) {
        char path[PATH_BYTES], name[64];
        snprintf(name, sizeof name, "%s.svg", r->drawn[i]->name);
        if (i == 0 && wb_path_join(path, sizeof path, r->figures_dir, name))
            status = svg_marks(page, path, err);
        fputs("<figure>\n", page);
        if (!status) status = inline_form(page, r, r->drawn[i], false, err);
        if (!status) status = inline_form(page, r, r->drawn[i], true, err);
        write_caption(page, r->drawn[i], &r->summary, i + 1);
        fputs("</figure>\n", page);
    }
    fputs("</section>\n", page);
    return status;
}

// A figure that cannot be drawn leaves a report with tables: told, not fatal.
static void draw_figures(report *r) {
    for (int i = 0; figure_at(i); i++) {
        wb_error err;
        bool is_empty;
        const wb_status status =
            plot_figure(figure_at(i), &r->summary, r->figures_dir, &is_empty, &err);
        if (status) {
            snprintf(r->warning, sizeof r->warning, "%s", err.message);
            if (status == WB_ERR_ABSENT) return;
        } else if (!is_empty) {
            r->drawn[r->n_drawn++] = figure_at(i);
        }
    }
}

// ---- Page ----

static void write_colours(FILE *page, bool is_dark) {
    for (int i = 0; i < LOOK_N_COLOURS; i++)
        fprintf(page, "--%s:%s;", look_colours[i].css,
                is_dark ? look_colours[i].dark : look_colours[i].light);
}

static void write_head(FILE *page, const char *title) {
    fputs(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n",
        page);
    html_element(page, "title", title);
    // Paper is white whatever the screen was.
    fputs("\n<style>\n:root{color-scheme:light dark;", page);
    write_colours(page, false);
    fputs("}\n@media screen and (prefers-color-scheme:dark){:root{", page);
    write_colours(page, true);
    fputs("}}\n", page);
    for (int i = 0; page_style[i]; i++) fputs(page_style[i], page);
    fputs("</style>\n</head>\n<body>\n", page);
}

// "Energy of text classification: SST-2, CoLA": every task once, as its panels on other devices
// follow it.
static void make_title(const summary *s, char *out, size_t capacity) {
    const char *before = "";
    snprintf(out, capacity, "Energy of text classification: ");
    for (int i = 0; i < s->n_panels; i++) {
        const size_t length = strlen(out);
        const char *name = summary_task(&s->panels[i]);
        if (strcmp(name, before) != 0)
            snprintf(out + length, capacity - length, "%s%s", *before ? ", " : "", name);
        before = name;
    }
}

// out <- "AMD EPYC, NVIDIA H100": every device once, in order of appearance.
static void list_devices(const summary *s, char *out, size_t capacity) {
    out[0] = 0;
    for (int i = 0; i < s->table.n_rows; i++) {
        const result_row *row = &s->table.rows[i];
        const char *name = *row->device ? row->device : row->host;
        const size_t length = strlen(out);
        if (strstr(out, name)) continue;
        snprintf(out + length, capacity - length, "%s%s", length ? ", " : "", name);
    }
}

static void write_header(FILE *page, const summary *s, const char *title) {
    const result_row *row = &s->table.rows[0];
    char devices[512];
    list_devices(s, devices, sizeof devices);
    fputs("<header>\n", page);
    html_element(page, "h1", title);
    fputs("<p class=\"lead\">", page);
    html_printf(
        page,
        "wattbert %s on %s, %.10s. Joules, throughput, carbon and score of every technique, "
        "side by side.",
        row->version, devices, row->utc);
    fputs("</p>\n", page);
    if (s->method & METHOD_MODELLED)
        fprintf(
            page,
            "<p class=\"warning\"><strong>%s energy in this report is modelled, not "
            "measured.</strong> "
            "It is busy core time times a fixed number of watts a core: a guess. Such numbers are "
            "marked <span class=\"badge\">modelled</span>.</p>\n",
            s->method == METHOD_BOTH ? "Some" : "All");
    fputs("</header>\n", page);
}

static wb_status write_page(FILE *page, const report *r, wb_error *err) {
    char title[1024];
    make_title(&r->summary, title, sizeof title);
    write_head(page, title);
    write_header(page, &r->summary, title);
    fputs("<main>\n", page);
    page_headline(page, &r->summary);
    page_devices(page, &r->summary);
    page_tables(page, &r->summary);
    const wb_status status = write_figures(page, r, err);
    page_conditions(page, &r->summary);
    page_data(page, &r->summary);
    fputs(
        "</main>\n<footer>Drawn by wattbert report from results.csv alone.</footer>\n"
        "</body>\n</html>\n",
        page);
    return status;
}

// ---- Files ----

static wb_status make_folder(const char *path, wb_error *err) {
    if (mkdir(path, 0777) == 0 || errno == EEXIST) return WB_OK;
    return wb_fail(err, WB_ERR_IO, 0, "%s: %s, give another --out", path, strerror(errno));
}

static wb_status make_folders(report *r, wb_error *err) {
    if (!wb_path_join(r->figures_dir, sizeof r->figures_dir, r->out_dir, "figures"))
        return wb_fail(err, WB_ERR_IO, 0, "%s: the path is too long", r->out_dir);
    for (char *slash = strchr(r->figures_dir + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        const wb_status status = make_folder(r->figures_dir, err);
        *slash = '/';
        if (status) return status;
    }
    return make_folder(r->figures_dir, err);
}

static wb_status save_page(const report *r, wb_error *err) {
    char path[PATH_BYTES];
    FILE *page =
        wb_path_join(path, sizeof path, r->out_dir, "report.html") ? fopen(path, "w") : NULL;
    if (!page)
        return wb_fail(err, WB_ERR_IO, 0, "%s/report.html: %s, give another --out", r->out_dir,
                       strerror(errno));
    const wb_status status = write_page(page, r, err);
    const bool is_written = !ferror(page);
    if ((fclose(page) || !is_written) && !status)
        return wb_fail(err, WB_ERR_IO, 0, "%s: cannot be written, is the disk full?", path);
    return status;
}

static wb_status make_report(report *r, const char *const *csv_paths, int n_paths, wb_error *err) {
    wb_status status = summary_open(&r->summary, csv_paths, n_paths, err);
    if (!status) status = make_folders(r, err);
    if (!status) draw_figures(r);
    if (!status) status = save_page(r, err);
    summary_close(&r->summary);
    return status;
}

int report_write(const char *const *csv_paths, int n_paths, const char *out_dir) {
    report *r = wb_alloc_zeroed(sizeof *r);
    if (!r) return app_fail(EXIT_MACHINE, "report: no memory");
    r->out_dir = out_dir;
    wb_error err;
    // Scripts and CSS have decimal points, whatever the user's locale has.
    const locale_t before = uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));
    const wb_status status = make_report(r, csv_paths, n_paths, &err);
    uselocale(before);
    int code = EXIT_OK;
    if (status)
        code = app_fail_error(&err, NULL);
    else if (*r->warning)
        fprintf(stderr, "wattbert: warning: %s\n", r->warning);
    wb_free(r);
    return code;
}
