// SPDX-License-Identifier: Apache-2.0
// {"metadata": {..}, "weight_map": {"classifier.bias": "model-00001-of-00002.safetensors", ..}}.
// A shard's name comes from the file, so it is held to be a plain name in the same folder.
#include "format/index.h"

#include <stdlib.h>

#include "format/json.h"
#include "format/tensors.h"

typedef struct reader {
    wb_index *index;
    const wb_source *source;
    wb_json json;
} reader;

static wb_status fail_memory(const reader *r, wb_error *err) {
    return wb_fail(err, WB_ERR_MEMORY, 0, "%s: no memory for its tensors", r->source->name);
}

// No way out of the folder, on any system, and no hidden file. A 0 byte cannot be in it: the JSON
// reader refuses one.
static bool is_plain_name(const char *name) {
    return name[0] != 0 && name[0] != '.' && !strpbrk(name, "/\\");
}

// *shard <- the number of the shard with this name, which may be new.
static wb_status find_shard(reader *r, const char *name, int *shard, wb_error *err) {
    wb_index *index = r->index;
    if (!is_plain_name(name))
        return wb_fail(err, WB_ERR_MODEL, r->json.at,
                       "%s: names the shard \"%.128s\", only files of the same folder are read",
                       r->source->name, name);
    for (*shard = 0; *shard < index->n_shards; ++*shard)
        if (strcmp(index->shards[*shard], name) == 0) return WB_OK;
    if (index->n_shards == WB_MAX_SHARDS)
        return wb_fail(err, WB_ERR_MODEL, r->json.at, "%s: more than %d shards", r->source->name,
                       WB_MAX_SHARDS);
    // Powers of two: grown when the count is one.
    const size_t n = (size_t)index->n_shards;
    if ((n & (n - 1)) == 0) {
        char **grown = wb_realloc_array(index->shards, n, n ? 2 * n : 1, sizeof *grown);
        if (!grown) return fail_memory(r, err);
        index->shards = grown;
    }
    index->shards[n] = wb_string_copy(name, strlen(name));
    if (!index->shards[n]) return fail_memory(r, err);
    index->n_shards++;
    return WB_OK;
}

// A tensor's name is stored as the table of tensors spells it, so that both can be compared.
static wb_status add_entry(reader *r, const char *tensor, int shard, wb_error *err) {
    wb_index *index = r->index;
    if (index->n_entries == WB_MAX_TENSORS)
        return wb_fail(err, WB_ERR_MODEL, r->json.at, "%s: more than %d tensors", r->source->name,
                       WB_MAX_TENSORS);
    if (index->n_entries == index->capacity) {
        const size_t capacity = index->capacity ? 2 * index->capacity : 16;
        wb_index_entry *grown =
            wb_realloc_array(index->entries, index->n_entries, capacity, sizeof *grown);
        if (!grown) return fail_memory(r, err);
        index->entries = grown;
        index->capacity = capacity;
    }
    char *name = wb_tensor_name_copy(tensor, strlen(tensor));
    if (!name) return fail_memory(r, err);
    index->entries[index->n_entries++] = (wb_index_entry){.tensor = name, .shard = shard};
    return WB_OK;
}

static wb_status read_weight_map(reader *r, wb_error *err) {
    char tensor[WB_JSON_TEXT_BYTES], shard_name[WB_JSON_TEXT_BYTES];
    bool more = true;
    int shard = 0;
    wb_status status = wb_json_open(&r->json, '{', err);
    while (!status) {
        status = wb_json_next_member(&r->json, tensor, sizeof tensor, &more, err);
        if (status || !more) break;
        status = wb_json_string(&r->json, shard_name, sizeof shard_name, err);
        if (!status) status = find_shard(r, shard_name, &shard, err);
        if (!status) status = add_entry(r, tensor, shard, err);
    }
    return status;
}

static int compare_tensors(const void *a, const void *b) {
    return strcmp(((const wb_index_entry *)a)->tensor, ((const wb_index_entry *)b)->tensor);
}

// Sorted for wb_index_find; a name twice shows as two neighbours.
static wb_status sort_entries(reader *r, wb_error *err) {
    wb_index *index = r->index;
    if (index->n_entries == 0)
        return wb_fail(err, WB_ERR_MODEL, 0, "%s: has no weight_map that names a tensor",
                       r->source->name);
    qsort(index->entries, index->n_entries, sizeof *index->entries, compare_tensors);
    for (size_t i = 1; i < index->n_entries; i++)
        if (compare_tensors(&index->entries[i - 1], &index->entries[i]) == 0)
            return wb_fail(err, WB_ERR_MODEL, 0, "%s: names the tensor %.160s twice",
                           r->source->name, index->entries[i].tensor);
    return WB_OK;
}

// Only weight_map counts: what metadata says of sizes, the shards say themselves.
static wb_status read_members(reader *r, wb_error *err) {
    char key[WB_JSON_TEXT_BYTES];
    bool more = true, has_map = false;
    wb_status status = wb_json_open(&r->json, '{', err);
    while (!status) {
        status = wb_json_next_member(&r->json, key, sizeof key, &more, err);
        if (status || !more) break;
        if (strcmp(key, "weight_map") != 0) {
            status = wb_json_skip(&r->json, err);
            continue;
        }
        if (has_map)
            return wb_fail(err, WB_ERR_MODEL, r->json.at, "%s: weight_map occurs twice",
                           r->source->name);
        has_map = true;
        status = read_weight_map(r, err);
    }
    if (!status) status = wb_json_end(&r->json, err);
    return status ? status : sort_entries(r, err);
}

wb_status wb_index_parse(wb_index *index, const wb_source *source, wb_error *err) {
    *index = (wb_index){0};
    reader r = {.index = index, .source = source, .json = wb_json_of(source, 0, source->n_bytes)};
    const wb_status status = read_members(&r, err);
    if (status) wb_index_close(index);
    return status;
}

void wb_index_close(wb_index *index) {
    for (size_t i = 0; i < index->n_entries; i++) wb_free(index->entries[i].tensor);
    for (int shard = 0; shard < index->n_shards; shard++) wb_free(index->shards[shard]);
    wb_free(index->entries);
    wb_free(index->shards);
    *index = (wb_index){0};
}

int wb_index_find(const wb_index *index, const char *tensor) {
    const wb_index_entry key = {.tensor = (char *)(uintptr_t)tensor};
    if (index->n_entries == 0) return -1;
    const wb_index_entry *found =
        bsearch(&key, index->entries, index->n_entries, sizeof *index->entries, compare_tensors);
    return found ? found->shard : -1;
}
