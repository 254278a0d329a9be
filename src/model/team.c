// SPDX-License-Identifier: Apache-2.0
// The two ways to use threads. Where there are enough batches each thread takes whole ones
// and meets no barrier inside a forward; a single batch is split, products by columns,
// attention by heads, the rest by rows. A cell's sum never depends on the split, so both
// ways give the same bits.
#include "model/model.h"

void wb_team_run(const wb_team *team, wb_task *task, void *context, int n_tasks) {
    if (team->pool) {
        wb_pool_run(team->pool, task, context, n_tasks);
        return;
    }
    for (int i = 0; i < n_tasks; i++) task(context, i, team->worker);
}

void wb_team_run_shares(const wb_team *team, wb_task *task, void *context, int n_tasks) {
    if (team->pool)
        wb_pool_run_shares(team->pool, task, context, n_tasks);
    else
        wb_team_run(team, task, context, n_tasks);
}

void wb_team_share(int *begin, int *end, const wb_team *team, int n_tasks, int worker) {
    if (team->pool) {
        wb_pool_cut(begin, end, n_tasks, worker, wb_pool_threads(team->pool));
    } else {
        *begin = 0;
        *end = n_tasks;
    }
}

int wb_team_tasks(const wb_team *team, int n) {
    if (!team->pool) return 1;
    // More pieces than threads, so that a thread that was held up takes fewer.
    const int wanted = 4 * wb_pool_threads(team->pool);
    return n < wanted ? n : wanted;
}

int wb_team_row_tasks(const wb_team *team, int m, int width) {
    // Handing out costs more the more threads there are, and what one thread wrote the others fetch
    // from its cache. One text of 24 tokens on two threads, an EPYC Zen 5: a norm takes 2.7 instead
    // of 15 us in f32, whose weights drive the rows out of a core's own cache, 2.6 instead of 4.5
    // in int8; the whole text 1.01 and 1.02 of the rate.
    const int64_t elements_worth_a_thread = 1 << 12;
    if (!team->pool || (int64_t)m * width < elements_worth_a_thread * wb_pool_threads(team->pool))
        return 1;
    return wb_team_tasks(team, m);
}

void wb_team_cut(int *begin, int *end, int n, int step, int task, int n_tasks) {
    const int64_t n_steps = ((int64_t)n + step - 1) / step;
    *begin = (int)(n_steps * task / n_tasks) * step;
    *end = (int)(n_steps * (task + 1) / n_tasks) * step;
    if (*end > n) *end = n;
}

// One call of wb_norm_forward, as its tasks see it.
typedef struct norm_run {
    const wb_team *team;
    const wb_norm *norm;
    float *y;
    const float *a, *b;
    int m, n_tasks;
} norm_run;

static void normalize_rows(void *context, int task, int worker) {
    (void)worker;
    const norm_run *run = context;
    const int d = run->team->weights->shape.d_model;
    int begin, end;
    wb_team_cut(&begin, &end, run->m, 1, task, run->n_tasks);
    const size_t done = (size_t)begin * (size_t)d;
    run->team->kernels->add_norm(run->y + done, d, run->a + done, d, run->b + done, d,
                                 run->norm->gamma, run->norm->beta, WB_NORM_EPSILON, end - begin,
                                 d);
}

void wb_norm_forward(const wb_team *team, const wb_norm *norm, float *y, const float *a,
                     const float *b, int m) {
    norm_run run = {.team = team, .norm = norm, .y = y, .a = a, .b = b, .m = m};
    run.n_tasks = wb_team_row_tasks(team, m, team->weights->shape.d_model);
    wb_team_run(team, normalize_rows, &run, run.n_tasks);
}
