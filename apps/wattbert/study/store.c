// SPDX-License-Identifier: Apache-2.0
// Rows are few and small: the whole file is written anew each time, which leaves no half a
// row behind whatever ends the program.
#include "study/store.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

static wb_status fail_errno(const char *path, wb_error *err) {
    return wb_fail(err, WB_ERR_IO, 0, "%s: %s, give another --out", path, strerror(errno));
}

// Makes dir and the folders above it.
static wb_status make_folder(const char *dir, wb_error *err) {
    char path[4096];
    snprintf(path, sizeof path, "%s", dir);
    for (char *c = path + 1; *c; c++) {
        if (*c != '/') continue;
        *c = 0;
        (void)mkdir(path, 0777);
        *c = '/';
    }
    if (mkdir(path, 0777) == 0 || errno == EEXIST) return WB_OK;
    return fail_errno(dir, err);
}

// "20260101T120000Z-04d2": the time sorts, the process tells two runs of one second apart.
static void make_run_id(char *out, size_t capacity) {
    const time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    const size_t n = strftime(out, capacity, "%Y%m%dT%H%M%SZ", &utc);
    snprintf(out + n, capacity - n, "-%04x", (unsigned)getpid() & 0xffffu);
}

// Keeps the last study of the folder under another name.
static void set_aside(const char *path) {
    char aside[4300];
    snprintf(aside, sizeof aside, "%s.old", path);
    (void)rename(path, aside);
}

static wb_status open_power(study_store *store, const char *path, bool is_resumed, wb_error *err) {
    const bool is_new = !is_resumed || !wb_file_exists(path);
    store->power = fopen(path, is_new ? "w" : "a");
    if (!store->power) return fail_errno(path, err);
    if (is_new) fputs("technique,task,t_s,watts,source,method\n", store->power);
    return WB_OK;
}

wb_status store_open(study_store *store, const char *dir, bool is_resumed, wb_error *err) {
    *store = (study_store){0};
    char power[4200];
    snprintf(store->dir, sizeof store->dir, "%s", dir);
    if (!wb_path_join(store->path, sizeof store->path, store->dir, "results.csv") ||
        !wb_path_join(power, sizeof power, store->dir, "power.csv"))
        return wb_fail(err, WB_ERR_ARGUMENT, 0, "--out: the path is too long");
    make_run_id(store->run_id, sizeof store->run_id);
    wb_status status = make_folder(dir, err);
    const bool has_rows = !status && wb_file_exists(store->path);
    if (has_rows && is_resumed) status = result_read(&store->table, store->path, err);
    if (has_rows && !is_resumed) {
        set_aside(store->path);
        set_aside(power);
    }
    if (!status && store->table.n_rows > 0)
        snprintf(store->run_id, sizeof store->run_id, "%s", store->table.rows[0].run_id);
    if (!status) status = open_power(store, power, is_resumed, err);
    if (status) store_close(store);
    return status;
}

void store_close(study_store *store) {
    result_table_free(&store->table);
    if (store->power) fclose(store->power);
    *store = (study_store){0};
}

static bool is_same_row(const result_row *a, const result_row *b) {
    return strcmp(a->model, b->model) == 0 && strcmp(a->task, b->task) == 0 &&
           strcmp(a->split, b->split) == 0 && strcmp(a->technique, b->technique) == 0 &&
           strcmp(a->protocol, b->protocol) == 0 && strcmp(a->device, b->device) == 0;
}

const result_row *store_find(const study_store *store, const result_row *like) {
    for (int i = 0; i < store->table.n_rows; i++) {
        const result_row *row = &store->table.rows[i];
        const bool is_complete = !strstr(row->flags, "interrupted") &&
                                 row->examples == like->examples && row->windows == like->windows;
        if (is_same_row(row, like) && (is_complete || strcmp(row->status, "skipped") == 0))
            return row;
    }
    return NULL;
}

static wb_status write_all(const study_store *store, wb_error *err) {
    char temporary[4300];
    snprintf(temporary, sizeof temporary, "%s.new", store->path);
    FILE *file = fopen(temporary, "w");
    if (!file) return fail_errno(temporary, err);
    result_write_header(file);
    for (int i = 0; i < store->table.n_rows; i++) result_write_row(file, &store->table.rows[i]);
    const bool is_written = fflush(file) == 0 && !ferror(file);
    if (fclose(file) != 0 || !is_written || rename(temporary, store->path) != 0)
        return fail_errno(temporary, err);
    return WB_OK;
}

wb_status store_put(study_store *store, const result_row *row, wb_error *err) {
    result_table *table = &store->table;
    const size_t n = (size_t)table->n_rows;
    size_t place = 0;
    while (place < n && !is_same_row(&table->rows[place], row)) place++;
    if (place == n) {
        result_row *grown = wb_realloc_array(table->rows, n, n + 1, sizeof *grown);
        if (!grown) return wb_fail(err, WB_ERR_MEMORY, 0, "no memory for %zu rows", n + 1);
        table->rows = grown;
        table->n_rows++;
    }
    table->rows[place] = *row;
    return write_all(store, err);
}

void store_power(study_store *store, const char *technique, const char *task, double t_s,
                 double watts, const char *source, const char *method) {
    if (!isfinite(watts)) return;
    fprintf(store->power, "%s,%s,%.3f,%.6g,%s,%s\n", technique, task, t_s, watts, source, method);
}
