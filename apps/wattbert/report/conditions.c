// SPDX-License-Identifier: Apache-2.0
// What was run, on what, and how the numbers came about: the part of the page a reader needs to
// doubt the rest, or to repeat it.
#include <math.h>
#include <string.h>

#include "report/html.h"
#include "report/page.h"

static void begin_fact(FILE *page, const char *name) {
    html_element(page, "dt", name);
    fputs("<dd>", page);
}

static void end_fact(FILE *page) {
    fputs("</dd>\n", page);
}

// All different texts of a column, in order of appearance; nothing where it is always empty.
static void write_distinct(FILE *page, const summary *s, const char *name,
                           const char *column_name) {
    const result_column *column = result_column_named(column_name);
    const result_row *rows = s->table.rows;
    int n_written = 0;
    for (int i = 0; i < s->table.n_rows && n_written < 20; i++) {
        const char *text = result_text(&rows[i], column);
        bool is_new = *text != 0;
        for (int j = 0; j < i && is_new; j++)
            is_new = strcmp(text, result_text(&rows[j], column)) != 0;
        if (!is_new) continue;
        if (n_written++ == 0)
            begin_fact(page, name);
        else
            fputs("<br>", page);
        html_text(page, text);
    }
    if (n_written) end_fact(page);
}

// The range of a number over all rows that ran.
typedef struct range {
    double low, high, sum;
} range;

// Of the rows whose energy is of one method, or of all: METHOD_BOTH.
static range range_of_method(const summary *s, const char *column_name, summary_method method) {
    const result_column *column = result_column_named(column_name);
    range r = {NAN, NAN, 0.0};
    for (int i = 0; i < s->n_panels; i++)
        for (int j = 0; j < s->panels[i].n_entries; j++) {
            const entry *e = &s->panels[i].entries[j];
            const double value = result_number(e->row, column);
            if (isnan(value) || !(method & (e->is_modelled ? METHOD_MODELLED : METHOD_MEASURED)))
                continue;
            r.low = fmin(r.low, value);  // fmin and fmax pass over NAN
            r.high = fmax(r.high, value);
            r.sum += value;
        }
    return r;
}

static range range_of(const summary *s, const char *column_name) {
    return range_of_method(s, column_name, METHOD_BOTH);
}

static void write_numbers(FILE *page, range r, const char *unit) {
    char text[NUMBER_TEXT];
    fputs(number_text(text, r.low), page);
    if (r.high > r.low) fprintf(page, " to %s", number_text(text, r.high));
    html_text(page, unit);
}

// From the least of one column to the most of another, each over scale.
static void write_span(FILE *page, const summary *s, const char *name, const char *low_column,
                       const char *high_column, double scale, const char *unit) {
    const range r = {range_of(s, low_column).low / scale, range_of(s, high_column).high / scale, 0};
    if (isnan(r.low)) return;
    begin_fact(page, name);
    write_numbers(page, r, unit);
    end_fact(page);
}

static void write_range(FILE *page, const summary *s, const char *name, const char *column,
                        const char *unit) {
    write_span(page, s, name, column, column, 1.0, unit);
}

// Watts come from the same counter or guess as the joules: each on a line, so that none is taken
// for the other.
static void write_rest(FILE *page, const summary *s) {
    static const summary_method methods[] = {METHOD_MEASURED, METHOD_MODELLED};
    int n_written = 0;
    for (int i = 0; i < 2; i++) {
        const range r = range_of_method(s, "idle_w", methods[i]);
        if (isnan(r.low)) continue;
        if (n_written++ == 0)
            begin_fact(page, "Power at rest");
        else
            fputs("<br>", page);
        write_numbers(page, r, " W");
        page_badge(page, methods[i] == METHOD_MODELLED);
    }
    if (n_written) end_fact(page);
}

// ---- How it was measured ----

static void write_method(FILE *page, const summary *s) {
    if (s->method & METHOD_MODELLED)
        fputs(
            "<p class=\"warning\"><strong>Modelled energy is a guess.</strong> This machine shows "
            "the program no energy counter, so joules are busy core time times a fixed number of "
            "watts a core; the interval below such a number is the doubt about those watts. They "
            "are the same in every row, so ratios between techniques do not share it: they say how "
            "much core time a technique takes, not what it draws. Every number that comes from the "
            "guess is marked <span class=\"badge\">modelled</span>.</p>\n",
            page);
    fputs(
        "<p>Each technique runs whole passes over the same examples in windows that start and end "
        "on a step of the counter; the windows of all techniques are interleaved in random order, "
        "after a warm-up, without loading the model. Energy is the mean of the windows with the "
        "95 % interval of Student’s t over them, and includes what the machine draws at rest. "
        "Components are "
        "replayed alone on the activations of the same batches and scaled to the whole, so they "
        "always sum to it. Scores carry a 95 % bootstrap interval over the examples. Carbon is "
        "energy times grid intensity times PUE.</p>\n",
        page);
}

static void write_facts(FILE *page, const summary *s) {
    fputs("<dl class=\"facts\">\n", page);
    write_distinct(page, s, "Device", "device");
    write_distinct(page, s, "Host", "host");
    write_distinct(page, s, "System", "driver");
    write_range(page, s, "Threads", "threads", "");
    write_distinct(page, s, "wattbert", "version");
    write_distinct(page, s, "Run", "run_id");
    write_distinct(page, s, "Protocol", "protocol");
    write_distinct(page, s, "Batches", "batch_rule");
    write_range(page, s, "Windows of each technique", "windows", "");
    const range measured = range_of(s, "measured_s");
    if (!isnan(measured.low)) {
        begin_fact(page, "Measured, all windows");
        html_printf(page, "%.0f s", measured.sum);
        end_fact(page);
    }
    write_distinct(page, s, "Energy source", "energy_source");
    write_rest(page, s);
    write_span(page, s, "GPU's clock", "clock_low_hz", "clock_high_hz", 1e6, " MHz");
    write_span(page, s, "Its memory's", "memory_clock_hz", "memory_clock_hz", 1e6, " MHz");
    write_span(page, s, "Its temperature", "temperature_low_celsius", "temperature_high_celsius",
               1.0, " °C");
    write_range(page, s, "Its power limit", "power_limit_w", " W");
    write_range(page, s, "Carbon intensity", "carbon_intensity_g_per_kwh", " g CO₂e/kWh");
    write_distinct(page, s, "Its source", "carbon_source");
    write_range(page, s, "PUE", "pue", "");
    fputs("</dl>\n", page);
    if (s->n_replaced > 0)
        fprintf(page, "<p>%d rows were left out because newer rows repeat them.</p>\n",
                s->n_replaced);
}

// ---- Tasks ----

static void write_count(FILE *page, double value) {
    char text[NUMBER_TEXT];
    fprintf(page, "<td>%s</td>", isnan(value) ? "–" : number_text(text, round(value)));
}

static void write_task(FILE *page, const panel *p) {
    if (!p->n_entries) return;
    const result_row *row = p->entries[0].row;
    char score[RESULT_TEXT + 32];
    plot_score_title(p, score, sizeof score);
    fputs("<tr>", page);
    html_element(page, "th scope=\"row\"", p->title);
    html_element(page, "td class=\"text\"", row->model);
    html_element(page, "td class=\"text\"", row->split);
    write_count(page, row->examples);
    write_count(page, row->real_tokens);
    html_element(page, "td class=\"text\"", score);
    html_element(page, "td class=\"text\"", row->label_order);
    fputs("</tr>\n", page);
}

static void write_tasks(FILE *page, const summary *s) {
    fputs(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" "
        "aria-label=\"Tasks\"><table>\n<thead><tr>"
        "<th scope=\"col\">Task</th><th scope=\"col\" class=\"text\">Model</th>"
        "<th scope=\"col\" class=\"text\">Split</th>"
        "<th scope=\"col\">Examples measured</th><th scope=\"col\">Real tokens a pass</th>"
        "<th scope=\"col\" class=\"text\">Score</th>"
        "<th scope=\"col\" class=\"text\">Label of each output</th></tr></thead>\n<tbody>\n",
        page);
    for (int i = 0; i < s->n_panels; i++) write_task(page, &s->panels[i]);
    fputs("</tbody></table></div>\n", page);
}

// ---- Notes of single rows ----

static void write_flags(FILE *page, const summary *s) {
    int n_written = 0;
    for (int i = 0; i < s->n_panels; i++)
        for (int j = 0; j < s->panels[i].n_entries; j++) {
            const entry *e = &s->panels[i].entries[j];
            if (!*e->row->flags) continue;
            if (n_written++ == 0)
                fputs("<details><summary>Notes on single rows</summary><ul>\n", page);
            fputs("<li>", page);
            html_printf(page, "%s, %s: %s", s->panels[i].title, e->label, e->row->flags);
            fputs("</li>\n", page);
        }
    if (n_written) fputs("</ul></details>\n", page);
}

// The kernels of a technique are the same on all tasks of a machine; they are told once.
static bool is_told(const summary *s, int panel_index, const entry *e) {
    for (int i = 0; i < panel_index; i++)
        for (int j = 0; j < s->panels[i].n_entries; j++) {
            const result_row *row = s->panels[i].entries[j].row;
            if (!strcmp(row->technique, e->row->technique) &&
                !strcmp(row->kernels, e->row->kernels))
                return true;
        }
    return false;
}

static void write_kernels(FILE *page, const summary *s) {
    fputs("<details><summary>What ran: kernels of each technique</summary>\n<dl class=\"facts\">\n",
          page);
    for (int i = 0; i < s->n_panels; i++)
        for (int j = 0; j < s->panels[i].n_entries; j++) {
            const entry *e = &s->panels[i].entries[j];
            if (!*e->row->kernels || is_told(s, i, e)) continue;
            html_element(page, "dt", e->label);
            html_element(page, "dd", e->row->kernels);
        }
    fputs("</dl></details>\n", page);
}

void page_conditions(FILE *page, const summary *s) {
    fputs("<section aria-labelledby=\"how\">\n<h2 id=\"how\">How it was measured</h2>\n", page);
    write_method(page, s);
    write_tasks(page, s);
    write_facts(page, s);
    write_flags(page, s);
    write_kernels(page, s);
    fputs("</section>\n", page);
}

// ---- All data ----

static void write_cell(FILE *page, const result_row *row, const result_column *column) {
    const double value = result_number(row, column);
    if (column->capacity) {
        html_element(page, "td class=\"text\"", result_text(row, column));
    } else if (isnan(value)) {
        fputs("<td></td>", page);
    } else {
        fprintf(page, "<td>%.6g</td>", value);
    }
}

void page_data(FILE *page, const summary *s) {
    fprintf(page,
            "<section aria-labelledby=\"data\">\n<h2 id=\"data\">Data</h2>\n"
            "<details><summary>All columns of all %d rows</summary>\n"
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"All data\">"
            "<table class=\"data\">\n<thead><tr>",
            s->table.n_rows);
    for (int i = 0; result_column_at(i); i++)
        html_element(page, "th scope=\"col\"", result_column_at(i)->name);
    fputs("</tr></thead>\n<tbody>\n", page);
    for (int r = 0; r < s->table.n_rows; r++) {
        fputs("<tr>", page);
        for (int i = 0; result_column_at(i); i++)
            write_cell(page, &s->table.rows[r], result_column_at(i));
        fputs("</tr>\n", page);
    }
    fputs("</tbody></table></div></details>\n</section>\n", page);
}
