// SPDX-License-Identifier: Apache-2.0
// Power over time: every window of every technique, in the order they ran. It shows drift, other
// work on the machine and clocks that fall, which a mean hides.
#include <math.h>
#include <string.h>

#include "report/figures.h"

enum { MAX_POINTS = 1200 };  // a panel: more than it has pixels
// A longer silence is the end of a window. A counter that is slow to read, as a GPU's, is known at
// its steps a second apart, and a short window has one of them: hence the dots.
static const double GAP_S = 1.5;

// Was it read by the counter of this panel's device? Rows of two devices may lie in one file.
static bool is_of_device(const power_sample *sample, const panel *p) {
    for (int i = 0; i < p->n_entries; i++)
        if (!*sample->source || !strcmp(sample->source, p->entries[i].row->energy_source))
            return true;
    return false;
}

static bool belongs(const power_sample *sample, const panel *p) {
    return sample->file == p->file && p->n_entries > 0 &&
           !strcmp(sample->task, p->entries[0].row->task) && is_of_device(sample, p);
}

static bool has_power(const summary *s, const panel *p) {
    for (int i = 0; i < s->power.n_samples; i++)
        if (belongs(&s->power.samples[i], p)) return true;
    return false;
}

static bool is_same_window(const power_sample *a, const power_sample *b) {
    return !strcmp(a->technique, b->technique) && b->t_s >= a->t_s && b->t_s - a->t_s < GAP_S;
}

static const power_sample *next_of(const summary *s, const panel *p, const power_sample *after) {
    const power_sample *end = s->power.samples + s->power.n_samples;
    for (const power_sample *at = after ? after + 1 : s->power.samples; at < end; at++)
        if (belongs(at, p)) return at;
    return NULL;
}

// Lines "time watts colour", an empty line between windows; neighbours within a window are
// averaged where there are too many.
static void timeline_data(FILE *script, const summary *s, int index) {
    const panel *p = &s->panels[index];
    int n = 0;
    for (const power_sample *at = NULL; (at = next_of(s, p, at));) n++;
    const int n_averaged = 1 + n / MAX_POINTS;
    plot_comment(script, p->title);
    fprintf(script, "$power%d << EOD\n", index);
    double t_s = 0.0, watts = 0.0;
    int n_summed = 0;
    for (const power_sample *at = next_of(s, p, NULL), *next; at; at = next) {
        next = next_of(s, p, at);
        t_s += at->t_s;
        watts += at->watts;
        n_summed++;
        const bool is_end = !next || !is_same_window(at, next);
        if (!is_end && n_summed < n_averaged) continue;
        const int colour = look_of_technique(at->technique).colour;
        fprintf(script, "%.3f %.6g 0x%s\n%s", t_s / n_summed, watts / n_summed,
                look_colours[colour].light + 1, is_end ? "\n" : "");
        t_s = watts = 0.0;
        n_summed = 0;
    }
    fprintf(script, "EOD\n");
}

static void timeline_legend(const summary *s, plot_legend *legend) {
    for (int i = 0; i < s->n_panels; i++)
        for (int j = 0; j < s->panels[i].n_entries; j++) {
            const look_mark *mark = &s->panels[i].entries[j].mark;
            plot_legend_add(legend, mark->family, mark->colour, PLOT_SQUARE);
        }
}

static double timeline_height(const plot *p, int index) {
    (void)index;
    return p->is_narrow ? 180.0 : 200.0;
}

static double timeline_left(const plot *p, int index) {
    (void)index;
    return 12.0 * p->letter;
}

static void timeline_draw(plot *p, int index, place_box area) {
    const summary *s = p->summary;
    axis x = axis_linear(), y = axis_linear();
    axis_add(&y, 0.0);
    for (const power_sample *at = NULL; (at = next_of(s, &s->panels[index], at));) {
        axis_add(&x, at->t_s);
        axis_add(&y, at->watts);
    }
    axis_pad(&x, 0.02, 0.02);
    axis_pad(&y, 0.0, 0.12);
    char title[96];
    snprintf(title, sizeof title, "Power [W], %s", summary_method_name(s->panels[index].method));
    plot_axis_titles(p, area, "Time since the study began [s]", title, "y");
    axis_write(p->script, "x", &x, (int)((area.right - area.left) / 62.0));
    axis_write(p->script, "y", &y, 5);
    fprintf(p->script,
            "plot $power%d using 1:2:3 with linespoints lw 1.6 pt 7 ps 0.3 lc rgb variable\n",
            index);
}

const figure figure_power = {
    .name = "power",
    .title = "Power over time",
    .how =
        "Every window of every technique in the order they ran, coloured by precision. Windows "
        "of all techniques are interleaved, so that drift of the machine hits them alike.",
    .has_energy = true,
    .is_shown = has_power,
    .data = timeline_data,
    .legend = timeline_legend,
    .area_height = timeline_height,
    .area_left = timeline_left,
    .draw = timeline_draw,
};
