// SPDX-License-Identifier: Apache-2.0
// The figures with one line a technique: energy stacked by component, the baseline's components,
// scores, savings. Lines run sideways, so that long names stay legible on paper and phone.
#include <math.h>
#include <string.h>

#include "report/figures.h"

static const double LINE_HEIGHT = 21.0;
// In lines, of the baseline's bars: its shares and its whiskers would strike each other through.
static const double SHARES_ABOVE = 0.12, WHISKERS_BELOW = 0.27;

// Of the figure's width, for the lines' names: the rest is the bars'.
static const double MOST_NAMES = 0.55;

static const panel *panel_at(const summary *s, int index) {
    return &s->panels[index];
}

// "baseline °": modelled, where other rows of the same axis are measured.
static void write_label(char *out, size_t capacity, const char *name, summary_method method,
                        const entry *e) {
    snprintf(out, capacity, "%s%s", name, method == METHOD_BOTH && e->is_modelled ? " °" : "");
}

static double lines_height(const plot *p, int index) {
    return LINE_HEIGHT * fmax(p->summary->panels[index].n_entries, 2.0);
}

static double names_left(const plot *p, int index) {
    const panel *q = panel_at(p->summary, index);
    double width = 0.0;
    for (int i = 0; i < q->n_entries; i++) {
        char label[256];
        write_label(label, sizeof label, q->entries[i].label, q->method, &q->entries[i]);
        width = fmax(width, plot_text_width(p, label));
    }
    return fmin(width + 24.0, MOST_NAMES * p->width);
}

// The names at the left, the first on top.
static void write_names(const plot *p, const panel *q) {
    fprintf(p->script, "unset logscale y\nset yrange [%.1f:-0.5]\nset ytics scale 0 (",
            fmax(q->n_entries, 2.0) - 0.5);
    for (int i = 0; i < q->n_entries; i++) {
        char label[256];
        write_label(label, sizeof label, q->entries[i].label, q->method, &q->entries[i]);
        if (i) fprintf(p->script, ", ");
        plot_quote_tic(p->script, label);
        fprintf(p->script, " %d", i);
    }
    fprintf(p->script, ")\n");
    // A hair line where the techniques without padding begin.
    for (int i = 1; i < q->n_entries; i++)
        if (q->entries[i].is_packed && !q->entries[i - 1].is_packed)
            fprintf(p->script,
                    "set arrow from graph 0, first %.1f to graph 1, first %.1f nohead back lw 0.8 "
                    "lc rgb '%s'\n",
                    i - 0.5, i - 0.5, look_colours[LOOK_GRID].light);
}

static int tics_for(place_box area) {
    return (int)fmax(3.0, (area.right - area.left) / 62.0);
}

// ---- Energy per token, stacked ----

static bool has_energy(const summary *s, const panel *p) {
    (void)s;
    for (int i = 0; i < p->n_entries; i++)
        if (!isnan(p->entries[i].energy_uj)) return true;
    return false;
}

// One line: place, the ends of the components, the whole with its interval, the whole as text.
// An entry that was not split is one bar in the colour of the rest.
static void write_stack(FILE *script, int place, const entry *e) {
    char text[NUMBER_TEXT];
    double end = 0.0;
    fprintf(script, "%d", place);
    for (int i = 0; i < LOOK_N_COMPONENTS; i++) {
        const bool is_split = !isnan(e->component_uj[0]);
        const bool is_last = i == LOOK_N_COMPONENTS - 1;
        if (is_split) end += fmax(e->component_uj[i], 0.0);
        plot_value(script, is_last ? e->energy_uj : fmin(end, e->energy_uj));
    }
    plot_value(script, e->energy_uj);
    plot_value(script, e->spread_low_uj);
    plot_value(script, e->spread_high_uj);
    // Where the text stands; gnuplot 5.4 crashes when no label of a plot has a place.
    plot_value(script, isnan(e->spread_high_uj) ? e->energy_uj : e->spread_high_uj);
    fprintf(script, " \"%s\"\n", isnan(e->energy_uj) ? "" : number_text(text, e->energy_uj));
}

// The whiskers lie below the middle by this share of a line, where something is written in the bar.
static void plot_stacks(const plot *p, const char *block, double drop) {
    fprintf(p->script, "set style fill solid 1 noborder\nset errorbars 0.7\nplot");
    for (int i = 0; i < LOOK_N_COMPONENTS; i++) {
        char from[24] = "(0)";
        if (i) snprintf(from, sizeof from, "(column(%d))", i + 1);
        fprintf(p->script,
                " $%s using %s:1:%s:%d:($1-0.36):($1+0.36) with boxxyerror lc rgb '%s', \\\n",
                block, from, from, i + 2, look_colours[look_components[i].colour].light);
    }
    fprintf(p->script,
            " $%s using 7:($1+%g):8:9 with xerrorbars pt -1 lw 1.3 lc rgb '%s', \\\n"
            " $%s using 10:1:11 with labels left offset 0.8,0 textcolor rgb '%s'\n",
            block, drop, look_colours[LOOK_INK].light, block, look_colours[LOOK_INK].light);
}

static void legend_components(const summary *s, plot_legend *legend) {
    (void)s;
    for (int i = 0; i < LOOK_N_COMPONENTS; i++)
        plot_legend_add(legend, look_components[i].name, look_components[i].colour, PLOT_SQUARE);
}

static void energy_data(FILE *script, const summary *s, int index) {
    const panel *q = panel_at(s, index);
    plot_comment(script, q->title);
    fprintf(script, "$rows%d << EOD\n", index);
    for (int i = 0; i < q->n_entries; i++) write_stack(script, i, &q->entries[i]);
    fprintf(script, "EOD\n");
}

static void write_energy_axis(const plot *p, axis *x, place_box area) {
    axis_add(x, 0.0);
    const double room = p->letter * 7.5 / (area.right - area.left);  // for the number at the end
    axis_pad(x, 0.0, room / (1.0 - fmin(room, 0.5)));
    axis_write(p->script, "x", x, tics_for(area));
}

static void energy_draw(plot *p, int index, place_box area) {
    const panel *q = panel_at(p->summary, index);
    axis x = axis_linear();
    for (int i = 0; i < q->n_entries; i++) {
        axis_add(&x, q->entries[i].energy_uj);
        axis_add(&x, q->entries[i].spread_high_uj);
    }
    char title[96], block[24];
    plot_energy_title(q->method, title, sizeof title);
    plot_axis_titles(p, area, title, "", "x");
    write_names(p, q);
    write_energy_axis(p, &x, area);
    snprintf(block, sizeof block, "rows%d", index);
    plot_stacks(p, block, 0.0);
}

const figure figure_energy = {
    .name = "energy",
    .title = "Energy per token, by technique and component",
    .how =
        "Each bar is the energy of one real token (padding never counts as useful) through the "
        "whole network, split by what was measured when each component ran alone on the same "
        "activations and scaled to the whole; what is left over is drawn as rest.",
    .has_energy = true,
    .has_whiskers = true,
    .is_shown = has_energy,
    .data = energy_data,
    .legend = legend_components,
    .area_height = lines_height,
    .area_left = names_left,
    .draw = energy_draw,
};

// ---- Components of the baseline ----

static bool has_baseline(const summary *s, const panel *p) {
    (void)s;
    return p->reference != NULL;
}

// Does the drawing of the device that panel index is of hold panel i, too?
static bool is_drawn(const summary *s, int index, int i) {
    return s->panels[i].reference && summary_is_same_device(&s->panels[index], &s->panels[i]);
}

static int count_baselines(const summary *s, int index) {
    int n = 0;
    for (int i = 0; i < s->n_panels; i++) n += is_drawn(s, index, i);
    return n;
}

static summary_method method_of_device(const summary *s, int index) {
    int method = METHOD_NONE;
    for (int i = 0; i < s->n_panels; i++)
        if (is_drawn(s, index, i)) method |= (int)s->panels[i].method;
    return (summary_method)method;
}

// out <- the panel's title without its device, which is the title of the drawing.
static void name_baseline(char *out, size_t capacity, const panel *p) {
    const char *device = p->reference->row->device;
    const size_t n = strlen(p->title), n_device = strlen(device);
    snprintf(out, capacity, "%s", p->title);
    if (n_device && n > n_device + 2 && !strcmp(p->title + n - n_device, device))
        out[n - n_device - 2] = 0;
}

static void components_data(FILE *script, const summary *s, int index) {
    int place = 0;
    fprintf(script, "\n$rows%d << EOD\n", index);
    for (int i = 0; i < s->n_panels; i++)
        if (is_drawn(s, index, i)) write_stack(script, place++, s->panels[i].reference);
    fprintf(script, "EOD\n");
}

static double components_height(const plot *p, int index) {
    return 1.5 * LINE_HEIGHT * fmax(count_baselines(p->summary, index), 2.0);
}

static double components_left(const plot *p, int index) {
    double width = 0.0;
    for (int i = 0; i < p->summary->n_panels; i++) {
        char name[4 * RESULT_TEXT];
        if (!is_drawn(p->summary, index, i)) continue;
        name_baseline(name, sizeof name, &p->summary->panels[i]);
        width = fmax(width, plot_text_width(p, name));
    }
    return fmin(width + 24.0, MOST_NAMES * p->width);
}

// The share of each component at the beginning of its part of the bar, where it fits, and above the
// whiskers.
static void write_shares(const plot *p, const entry *e, int place, const axis *x, place_box area) {
    double begin = 0.0;
    for (int i = 0; i < LOOK_N_COMPONENTS && !isnan(e->component_uj[0]); i++) {
        const double part = fmax(e->component_uj[i], 0.0);
        const double pixels = axis_position(x, part) * (area.right - area.left);
        const int colour = look_components[i].colour == LOOK_SKY ? LOOK_COAL : LOOK_PAPER;
        if (pixels > 6.0 * p->letter)
            fprintf(p->script,
                    "set label '%.0f %%' at first %.9g, first %.2f left offset 1,0 front "
                    "textcolor rgb '%s'\n",
                    100.0 * part / e->energy_uj, begin, place - SHARES_ABOVE,
                    look_colours[colour].light);
        begin += part;
    }
}

// Cuts at the end what is wider than its place: a name begins with its task. name has room for 3
// bytes more.
static void shorten_name(const plot *p, char *name) {
    for (size_t n = strlen(name);
         n > 1 && plot_text_width(p, name) + 24.0 > MOST_NAMES * p->width;) {
        do n--;
        while (n > 0 && ((unsigned char)name[n] & 0xc0) == 0x80);  // not inside a character
        memcpy(name + n, "\u2026", sizeof "\u2026");
    }
}

static void write_baseline_names(const plot *p, int index) {
    const summary *s = p->summary;
    const summary_method method = method_of_device(s, index);
    int place = 0;
    fprintf(p->script, "unset logscale y\nset yrange [%.1f:-0.5]\nset ytics scale 0 (",
            fmax(count_baselines(s, index), 2.0) - 0.5);
    for (int i = 0; i < s->n_panels; i++) {
        if (!is_drawn(s, index, i)) continue;
        if (place) fprintf(p->script, ", ");
        char name[4 * RESULT_TEXT + 3], label[sizeof name + 8];
        name_baseline(name, sizeof name - 3, &s->panels[i]);
        shorten_name(p, name);
        write_label(label, sizeof label, name, method, s->panels[i].reference);
        plot_quote_tic(p->script, label);
        fprintf(p->script, " %d", place++);
    }
    fprintf(p->script, ")\n");
}

static void components_draw(plot *p, int index, place_box area) {
    const summary *s = p->summary;
    axis x = axis_linear();
    for (int i = 0; i < s->n_panels; i++)
        if (is_drawn(s, index, i)) {
            axis_add(&x, s->panels[i].reference->energy_uj);
            axis_add(&x, s->panels[i].reference->spread_high_uj);
        }
    char title[96], block[24];
    plot_energy_title(method_of_device(s, index), title, sizeof title);
    plot_axis_titles(p, area, title, "", "x");
    write_baseline_names(p, index);
    write_energy_axis(p, &x, area);
    int place = 0;
    for (int i = 0; i < s->n_panels; i++)
        if (is_drawn(s, index, i)) write_shares(p, s->panels[i].reference, place++, &x, area);
    snprintf(block, sizeof block, "rows%d", index);
    plot_stacks(p, block, WHISKERS_BELOW);
}

const figure figure_components = {
    .name = "components",
    .title = "Where the baseline spends its energy",
    .how =
        "The f32 baseline of each task: attention, feed-forward, embeddings and head, each "
        "replayed alone on the activations it sees inside the network, scaled to the whole.",
    .has_energy = true,
    .has_whiskers = true,
    .is_by_device = true,
    .is_shown = has_baseline,
    .data = components_data,
    .legend = legend_components,
    .area_height = components_height,
    .area_left = components_left,
    .draw = components_draw,
};

// ---- Points with whiskers: scores and savings ----

static int point_of(const entry *e) {
    return e->mark.hollow_point + e->is_packed;
}

// Value, place, low, high, and the text at the right edge.
static void write_point(FILE *script, int place, double value, double low, double high,
                        const char *text) {
    fprintf(script, "%d", place);
    plot_value(script, value);
    plot_value(script, isnan(low) ? value : low);
    plot_value(script, isnan(high) ? value : high);
    fprintf(script, " \"%s\"\n", text);
}

// Each technique has its own mark, so each is a plot of one row.
static void plot_points(const plot *p, const panel *q, int index, const axis *x) {
    fprintf(p->script, "set errorbars 0.7\nplot");
    for (int i = 0; i < q->n_entries; i++)
        fprintf(p->script,
                " $rows%d every ::%d::%d using 2:1:3:4 with xerrorbars pt %d ps 0.9 lw 1.3 lc rgb "
                "'%s', \\\n",
                index, i, i, point_of(&q->entries[i]),
                look_colours[q->entries[i].mark.colour].light);
    // The numbers stand in a column at the right edge, where no whisker reaches.
    fprintf(p->script,
            " $rows%d using (%.9g):1:5 with labels right offset 1,0 textcolor rgb '%s'\n", index,
            x->high, look_colours[LOOK_INK].light);
}

static bool has_score(const summary *s, const panel *p) {
    (void)s;
    for (int i = 0; i < p->n_entries; i++)
        if (!isnan(p->entries[i].row->score)) return true;
    return false;
}

static void scores_data(FILE *script, const summary *s, int index) {
    const panel *q = panel_at(s, index);
    plot_comment(script, q->title);
    fprintf(script, "$rows%d << EOD\n", index);
    for (int i = 0; i < q->n_entries; i++) {
        const result_row *row = q->entries[i].row;
        char text[NUMBER_TEXT] = "";
        if (!isnan(row->score)) snprintf(text, sizeof text, "%.3f", row->score);
        write_point(script, i, row->score, row->score_low, row->score_high, text);
    }
    fprintf(script, "EOD\n");
}

static void scores_draw(plot *p, int index, place_box area) {
    const panel *q = panel_at(p->summary, index);
    axis x = axis_linear();
    for (int i = 0; i < q->n_entries; i++) {
        axis_add(&x, q->entries[i].row->score);
        axis_add(&x, q->entries[i].row->score_low);
        axis_add(&x, q->entries[i].row->score_high);
    }
    char title[RESULT_TEXT + 32];
    plot_score_title(q, title, sizeof title);
    plot_axis_titles(p, area, title, "", "x");
    write_names(p, q);
    axis_pad(&x, 0.05, 0.05 + 6.5 * p->letter / (area.right - area.left));
    axis_write(p->script, "x", &x, tics_for(area));
    // A share of a score that is not above chance says nothing.
    if (q->reference && q->reference->row->score > 0.0) {
        const double score = q->reference->row->score;
        plot_rule(p, 'x', score, "");
        fprintf(p->script,
                "set object rectangle from first %.9g, graph 0 to graph 1, graph 1 back "
                "fillcolor rgb '%s' fillstyle solid 1 noborder\n",
                fmax(SUMMARY_KEPT_SHARE * score, x.low), look_colours[LOOK_BAND].light);
    }
    plot_points(p, q, index, &x);
}

const figure figure_scores = {
    .name = "scores",
    .title = "Score by technique",
    .how =
        "The task's official metric with its 95 % bootstrap interval. The dashed line is the "
        "baseline; inside the shaded band at least 99 % of its score is kept. Colour is the "
        "precision, shape the attention, filled marks run without padding.",
    .is_shown = has_score,
    .data = scores_data,
    .area_height = lines_height,
    .area_left = names_left,
    .draw = scores_draw,
};

static bool has_saving(const summary *s, const panel *p) {
    (void)s;
    return p->reference && p->n_entries > 1;
}

static void savings_data(FILE *script, const summary *s, int index) {
    const panel *q = panel_at(s, index);
    plot_comment(script, q->title);
    fprintf(script, "$rows%d << EOD\n", index);
    for (int i = 0; i < q->n_entries; i++) {
        const entry *e = &q->entries[i];
        char text[NUMBER_TEXT] = "";
        if (!isnan(e->saving)) snprintf(text, sizeof text, "%.2f×", e->saving);
        write_point(script, i, e->saving, e->saving_low, e->saving_high, text);
    }
    fprintf(script, "EOD\n");
}

static void savings_draw(plot *p, int index, place_box area) {
    const panel *q = panel_at(p->summary, index);
    axis x = axis_log();
    axis_add(&x, 1.0);
    for (int i = 0; i < q->n_entries; i++) {
        axis_add(&x, q->entries[i].saving);
        axis_add(&x, q->entries[i].saving_low);
        axis_add(&x, q->entries[i].saving_high);
    }
    char title[2 * RESULT_TEXT + 64];
    snprintf(title, sizeof title, "Times less energy than %s, %s", q->reference->label,
             summary_method_name(q->method));
    plot_axis_titles(p, area, title, "", "x");
    write_names(p, q);
    axis_pad(&x, 0.05, 0.05 + 7.5 * p->letter / (area.right - area.left));
    axis_write(p->script, "x", &x, tics_for(area));
    plot_rule(p, 'x', 1.0, "");
    plot_points(p, q, index, &x);
}

const figure figure_savings = {
    .name = "savings",
    .title = "Energy saved against the baseline",
    .how =
        "How many times less energy per real token than the baseline of the same task and "
        "machine; left of the dashed line a technique costs energy. The axis is logarithmic. "
        "The whiskers join the uncertainty of both sides.",
    .has_energy = true,
    .has_whiskers = true,
    .is_shown = has_saving,
    .data = savings_data,
    .area_height = lines_height,
    .area_left = names_left,
    .draw = savings_draw,
};
