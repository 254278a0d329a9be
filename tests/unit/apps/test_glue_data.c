// SPDX-License-Identifier: Apache-2.0
// GLUE's files: every layout is found by its header, texts are kept byte for byte, and a row
// that does not fit is refused with its line. Where the shared data folder lies beside the
// checkout, its files must have the counts that GLUE states.
#include "glue/dataset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static wb_status parse(glue_data **data, const char *task, const char *text, wb_error *err) {
    return glue_data_parse(data, glue_task_find(task), text, strlen(text), "test.tsv", err);
}

static void assert_text(const char *text, size_t n_bytes, const char *expected) {
    assert_int_equal(n_bytes, strlen(expected));
    assert_memory_equal(text, expected, n_bytes);
}

typedef struct layout {
    const char *task, *text;
    const char *first, *pair;  // of the last example
    double label;
    int n_examples;
} layout;

static const layout layouts[] = {
    {"cola", "gj04\t1\t\tThe sailors rode.\ncj99\t0\t*\tThe more.", "The more.", NULL, 0, 2},
    {"cola", "sentence\tlabel\nThe more.\t1\n", "The more.", NULL, 1, 1},
    {"sst2", "sentence\tlabel\nit 's \"charming \t1\nno \t0\n", "no ", NULL, 0, 2},
    {"sst2", "sentence\tlabel\r\nfine\t1\r\n", "fine", NULL, 1, 1},
    {"mrpc", "\xef\xbb\xbfQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\tA \"b\tC\n",
     "A \"b", "C", 1, 1},
    {"qqp", "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t2\t3\tWhy?\tHow?\t0\n", "Why?",
     "How?", 0, 1},
    {"qqp", "sentence1\tsentence2\tlabel\nWhy?\tHow?\t1\n", "Why?", "How?", 1, 1},
    {"qnli", "index\tquestion\tsentence\tlabel\n0\tWhen?\tIn 1606.\tnot_entailment\n", "When?",
     "In 1606.", 1, 1},
    {"rte", "index\tsentence1\tsentence2\tlabel\n0\tA\tB\tentailment\n", "A", "B", 0, 1},
    {"wnli", "index\tsentence1\tsentence2\tlabel\n0\tA\tB\t1\n", "A", "B", 1, 1},
    {"mnli", "sentence1\tsentence2\tlabel\tsource\nA\tB\tcontradiction\tx\n", "A", "B", 2, 1},
    {"mnli-mm",
     "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t"
     "sentence1_parse\tsentence2_parse\tsentence1\tsentence2\tlabel1\tlabel2\tlabel3\tlabel4\t"
     "label5\tgold_label\n"
     "0\t1\t1n\tslate\t( A )\t( B )\t(A)\t(B)\tA\tB\tentailment\tneutral\tneutral\tneutral\t"
     "entailment\tneutral\n",
     "A", "B", 1, 1},
    {"mnli", "gold_label\tsentence1\tsentence2\n2\tA\t\n", "A", "", 2, 1},
    {"stsb",
     "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
     "0\tcaptions\tMSRvid\t2012\t1\tnone\tnone\tA\tB\t3.800\n",
     "A", "B", 3.8, 1},
    {"sst2", "{\"sentence\": \"caf\\u00e9\", \"label\": 1}\n", "caf\xc3\xa9", NULL, 1, 1},
    {"sst2", "{\"text\": \"a\", \"label\": \"negative\"}\n\n{\"text\": \"b\", \"label\": 1}", "b",
     NULL, 1, 2},
    {"mnli", "{\"premise\": \"A\", \"hypothesis\": \"B\", \"label\": 1}\n", "A", "B", 1, 1},
    {"rte", "{\"text\": \"A\", \"pair\": \"\", \"label\": \"Not Entailment\"}\n", "A", "", 1, 1},
};

static void test_layouts(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        const layout *l = &layouts[i];
        glue_data *data;
        wb_error err;
        if (parse(&data, l->task, l->text, &err)) fail_msg("layout %zu: %s", i, err.message);
        assert_int_equal(data->n_examples, l->n_examples);
        const wb_text *last = &data->texts[data->n_examples - 1];
        assert_text(last->text, last->n_bytes, l->first);
        assert_true((last->pair != NULL) == (l->pair != NULL));
        if (l->pair) assert_text(last->pair, last->pair_bytes, l->pair);
        assert_true(data->labels[data->n_examples - 1] == l->label);
        glue_data_close(data);
    }
}

typedef struct refusal {
    const char *task, *text, *message;
    uint64_t line;
} refusal;

static const refusal refusals[] = {
    {"sst2", "", "empty", 0},
    {"sst2", "sentence\tlabel\n", "no examples", 0},
    {"sst2", "text of no file\n", "no header", 1},
    {"sst2", "sentence\tlabel\nfine\t1\nbad\n", "1 fields, the other rows have 2", 3},
    {"sst2", "sentence\tlabel\nfine\t1\na tab\tin it\t0\n", "3 fields, the other rows have 2", 3},
    {"sst2", "sentence\tlabel\nfine\t1\n\nfine\t1\n", "1 fields", 3},
    {"sst2", "sentence\tlabel\nfine\t2\n", "label \"2\" is none of sst2's", 2},
    {"mnli", "sentence1\tsentence2\tlabel\na\tb\t-\n", "entailment, neutral, contradiction", 2},
    {"mrpc", "sentence\tlabel\nfine\t1\n", "sentence1, sentence2 and label", 1},
    {"stsb", "sentence1\tsentence2\tscore\na\tb\tmuch\n", "score \"much\" is not a number", 2},
    {"stsb", "sentence1\tsentence2\tscore\na\tb\tnan\n", "not a number", 2},
    {"stsb", "sentence1\tsentence2\tscore\na\tb\t\n", "not a number", 2},
    {"sst2", "{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\"}\n", "no \"label\"", 2},
    {"sst2", "{\"text\": \"a\", \"label\": 1}\n{\"text\": 3, \"label\": 1}\n", "not a string", 2},
    {"sst2", "{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\", \n", "not a JSON object", 2},
    {"rte", "{\"text\": \"a\", \"label\": 1}\n", "\"sentence1\" and \"sentence2\"", 1},
    {"sst2", "{\"text\": \"a\", \"label\": 0.5}\n", "label \"0.5\"", 1},
};

static void test_refusals(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const refusal *r = &refusals[i];
        glue_data *data;
        wb_error err;
        if (parse(&data, r->task, r->text, &err) != WB_ERR_FORMAT)
            fail_msg("refusal %zu was accepted", i);
        assert_null(data);
        if (!strstr(err.message, r->message) || err.offset != r->line)
            fail_msg("refusal %zu: line %llu, %s", i, (unsigned long long)err.offset, err.message);
    }
}

// Selection sampling: rising, within bounds, all of them when all are asked for, and fair.
static void test_sample(void **state) {
    (void)state;
    int chosen[10], counts[20] = {0};
    for (uint64_t seed = 0; seed < 2000; seed++) {
        glue_sample(chosen, 10, 20, seed);
        for (int i = 0; i < 10; i++) {
            assert_in_range(chosen[i], 0, 19);
            if (i > 0) assert_true(chosen[i] > chosen[i - 1]);
            counts[chosen[i]]++;
        }
    }
    // 1000 each, standard deviation 22.
    for (int i = 0; i < 20; i++) assert_in_range(counts[i], 890, 1110);
    glue_sample(chosen, 10, 10, 5);
    for (int i = 0; i < 10; i++) assert_int_equal(chosen[i], i);
}

static void test_missing(void **state) {
    (void)state;
    char path[256];
    wb_error err;
    assert_int_equal(
        glue_data_find(path, sizeof path, glue_task_find("rte"), "/nowhere", "dev", &err),
        WB_ERR_IO);
    assert_non_null(strstr(err.message, "/nowhere/RTE: no dev.tsv"));
    glue_data *data;
    assert_int_equal(glue_data_open(&data, glue_task_find("rte"), "/nowhere.tsv", &err), WB_ERR_IO);
    assert_null(data);
}

typedef struct official {
    const char *task, *split;
    int n_examples;
} official;

static const official officials[] = {
    {"cola", "dev", 1043},    {"cola", "train", 8551}, {"sst2", "dev", 872},
    {"sst2", "train", 67349}, {"mrpc", "dev", 408},    {"mrpc", "train", 3668},
    {"qqp", "dev", 40430},    {"mnli", "dev", 9815},   {"mnli-mm", "dev", 9832},
    {"mnli", "train", 12810}, {"qnli", "train", 2000}, {"rte", "train", 2490},
    {"stsb", "train", 5749},  {"wnli", "dev", 71},     {"wnli", "train", 635},
};

static void test_shared_files(void **state) {
    (void)state;
    const char *shared = getenv("WATTBERT_SHARED");
    char dir[1024], path[2048];
    snprintf(dir, sizeof dir, "%s/glue", shared ? shared : WB_SOURCE_DIR "/../shared");
    if (!wb_file_exists(dir)) {
        printf("skipped: no shared data folder beside the checkout\n");
        skip();
    }
    for (size_t i = 0; i < sizeof officials / sizeof *officials; i++) {
        const glue_task *task = glue_task_find(officials[i].task);
        glue_data *data = NULL;
        wb_error err;
        if (glue_data_find(path, sizeof path, task, dir, officials[i].split, &err) ||
            glue_data_open(&data, task, path, &err))
            fail_msg("%s", err.message);
        assert_int_equal(data->n_examples, officials[i].n_examples);
        glue_data_close(data);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layouts),      cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_sample),       cmocka_unit_test(test_missing),
        cmocka_unit_test(test_shared_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
