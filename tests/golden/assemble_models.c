// SPDX-License-Identifier: Apache-2.0
// Writes the shared folder's trained checkpoints as Hugging Face folders in f32, so that tests
// compare with their stored logits where no Python is: the same bytes of weights as the folder's
// own assemble.py, but all as model.safetensors.
//
//     assemble_models SHARED_MODELS OUT_DIR
//
// The parts hold f16. A weight is its f16 value plus a pseudo-random share of its last place, drawn
// as NumPy's Generator(PCG64(crc32(name))).random(dtype=float32) draws it: SeedSequence after
// O'Neill's seed_seq, PCG64 the XSL-RR variant of 128 bits, floats the upper 24 of each 32 bits.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base.h"
#include "base/half.h"

// ---- NumPy's generator ----

__extension__ typedef unsigned __int128 word128;

typedef struct pcg64 {
    word128 state, increment;
    uint32_t upper;  // the half of a draw that is kept for the next call
    bool has_upper;
} pcg64;

static word128 wide(uint64_t high, uint64_t low) {
    return (word128)high << 64 | low;
}

static uint64_t pcg64_next(pcg64 *generator) {
    const word128 multiplier = wide(2549297995355413924u, 4865540595714422341u);
    generator->state = generator->state * multiplier + generator->increment;
    const uint64_t folded = (uint64_t)(generator->state >> 64) ^ (uint64_t)generator->state;
    const unsigned turn = (unsigned)(generator->state >> 122);
    return folded >> turn | folded << (-turn & 63);
}

static uint32_t hash_mix(uint32_t value, uint32_t *hash, uint32_t multiplier) {
    value ^= *hash;
    *hash *= multiplier;
    value *= *hash;
    return value ^ value >> 16;
}

static void pcg64_seed(pcg64 *generator, uint32_t entropy) {
    uint32_t pool[4], hash = 0x43b0d7e5u;
    for (int i = 0; i < 4; i++) pool[i] = hash_mix(i == 0 ? entropy : 0, &hash, 0x931e8875u);
    for (int from = 0; from < 4; from++)
        for (int to = 0; to < 4; to++) {
            if (from == to) continue;
            const uint32_t mixed =
                0xca01f9ddu * pool[to] - 0x4973f715u * hash_mix(pool[from], &hash, 0x931e8875u);
            pool[to] = mixed ^ mixed >> 16;
        }
    uint64_t seed[4];
    hash = 0x8b51f9ddu;
    for (int i = 0; i < 4; i++) {
        const uint32_t low = hash_mix(pool[2 * i % 4], &hash, 0x58f38dedu);
        const uint32_t high = hash_mix(pool[(2 * i + 1) % 4], &hash, 0x58f38dedu);
        seed[i] = (uint64_t)high << 32 | low;
    }
    *generator = (pcg64){.increment = wide(seed[2], seed[3]) << 1 | 1};
    pcg64_next(generator);
    generator->state += wide(seed[0], seed[1]);
    pcg64_next(generator);
}

static float pcg64_unit(pcg64 *generator) {
    uint32_t bits = generator->upper;
    if (!generator->has_upper) {
        const uint64_t drawn = pcg64_next(generator);
        bits = (uint32_t)drawn;
        generator->upper = (uint32_t)(drawn >> 32);
    }
    generator->has_upper = !generator->has_upper;
    return (float)(bits >> 8) * 0x1p-24f;
}

static uint32_t crc32_of(const char *text) {
    uint32_t crc = ~0u;
    for (; *text; text++) {
        crc ^= (unsigned char)*text;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

// y[n] <- the f16 values at data with their offsets.
static void widen(float *y, const uint8_t *data, size_t n, const char *name) {
    pcg64 generator;
    pcg64_seed(&generator, crc32_of(name));
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, data + 2 * i, sizeof half);
        const int exponent = half >> 10 & 31;  // denormals and zero: the last place of the smallest
        const float last_place =
            wb_f32_from_bits((uint32_t)(127 - 25 + (exponent ? exponent : 1)) << 23);
        y[i] = wb_f16_to_f32(half) + last_place * (pcg64_unit(&generator) - 0.5f) * 0.9f;
    }
}

// ---- Files ----

enum { PATH_BYTES = 4096 };

static void stop(const char *what, const char *where) {
    fprintf(stderr, "assemble_models: %s: %s\n", where, what);
    exit(1);
}

static void join(char path[PATH_BYTES], const char *dir, const char *name) {
    if (!wb_path_join(path, PATH_BYTES, dir, name)) stop("path too long", name);
}

typedef struct part {
    wb_file file;
    json_t *header;
    const uint8_t *data;
} part;

static part part_open(const char *folder, const char *name) {
    char path[PATH_BYTES];
    part p = {0};
    wb_error err;
    char file_name[64];
    snprintf(file_name, sizeof file_name, "parts/%s.safetensors", name);
    join(path, folder, file_name);
    if (wb_file_map(&p.file, path, &err)) stop(err.message, path);
    uint64_t header_bytes = 0;
    if (p.file.n_bytes > 8) memcpy(&header_bytes, p.file.data, 8);
    if (header_bytes == 0 || header_bytes > p.file.n_bytes - 8) stop("no header", path);
    p.header = json_loadb((const char *)p.file.data + 8, header_bytes, 0, NULL);
    p.data = p.file.data + 8 + header_bytes;
    if (!p.header) stop("header is no JSON", path);
    return p;
}

static void part_close(part *p) {
    json_decref(p->header);
    wb_file_close(&p->file);
}

// Adds the tensors of a part to a header, at offsets of 4 bytes an element.
static void plan_part(json_t *header, const part *p, size_t *offset) {
    const char *name;
    json_t *tensor;
    json_object_foreach(p->header, name, tensor) {
        if (!strcmp(name, "__metadata__")) continue;
        const json_t *span = json_object_get(tensor, "data_offsets");
        const json_int_t begin = json_integer_value(json_array_get(span, 0));
        const json_int_t end = json_integer_value(json_array_get(span, 1));
        const size_t n_bytes = 2 * (size_t)(end - begin);
        json_object_set_new(header, name,
                            json_pack("{s:s, s:O, s:[I, I]}", "dtype", "F32", "shape",
                                      json_object_get(tensor, "shape"), "data_offsets",
                                      (json_int_t)*offset, (json_int_t)(*offset + n_bytes)));
        *offset += n_bytes;
    }
}

static void write_part(FILE *out, const part *p) {
    const char *name;
    json_t *tensor;
    json_object_foreach(p->header, name, tensor) {
        if (!strcmp(name, "__metadata__")) continue;
        const json_t *span = json_object_get(tensor, "data_offsets");
        const size_t begin = (size_t)json_integer_value(json_array_get(span, 0));
        const size_t n = ((size_t)json_integer_value(json_array_get(span, 1)) - begin) / 2;
        float *values = wb_alloc_array(n, sizeof *values);
        if (!values) stop("no memory", name);
        widen(values, p->data + begin, n, name);
        if (fwrite(values, sizeof *values, n, out) != n) stop("cannot be written", name);
        wb_free(values);
    }
}

static void write_weights(const char *folder, const part *shared, const part *own) {
    char path[PATH_BYTES];
    join(path, folder, "model.safetensors");
    FILE *out = fopen(path, "wb");
    if (!out) stop("cannot be written", path);
    json_t *header = json_object();
    size_t offset = 0;
    plan_part(header, shared, &offset);
    plan_part(header, own, &offset);
    char *text = json_dumps(header, JSON_COMPACT);
    const uint64_t n_bytes = strlen(text);
    fwrite(&n_bytes, sizeof n_bytes, 1, out);
    fwrite(text, 1, n_bytes, out);
    free(text);
    json_decref(header);
    write_part(out, shared);
    write_part(out, own);
    if (fclose(out)) stop("cannot be written", path);
}

// labels: id2label as JSON text; NULL: none, as many published checkpoints have it.
static void write_config(const char *folder, const char *labels) {
    char path[PATH_BYTES];
    json_t *config =
        json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:b}", "activation", "gelu", "dim", 384,
                  "hidden_dim", 1536, "max_position_embeddings", 512, "n_heads", 12, "n_layers", 6,
                  "vocab_size", 30522, "model_type", "distilbert", "sinusoidal_pos_embds", 0);
    if (labels) json_object_set_new(config, "id2label", json_loads(labels, 0, NULL));
    join(path, folder, "config.json");
    if (json_dump_file(config, path, JSON_INDENT(2))) stop("cannot be written", path);
    json_decref(config);
}

static void copy_vocabulary(const char *folder, const char *shared) {
    char path[PATH_BYTES];
    wb_file file;
    wb_error err;
    join(path, shared, "parts/vocab.txt");
    if (wb_file_map(&file, path, &err)) stop(err.message, path);
    join(path, folder, "vocab.txt");
    FILE *out = fopen(path, "wb");
    if (!out || fwrite(file.data, 1, file.n_bytes, out) != file.n_bytes || fclose(out))
        stop("cannot be written", path);
    wb_file_close(&file);
}

int main(int argc, char **argv) {
    static const char *const tasks[][2] = {
        {"sst2", "{\"0\": \"NEGATIVE\", \"1\": \"POSITIVE\"}"},
        {"cola", NULL},
        {"mrpc", NULL},
        {"mnli", "{\"0\": \"LABEL_0\", \"1\": \"LABEL_1\", \"2\": \"LABEL_2\"}"}};
    if (argc != 3) stop("SHARED_MODELS OUT_DIR", "usage");
    char path[PATH_BYTES];
    join(path, argv[1], "parts/embeddings.safetensors");
    if (!wb_file_exists(path)) {
        printf("skipped: no %s\n", path);
        return 77;
    }
    mkdir(argv[2], 0777);
    part shared = part_open(argv[1], "embeddings");
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        char folder[64];
        snprintf(folder, sizeof folder, "distilbert-%s", tasks[i][0]);
        join(path, argv[2], folder);
        mkdir(path, 0777);
        part own = part_open(argv[1], tasks[i][0]);
        write_weights(path, &shared, &own);
        write_config(path, tasks[i][1]);
        copy_vocabulary(path, argv[1]);
        part_close(&own);
        puts(path);
    }
    part_close(&shared);
    return 0;
}
