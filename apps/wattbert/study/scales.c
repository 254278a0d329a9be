// SPDX-License-Identifier: Apache-2.0
// Static scales in a study: those that --scales names, else made from the task's training file,
// which is never what is measured and scored, and kept in the study's folder.
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "calibration.h"
#include "study/study.h"

// int8 with fixed scales is nothing without them; fp8 does well with them. What this machine cannot
// run anyway needs none.
static bool needs_scales(const study_group *g, const study_cell *cell) {
    const char *const families[] = {"i8-static", "fp8"};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strcmp(cell->choice.base, families[i]) == 0)
            return wb_technique_runs(cell->choice.engine, g->options->device, NULL) == WB_OK;
    return false;
}

// g->scales <- DIR/scales/MODEL-FAMILY.json; both halves of MNLI share one.
static wb_status find_place(study_group *g, wb_error *err) {
    char dir[4200];
    const char *slash = strrchr(g->pair->dir, '/');
    const char *name = slash && slash[1] ? slash + 1 : g->pair->dir;
    snprintf(dir, sizeof dir, "%s/scales", g->store->dir);
    if (mkdir(dir, 0777) != 0 && errno != EEXIST)
        return wb_fail(err, WB_ERR_IO, 0, "%s: %s", dir, strerror(errno));
    snprintf(g->scales, sizeof g->scales, "%s/%.100s-%s.json", dir, name, g->pair->task->family);
    return WB_OK;
}

static wb_status make_scales(study_group *g, const char *path, wb_error *err) {
    calibration_texts texts;
    wb_quantize_options options = wb_default_quantize_options();
    options.n_threads = g->options->n_threads;
    wb_status status = calibration_open(&texts, path, g->pair->task, TEXT_LINES, CALIBRATION_TEXTS,
                                        g->options->seed + 3, err);
    if (status) return status;
    status = calibration_run(&texts, g->model, path, options, g->scales, NULL, err);
    calibration_close(&texts);
    return status;
}

// Whether the file that an earlier task of this model left, or an earlier run, fits it.
static bool is_usable(const study_group *g, const study_cell *cell) {
    wb_engine *engine;
    wb_options options = wb_default_options();
    options.technique = cell->choice.engine;
    options.device = g->options->device;
    options.scales = g->scales;
    if (!wb_file_exists(g->scales) || wb_engine_open(&engine, g->model, &options, NULL))
        return false;
    wb_engine_close(engine);
    return true;
}

wb_status group_scales(study_group *g, const study_cell *cell, wb_error *err) {
    const study_options *o = g->options;
    if (g->has_scales || !needs_scales(g, cell)) return WB_OK;
    g->has_scales = true;
    if (o->scales) {
        snprintf(g->scales, sizeof g->scales, "%s", o->scales);
        return WB_OK;
    }
    // Without a training file the technique is skipped, with the engine's reason.
    char path[4096];
    if (!o->data || glue_data_find(path, sizeof path, g->pair->task, o->data, "train", NULL))
        return WB_OK;
    const wb_status status = find_place(g, err);
    if (status || is_usable(g, cell)) return status;
    group_progress(g, cell, "calibration");
    return make_scales(g, path, err);
}
