// SPDX-License-Identifier: Apache-2.0
// Resident memory of a model whose file is 54 MB, 26 MB of it word embeddings: its packed weights
// and what a batch needs, and neither the file nor the table. Each way is a process of its own,
// because memory that one has used stays with it.
#include <sys/wait.h>

#include "../support/model_folder.h"
#include "wattbert/wattbert.h"

static const wb_shape shape = {.n_layers = 4,
                               .d_model = 384,
                               .n_heads = 12,
                               .d_head = 32,
                               .d_ff = 1536,
                               .vocab_size = 17000,
                               .max_positions = 512,
                               .n_labels = 2,
                               .max_length = 512,
                               .activation = WB_GELU};

enum { N_TEXTS = 40, N_WORDS = 102, N_BATCH_TOKENS = 4096 };

// Beyond the packed weights. An open engine: the tokenizer's 17,000 pieces, libraries, and what
// malloc keeps. A batch of 4,096 tokens: its activations, 4,096 x 384 floats; of a block of at most
// 512 rows 3 + 1 + 1 times the width, 4 times as bytes and the narrow copy; word rows up to 6 MiB;
// and each array may end in a huge page that is not filled.
static const double open_mib = 8.0;
static const double batch_mib = 8.0 + 6.0 + 6.0 + 6.0 + 8 * 2.0;
// Packing reads the file through its mapping: at most a layer's matrix of it at a time.
static const double peak_mib = 8.0;

static double status_mib(const char *key) {
    char line[256];
    double kib = 0.0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0) kib = strtod(line + strlen(key), NULL);
    if (file) fclose(file);
    return kib / 1024.0;
}

static bool expect_within(const char *what, double mib, double most) {
    printf("%s: %.1f MiB of %.1f\n", what, mib, most);
    if (mib > 0.0 && mib <= most) return true;
    fprintf(stderr, "%s is beyond its bound\n", what);
    return false;
}

// Texts of words from all over the vocabulary, so that every page of the table is met.
static void write_texts(wb_text texts[N_TEXTS]) {
    static char bytes[N_TEXTS][N_WORDS * 8];
    wb_random random = {.state = 6};
    for (int i = 0; i < N_TEXTS; i++) {
        size_t n = 0;
        for (int j = 0; j < N_WORDS; j++) {
            const int id = 57 + (int)wb_random_below(&random, (uint64_t)shape.vocab_size - 57);
            n += (size_t)snprintf(bytes[i] + n, sizeof bytes[i] - n, "w%d ", id);
        }
        texts[i] = (wb_text){.text = bytes[i], .n_bytes = n};
    }
}

// dir/scales.json <- scales from two short texts.
static int make_scales(const char *dir, const char *scales) {
    wb_model *model;
    wb_inputs *inputs;
    const wb_text texts[] = {{.text = "w60", .n_bytes = 3}, {.text = "w61 w62", .n_bytes = 7}};
    const wb_quantize_options options = {.n_threads = 2, .max_error = 1e9};
    return wb_model_open(&model, dir, NULL) || wb_inputs_open(&inputs, model, texts, 2, 0, NULL) ||
           wb_quantize(model, inputs, &options, scales, NULL, NULL);
}

static int run(const char *dir, const char *technique, const char *cache, const char *scales) {
    wb_text texts[N_TEXTS];
    float logits[N_TEXTS * 2];
    wb_error err;
    wb_model *model;
    wb_engine *engine;
    wb_inputs *inputs;
    write_texts(texts);
    const double before = status_mib("VmRSS:");
    wb_options options = wb_default_options();
    options.technique = technique;
    options.n_threads = 2;
    options.token_budget = N_BATCH_TOKENS;
    options.cache = cache;
    options.scales = scales;
    if (wb_model_open(&model, dir, &err) || wb_engine_open(&engine, model, &options, &err) ||
        wb_inputs_open(&inputs, model, texts, N_TEXTS, 0, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    const double weights = (double)wb_engine_plan(engine)->weights_bytes / 1048576.0 + before;
    bool is_right = expect_within("open", status_mib("VmRSS:"), weights + open_mib);
    is_right &=
        expect_within("most while opening", status_mib("VmHWM:"), weights + open_mib + peak_mib);
    if (wb_forward(engine, inputs, logits, NULL, &err)) return 1;
    is_right &= expect_within("most with a batch", status_mib("VmHWM:"), weights + batch_mib);
    printf("%s%s: %.0f tokens, weights %.1f MiB\n", technique, cache ? ", cached" : "",
           (double)wb_inputs_tokens(inputs), weights - before);
    wb_inputs_close(inputs);
    wb_engine_close(engine);
    wb_model_close(model);
    return is_right ? 0 : 1;
}

int main(void) {
    char dir[64] = "/tmp/wattbert-test-XXXXXX", command[96], scales[96];
    folder_write(dir, &shape);
    snprintf(scales, sizeof scales, "%s/scales.json", dir);
    // Whether an artefact is this model's is asked of the whole file.
    static const char *const techniques[] = {"f32-flash+packed", "i8-dynamic+packed",
                                             "i8-static+packed"};
    int n_failed = 0;
    for (int i = -1; i < 9; i++) {
        fflush(stdout);
        const pid_t child = fork();
        if (child == 0 && i < 0) exit(make_scales(dir, scales));
        // Without a cache; with one that is written; with the same, read.
        if (child == 0)
            exit(run(dir, techniques[i / 3], i % 3 ? dir : NULL, i >= 6 ? scales : NULL));
        int status = 1;
        waitpid(child, &status, 0);
        n_failed += status != 0;
    }
    snprintf(command, sizeof command, "rm -r '%s'", dir);
    return system(command) || n_failed ? 1 : 0;
}
