// SPDX-License-Identifier: Apache-2.0
// The study's objects. A group is one model on one task with all techniques: their windows
// are interleaved, so a group is measured as a whole and its rows are finished together. A
// cell is one technique of a group and becomes one row.
#ifndef STUDY_H
#define STUDY_H

#include "carbon/carbon.h"
#include "glue/evaluate.h"
#include "study/progress.h"
#include "study/results.h"
#include "study/schedule.h"
#include "study/select.h"
#include "study/store.h"
#include "wattbert/energy.h"

typedef struct study_options {
    const char *device;       // "cpu", "cuda:0"; never "auto"
    wb_gpu_info gpu;          // of the device; its name is "" on the CPU
    const char *data;         // the folder of GLUE's folders, or NULL
    const char *file;         // examples of the only task, instead of a file below data; or NULL
    const char *split;        // "dev", "train"
    const char *label_order;  // or NULL
    const char *scales;       // of the only model; NULL: made from training files
    const char *cache;        // a folder for packed weights; NULL: none
    bool is_pinned;           // each thread on a core of its own
    int n_examples;           // measured; 0: all
    int n_score_examples;     // scored; 0: all
    int min_tokens;  // the measured examples repeat until a pass has so many; 0: they do not
    int n_windows;
    double min_s, component_s, idle_s;  // of a window, of one replayed component (0: none), of rest
    double limit_s;                     // of the study; 0: none
    int n_threads, batch_size, padded_length;
    uint64_t seed;
    size_t engine_bytes;  // engines are kept open up to so many bytes, on a GPU of its memory
    carbon_intensity carbon;
} study_options;

enum { CELL_FLAGS = RESULT_LONG_TEXT };

// What a board said of itself in the windows of a cell; NAN where it did not.
typedef struct study_conditions {
    double clock_low_hz, clock_high_hz, memory_clock_hz;
    double temperature_low_celsius, temperature_high_celsius, power_limit_w;
    char slowed_by[64];
} study_conditions;

typedef struct study_cell {
    study_choice choice;
    bool is_done;     // its row is in the store already, of this run or of one gone on from
    bool is_skipped;  // runs no more here; reason says why
    bool is_failed;   // and that is want of memory, which another time may not be
    char reason[RESULT_LONG_TEXT];
    char flags[CELL_FLAGS];
    wb_engine *engine;   // NULL while closed
    uint64_t last_used;  // the group's clock, to close the least recently used
    result_row row;      // what its plan says, filled by the warm-up
    wb_run run;          // of one pass over the measured examples
    double pass_s;       // of the warm-up
    wb_window *windows;  // [n_windows of the options], n_measured of them filled
    int n_measured;
    double others_s, cores_s;  // core time in them: of other processes, and of all cores
    study_conditions conditions;
    uint64_t *batch_ns;  // [n_durations] of all passes of all windows
    int n_durations, max_durations;
    bool has_parts;
    double parts[WB_N_COMPONENTS + 1];  // joules per replay: embeddings .. head, whole
    bool has_score;
    glue_result result;
    glue_interval difference;  // to the baseline's score, on the same examples
} study_cell;

// Logits of a technique over all scored examples, from its form without padding.
typedef struct study_scored {
    char base[64];
    float *logits;  // [n_scored, n_labels]
    char *plan;     // the precision of every matrix, to be sure that another engine agrees
} study_scored;

// Examples scored at once, Ctrl-C being looked for in between. A GPU gets enough of them for full
// batches: of a size that it has chosen its kernels for.
enum { SCORE_SLICE = 512, GPU_SCORE_SLICE = 8192 };

typedef struct study_group {
    const study_options *options;
    const study_pair *pair;
    wb_meter *meter;
    study_store *store;
    progress *progress;
    int n_groups_left;  // after this one, for the time left
    wb_model *model;
    const wb_model_info *info;
    glue_data *data;  // of the scored examples
    char path[4096];
    int n_all;                   // examples of the file
    int *measured;               // [n_measured] places in data of the measured examples
    int n_measured, n_cut;       // n_cut: measured examples longer than padded_length
    int n_repeats;               // times that each of them is among the measured
    wb_inputs *padded, *packed;  // the measured examples, cut to padded_length and whole
    wb_inputs **slices;          // [n_slices] the scored examples, whole, group_slice() each
    int n_slices;
    wb_inputs *calibration;  // training examples for `mixed`; NULL: the library's own sentences
    char scales[4400];       // for techniques with static scales; "": none
    bool has_scales;         // they have been looked for
    glue_label_order order;
    float *logits;         // [n_measured, n_labels] of the pass at work
    uint64_t *batch_ns;    // [n_measured] of the pass at work
    study_scored *scored;  // [n_scored_bases]
    int n_scored_bases;
    double baseline_score;
    double *baseline;  // [n_examples of data] its predictions
    study_cell *cells;
    int n_cells;
    uint64_t clock;
    uint64_t started_ns;  // of the study, the zero of power.csv
    double deadline_s;    // since then, for this group's windows and components; INFINITY: none
} study_group;

// ---- group.c ----

// *group <- everything that does not depend on a technique: model, examples, inputs.
wb_status group_open(study_group *group, const study_choice *choices, int n_choices, wb_error *err);
void group_close(study_group *group);
// The cell's engine, opened if it was closed; others may be closed for it.
wb_status group_engine(study_group *group, study_cell *cell, wb_error *err);
// Closes the engine that has waited longest, but the cell's; false where none may go.
bool group_make_room(study_group *group, const study_cell *keep);
void cell_close_engine(study_cell *cell);
// WB_OK where a failure is the cell's alone, which runs no more then: no arithmetic or no memory
// for it. Every other status as it is.
wb_status cell_settle(study_cell *cell, wb_status status, const wb_error *problem);
// The measured examples as the cell's protocol reads them.
const wb_inputs *group_inputs(const study_group *group, const study_cell *cell);
// Is a GPU what is studied?
static inline bool group_is_gpu(const study_group *group) {
    return group->options->gpu.name[0] != 0;
}
static inline int group_slice(const study_group *group) {
    return group_is_gpu(group) ? GPU_SCORE_SLICE : SCORE_SLICE;
}
// Shows what runs, with an estimate of the time left.
void group_progress(study_group *group, const study_cell *cell, const char *step);
// Appends to a list of flags divided by "; ".
WB_PRINTF(2, 3) void cell_flag(study_cell *cell, const char *format, ...);

// ---- scales.c ----

// group->scales <- the scales that the cell's technique needs, if it does, made at the first call.
wb_status group_scales(study_group *group, const study_cell *cell, wb_error *err);

// ---- score.c ----

// Opens every cell's engine, runs it once and scores it; cells that cannot run are marked.
wb_status group_score(study_group *group, wb_error *err);

// ---- measure.c ----

// Rest, the interleaved windows, then the components of every cell. Where the time is up before
// that, cells have fewer windows, or no components, which their rows say, or no row at all.
wb_status group_measure(study_group *group, wb_error *err);

// ---- rows.c ----

// Writes the plan of the cell's open engine into cell->row.
void cell_plan(study_cell *cell);
// *row <- what is known of the cell.
void cell_row(result_row *row, const study_group *group, study_cell *cell);
// Puts the cell's row into the store.
wb_status group_put(study_group *group, study_cell *cell, wb_error *err);
// The same for cells that were interrupted after at least one window, flagged so.
wb_status group_put_unfinished(study_group *group, wb_error *err);

// ---- table.c ----

// The techniques of each task on standard output, within 100 columns.
void table_print(const result_table *results);

#endif
