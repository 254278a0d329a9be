// SPDX-License-Identifier: Apache-2.0
// Packed weights in a file: written, read back to the same bits, and never believed when anything
// about them is not as it would be packed here and now.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "../../support/model_folder.h"
#include "engine/cache.h"
#include "engine/engine.h"

static const wb_shape shape = {.n_layers = 2,
                               .d_model = 42,
                               .n_heads = 3,
                               .d_head = 14,
                               .d_ff = 70,
                               .vocab_size = 80,
                               .max_positions = 40,
                               .n_labels = 3,
                               .max_length = 40,
                               .activation = WB_GELU};
static const wb_text texts[] = {{.text = "abc de f w60 w61", .n_bytes = 16},
                                {.text = "x y", .n_bytes = 3, .pair = "w70", .pair_bytes = 3}};
enum { N_LOGITS = 6 };

typedef struct fixture {
    char dir[64], cache[64], scales[96];
    wb_model *model;
} fixture;

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (!f) return 1;
    strcpy(f->dir, "/tmp/wattbert-test-XXXXXX");
    folder_write(f->dir, &shape);
    strcpy(f->cache, "/tmp/wattbert-cache-XXXXXX");
    if (!mkdtemp(f->cache) || wb_model_open(&f->model, f->dir, NULL)) return 1;
    wb_inputs *inputs;
    snprintf(f->scales, sizeof f->scales, "%s/scales.json", f->cache);
    if (wb_inputs_open(&inputs, f->model, texts, 2, 0, NULL)) return 1;
    const wb_quantize_options options = {.n_threads = 1, .max_error = 1e9};
    if (wb_quantize(f->model, inputs, &options, f->scales, NULL, NULL)) return 1;
    wb_inputs_close(inputs);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    char command[128];
    wb_model_close(f->model);
    folder_remove(f->dir);
    snprintf(command, sizeof command, "rm -r '%s'", f->cache);
    const int code = system(command);
    free(f);
    return code;
}

// ---- What an engine did ----

typedef struct outcome {
    wb_cache_state state;
    char words[700];
    float logits[N_LOGITS];
} outcome;

static outcome run_in(const fixture *f, const wb_model *model, const char *technique,
                      const char *folder, int n_threads) {
    wb_options options = wb_default_options();
    options.technique = technique;
    options.cache = folder;
    options.n_threads = n_threads;
    options.scales = strstr(technique, "static") ? f->scales : NULL;
    wb_engine *engine;
    wb_error err = {.message = ""};
    outcome o;
    if (wb_engine_open(&engine, model, &options, &err)) fail_msg("%s", err.message);
    o.state = wb_engine_plan(engine)->cache_state;
    snprintf(o.words, sizeof o.words, "%s", wb_engine_plan(engine)->cache);
    assert_int_equal(wb_classify(engine, texts, 2, o.logits, NULL), WB_OK);
    wb_engine_close(engine);
    return o;
}

static outcome run(const fixture *f, const char *technique) {
    return run_in(f, f->model, technique, f->cache, 2);
}

static void expect(const outcome *o, wb_cache_state state, const char *words) {
    if (o->state != state || !strstr(o->words, words))
        fail_msg("state %d \"%s\", not %d \"%s\"", o->state, o->words, state, words);
}

static void expect_same_logits(const outcome *a, const outcome *b) {
    assert_memory_equal(a->logits, b->logits, sizeof a->logits);
}

// The only file of the folder that is called like this.
static void path_of(const fixture *f, const char *precision, char path[256]) {
    wb_cpu cpu;
    wb_kernels kernels;
    wb_machine_detect(&cpu);
    wb_kernels_select(&kernels, cpu.flags);
    snprintf(path, 256, "%s/%s.%s.%s.wattbert", f->cache, strrchr(f->dir, '/') + 1, precision,
             kernels.isa);
}

// ---- Tests ----

static void test_written_and_read(void **state) {
    const fixture *f = *state;
    static const char *const techniques[] = {"f32-flash+packed", "i8-dynamic+packed", "i8-static",
                                             "mixed", "baseline"};
    for (size_t i = 0; i < sizeof techniques / sizeof *techniques; i++) {
        const outcome none = run_in(f, f->model, techniques[i], NULL, 2);
        expect(&none, WB_CACHE_NONE, "");
        assert_string_equal(none.words, "");
        const outcome first = run(f, techniques[i]);
        const bool is_mixed = strcmp(techniques[i], "mixed") == 0;
        if (i < 4) expect(&first, WB_CACHE_WRITTEN, "there was none");
        // Weights in one precision are the same in every technique that runs it.
        if (i == 4) expect(&first, WB_CACHE_READ, "read from");
        for (int n_threads = 1; n_threads <= 3 && !is_mixed; n_threads++) {
            const outcome second = run_in(f, f->model, techniques[i], f->cache, n_threads);
            expect(&second, WB_CACHE_READ, f->cache);
            expect_same_logits(&second, &none);
        }
    }
}

// A damaged or foreign file: what the engine says of it, that its logits are right all the same,
// and that it has been replaced.
static void expect_replaced(const fixture *f, const char *technique, const char *why) {
    const outcome right = run_in(f, f->model, technique, NULL, 1);
    const outcome replaced = run(f, technique), read = run(f, technique);
    expect(&replaced, WB_CACHE_WRITTEN, why);
    expect_same_logits(&replaced, &right);
    expect(&read, WB_CACHE_READ, "");
    expect_same_logits(&read, &right);
}

static void write_bytes(const char *path, const void *data, size_t n_bytes) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, n_bytes, file), n_bytes);
    fclose(file);
}

// The sound file with n_bytes of it kept and one byte changed.
static void damage(const char *path, const wb_file *sound, size_t n_bytes, size_t at) {
    uint8_t *copy = calloc(n_bytes + 1, 1);
    assert_non_null(copy);
    memcpy(copy, sound->data, n_bytes < sound->n_bytes ? n_bytes : sound->n_bytes);
    copy[at] ^= 0x10;
    write_bytes(path, copy, n_bytes);
    free(copy);
}

static void test_broken_files(void **state) {
    const fixture *f = *state;
    const char *technique = "i8-dynamic+packed";
    char path[256];
    wb_file sound;
    run(f, technique);
    path_of(f, "i8-dynamic", path);
    assert_int_equal(wb_file_read(&sound, path, 1 << 24, NULL), WB_OK);
    const size_t n = sound.n_bytes, fields = offsetof(wb_cache_page, fields);
    const struct {
        size_t n_bytes, at;  // at == n_bytes: nothing is changed
        const char *why;
    } cases[] = {
        {0, 0, "no packed weights"},
        {1, 1, "no packed weights"},
        {WB_CACHE_PAGE - 1, WB_CACHE_PAGE - 1, "no packed weights"},
        {WB_CACHE_PAGE, WB_CACHE_PAGE, "not as long as it says"},
        {n - 1, n - 1, "not as long as it says"},
        {n / 2, n / 2, "not as long as it says"},
        {n + 64, n + 64, "not as long as it says"},
        {n, 0, "no packed weights"},
        {n, fields, "another version"},
        {n, fields + 9, "damaged in its first page"},
        {n, fields + 8 * WB_PAGE_HEADER, "damaged in its first page"},
        {n, WB_CACHE_PAGE - 1, "damaged in its first page"},
        {n, WB_CACHE_PAGE, "damaged in its weights"},
        {n, n / 2, "damaged in its weights"},
        {n, n - 1, "damaged in its weights"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        damage(path, &sound, cases[i].n_bytes, cases[i].at);
        expect_replaced(f, technique, cases[i].why);
    }
    wb_file_close(&sound);
}

// A file that is whole but says something else in one word: who wrote it sealed it, too.
static void test_each_word(void **state) {
    const fixture *f = *state;
    static const char *const why[] = {
        [WB_PAGE_FORMAT] = "another version",  [WB_PAGE_LIBRARY] = "another version",
        [WB_PAGE_KERNELS] = "another CPU",     [WB_PAGE_PACKING] = "other kernels",
        [WB_PAGE_PLAN] = "other precisions",   [WB_PAGE_SCALES] = "other scales",
        [WB_PAGE_MODEL] = "from other weights"};
    char path[256];
    run(f, "f32-flash+packed");
    path_of(f, "f32", path);
    wb_pool *pool;
    assert_int_equal(wb_pool_open(&pool, 1, NULL), WB_OK);
    for (int i = 0; i <= WB_PAGE_MODEL; i++) {
        wb_file file;
        wb_cache_page page;
        assert_int_equal(wb_file_read(&file, path, 1 << 24, NULL), WB_OK);
        memcpy(&page, file.data, sizeof page);
        page.fields[i]++;
        assert_int_equal(wb_cache_seal(&page, file.data + sizeof page, pool, NULL), WB_OK);
        memcpy((uint8_t *)(uintptr_t)file.data, &page, sizeof page);
        write_bytes(path, file.data, file.n_bytes);
        wb_file_close(&file);
        expect_replaced(f, "f32-flash+packed", why[i]);
    }
    wb_pool_close(pool);
}

static void copy_file(const char *to, const char *from) {
    wb_file file;
    assert_int_equal(wb_file_read(&file, from, 1 << 24, NULL), WB_OK);
    write_bytes(to, file.data, file.n_bytes);
    wb_file_close(&file);
}

// Another precision's, another instruction set's, other scales: each under the name of the right.
static void test_foreign_files(void **state) {
    const fixture *f = *state;
    char f32[256], i8[256], i8_static[256];
    path_of(f, "f32", f32);
    path_of(f, "i8-dynamic", i8);
    path_of(f, "i8-static", i8_static);
    run(f, "f32-flash+packed"), run(f, "i8-dynamic+packed"), run(f, "i8-static");
    copy_file(f32, i8);
    expect_replaced(f, "f32-flash+packed", "other precisions");
    copy_file(i8_static, i8);
    expect_replaced(f, "i8-static", "other precisions");

    setenv("WATTBERT_ISA", "scalar", 1);
    char scalar[256];
    path_of(f, "i8-dynamic", scalar);
    const bool has_better = strcmp(scalar, i8) != 0;
    copy_file(scalar, i8);
    if (has_better) expect_replaced(f, "i8-dynamic+packed", "another CPU");
    unsetenv("WATTBERT_ISA");
    const outcome kept = run(f, "i8-dynamic+packed");
    expect(&kept, WB_CACHE_READ, "");

    const wb_text others[] = {texts[1], {.text = "q r w62", .n_bytes = 7}};
    const wb_quantize_options options = {.n_threads = 1, .max_error = 1e9};
    wb_inputs *inputs;
    assert_int_equal(wb_inputs_open(&inputs, f->model, others, 2, 0, NULL), WB_OK);
    assert_int_equal(wb_quantize(f->model, inputs, &options, f->scales, NULL, NULL), WB_OK);
    wb_inputs_close(inputs);
    expect_replaced(f, "i8-static", "other scales");
}

// The same folder with one weight changed, with another time, and with another configuration.
static void test_other_model(void **state) {
    const fixture *f = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/model.safetensors", f->dir);
    run(f, "f32-flash+packed");
    struct stat before;
    assert_int_equal(stat(path, &before), 0);
    for (int round = 0; round < 2; round++) {
        // The classifier's weights, the first after the header in the order of their names, and
        // the time that the file had; then only another time.
        FILE *file = fopen(path, "r+b");
        uint64_t header_bytes;
        assert_non_null(file);
        assert_int_equal(fread(&header_bytes, sizeof header_bytes, 1, file), 1);
        const float changed = round ? 0.5f : 0.25f;
        if (round == 0) {
            fseek(file, (long)(8 + header_bytes), SEEK_SET);
            assert_int_equal(fwrite(&changed, sizeof changed, 1, file), 1);
        }
        fclose(file);
        const struct timespec times[2] = {before.st_atim,
                                          {before.st_mtim.tv_sec - round, before.st_mtim.tv_nsec}};
        assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
        wb_model *model;
        assert_int_equal(wb_model_open(&model, f->dir, NULL), WB_OK);
        const outcome right = run_in(f, model, "f32-flash+packed", NULL, 2);
        const outcome replaced = run_in(f, model, "f32-flash+packed", f->cache, 2);
        expect(&replaced, WB_CACHE_WRITTEN, "from other weights");
        expect_same_logits(&replaced, &right);
        wb_model_close(model);
    }
}

// Folders that nothing can be written to: labels come all the same.
static void test_unwritable(void **state) {
    const fixture *f = *state;
    const outcome right = run_in(f, f->model, "f32-flash+packed", NULL, 2);
    char nowhere[128], file[128], path[256];
    snprintf(nowhere, sizeof nowhere, "%s/nowhere", f->cache);
    snprintf(file, sizeof file, "%s/vocab.txt", f->dir);
    const char *const folders[] = {nowhere, file, "/proc", ""};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        const outcome o = run_in(f, f->model, "f32-flash+packed", folders[i], 2);
        if (!folders[i][0] && o.state == WB_CACHE_WRITTEN) continue;
        expect(&o, WB_CACHE_FAILED, "not written");
        expect_same_logits(&o, &right);
    }
    char *lengthy = calloc(5000, 1);
    assert_non_null(lengthy);
    memset(lengthy, 'x', 4999);
    const outcome o = run_in(f, f->model, "f32-flash+packed", lengthy, 2);
    expect(&o, WB_CACHE_FAILED, "too long");
    free(lengthy);

    // A folder where the file should be can neither be read nor replaced.
    path_of(f, "f32", path);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    const outcome folder = run(f, "f32-flash+packed");
    expect(&folder, WB_CACHE_FAILED, "not written");
    expect_same_logits(&folder, &right);
    assert_int_equal(rmdir(path), 0);
}

static int run_limited(const fixture *f) {
    const struct rlimit limit = {.rlim_cur = 3 * WB_CACHE_PAGE, .rlim_max = 3 * WB_CACHE_PAGE};
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit)) return 2;
    return run(f, "f32-flash+packed").state == WB_CACHE_FAILED ? 0 : 1;
}

static void test_disk_full(void **state) {
    const fixture *f = *state;
    char path[256];
    path_of(f, "f32", path);
    unlink(path);
    const pid_t child = fork();
    if (child == 0) _exit(run_limited(f));
    int code = -1;
    waitpid(child, &code, 0);
    assert_int_equal(code, 0);
    assert_false(wb_file_exists(path));
    const outcome after = run(f, "f32-flash+packed");
    expect(&after, WB_CACHE_WRITTEN, "there was none");
}

// ---- Many at once ----

typedef struct opener {
    const fixture *f;
    const outcome *right;
    int n_wrong;
} opener;

static void *open_often(void *argument) {
    opener *o = argument;
    for (int i = 0; i < 15; i++) {
        char path[256];
        path_of(o->f, "f32", path);
        if (i % 5 == 4) unlink(path);
        const outcome got = run_in(o->f, o->f->model, "f32-flash+packed", o->f->cache, 1);
        o->n_wrong += memcmp(got.logits, o->right->logits, sizeof got.logits) != 0;
        o->n_wrong += got.state == WB_CACHE_NONE;
    }
    return NULL;
}

static void test_many_at_once(void **state) {
    const fixture *f = *state;
    enum { N = 4 };
    const outcome right = run_in(f, f->model, "f32-flash+packed", NULL, 1);
    pthread_t threads[N];
    opener openers[N];
    for (int i = 0; i < N; i++) {
        openers[i] = (opener){.f = f, .right = &right};
        assert_int_equal(pthread_create(&threads[i], NULL, open_often, &openers[i]), 0);
    }
    for (int i = 0; i < N; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(openers[i].n_wrong, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_and_read), cmocka_unit_test(test_broken_files),
        cmocka_unit_test(test_each_word),        cmocka_unit_test(test_foreign_files),
        cmocka_unit_test(test_unwritable),       cmocka_unit_test(test_disk_full),
        cmocka_unit_test(test_many_at_once),     cmocka_unit_test(test_other_model),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
