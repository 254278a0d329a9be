// SPDX-License-Identifier: Apache-2.0
// A model's folder is usually called after its task, distilbert-base-uncased-finetuned-sst-2;
// its words, joined two at a time as well, are compared with the tasks' names. What that does
// not settle is asked for, never guessed.
#include "study/select.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "models.h"

#define PACKED_SUFFIX "+packed"
#define SORTED_SUFFIX "+sorted"

const char *const study_protocol_names[STUDY_N_PROTOCOLS] = {"padded", "sorted", "packed"};

// ---- Pairs ------------------------------------------------------------------

// Does name, split at everything that is no letter or digit, hold family as one word or two
// neighbours ("sst-2")?
static bool names_family(const char *name, const char *family) {
    char word[64] = "", before[64] = "", joined[128];
    for (const char *c = name;; c++) {
        const size_t n = strlen(word);
        if (isalnum((unsigned char)*c)) {
            if (n + 1 < sizeof word) word[n] = (char)tolower((unsigned char)*c), word[n + 1] = 0;
            continue;
        }
        snprintf(joined, sizeof joined, "%s%s", before, word);
        if (strcmp(word, family) == 0 || strcmp(joined, family) == 0) return true;
        memcpy(before, word, sizeof before);
        word[0] = 0;
        if (!*c) return false;
    }
}

// The last part of the folder's real path, so that "." and links have their folder's name.
static void folder_name(char *out, size_t capacity, const char *dir) {
    char *real = realpath(dir, NULL);
    const char *path = real ? real : dir;
    const char *slash = strrchr(path, '/');
    snprintf(out, capacity, "%s", slash && slash[1] ? slash + 1 : path);
    free(real);
}

static int add_pair(study_pair *pairs, int *n, const char *dir, const glue_task *task) {
    char name[256], other[256];
    folder_name(name, sizeof name, dir);
    for (int i = 0; i < *n; i++) {
        if (pairs[i].task != task) continue;
        if (strcmp(pairs[i].dir, dir) == 0)
            return app_fail(EXIT_USAGE, "study: %s is given twice for task %s", dir, task->name);
        // Rows carry the folder's name.
        folder_name(other, sizeof other, pairs[i].dir);
        if (strcmp(name, other) == 0)
            return app_fail(EXIT_USAGE, "study: %s and %s are both called %s, run them apart",
                            pairs[i].dir, dir, name);
    }
    if (*n == STUDY_MAX_PAIRS)
        return app_fail(EXIT_USAGE, "study: more than %d pairs of model and task", STUDY_MAX_PAIRS);
    pairs[(*n)++] = (study_pair){dir, task};
    return -1;
}

static bool is_wanted(const glue_task *task, const app_list *tasks) {
    for (int i = 0; i < tasks->n_items; i++)
        if (glue_task_find(tasks->items[i]) == task) return true;
    return tasks->n_items == 0;
}

// Pairs of one word. "TASK=MODEL" names its task whatever --task says.
static int add_word(study_pair *pairs, int *n, char *word, int n_words, const app_list *tasks) {
    char *equals = strchr(word, '=');
    if (equals) {
        *equals = 0;
        const glue_task *task = glue_task_find(word);
        *equals = '=';
        if (task) return add_pair(pairs, n, equals + 1, task);
    }
    char name[256];
    folder_name(name, sizeof name, word);
    int n_named = 0, code = -1;
    const glue_task *task;
    for (int i = 0; (task = glue_task_at(i)) != NULL; i++)
        n_named += names_family(name, task->family);
    for (int i = 0; code < 0 && (task = glue_task_at(i)) != NULL; i++) {
        const bool is_asked = tasks->n_items > 0 && is_wanted(task, tasks);
        const bool is_named = names_family(name, task->family) && is_wanted(task, tasks);
        const bool is_only = n_words == 1 && is_asked && (n_named == 0 || tasks->n_items == 1);
        if (is_named || is_only) code = add_pair(pairs, n, word, task);
    }
    return code;
}

static bool has_model(const study_pair *pairs, int n, const glue_task *task) {
    for (int i = 0; i < n; i++)
        if (pairs[i].task == task) return true;
    return false;
}

int study_select_pairs(study_pair *pairs, int *n, char **words, int n_words,
                       const app_list *tasks) {
    *n = 0;
    for (int i = 0; i < tasks->n_items; i++)
        if (!glue_task_find(tasks->items[i]))
            return app_fail(EXIT_USAGE,
                            "study: no task \"%s\", give of cola sst2 mrpc qqp stsb mnli mnli-mm "
                            "qnli rte wnli",
                            tasks->items[i]);
    for (int i = 0; i < n_words; i++) {
        const int before = *n, code = add_word(pairs, n, words[i], n_words, tasks);
        if (code >= 0) return code;
        if (*n == before && tasks->n_items == 0)
            return app_fail(EXIT_USAGE, "study: %s does not say its task, write TASK=%s", words[i],
                            words[i]);
    }
    for (int i = 0; i < tasks->n_items; i++)
        if (!has_model(pairs, *n, glue_task_find(tasks->items[i])))
            return app_fail(EXIT_USAGE, "study: no model for task %s, write %s=MODEL",
                            tasks->items[i], tasks->items[i]);
    if (*n == 0) return app_fail(EXIT_USAGE, "study: give MODEL folders, see --help");
    return -1;
}

// ---- Choices ----------------------------------------------------------------

static bool ends_in(const char *text, const char *suffix) {
    const size_t n_text = strlen(text), n_suffix = strlen(suffix);
    return n_text >= n_suffix && strcmp(text + n_text - n_suffix, suffix) == 0;
}

static int find_protocol(const char *name) {
    for (int i = 0; i < STUDY_N_PROTOCOLS; i++)
        if (strcmp(study_protocol_names[i], name) == 0) return i;
    return -1;
}

static void add_choice(study_choice *choices, int *n, const char *base, study_protocol protocol) {
    static const char *const suffixes[] = {"", SORTED_SUFFIX, PACKED_SUFFIX};
    study_choice choice = {.protocol = protocol};
    snprintf(choice.base, sizeof choice.base, "%s", base);
    snprintf(choice.name, sizeof choice.name, "%.48s%s", base, suffixes[protocol]);
    snprintf(choice.engine, sizeof choice.engine, "%.48s%s", base,
             protocol == STUDY_PACKED ? PACKED_SUFFIX : "");
    for (int i = 0; i < *n; i++)
        if (strcmp(choices[i].name, choice.name) == 0) return;
    if (*n < STUDY_MAX_CELLS && models_has_technique(choice.engine)) choices[(*n)++] = choice;
}

// A name with a suffix says its protocol; a plain one takes those asked for, else padded.
static int add_named(study_choice *choices, int *n, const char *name, const bool *is_asked,
                     bool is_any_asked) {
    char base[64];
    const size_t n_bytes = strcspn(name, "+");
    snprintf(base, sizeof base, "%.*s", (int)(n_bytes > 48 ? 48 : n_bytes), name);
    const bool has_suffix = ends_in(name, PACKED_SUFFIX) || ends_in(name, SORTED_SUFFIX);
    if (!models_has_technique(base) || (name[n_bytes] && !has_suffix))
        return app_fail(EXIT_USAGE, "study: no technique \"%s\", wattbert plan MODEL lists them",
                        name);
    if (ends_in(name, PACKED_SUFFIX)) add_choice(choices, n, base, STUDY_PACKED);
    if (ends_in(name, SORTED_SUFFIX)) add_choice(choices, n, base, STUDY_SORTED);
    for (int p = 0; !has_suffix && p < STUDY_N_PROTOCOLS; p++)
        if (is_any_asked ? is_asked[p] : p == STUDY_PADDED)
            add_choice(choices, n, base, (study_protocol)p);
    return -1;
}

static void add_all(study_choice *choices, int *n, const bool *is_asked, bool is_any_asked) {
    for (int p = 0; p < STUDY_N_PROTOCOLS; p++) {
        const wb_technique *technique;
        if (is_any_asked ? !is_asked[p] : p == STUDY_SORTED) continue;
        for (int i = 0; (technique = wb_technique_at(i)) != NULL; i++)
            if (!strchr(technique->name, '+'))
                add_choice(choices, n, technique->name, (study_protocol)p);
    }
}

int study_select_choices(study_choice *choices, int *n, const app_list *techniques,
                         const app_list *protocols) {
    bool is_asked[STUDY_N_PROTOCOLS] = {false};
    *n = 0;
    for (int i = 0; i < protocols->n_items; i++) {
        const int protocol = find_protocol(protocols->items[i]);
        if (protocol < 0)
            return app_fail(EXIT_USAGE, "study: no protocol \"%s\", give padded, sorted or packed",
                            protocols->items[i]);
        is_asked[protocol] = true;
    }
    const bool is_any_asked = protocols->n_items > 0;
    if (techniques->n_items == 0) add_all(choices, n, is_asked, is_any_asked);
    for (int i = 0; i < techniques->n_items; i++) {
        if (strcmp(techniques->items[i], "all") == 0) {
            add_all(choices, n, is_asked, is_any_asked);
            continue;
        }
        const int code = add_named(choices, n, techniques->items[i], is_asked, is_any_asked);
        if (code >= 0) return code;
    }
    return -1;
}
