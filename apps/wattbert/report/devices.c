// SPDX-License-Identifier: Apache-2.0
// The same task on several devices, side by side: the cheapest technique of each that keeps its
// baseline's score. Their joules come from counters that see different things, which every line
// says: a board without its host, a processor without the rest.
#include <math.h>
#include <string.h>

#include "report/html.h"
#include "report/page.h"

static const result_row *row_of(const panel *p) {
    return p->n_entries ? p->entries[0].row : NULL;
}

// May two panels differ in their machine alone?
static bool is_same_work(const panel *a, const panel *b) {
    const result_row *x = row_of(a), *y = row_of(b);
    return x && y && !strcmp(x->task, y->task) && !strcmp(x->model, y->model);
}

static bool is_other_device(const panel *a, const panel *b) {
    return is_same_work(a, b) && strcmp(row_of(a)->device, row_of(b)->device) != 0;
}

static bool has_others(const summary *s, const panel *p) {
    for (int i = 0; i < s->n_panels; i++)
        if (is_other_device(p, &s->panels[i])) return true;
    return false;
}

// The least energy of all devices' choices on this work; NAN without one.
static double least_energy(const summary *s, const panel *p) {
    double least = NAN;
    for (int i = 0; i < s->n_panels; i++)
        if (is_same_work(p, &s->panels[i]) && s->panels[i].choice)
            least = fmin(least, s->panels[i].choice->energy_uj);  // fmin passes over NAN
    return least;
}

static const char *counted_by(const char *source) {
    static const char *const words[][2] = {
        {"nvml", "the GPU's board, without its host"},
        {"rapl", "processor and memory, without the rest"},
        {"perf", "processor and memory, without the rest"},
        {"hwmon", "what the board's sensor is wired to"},
        {"replay", "what the trace was recorded of"},
        {"modelled", "nothing: core time times a guess"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(words[i][0], source)) return words[i][1];
    return source;
}

static void write_cell(FILE *page, double value, const char *unit, bool is_modelled) {
    char text[NUMBER_TEXT];
    if (isnan(value)) {
        fputs("<td><span class=\"none\">–</span></td>", page);
        return;
    }
    fprintf(page, "<td><b>%s%s</b>%s</td>", number_text(text, value), unit,
            is_modelled ? "<small><span class=\"guess\">modelled</span></small>" : "");
}

static void write_device(FILE *page, const summary *s, const panel *p) {
    const entry *e = p->choice;
    const result_row *row = e ? e->row : row_of(p);
    fputs("<tr>", page);
    html_element(page, "th scope=\"row\"", summary_task(p));
    html_element(page, "td class=\"text\"", row->device);
    html_element(page, "td class=\"text\"", e ? e->label : "none keeps the score");
    write_cell(page, e ? e->energy_uj : NAN, "", e && e->is_modelled);
    write_cell(page, e ? e->energy_uj / least_energy(s, p) : NAN, "×", false);
    write_cell(page, e ? row->tokens_per_s : NAN, "", false);
    write_cell(page, e ? row->score : NAN, "", false);
    html_element(page, "td class=\"text\"", e ? counted_by(row->energy_source) : "");
    fputs("</tr>\n", page);
}

void page_devices(FILE *page, const summary *s) {
    bool is_any = false;
    for (int i = 0; i < s->n_panels; i++) is_any |= has_others(s, &s->panels[i]);
    if (!is_any) return;
    fputs(
        "<section aria-labelledby=\"devices\">\n<h2 id=\"devices\">Devices side by side</h2>\n"
        "<p>The cheapest technique of each device that keeps its own baseline's score. What a "
        "joule counts differs from device to device and is said at the end of each line.</p>\n"
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Devices\">"
        "<table class=\"devices\">\n<thead><tr>"
        "<th scope=\"col\">Task</th><th scope=\"col\" class=\"text\">Device</th>"
        "<th scope=\"col\" class=\"text\">Technique</th>"
        "<th scope=\"col\">Energy per token<small>µJ</small></th>"
        "<th scope=\"col\">Of the least</th>"
        "<th scope=\"col\">Throughput<small>tokens/s</small></th><th scope=\"col\">Score</th>"
        "<th scope=\"col\" class=\"text\">A joule counts</th></tr></thead>\n<tbody>\n",
        page);
    for (int i = 0; i < s->n_panels; i++)
        if (has_others(s, &s->panels[i])) write_device(page, s, &s->panels[i]);
    fputs("</tbody></table></div>\n</section>\n", page);
}
