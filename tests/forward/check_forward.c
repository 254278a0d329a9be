// SPDX-License-Identifier: Apache-2.0
// The whole forward as a digest of its logits' bits: the demo model's texts and a random model of
// odd sizes, in f32 and int8, on every instruction set of this machine, by one thread and by three,
// all give the digest of the same file, whatever the architecture. Links no library, so that it can
// be built for any of them.
//
//     check_forward MODEL_DIR GOLDEN_FILE DIGESTS
#include "../support/model_harness.h"

#include "../kernels/levels.h"
#include "format/checkpoint.h"

enum { N_GOLDEN_TEXTS = 6, DIGEST_CHARS = 16, MOST_LABELS = 8, MOST_MATRICES = 64, MOST_K = 1024 };

// A model, texts for it, and scales as a calibration would have found them.
typedef struct subject {
    const char *name;
    int n_techniques;
    wb_shape shape;
    wb_tensor_source source;
    texts texts;
    float smooth[MOST_K];
    wb_matrix_scales matrices[MOST_MATRICES];
    wb_scales scales;
} subject;

// The last one on the odd model only: an emulator takes a minute for the demo's padding.
static const char *const techniques[] = {"i8-dynamic+packed", "i8-static+packed",
                                         "f32-flash+packed", "baseline"};
enum { N_TECHNIQUES = sizeof techniques / sizeof techniques[0] };

static void make_scales(subject *s) {
    for (int k = 0; k < MOST_K; k++) s->smooth[k] = wb_smooth_step(k * 7 % 17 - 8);
    for (int i = 0; i < MOST_MATRICES; i++)
        s->matrices[i] = (wb_matrix_scales){
            .x_max = 3.0f, .smooth = i % 2 ? s->smooth : NULL, .i8 = WB_I8_STATIC};
    s->scales = (wb_scales){.n_matrices = 4 * s->shape.n_layers + 2, .matrices = s->matrices};
}

// ---- The demo model ----

static void read_tensor(const void *context, const char *name, size_t first, size_t n, float *y) {
    wb_tensor_widen(y, wb_checkpoint_tensor(context, name), first, n);
}

static void read_word(const void *context, int id, float *y) {
    const size_t d = (size_t)wb_checkpoint_config(context)->d_model;
    read_tensor(context, "distilbert.embeddings.word_embeddings.weight", (size_t)id * d, d, y);
}

static int32_t take_int(const wb_file *file, size_t *at) {
    int32_t value;
    require(file->n_bytes - *at >= sizeof value, "golden file is too short");
    memcpy(&value, file->data + *at, sizeof value);
    *at += sizeof value;
    return value;
}

// The ids of the first texts of tools/export_golden.py's file, without what transformers made of
// them.
static void read_golden_ids(texts *t, const char *path) {
    wb_file file;
    wb_error err;
    require(!wb_file_map(&file, path, &err), "no golden file");
    size_t at = 0;
    for (int line = 0; line < 2; at++) line += file.data[at] == '\n';
    const int n_texts = take_int(&file, &at), n_layers = take_int(&file, &at);
    const int d_model = take_int(&file, &at), n_labels = take_int(&file, &at);
    require(n_texts >= N_GOLDEN_TEXTS, "too few golden texts");
    texts_open(t, N_GOLDEN_TEXTS);
    for (int i = 0; i < N_GOLDEN_TEXTS; i++) {
        at += (size_t)take_int(&file, &at);
        const int n_ids = take_int(&file, &at);
        for (int j = 0; j < n_ids; j++) t->ids[t->offsets[i] + (size_t)j] = take_int(&file, &at);
        t->offsets[i + 1] = t->offsets[i] + (size_t)n_ids;
        at += ((size_t)(1 + n_layers) * (size_t)n_ids * (size_t)d_model + (size_t)n_labels) *
              sizeof(float);
    }
    wb_file_close(&file);
    texts_order(t);
}

static wb_checkpoint *open_demo(subject *s, const char *model, const char *golden) {
    wb_checkpoint *checkpoint;
    wb_error err;
    require(!wb_checkpoint_open(&checkpoint, model, &err), "no demo model");
    const wb_config *config = wb_checkpoint_config(checkpoint);
    s->name = "demo";
    s->n_techniques = N_TECHNIQUES - 1;
    s->shape = (wb_shape){.n_layers = config->n_layers,
                          .d_model = config->d_model,
                          .n_heads = config->n_heads,
                          .d_head = config->d_head,
                          .d_ff = config->d_ff,
                          .vocab_size = config->vocab_size,
                          .max_positions = config->max_positions,
                          .n_labels = config->n_labels,
                          .max_length = config->max_positions,
                          .activation = WB_GELU};
    s->source =
        (wb_tensor_source){.read = read_tensor, .read_word = read_word, .context = checkpoint};
    read_golden_ids(&s->texts, golden);
    make_scales(s);
    return checkpoint;
}

// Nothing is a multiple of anything a register or a panel holds.
static void make_odd(subject *s) {
    s->name = "odd";
    s->n_techniques = N_TECHNIQUES;
    s->shape = (wb_shape){.n_layers = 2,
                          .d_model = 70,
                          .n_heads = 2,
                          .d_head = 35,
                          .d_ff = 129,
                          .vocab_size = 90,
                          .max_positions = 150,
                          .n_labels = 3,
                          .max_length = 150,
                          .activation = WB_SILU};
    s->source = random_source(&s->shape);
    texts_fill(&s->texts, 5, 70, s->shape.vocab_size, 7);
    make_scales(s);
}

// ---- Digests ----

static void compute(char digest[DIGEST_CHARS + 1], const subject *s,
                    const harness_options *options) {
    float logits[MAX_TEXTS * MOST_LABELS] = {0};
    harness *h = harness_open(&s->shape, options);
    harness_forward(h, &s->texts.lists, logits, NULL);
    harness_close(h);
    char whole[WB_SHA256_TEXT];
    wb_sha256 hash;
    wb_sha256_init(&hash);
    wb_sha256_add(&hash, logits,
                  (size_t)(s->texts.lists.n_texts * s->shape.n_labels) * sizeof *logits);
    wb_sha256_text(&hash, whole);
    snprintf(digest, DIGEST_CHARS + 1, "%.*s", DIGEST_CHARS, whole);
}

// Whether the file has the line "demo i8-dynamic digest".
static bool is_listed(const wb_file *file, const char *model, const char *technique,
                      const char *digest) {
    char line[128];
    snprintf(line, sizeof line, "%s %s %s\n", model, technique, digest);
    return file->data && strstr((const char *)file->data, line) != NULL;
}

static int check_run(const subject *s, const harness_options *options, const char *set,
                     const wb_file *file) {
    char digest[DIGEST_CHARS + 1];
    compute(digest, s, options);
    const bool is_same = is_listed(file, s->name, options->technique, digest);
    printf("%s %s %s  %s, %d threads: %s\n", s->name, options->technique, digest, set,
           options->n_threads, is_same ? "OK" : "NOT OK, other bits than listed");
    return !is_same;
}

// One technique on every set that brings another kernel for it than the set below, and once more by
// three threads in small blocks.
static int check_technique(const subject *s, const char *technique, const wb_file *file) {
    harness_options options = {.technique = technique,
                               .n_threads = 1,
                               .padded_length = 12,
                               .source = &s->source,
                               .scales = &s->scales};
    const bool is_f32 = technique[0] != 'i';
    const char *below = "";
    int n_bad = 0;
    wb_cpu cpu;
    wb_cpu_detect(&cpu);
    for (const level *l = levels; l->name; l++) {
        wb_kernels kernels;
        if ((l->flags & cpu.flags) != l->flags) continue;
        wb_kernels_select(&kernels, l->flags);
        const char *product = is_f32 ? kernels.gemm_f32_name : kernels.gemm_i8_name;
        if (strcmp(product, below) == 0) continue;
        below = product;
        options.lacks = ~l->flags;
        n_bad += check_run(s, &options, product, file);
    }
    options.n_threads = 3;
    options.block_rows = 7;
    return n_bad + check_run(s, &options, below, file);
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: check_forward MODEL_DIR GOLDEN_FILE DIGESTS\n");
        return 2;
    }
    static subject subjects[2];
    wb_file file;
    wb_error err;
    require(!wb_file_read(&file, argv[3], 1 << 16, &err), "no file of digests");
    wb_checkpoint *checkpoint = open_demo(&subjects[0], argv[1], argv[2]);
    make_odd(&subjects[1]);
    int n_bad = 0;
    for (int s = 0; s < 2; s++)
        for (int t = 0; t < subjects[s].n_techniques; t++)
            n_bad += check_technique(&subjects[s], techniques[t], &file);
    wb_checkpoint_close(checkpoint);
    wb_file_close(&file);
    printf("%s\n", n_bad ? "NOT OK" : "OK");
    return n_bad ? 1 : 0;
}
