// SPDX-License-Identifier: Apache-2.0
// From rows to panels. All pointers point into summary.table.rows, which never moves once read.
#include "report/summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "report/text.h"

static bool is_same_text(const char *a, const char *b) {
    return !strcmp(a, b);
}

// Skipped rows do not say with how many threads they did not run.
static bool is_same_threads(const result_row *a, const result_row *b) {
    return a->threads == b->threads || isnan(a->threads) || isnan(b->threads);
}

static bool is_comparable(const result_row *a, const result_row *b) {
    return is_same_text(a->task, b->task) && is_same_text(a->model, b->model) &&
           is_same_text(a->host, b->host) && is_same_text(a->device, b->device) &&
           is_same_threads(a, b);
}

static bool is_repeat(const result_row *a, const result_row *b) {
    return is_comparable(a, b) && is_same_text(a->technique, b->technique) &&
           is_same_text(a->protocol, b->protocol) && is_same_text(a->packing, b->packing);
}

static bool is_ok(const result_row *row) {
    return !*row->status || is_same_text(row->status, "ok");
}

// Of two rows of the same thing the one that says it is newer counts, or the later one.
static bool is_replaced(const result_table *table, int index) {
    const result_row *row = &table->rows[index];
    for (int i = 0; i < table->n_rows; i++) {
        if (i == index || !is_repeat(&table->rows[i], row)) continue;
        const int order = strcmp(table->rows[i].utc, row->utc);
        if (order > 0 || (order == 0 && i > index)) return true;
    }
    return false;
}

// ---- One row ----

static void fill_components(entry *e) {
    const double whole = e->row->energy_j;
    bool is_split = whole > 0.0;
    for (int i = 0; i < LOOK_N_COMPONENTS; i++) {
        const result_column *column = result_column_named(look_components[i].column);
        const double part = result_number(e->row, column);
        e->component_uj[i] = part / whole * e->energy_uj;
        // A study that leaves nothing over need not say so.
        if (isnan(part) && i == LOOK_N_COMPONENTS - 1) e->component_uj[i] = 0.0;
        if (isnan(e->component_uj[i])) is_split = false;
    }
    for (int i = 0; i < LOOK_N_COMPONENTS && !is_split; i++) e->component_uj[i] = NAN;
}

static void fill_spread(entry *e) {
    const result_row *row = e->row;
    const double per_joule_uj = e->energy_uj / row->energy_j;
    e->spread_low_uj = e->is_modelled ? row->energy_repeat_low_j * per_joule_uj : e->energy_low_uj;
    e->spread_high_uj =
        e->is_modelled ? row->energy_repeat_high_j * per_joule_uj : e->energy_high_uj;
    // Not the logarithm of high over low: a wide interval is cut off at 0 joules.
    const double spread = log1p((e->spread_high_uj - e->spread_low_uj) / 2.0 / e->energy_uj);
    e->log_spread = isfinite(spread) && spread > 0.0 ? spread : 0.0;
}

static void fill_entry(entry *e, const result_row *row) {
    memset(e, 0, sizeof *e);
    e->row = row;
    strcpy(e->label, *row->technique ? row->technique : "unnamed");
    e->mark = look_of_technique(row->technique);
    e->is_packed = *row->packing ? !is_same_text(row->packing, "padded")
                                 : strstr(row->technique, "+packed") != NULL;
    e->is_modelled = is_same_text(row->energy_method, "modelled");
    e->energy_uj = row->energy_per_token_uj > 0.0 ? row->energy_per_token_uj : NAN;
    e->energy_low_uj = isnan(e->energy_uj) ? NAN : row->energy_per_token_low_uj;
    e->energy_high_uj = isnan(e->energy_uj) ? NAN : row->energy_per_token_high_uj;
    fill_spread(e);
    e->saving = e->saving_low = e->saving_high = e->kept_share = NAN;
    fill_components(e);
}

// ---- One panel ----

static int compare_entries(const void *a, const void *b) {
    const entry *left = a, *right = b;
    if (left->mark.order != right->mark.order) return left->mark.order - right->mark.order;
    const int by_packing = (int)left->is_packed - (int)right->is_packed;
    if (by_packing) return by_packing;
    const int by_name = strcmp(left->row->technique, right->row->technique);
    if (by_name) return by_name;
    return (left->row > right->row) - (left->row < right->row);
}

// The same technique under two protocols is told apart by the protocol.
static void name_entries(panel *p) {
    for (int i = 0; i < p->n_entries; i++)
        for (int j = 0; j < p->n_entries; j++)
            if (i != j && is_same_text(p->entries[i].row->technique, p->entries[j].row->technique))
                snprintf(p->entries[i].label, sizeof p->entries[i].label, "%s, %s",
                         p->entries[i].row->technique, p->entries[i].row->protocol);
}

// Both sides were measured in windows of their own, so their errors are independent and add as
// squares; in the logarithm, where factors add. A guess of watts that both share cancels.
static void set_against(entry *e, const entry *reference) {
    const double score = e->row->score, reference_score = reference->row->score;
    e->kept_share = isnan(e->row->kept_share) && reference_score > 0.0 ? score / reference_score
                                                                       : e->row->kept_share;
    e->saving = reference->energy_uj / e->energy_uj;
    const double half_width = hypot(e->log_spread, reference->log_spread);
    const bool is_comparable_energy = e->is_modelled == reference->is_modelled;
    if (e == reference || half_width <= 0.0 || !is_comparable_energy) return;
    e->saving_low = e->saving * exp(-half_width);
    e->saving_high = e->saving * exp(half_width);
}

static const entry *find_reference(const panel *p) {
    const entry *found = NULL;
    for (int i = 0; i < p->n_entries; i++) {
        const entry *e = &p->entries[i];
        if (strncmp(e->row->technique, "baseline", 8) || isnan(e->energy_uj)) continue;
        if (!found || (found->is_packed && !e->is_packed)) found = e;
    }
    return found;
}

static bool is_dominated(const panel *p, const entry *e) {
    for (int i = 0; i < p->n_entries; i++) {
        const entry *other = &p->entries[i];
        const bool is_no_worse =
            other->energy_uj <= e->energy_uj && other->row->score >= e->row->score;
        const bool is_better = other->energy_uj < e->energy_uj || other->row->score > e->row->score;
        if (is_no_worse && is_better) return true;
    }
    return false;
}

static void judge_entries(panel *p) {
    p->reference = find_reference(p);
    for (int i = 0; i < p->n_entries; i++) {
        entry *e = &p->entries[i];
        e->is_frontier = !isnan(e->energy_uj) && !isnan(e->row->score) && !is_dominated(p, e);
        if (p->reference) set_against(e, p->reference);
    }
    for (int i = 0; i < p->n_entries && p->reference; i++) {
        const entry *e = &p->entries[i];
        if (!(e->kept_share >= SUMMARY_KEPT_SHARE) || isnan(e->energy_uj)) continue;
        if (!p->choice || e->energy_uj < p->choice->energy_uj) p->choice = e;
        if (e->is_packed != p->reference->is_packed) continue;
        if (!p->padded_choice || e->energy_uj < p->padded_choice->energy_uj) p->padded_choice = e;
    }
}

// ---- All panels ----

static const result_row *first_row(const panel *p) {
    return p->n_entries ? p->entries[0].row : p->skipped[0];
}

const char *summary_task(const panel *p) {
    int order;
    const char *task = first_row(p)->task;
    return *task ? look_task_name(task, &order) : "no task";
}

bool summary_is_same_device(const panel *a, const panel *b) {
    return is_same_text(first_row(a)->host, first_row(b)->host) &&
           is_same_text(first_row(a)->device, first_row(b)->device);
}

static panel *find_panel(summary *s, const result_row *row) {
    for (int i = 0; i < s->n_panels; i++) {
        if (is_comparable(first_row(&s->panels[i]), row)) return &s->panels[i];
    }
    return NULL;
}

// Makes room for one more of n elements that were allocated in powers of two.
static bool reserve_one(void **block, int n, size_t element_bytes) {
    if (n & (n - 1)) return true;
    void *grown = wb_realloc_array(*block, (size_t)n, n ? 2 * (size_t)n : 1, element_bytes);
    if (grown) *block = grown;
    return grown != NULL;
}

static bool add_entry(panel *p, const result_row *row) {
    void *block = p->entries;
    const bool has_room = reserve_one(&block, p->n_entries, sizeof *p->entries);
    p->entries = block;
    if (has_room) fill_entry(&p->entries[p->n_entries++], row);
    return has_room;
}

static bool add_skipped(panel *p, const result_row *row) {
    void *block = p->skipped;
    const bool has_room = reserve_one(&block, p->n_skipped, sizeof *p->skipped);
    p->skipped = block;
    if (has_room) p->skipped[p->n_skipped++] = row;
    return has_room;
}

// Rows that ran come first, so that a panel has its threads before skipped rows are sorted in.
static bool place_rows(summary *s, bool is_skipped) {
    for (int i = 0; i < s->table.n_rows; i++) {
        const result_row *row = &s->table.rows[i];
        if (is_ok(row) == is_skipped) continue;
        if (is_replaced(&s->table, i)) {
            s->n_replaced++;
            continue;
        }
        panel *p = find_panel(s, row);
        if (!p) p = &s->panels[s->n_panels++];
        if (is_skipped ? !add_skipped(p, row) : !add_entry(p, row)) return false;
    }
    return true;
}

static int compare_panels(const void *a, const void *b) {
    int left, right;
    look_task_name(first_row(a)->task, &left);
    look_task_name(first_row(b)->task, &right);
    if (left != right) return left - right;
    const result_row *row_a = first_row(a), *row_b = first_row(b);
    return (row_a > row_b) - (row_a < row_b);
}

static void append(char *out, size_t capacity, const char *text) {
    const size_t length = strlen(out);
    snprintf(out + length, capacity - length, "%s%s", length ? ", " : "", text);
}

// The last part of a model's path.
static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static void name_panel(const summary *s, panel *p) {
    const result_row *row = first_row(p);
    bool has_models = false, has_hosts = false, has_devices = false, has_threads = false;
    for (int i = 0; i < s->n_panels; i++) {
        const result_row *other = first_row(&s->panels[i]);
        if (is_same_text(row->task, other->task)) {
            has_models |= !is_same_text(row->model, other->model);
            has_threads |= !is_same_threads(row, other);
        }
        const bool is_same_host = is_same_text(row->host, other->host);
        has_hosts |= !is_same_host;
        has_devices |= is_same_host && !is_same_text(row->device, other->device);
    }
    append(p->title, sizeof p->title, summary_task(p));
    if (has_models) append(p->title, sizeof p->title, base_name(row->model));
    if (has_hosts) append(p->title, sizeof p->title, *row->host ? row->host : row->device);
    if (has_devices) append(p->title, sizeof p->title, row->device);
    if (has_threads) {
        char threads[32];
        snprintf(threads, sizeof threads, "%g threads", row->threads);
        append(p->title, sizeof p->title, threads);
    }
}

static summary_method method_of(const panel *p) {
    int method = METHOD_NONE;
    for (int i = 0; i < p->n_entries; i++)
        if (!isnan(p->entries[i].energy_uj))
            method |= p->entries[i].is_modelled ? METHOD_MODELLED : METHOD_MEASURED;
    return (summary_method)method;
}

// Every text ends up in figures and in the page.
static void tame_texts(result_table *table) {
    for (int i = 0; i < table->n_rows; i++)
        for (int j = 0; result_column_at(j); j++)
            if (result_column_at(j)->capacity)
                text_tame((char *)&table->rows[i] + result_column_at(j)->offset);
}

static wb_status build_panels(summary *s, wb_error *err) {
    tame_texts(&s->table);
    s->panels = wb_alloc_array((size_t)s->table.n_rows, sizeof *s->panels);
    if (!s->panels || !place_rows(s, false) || !place_rows(s, true))
        return wb_fail(err, WB_ERR_MEMORY, 0, "no memory to compare %d rows", s->table.n_rows);
    qsort(s->panels, (size_t)s->n_panels, sizeof *s->panels, compare_panels);
    for (int i = 0; i < s->n_panels; i++) {
        panel *p = &s->panels[i];
        // A panel of skipped rows has no entries at all, and qsort wants an array.
        if (p->n_entries > 1)
            qsort(p->entries, (size_t)p->n_entries, sizeof *p->entries, compare_entries);
        name_entries(p);
        name_panel(s, p);
        judge_entries(p);
        p->method = method_of(p);
        s->method |= p->method;
    }
    return WB_OK;
}

// Which of the files a row came from; ends[n_files] are the numbers of rows after each.
static int file_of(const result_table *table, const result_row *row, const int *ends, int n_files) {
    int file = 0;
    while (file < n_files - 1 && row - table->rows >= ends[file]) file++;
    return file;
}

static wb_status read_files(summary *out, const char *const *csv_paths, int n_paths, int *ends,
                            wb_error *err) {
    wb_status status = WB_OK;
    for (int i = 0; i < n_paths && !status; i++) {
        status = result_read(&out->table, csv_paths[i], err);
        if (!status) status = power_read(&out->power, csv_paths[i], i, err);
        ends[i] = out->table.n_rows;
    }
    return status;
}

wb_status summary_open(summary *out, const char *const *csv_paths, int n_paths, wb_error *err) {
    *out = (summary){0};
    int *ends = wb_alloc_array((size_t)n_paths, sizeof *ends);
    if (!ends) return wb_fail(err, WB_ERR_MEMORY, 0, "no memory for %d files", n_paths);
    wb_status status = read_files(out, csv_paths, n_paths, ends, err);
    if (!status && out->table.n_rows == 0)
        status = wb_fail(err, WB_ERR_FORMAT, 2, "%s: no rows, run the study first", csv_paths[0]);
    if (!status && out->table.n_rows > SUMMARY_MAX_ROWS)
        status = wb_fail(err, WB_ERR_FORMAT, 0, "%s: %d rows in all, give at most %d to one report",
                         csv_paths[0], out->table.n_rows, SUMMARY_MAX_ROWS);
    if (!status) status = build_panels(out, err);
    for (int i = 0; i < out->n_panels && !status; i++)
        out->panels[i].file = file_of(&out->table, first_row(&out->panels[i]), ends, n_paths);
    wb_free(ends);
    if (status) summary_close(out);
    return status;
}

void summary_close(summary *s) {
    for (int i = 0; i < s->n_panels; i++) {
        wb_free(s->panels[i].entries);
        wb_free(s->panels[i].skipped);
    }
    wb_free(s->panels);
    result_table_free(&s->table);
    power_free(&s->power);
    *s = (summary){0};
}

const char *summary_method_name(summary_method method) {
    static const char *const names[] = {
        [METHOD_NONE] = "not measured",
        [METHOD_MEASURED] = "measured",
        [METHOD_MODELLED] = "modelled",
        [METHOD_BOTH] = "measured and modelled",
    };
    return names[method];
}
