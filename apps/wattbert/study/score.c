// SPDX-License-Identifier: Apache-2.0
// Scores of all techniques on the same examples. A technique and its form without padding
// multiply the same numbers, so the whole file is classified without padding, at a fraction of
// the time, and the padded form is checked against it on the measured examples; where they
// disagree it classifies the whole file itself.
#include <math.h>
#include <string.h>

#include "base/base.h"
#include "study/interrupt.h"
#include "study/study.h"

// Rounding differs between a padded and an unpadded sum; a logit is of order 1.
static const double MAX_LOGIT_DIFFERENCE = 0.02;

// logits[n_scored, n_labels] <- all slices through engine, checking for Ctrl-C between them.
static wb_status score_slices(study_group *g, const study_cell *cell, wb_engine *engine,
                              float *logits, wb_error *err) {
    wb_status status = WB_OK;
    const size_t n_slice = (size_t)group_slice(g) * (size_t)g->info->n_labels;
    for (int i = 0; !status && i < g->n_slices; i++) {
        char step[32];
        snprintf(step, sizeof step, "score %d %%", 100 * i / g->n_slices);
        group_progress(g, cell, step);
        status = interrupt_check(err);
        if (!status)
            status = wb_forward(engine, g->slices[i], logits + (size_t)i * n_slice, NULL, err);
    }
    return status;
}

// *out <- one word per matrix, its precision: two engines with equal texts compute alike.
static bool describe_plan(char **out, const wb_plan_info *plan) {
    size_t n_bytes = 1;
    for (int i = 0; i < plan->n_matrices; i++) n_bytes += strlen(plan->matrices[i].precision) + 1;
    char *text = wb_alloc(n_bytes), *at = text;
    *out = text;
    if (!text) return false;
    *at = 0;
    for (int i = 0; i < plan->n_matrices; i++)
        at += snprintf(at, n_bytes - (size_t)(at - text), "%s ", plan->matrices[i].precision);
    return true;
}

// The cell whose engine is base without padding; NULL where the study has none.
static study_cell *find_packed(study_group *g, const char *base) {
    for (int i = 0; i < g->n_cells; i++)
        if (g->cells[i].choice.protocol == STUDY_PACKED &&
            strcmp(g->cells[i].choice.base, base) == 0)
            return &g->cells[i];
    return NULL;
}

// A cell of no row, to open base without padding like any other.
static study_cell packed_cell(const char *base) {
    study_cell cell = {.choice = {.protocol = STUDY_PACKED}};
    snprintf(cell.choice.base, sizeof cell.choice.base, "%s", base);
    snprintf(cell.choice.name, sizeof cell.choice.name, "%.48s+packed", base);
    snprintf(cell.choice.engine, sizeof cell.choice.engine, "%.48s+packed", base);
    return cell;
}

static wb_status add_scored(study_group *g, const char *base, study_cell *packed, wb_error *err) {
    study_scored scored = {0};
    const size_t n = (size_t)g->data->n_examples * (size_t)g->info->n_labels;
    snprintf(scored.base, sizeof scored.base, "%s", base);
    scored.logits = wb_alloc_array(n, sizeof *scored.logits);
    wb_status status;
    if (scored.logits && describe_plan(&scored.plan, wb_engine_plan(packed->engine)))
        status = score_slices(g, packed, packed->engine, scored.logits, err);
    else
        status = wb_fail(err, WB_ERR_MEMORY, 0, "no memory for the logits of %s", base);
    if (status) {
        wb_free(scored.logits);
        wb_free(scored.plan);
    } else {
        g->scored[g->n_scored_bases++] = scored;
    }
    return status;
}

// *out <- the logits of base, computed at the first call.
static wb_status find_scored(const study_scored **out, study_group *g, const char *base,
                             wb_error *err) {
    for (int i = 0; i < g->n_scored_bases; i++) {
        *out = &g->scored[i];
        if (strcmp(g->scored[i].base, base) == 0) return WB_OK;
    }
    study_cell *own = find_packed(g, base), temporary = packed_cell(base);
    study_cell *packed = own ? own : &temporary;
    wb_status status = group_engine(g, packed, err);
    if (!status) status = add_scored(g, base, packed, err);
    *out = g->n_scored_bases > 0 ? &g->scored[g->n_scored_bases - 1] : NULL;
    wb_engine_close(temporary.engine);
    return status;
}

// ---- One cell ---------------------------------------------------------------

// Runs the measured examples once: the warm-up, the tokens of a pass, and logits to compare.
static wb_status warm_up(study_group *g, study_cell *cell, wb_error *err) {
    wb_status status = group_engine(g, cell, err);
    if (status) return status;
    group_progress(g, cell, "warm-up");
    cell_plan(cell);
    const uint64_t start_ns = wb_clock_ns();
    status = wb_forward(cell->engine, group_inputs(g, cell), g->logits, &cell->run, err);
    cell->pass_s = (double)(wb_clock_ns() - start_ns) / 1e9;
    return status;
}

static int count_ids(const wb_inputs *inputs, int text) {
    int n_ids;
    (void)wb_inputs_ids(inputs, text, &n_ids);
    return n_ids;
}

// Whether the pass in g->logits agrees with scored on every measured text that was not cut.
static bool agrees(const study_group *g, const study_cell *cell, const study_scored *scored) {
    const size_t n_labels = (size_t)g->info->n_labels;
    char *plan;
    const bool is_same_plan =
        describe_plan(&plan, wb_engine_plan(cell->engine)) && strcmp(plan, scored->plan) == 0;
    wb_free(plan);
    for (int i = 0; is_same_plan && i < g->n_measured; i++) {
        const float *own = g->logits + (size_t)i * n_labels;
        const float *other = scored->logits + (size_t)g->measured[i] * n_labels;
        double own_label, other_label;
        if (count_ids(group_inputs(g, cell), i) != count_ids(g->packed, i)) continue;
        for (size_t k = 0; k < n_labels; k++)
            if (fabs((double)own[k] - (double)other[k]) > MAX_LOGIT_DIFFERENCE) return false;
        if (n_labels == 1) continue;
        glue_predict(&own_label, &g->order, own, 1);
        glue_predict(&other_label, &g->order, other, 1);
        if (own_label != other_label) return false;
    }
    return is_same_plan;
}

static void flag_difference(study_cell *cell) {
    const glue_interval *d = &cell->difference;
    if (d->low <= 0.0 && d->high >= 0.0) return;
    cell_flag(cell, "score differs from baseline by %+.4f (%+.4f to %+.4f)", d->value, d->low,
              d->high);
}

static wb_status score_logits(study_group *g, study_cell *cell, const float *logits,
                              wb_error *err) {
    const int n = g->data->n_examples;
    wb_status status =
        glue_result_open(&cell->result, g->data, &g->order, logits, g->options->seed, err);
    if (!status)
        status = glue_compare(&cell->difference, g->pair->task, cell->result.predicted, g->baseline,
                              g->data->labels, n, g->options->seed, err);
    if (status) return status;
    cell->has_score = true;
    flag_difference(cell);
    if (cell->result.n_bad > 0)
        cell_flag(cell, "%d examples with logits that are no numbers", cell->result.n_bad);
    if (n != g->n_measured) cell_flag(cell, "score on %d examples", n);
    return WB_OK;
}

// The whole file through the cell's own engine, long texts cut as its protocol does.
static wb_status score_itself(study_group *g, study_cell *cell, wb_error *err) {
    const size_t n = (size_t)g->data->n_examples * (size_t)g->info->n_labels;
    float *logits = wb_alloc_array(n, sizeof *logits);
    if (!logits) return wb_fail(err, WB_ERR_MEMORY, 0, "no memory for %zu logits", n);
    wb_status status = score_slices(g, cell, cell->engine, logits, err);
    if (!status) status = score_logits(g, cell, logits, err);
    wb_free(logits);
    return status;
}

static wb_status score_cell(study_group *g, study_cell *cell, wb_error *err) {
    const study_scored *scored;
    wb_status status;
    do {
        status = find_scored(&scored, g, cell->choice.base, err);
        if (!status) status = warm_up(g, cell, err);
    } while (status == WB_ERR_MEMORY && group_make_room(g, cell));
    if (status) return status;
    const bool is_packed = cell->choice.protocol == STUDY_PACKED;
    if (!is_packed && !agrees(g, cell, scored)) {
        cell_flag(cell, "scored with its own padding");
        return score_itself(g, cell, err);
    }
    if (!is_packed) cell_flag(cell, "score by %s+packed, equal here", cell->choice.base);
    if (cell->choice.protocol == STUDY_PADDED && g->n_cut > 0)
        cell_flag(cell, "%d measured texts cut to %d tokens", g->n_cut, g->options->padded_length);
    return score_logits(g, cell, scored->logits, err);
}

// ---- The group --------------------------------------------------------------

// Label order and the scores that all others are compared with, both by the baseline.
static wb_status score_baseline(study_group *g, wb_error *err) {
    const study_options *o = g->options;
    study_cell *own = find_packed(g, "baseline"), temporary = packed_cell("baseline");
    study_cell *packed = own ? own : &temporary;
    wb_status status = group_engine(g, packed, err);
    if (!status)
        status = glue_order_decide(&g->order, g->pair->task, g->model, packed->engine, o->data,
                                   o->label_order, err);
    if (!status) status = add_scored(g, "baseline", packed, err);
    wb_engine_close(temporary.engine);
    glue_result result;
    if (!status)
        status = glue_result_open(&result, g->data, &g->order, g->scored[0].logits, o->seed, err);
    if (status) return status;
    g->baseline = result.predicted;
    g->baseline_score = result.headline.value;
    return WB_OK;
}

wb_status group_score(study_group *g, wb_error *err) {
    wb_status status = score_baseline(g, err);
    // Without it nothing of this group can be scored, but other models may be smaller.
    const bool is_short = status == WB_ERR_MEMORY;
    if (is_short) status = WB_OK;
    for (int i = 0; !status && i < g->n_cells; i++) {
        study_cell *cell = &g->cells[i];
        if (cell->is_done) continue;
        status = is_short ? WB_ERR_MEMORY : score_cell(g, cell, err);
        status = cell_settle(cell, status, err);
    }
    return status;
}
