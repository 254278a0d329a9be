// SPDX-License-Identifier: Apache-2.0
// The study's answer on the terminal: a table a task, a line a technique. Every line says
// whether its joules were measured or modelled.
#include <math.h>
#include <string.h>

#include "study/study.h"

static bool is_same_task(const result_row *a, const result_row *b) {
    return strcmp(a->task, b->task) == 0 && strcmp(a->model, b->model) == 0 &&
           strcmp(a->device, b->device) == 0;
}

static bool has_devices(const result_table *results) {
    for (int i = 1; i < results->n_rows; i++)
        if (strcmp(results->rows[i].device, results->rows[0].device) != 0) return true;
    return false;
}

// What the others are compared with: the study's own baseline, else the one without padding.
static const result_row *find_baseline(const result_table *results, const result_row *like) {
    static const char *const names[] = {"baseline", "baseline+packed"};
    for (int name = 0; name < 2; name++)
        for (int i = 0; i < results->n_rows; i++) {
            const result_row *row = &results->rows[i];
            if (is_same_task(row, like) && strcmp(row->technique, names[name]) == 0 &&
                !isnan(row->energy_per_token_uj))
                return row;
        }
    return NULL;
}

// Prints value in its column, "-" where there is none.
static void print_cell(int width, int decimals, double value, const char *unit) {
    if (isfinite(value))
        printf(" %*.*f%s", width - (int)strlen(unit), decimals, value, unit);
    else
        printf(" %*s", width, "-");
}

// Half the interval of a measurement; the factor either way of what is only modelled.
static void print_spread(const result_row *row) {
    const double value = row->energy_per_token_uj, high = row->energy_per_token_high_uj;
    if (strcmp(row->energy_method, "modelled") == 0)
        printf(" %4s%3.1f", "x/", high / value);
    else
        print_cell(7, 1, 50.0 * (high - row->energy_per_token_low_uj) / value, "%");
}

// The whole reason, in lines that break at blanks and stand below its first word.
static void print_reason(const result_row *row) {
    enum { WIDTH = 100 };
    const int indent = printf("%-22s %s: ", row->technique, row->status);
    const size_t room = (size_t)(WIDTH - indent);
    const char *rest = row->reason;
    while (strlen(rest) > room) {
        size_t n = room;
        while (n > 0 && rest[n] != ' ') n--;
        if (n == 0) break;  // a word as long as a line
        printf("%.*s\n%*s", (int)n, rest, indent, "");
        rest += n + 1;
    }
    printf("%s\n", rest);
}

static void print_row(const result_row *row, const result_row *baseline) {
    if (*row->status && strcmp(row->status, "ok") != 0) {
        print_reason(row);
        return;
    }
    const double share = baseline ? row->energy_per_token_uj / baseline->energy_per_token_uj : NAN;
    printf("%-22s", row->technique);
    print_cell(9, 1, row->energy_per_token_uj, "");
    print_spread(row);
    printf(" %-8s", row->energy_method);
    print_cell(6, 2, share, "x");
    print_cell(9, 0, row->tokens_per_s, "");
    print_cell(8, 1, row->p50_ms, "");
    print_cell(7, 4, row->score, "");
    print_cell(7, 1, 100.0 * row->kept_share, "%");
    printf("%s\n", strstr(row->flags, "score differs") ? " *" : "");
}

static void print_task(const result_table *results, const result_row *first) {
    const result_row *baseline = find_baseline(results, first);
    printf("\n%s on %s, %s; energy of %.0f examples, %.0f windows\n", first->model, first->task,
           first->score_name, first->examples, first->windows);
    if (has_devices(results)) printf("%s\n", first->device);
    printf("%-22s %9s %7s %-8s %6s %9s %8s %7s %7s\n", "technique", "uJ/token", "95%", "energy",
           "share", "tokens/s", "p50 ms", "score", "kept");
    for (int i = 0; i < results->n_rows; i++)
        if (is_same_task(&results->rows[i], first)) print_row(&results->rows[i], baseline);
}

// The first row of its model and task with numbers, or the first at all.
static bool is_first(const result_table *results, int index) {
    for (int i = 0; i < index; i++)
        if (is_same_task(&results->rows[i], &results->rows[index])) return false;
    return true;
}

static const result_row *find_measured(const result_table *results, const result_row *like) {
    for (int i = 0; i < results->n_rows; i++)
        if (is_same_task(&results->rows[i], like) && results->rows[i].windows > 0.0)
            return &results->rows[i];
    return like;
}

void table_print(const result_table *results) {
    bool has_difference = false, has_model = false;
    for (int i = 0; i < results->n_rows; i++) {
        has_difference |= strstr(results->rows[i].flags, "score differs") != NULL;
        has_model |= strcmp(results->rows[i].energy_method, "modelled") == 0;
        if (is_first(results, i)) print_task(results, find_measured(results, &results->rows[i]));
    }
    if (has_model)
        printf(
            "\nmodelled: read from no counter, but core time times watts per core, a guess within "
            "the\nfactor shown. Shares are those of core time. wattbert doctor says why.\n");
    if (has_difference)
        printf("\n* the paired 95 %% interval of the difference to the baseline leaves 0 out\n");
}
