// SPDX-License-Identifier: Apache-2.0
// The figures that set two numbers of a technique against each other: score and throughput against
// energy. Points are named in place where there is room; the legend names them all.
#include <math.h>
#include <string.h>

#include "report/figures.h"

static const double POINT_PIXELS = 7.0, TEXT_HEIGHT = 14.0;
enum { MAX_NAMED = 128 };  // more techniques than there are; a bigger panel has its legend only

static const panel *panel_at(const summary *s, int index) {
    return &s->panels[index];
}

static void legend_techniques(const summary *s, plot_legend *legend) {
    for (int is_packed = 0; is_packed < 2; is_packed++)
        for (int i = 0; i < s->n_panels; i++)
            for (int j = 0; j < s->panels[i].n_entries; j++) {
                const entry *e = &s->panels[i].entries[j];
                if (e->is_packed == (is_packed == 1))
                    plot_legend_add(legend, e->label, e->mark.colour,
                                    e->mark.hollow_point + e->is_packed);
            }
}

static double square_height(const plot *p, int index) {
    (void)index;
    return p->is_narrow ? 270.0 : 330.0;
}

static double numbers_left(const plot *p, int index) {
    (void)index;
    return 12.0 * p->letter;
}

// Where an entry lies in both axes' values, with its whiskers; NAN parts are not drawn, nor those
// that end at 0, where a logarithm has no place.
typedef struct spot {
    double x, x_low, x_high, y, y_low, y_high;
} spot;

typedef spot spot_of(const entry *e);

static void write_spots(FILE *script, const summary *s, int index, spot_of *find) {
    const panel *q = panel_at(s, index);
    plot_comment(script, q->title);
    fprintf(script, "$points%d << EOD\n", index);
    for (int i = 0; i < q->n_entries; i++) {
        const spot at = find(&q->entries[i]);
        fprintf(script, "%d", i);
        plot_value(script, at.x);
        plot_value(script, at.x_low > 0.0 ? at.x_low : at.x);
        plot_value(script, isnan(at.x_high) ? at.x : at.x_high);
        plot_value(script, at.y);
        plot_value(script, at.y_low > 0.0 ? at.y_low : at.y);
        plot_value(script, isnan(at.y_high) ? at.y : at.y_high);
        fprintf(script, "\n");
    }
    fprintf(script, "EOD\n");
}

static void fit_axes(const panel *q, spot_of *find, axis *x, axis *y) {
    for (int i = 0; i < q->n_entries; i++) {
        const spot at = find(&q->entries[i]);
        if (isnan(at.x) || isnan(at.y)) continue;
        axis_add(x, at.x);
        axis_add(x, at.x_low);
        axis_add(x, at.x_high);
        axis_add(y, at.y);
        axis_add(y, at.y_low);
        axis_add(y, at.y_high);
    }
    axis_pad(x, 0.15, 0.15);
    axis_pad(y, 0.10, 0.10);
}

// The frontier's steps are taken too, so that no name is struck through by them.
static void take_steps(place_map *map, const panel *q, const double *px, const double *py) {
    for (int i = 0; i < q->n_entries; i++)
        for (int j = 0; j < q->n_entries; j++) {
            // From i the line runs right to the next point's energy, then up to that point.
            if (!q->entries[i].is_frontier || !q->entries[j].is_frontier || px[j] <= px[i])
                continue;
            bool is_next = true;
            for (int k = 0; k < q->n_entries; k++)
                if (q->entries[k].is_frontier && px[k] > px[i] && px[k] < px[j]) is_next = false;
            if (!is_next) continue;
            place_take(map, (place_box){px[i], py[i] - 1.0, px[j], py[i] + 1.0});
            place_take(map, (place_box){px[j] - 1.0, py[j], px[j] + 1.0, py[i]});
        }
}

// The whiskers of a point at px, py; only those it has.
static void take_whiskers(place_map *map, const spot *at, const axis *x, const axis *y, double px,
                          double py, place_box area) {
    const double width = area.right - area.left, height = area.bottom - area.top;
    if (at->x_high > at->x_low)
        place_take(map, (place_box){area.left + axis_position(x, at->x_low) * width, py - 1.0,
                                    area.left + axis_position(x, at->x_high) * width, py + 1.0});
    if (at->y_high > at->y_low)
        place_take(map, (place_box){px - 1.0, area.bottom - axis_position(y, at->y_high) * height,
                                    px + 1.0, area.bottom - axis_position(y, at->y_low) * height});
}

static bool is_named(const panel *q, const entry *e) {
    return e->is_frontier || e == q->reference || e == q->choice;
}

// Names the entries, or only the frontier's and the baseline, where nothing is in the way.
static void write_names(plot *p, const panel *q, spot_of *find, const axis *x, const axis *y,
                        place_box area, bool only_frontier) {
    place_map map = {.bounds = area};
    double px[MAX_NAMED], py[MAX_NAMED];
    if (q->n_entries > MAX_NAMED) return;
    for (int i = 0; i < q->n_entries; i++) {
        const spot at = find(&q->entries[i]);
        const double r = POINT_PIXELS;
        px[i] = area.left + axis_position(x, at.x) * (area.right - area.left);
        py[i] = area.bottom - axis_position(y, at.y) * (area.bottom - area.top);
        if (isnan(px[i]) || isnan(py[i])) continue;
        place_take(&map, (place_box){px[i] - r, py[i] - r, px[i] + r, py[i] + r});
        take_whiskers(&map, &at, x, y, px[i], py[i], area);
    }
    if (only_frontier) take_steps(&map, q, px, py);
    for (int i = 0; i < q->n_entries; i++) {
        const entry *e = &q->entries[i];
        if (isnan(px[i]) || isnan(py[i]) || (only_frontier && !is_named(q, e))) continue;
        place_box at;
        const double width = plot_text_width(p, e->label);
        if (place_text(&map, px[i], py[i], width, TEXT_HEIGHT, &at))
            plot_text(p, (at.left + at.right) / 2.0, (at.top + at.bottom) / 2.0, e->label, "center",
                      e == q->choice ? LOOK_INK : LOOK_MUTED, p->text_pixels);
    }
}

static void plot_spots(const plot *p, const panel *q, int index, bool has_frontier) {
    fprintf(p->script, "set errorbars 0\nplot");
    if (has_frontier)
        fprintf(p->script, " $frontier%d using 1:2 with lines lw 1.6 lc rgb '%s', \\\n", index,
                look_colours[LOOK_GREEN].light);
    for (int i = 0; i < q->n_entries; i++) {
        const char *colour = look_colours[q->entries[i].mark.colour].light;
        fprintf(p->script,
                " $points%d every ::%d::%d using 2:5:3:4:6:7 with xyerrorbars pt -1 lw 0.9 lc rgb "
                "'%s', \\\n $points%d every ::%d::%d using 2:5 with points pt %d ps 1 lw 1.5 lc "
                "rgb '%s'%s\n",
                index, i, i, colour, index, i, i,
                q->entries[i].mark.hollow_point + q->entries[i].is_packed, colour,
                i + 1 < q->n_entries ? ", \\" : "");
    }
}

// ---- Score against energy ----

static spot score_against_energy(const entry *e) {
    return (spot){e->energy_uj, e->spread_low_uj, e->spread_high_uj, e->row->score, NAN, NAN};
}

static bool has_frontier(const summary *s, const panel *p) {
    (void)s;
    int n = 0;
    for (int i = 0; i < p->n_entries; i++)
        n += !isnan(p->entries[i].energy_uj) && !isnan(p->entries[i].row->score);
    return n > 1;
}

// The frontier as steps from the least energy up: between two of its points nothing better is
// known than the cheaper one.
static void write_frontier(FILE *script, const panel *q, int index) {
    double energy = 0.0, score = NAN;
    fprintf(script, "$frontier%d << EOD\n", index);
    for (;;) {
        const entry *next = NULL;
        for (int i = 0; i < q->n_entries; i++) {
            const entry *e = &q->entries[i];
            if (e->is_frontier && e->energy_uj > energy &&
                (!next || e->energy_uj < next->energy_uj))
                next = e;
        }
        if (!next) break;
        if (!isnan(score)) fprintf(script, "%.9g %.9g\n", next->energy_uj, score);
        energy = next->energy_uj;
        score = next->row->score;
        fprintf(script, "%.9g %.9g\n", energy, score);
    }
    fprintf(script, "EOD\n");
}

static void frontier_data(FILE *script, const summary *s, int index) {
    write_spots(script, s, index, score_against_energy);
    write_frontier(script, panel_at(s, index), index);
}

static void frontier_draw(plot *p, int index, place_box area) {
    const panel *q = panel_at(p->summary, index);
    const double score_kept = q->reference ? SUMMARY_KEPT_SHARE * q->reference->row->score : NAN;
    const double least = score_kept > 0.0 ? score_kept : NAN;
    axis x = axis_log(), y = axis_linear();
    axis_add(&y, least);
    fit_axes(q, score_against_energy, &x, &y);
    char title[96], score[RESULT_TEXT + 32];
    plot_energy_title(q->method, title, sizeof title);
    plot_score_title(q, score, sizeof score);
    plot_axis_titles(p, area, title, score, "x y");
    if (!isnan(least)) plot_rule(p, 'y', least, "99 % of the baseline");
    axis_write(p->script, "x", &x, (int)((area.right - area.left) / 48.0));
    axis_write(p->script, "y", &y, 6);
    write_names(p, q, score_against_energy, &x, &y, area, true);
    plot_spots(p, q, index, true);
}

const figure figure_frontier = {
    .name = "frontier",
    .title = "Score against energy per token",
    .how =
        "Up and to the left is better. The line is the Pareto frontier: for every technique off "
        "it another one scores at least as well for less energy. Above the dashed line at "
        "least 99 % of the baseline's score is kept. Whiskers are the energy's; the "
        "scores' intervals are in the figure of scores, and are wider than most differences.",
    .has_energy = true,
    .has_whiskers = true,
    .is_shown = has_frontier,
    .data = frontier_data,
    .legend = legend_techniques,
    .area_height = square_height,
    .area_left = numbers_left,
    .draw = frontier_draw,
};

// ---- Energy against throughput ----

static spot energy_against_throughput(const entry *e) {
    return (spot){e->row->tokens_per_s, NAN, NAN, e->energy_uj, e->spread_low_uj,
                  e->spread_high_uj};
}

static bool has_throughput(const summary *s, const panel *p) {
    (void)s;
    int n = 0;
    for (int i = 0; i < p->n_entries; i++)
        n += !isnan(p->entries[i].energy_uj) && p->entries[i].row->tokens_per_s > 0.0;
    return n > 1;
}

static void throughput_data(FILE *script, const summary *s, int index) {
    write_spots(script, s, index, energy_against_throughput);
}

static void throughput_draw(plot *p, int index, place_box area) {
    const panel *q = panel_at(p->summary, index);
    axis x = axis_log(), y = axis_log();
    fit_axes(q, energy_against_throughput, &x, &y);
    char title[96];
    plot_energy_title(q->method, title, sizeof title);
    plot_axis_titles(p, area, "Throughput [real tokens/s]", title, "x y");
    axis_write(p->script, "x", &x, (int)((area.right - area.left) / 48.0));
    axis_write(p->script, "y", &y, 7);
    write_names(p, q, energy_against_throughput, &x, &y, area, false);
    plot_spots(p, q, index, false);
}

const figure figure_throughput = {
    .name = "throughput",
    .title = "Energy per token against throughput",
    .how =
        "Down and to the right is better; both axes are logarithmic. Points on one falling line "
        "draw the same power: there, faster is the same as cheaper.",
    .has_energy = true,
    .has_whiskers = true,
    .is_shown = has_throughput,
    .data = throughput_data,
    .legend = legend_techniques,
    .area_height = square_height,
    .area_left = numbers_left,
    .draw = throughput_draw,
};
