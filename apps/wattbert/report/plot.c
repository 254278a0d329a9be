// SPDX-License-Identifier: Apache-2.0
// gnuplot draws; this file decides where. Everything is placed in pixels and handed over as shares
// of the screen, so that the three forms of a figure differ in nothing but their width.
#include "report/plot.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "report/gnuplot.h"

enum { MAX_LINES = 12 };

typedef struct plot_form {
    const char *suffix, *extension;
    bool is_narrow;
    double width, font_pixels, scale;
    int n_columns;
} plot_form;

// 960 pixels are the page's text width; PNG has twice the dots, 160 mm wide at 300 dpi. 380 is a
// phone's width less its margins.
static const plot_form forms[] = {
    {"", "svg", false, 960.0, 13.0, 1.0, 2},
    {"", "png", false, 960.0, 13.0, 2.0, 2},
    {"-narrow", "svg", true, 380.0, 12.0, 1.0, 1},
};

static const double TITLE_HEIGHT = 30.0, AXIS_HEIGHT = 50.0, LEGEND_LINE = 21.0, NOTE_LINE = 16.0;
static const double MARGIN = 12.0, NOTE_PIXELS = 11.0;

// ---- Pieces ----

// gnuplot runs what stands in backquotes or on a line of its own: neither gets through.
static void write_tame(FILE *script, char c) {
    fputc((unsigned char)c < 0x20 || c == 0x7f || c == '`' ? ' ' : c, script);
}

static void write_quoted(FILE *script, const char *text, bool is_format) {
    fputc('\'', script);
    for (; *text; text++) {
        if (*text == '%' && is_format) fputc('%', script);
        // gnuplot 5.4 misreads a doubled quote at the beginning of a string.
        if (*text == '\'')
            fputs("\u2019", script);
        else
            write_tame(script, *text);
    }
    fputc('\'', script);
}

void plot_quote(FILE *script, const char *text) {
    write_quoted(script, text, false);
}

void plot_quote_tic(FILE *script, const char *text) {
    write_quoted(script, text, true);
}

void plot_comment(FILE *script, const char *text) {
    fputs("\n# ", script);
    // A backslash at the end would join the next line to the comment.
    for (; *text; text++) write_tame(script, *text == '\\' ? '/' : *text);
    fputc('\n', script);
}

void plot_value(FILE *script, double value) {
    if (isfinite(value))
        fprintf(script, " %.9g", value);
    else
        fprintf(script, " NaN");
}

// Bytes that begin a character of UTF-8.
static int count_letters(const char *text) {
    int n = 0;
    for (; *text; text++) n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

double plot_text_width(const plot *p, const char *text) {
    return p->letter * count_letters(text);
}

void plot_text(plot *p, double x, double y, const char *text, const char *align, int colour,
               double size_pixels) {
    fprintf(p->script, "set label %d ", ++p->n_labels);
    plot_quote(p->script, text);
    fprintf(p->script, " at screen %.5f, screen %.5f %s front font ',%g' textcolor rgb '%s'\n",
            x / p->width, 1.0 - y / p->height, align, size_pixels, look_colours[colour].light);
}

void plot_legend_add(plot_legend *legend, const char *text, int colour, int point) {
    for (int i = 0; i < legend->n_items; i++)
        if (!strcmp(legend->items[i].text, text)) return;
    if (legend->n_items == PLOT_MAX_LEGEND) return;
    plot_legend_item *item = &legend->items[legend->n_items++];
    snprintf(item->text, sizeof item->text, "%s", text);
    item->colour = colour;
    item->point = point;
}

void plot_axis_titles(plot *p, place_box area, const char *x, const char *y, const char *grid) {
    const char *ink = look_colours[LOOK_INK].light, *muted = look_colours[LOOK_MUTED].light;
    fprintf(p->script, "set border %d lc rgb '%s' lw 1\n", strchr(grid, 'y') ? 3 : 1, muted);
    fprintf(p->script, "set tics nomirror out scale 0.5 textcolor rgb '%s'\n", ink);
    fprintf(p->script, "set xtics offset 0,0.2\nunset grid\n");
    fprintf(p->script, "set grid %s back lt 1 lw 1 lc rgb '%s'\n", grid,
            look_colours[LOOK_GRID].light);
    // Not gnuplot's own titles: where those land depends on the terminal's idea of its letters.
    // Below the middle, or further left where it would leave the drawing on the right.
    const double middle =
        fmin((area.left + area.right) / 2.0, area.right + MARGIN - plot_text_width(p, x) / 2.0);
    plot_text(p, middle, area.bottom + 36.0, x, "center", LOOK_MUTED, p->text_pixels);
    if (!*y) return;
    fprintf(p->script, "set label %d ", ++p->n_labels);
    plot_quote(p->script, y);
    fprintf(p->script,
            " at screen %.5f, screen %.5f center rotate by 90 font ',%g' textcolor rgb '%s'\n",
            (area.left - 10.3 * p->letter) / p->width,
            1.0 - (area.top + area.bottom) / 2.0 / p->height, p->text_pixels, muted);
}

void plot_energy_title(summary_method method, char *out, size_t capacity) {
    snprintf(out, capacity, "Energy per token [µJ], %s", summary_method_name(method));
}

void plot_score_title(const panel *p, char *out, size_t capacity) {
    snprintf(out, capacity, "Score");
    for (int i = 0; i < p->n_entries; i++)
        if (*p->entries[i].row->score_name) {
            snprintf(out, capacity, "%s", p->entries[i].row->score_name);
            break;
        }
    if (out[0] >= 'a' && out[0] <= 'z') out[0] = (char)(out[0] - 'a' + 'A');
}

void plot_rule(plot *p, char axis_name, double at, const char *name) {
    if (axis_name == 'x')
        fprintf(p->script, "set arrow from first %.9g, graph 0 to first %.9g, graph 1", at, at);
    else
        fprintf(p->script, "set arrow from graph 0, first %.9g to graph 1, first %.9g", at, at);
    fprintf(p->script, " nohead back dt 2 lw 1.2 lc rgb '%s'\n", look_colours[LOOK_MUTED].light);
    if (!*name) return;
    fprintf(p->script, "set label %d ", ++p->n_labels);
    plot_quote(p->script, name);
    fprintf(p->script, " at graph 1, first %.9g right offset 0,0.5 font ',%g' textcolor rgb '%s'\n",
            at, p->text_pixels - 1.0, look_colours[LOOK_MUTED].light);
}

// ---- Notes ----

static void add_once(char *list, size_t capacity, const char *text) {
    const size_t length = strlen(list);
    if (*text && !strstr(list, text))
        snprintf(list + length, capacity - length, "%s%s", length ? "; " : "", text);
}

// The factor by which modelled energy may be wrong either way, as its rows say it; NAN if none
// does. An interval holds what the windows leave open too: the narrowest is nearest to the guess.
static double guess_factor(const summary *s) {
    double factor = NAN;
    for (int i = 0; i < s->n_panels; i++)
        for (int j = 0; j < s->panels[i].n_entries; j++) {
            const entry *e = &s->panels[i].entries[j];
            if (e->is_modelled && e->energy_low_uj > 0.0)
                factor = fmin(factor, sqrt(e->energy_high_uj / e->energy_low_uj));
        }
    return factor;
}

// A guess of watts is one scale for all rows: it is told once, and whiskers show what is left.
static void whiskers_note(const figure *f, const summary *s, char *out, size_t capacity) {
    const double factor = guess_factor(s);
    *out = 0;
    if (!isnan(factor))
        snprintf(out, capacity, " The guess may be wrong by a factor of %.2g, for all rows alike.",
                 factor);
    const size_t length = strlen(out);
    if (f->has_whiskers)
        snprintf(out + length, capacity - length, " Whiskers: 95 %% intervals%s.",
                 s->method == METHOD_MODELLED ? " of the windows alone" : "");
}

static void list_sources(const summary *s, char *sources, char *machines, char *days,
                         size_t capacity) {
    for (int i = 0; i < s->n_panels; i++)
        for (int j = 0; j < s->panels[i].n_entries; j++) {
            const result_row *row = s->panels[i].entries[j].row;
            char day[16];
            snprintf(day, sizeof day, "%.10s", row->utc);
            if (!s->panels[i].entries[j].is_modelled)
                add_once(sources, capacity, row->energy_source);
            add_once(machines, capacity, *row->device ? row->device : row->host);
            add_once(days, capacity, day);
        }
}

void plot_source_note(const figure *f, const summary *s, char *out, size_t capacity) {
    char sources[256] = "", machines[256] = "", days[256] = "", whiskers[256];
    static const char *const methods[] = {
        [METHOD_NONE] = "No energy was measured",
        [METHOD_MEASURED] = "Energy: measured",
        [METHOD_MODELLED] = "Energy: MODELLED from busy core time, a guess and not a measurement",
        [METHOD_BOTH] =
            "Energy: measured in some rows, MODELLED (a guess) where it says so or at a °",
    };
    *out = 0;
    if (!f->has_energy) return;
    list_sources(s, sources, machines, days, sizeof sources);
    whiskers_note(f, s, whiskers, sizeof whiskers);
    snprintf(out, capacity, "%s%s%s%s. %s, %s.%s", methods[s->method], *sources ? " (source " : "",
             sources, *sources ? ")" : "", machines, days, whiskers);
}

// Breaks text into lines of at most width pixels; returns their number.
static int wrap(const char *text, double width, double letter, char lines[MAX_LINES][256]) {
    const size_t n_max = width / letter < 255.0 ? (size_t)(width / letter) : 255;
    int n_lines = 0;
    while (*text && n_lines < MAX_LINES) {
        size_t n = strlen(text);
        if (n > n_max) {
            n = n_max;
            while (n > 0 && text[n] != ' ') n--;
            if (n == 0) n = n_max;
            while (((unsigned char)text[n] & 0xc0) == 0x80) n--;  // not inside a character
        }
        snprintf(lines[n_lines++], 256, "%.*s", (int)n, text);
        text += n;
        text += strspn(text, " ");
    }
    return n_lines;
}

// ---- Layout ----

// Where everything goes; y downwards from the top.
typedef struct layout {
    int n_shown;
    int shown[PLOT_MAX_PANELS];  // index of the panel in the summary
    double top[PLOT_MAX_PANELS], left[PLOT_MAX_PANELS], area_height[PLOT_MAX_PANELS];
    double column_width;
    plot_legend legend;
    double legend_x[PLOT_MAX_LEGEND], legend_y[PLOT_MAX_LEGEND];
    int n_notes;
    char notes[MAX_LINES][256];
} layout;

static bool is_device_shown(const layout *l, const summary *s, int index) {
    for (int i = 0; i < l->n_shown; i++)
        if (summary_is_same_device(&s->panels[l->shown[i]], &s->panels[index])) return true;
    return false;
}

static void choose_panels(layout *l, const figure *f, const summary *s) {
    for (int i = 0; i < s->n_panels && l->n_shown < PLOT_MAX_PANELS; i++) {
        if (!f->is_shown(s, &s->panels[i])) continue;
        if (!f->is_by_device || !is_device_shown(l, s, i)) l->shown[l->n_shown++] = i;
    }
}

// "SST-2", or the device whose drawing it is; "" where there is one device.
static const char *title_of(const layout *l, const figure *f, const summary *s, int i) {
    const panel *p = &s->panels[l->shown[i]];
    if (!f->is_by_device) return p->title;
    return l->n_shown > 1 ? p->entries[0].row->device : "";
}

// Returns the y below the legend.
static double lay_legend(layout *l, const plot *p, double y) {
    const int n = l->legend.n_items;
    double widest = 1.0;
    for (int i = 0; i < n; i++)
        widest = fmax(widest, 42.0 + plot_text_width(p, l->legend.items[i].text));
    const int n_columns = (int)fmax(1.0, floor((p->width - MARGIN) / widest));
    const int n_lines = (n + n_columns - 1) / n_columns;
    for (int i = 0; i < n; i++) {  // in columns, each read downwards
        l->legend_x[i] = MARGIN + 6.0 + i / n_lines * widest;
        l->legend_y[i] = y + (i % n_lines + 0.5) * LEGEND_LINE;
    }
    return n ? y + n_lines * LEGEND_LINE + 6.0 : y;
}

static double lay_panels(layout *l, const figure *f, const plot *p, int n_columns, double y) {
    l->column_width = p->width / n_columns;
    double row_height = 0.0;
    for (int i = 0; i < l->n_shown; i++) {
        const int column = i % n_columns;
        if (column == 0) {
            y += row_height;
            row_height = 0.0;
        }
        l->top[i] = y;
        l->left[i] = column * l->column_width;
        l->area_height[i] = f->area_height(p, l->shown[i]);
        const double title = *title_of(l, f, p->summary, i) ? TITLE_HEIGHT : MARGIN;
        row_height = fmax(row_height, title + l->area_height[i] + AXIS_HEIGHT);
    }
    return y + row_height;
}

static void lay_out(layout *l, const figure *f, plot *p, const plot_form *form) {
    memset(l, 0, sizeof *l);
    choose_panels(l, f, p->summary);
    if (f->legend) f->legend(p->summary, &l->legend);
    const int n_columns = l->n_shown < form->n_columns ? 1 : form->n_columns;
    double y = lay_legend(l, p, 4.0);
    y = lay_panels(l, f, p, n_columns, y);
    char note[1024] = "";
    plot_source_note(f, p->summary, note, sizeof note);
    l->n_notes =
        wrap(note, p->width - 2.0 * MARGIN, p->letter * NOTE_PIXELS / form->font_pixels, l->notes);
    p->height = ceil(y + l->n_notes * NOTE_LINE + 6.0);
}

// ---- Drawing ----

static void draw_terminal(const plot *p, const figure *f, const plot_form *form) {
    const double width = p->width * form->scale, height = p->height * form->scale;
    fprintf(p->script, "\n# ---- %s%s.%s ----\nreset\nset encoding utf8\n", f->name, form->suffix,
            form->extension);
    if (!strcmp(form->extension, "png"))
        fprintf(p->script,
                "set terminal pngcairo noenhanced size %.0f,%.0f font 'sans,%g' fontscale %g "
                "linewidth %g pointscale %g background rgb '#ffffff'\n",
                width, height, form->font_pixels * 0.75, form->scale, form->scale, form->scale);
    else
        fprintf(p->script,
                "set terminal svg noenhanced size %.0f,%.0f dynamic font 'sans-serif,%g' "
                "background rgb '#ffffff'\n",
                width, height, form->font_pixels);
    fprintf(p->script, "set output '%s%s.%s'\nset multiplot\nunset key\n", f->name, form->suffix,
            form->extension);
}

static void draw_surroundings(plot *p, const layout *l, const plot_form *form) {
    for (int i = 0; i < l->legend.n_items; i++) {
        const plot_legend_item *item = &l->legend.items[i];
        fprintf(p->script, "set label %d ", ++p->n_labels);
        plot_quote(p->script, item->text);
        fprintf(
            p->script,
            " at screen %.5f, screen %.5f left offset char 1.3,char -0.2 front textcolor rgb '%s' "
            "point pt %d ps 1 lc rgb '%s'\n",
            l->legend_x[i] / p->width, 1.0 - l->legend_y[i] / p->height,
            look_colours[LOOK_INK].light, item->point, look_colours[item->colour].light);
    }
    const double scale = form->scale > 1.0 ? 0.75 : 1.0;
    for (int i = 0; i < l->n_notes; i++)
        plot_text(p, MARGIN, p->height - (l->n_notes - i) * NOTE_LINE + 4.0, l->notes[i], "left",
                  LOOK_MUTED, NOTE_PIXELS * scale);
}

static void draw_panel(plot *p, const layout *l, const figure *f, const plot_form *form, int i) {
    const int index = l->shown[i];
    const char *title = title_of(l, f, p->summary, i);
    const double top = l->top[i] + (*title ? TITLE_HEIGHT : MARGIN);
    const place_box area = {.left = l->left[i] + f->area_left(p, index),
                            .top = top,
                            .right = l->left[i] + l->column_width - 2.0 * MARGIN,
                            .bottom = top + l->area_height[i]};
    fprintf(p->script, "\nset lmargin at screen %.5f; set rmargin at screen %.5f\n",
            area.left / p->width, area.right / p->width);
    fprintf(p->script, "set tmargin at screen %.5f; set bmargin at screen %.5f\n",
            1.0 - area.top / p->height, 1.0 - area.bottom / p->height);
    const double scale = form->scale > 1.0 ? 0.75 : 1.0;
    if (*title)
        plot_text(p, l->left[i] + MARGIN, l->top[i] + 14.0, title, "left", LOOK_INK,
                  (form->font_pixels + 2.0) * scale);
    f->draw(p, index, area);
    fprintf(p->script, "unset label\nunset object\nunset arrow\n");
    p->n_labels = 0;
}

static void draw_form(FILE *script, const figure *f, const summary *s, const plot_form *form) {
    plot p = {.script = script,
              .summary = s,
              .is_narrow = form->is_narrow,
              .width = form->width,
              .letter = 0.58 * form->font_pixels,
              .text_pixels = (form->font_pixels - 1.0) * (form->scale > 1.0 ? 0.75 : 1.0)};
    layout l;
    lay_out(&l, f, &p, form);
    draw_terminal(&p, f, form);
    draw_surroundings(&p, &l, form);
    for (int i = 0; i < l.n_shown; i++) draw_panel(&p, &l, f, form, i);
    fprintf(script, "unset multiplot\nset output\n");
}

static void write_script(FILE *script, const figure *f, const summary *s, const layout *l) {
    fprintf(script,
            "# %s, drawn by wattbert from results.csv.\n"
            "# gnuplot %s.gp draws it again, after any change made here.\n",
            f->title, f->name);
    for (int i = 0; i < l->n_shown; i++) f->data(script, s, l->shown[i]);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) draw_form(script, f, s, &forms[i]);
}

wb_status plot_figure(const figure *f, const summary *s, const char *dir, bool *is_empty,
                      wb_error *err) {
    layout l = {0};
    choose_panels(&l, f, s);
    *is_empty = l.n_shown == 0;
    if (*is_empty) return WB_OK;
    char name[64], path[4096];
    snprintf(name, sizeof name, "%s.gp", f->name);
    FILE *script = wb_path_join(path, sizeof path, dir, name) ? fopen(path, "w") : NULL;
    if (!script) return wb_fail(err, WB_ERR_IO, 0, "%s/%s: cannot be written", dir, name);
    write_script(script, f, s, &l);
    const bool is_written = !ferror(script);
    if (fclose(script) || !is_written)
        return wb_fail(err, WB_ERR_IO, 0, "%s: cannot be written, is the disk full?", path);
    return gnuplot_run(dir, name, err);
}
