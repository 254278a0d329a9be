// SPDX-License-Identifier: Apache-2.0
// What a study is made of: which model goes with which task, and which techniques run under
// which protocol. Decided from the command line alone, before anything is loaded.
#ifndef STUDY_SELECT_H
#define STUDY_SELECT_H

#include <stdbool.h>

#include "app.h"
#include "glue/task.h"

// One model on one task.
typedef struct study_pair {
    const char *dir;  // borrowed from the words
    const glue_task *task;
} study_pair;

enum { STUDY_MAX_PAIRS = 64, STUDY_MAX_CELLS = 96 };

// pairs[*n] <- words "MODEL" or "TASK=MODEL" with the tasks asked for (none: all that the
// words name). A model without a task takes the tasks that its folder's name says ("sst-2",
// "mnli" for both halves of MNLI); a single model whose folder says none takes all tasks asked
// for. Every task asked for must get a model. Returns -1, or the exit code after telling why.
int study_select_pairs(study_pair *pairs, int *n, char **words, int n_words, const app_list *tasks);

typedef enum study_protocol {
    STUDY_PADDED,  // batches of 16 padded to 128 tokens, as the study did
    STUDY_SORTED,  // batches of 16 in order of length, padded to their longest
    STUDY_PACKED,  // no padding
    STUDY_N_PROTOCOLS
} study_protocol;

extern const char *const study_protocol_names[STUDY_N_PROTOCOLS];

// One row to be: a technique under a protocol.
typedef struct study_choice {
    char name[64];    // of the row: "bf16", "bf16+sorted", "bf16+packed"
    char engine[64];  // of the engine: "bf16", "bf16", "bf16+packed"
    char base[64];    // "bf16"
    study_protocol protocol;
} study_choice;

// choices[*n] <- techniques ("all", "bf16", "bf16+packed"; none: all) under protocols (none:
// padded and packed for "all", and what each name says for names). No choice comes twice.
// Returns -1, or the exit code after telling why.
int study_select_choices(study_choice *choices, int *n, const app_list *techniques,
                         const app_list *protocols);

#endif
