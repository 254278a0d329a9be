// SPDX-License-Identifier: Apache-2.0
// Packed weights from a file or into one. Whatever is wrong with the file costs the time of packing
// and nothing else: it is replaced, and the plan says why.
#include "engine/cache.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 160 };

// One name for each that can be of use again, and the same one after the model was trained anew, so
// that nothing piles up: by the model's folder, the precision and the instruction set.
static void name_file(char name[NAME_BYTES], const wb_engine *engine) {
    const wb_technique_spec *spec = engine->plan.spec;
    char real[PATH_MAX];
    const char *path = realpath(engine->model->path, real) ? real : "model";
    const char *slash = strrchr(path, '/');
    snprintf(name, NAME_BYTES, "%.100s.%s%s.%s.wattbert", slash ? slash + 1 : path,
             spec->is_mixed ? "mixed" : wb_precision_name(spec->precision),
             spec->is_autocast ? "-autocast" : "", engine->kernels.isa);
}

// engine->weights <- the file's, where they are the ones that packing would make.
static wb_status read_file(wb_engine *engine, const wb_tensor_source *source, const char *path,
                           wb_error *err) {
    wb_file *file = &engine->cache.file;
    wb_status status = wb_file_map(file, path, err);
    if (status) return status;
    wb_cache_page expected;
    const size_t n_bytes = file->n_bytes > WB_CACHE_PAGE ? file->n_bytes - WB_CACHE_PAGE : 0;
    status = wb_cache_expect(&expected, engine, n_bytes, err);
    if (!status) status = wb_cache_check(file->data, file->n_bytes, &expected, engine->pool, err);
    if (!status)
        status = wb_weights_adopt(&engine->weights, &engine->plan, &engine->kernels, source,
                                  file->data + WB_CACHE_PAGE, n_bytes, err);
    if (status) wb_file_close(file);
    return status;
}

static wb_status write_file(wb_engine *engine, const char *path, wb_error *err) {
    const wb_weights *weights = engine->weights;
    wb_cache_page page;
    wb_status status = wb_cache_expect(&page, engine, weights->n_bytes, err);
    if (!status) status = wb_cache_seal(&page, weights->packed, engine->pool, err);
    if (status) return status;
    const wb_bytes pieces[] = {{&page, sizeof page}, {weights->packed, weights->n_bytes}};
    // Not durable: after a loss of power its marks tell whether all of it came to the disk.
    return wb_file_replace(path, pieces, 2, false, err);
}

static void tell(wb_engine *engine, wb_cache_state state, const char *what, const char *path,
                 const char *why) {
    engine->cache.state = state;
    snprintf(engine->cache.words, sizeof engine->cache.words, "%s%.500s%s%.100s", what, path,
             why[0] ? ": " : "", why);
}

wb_status wb_cache_open(wb_engine *engine, const wb_tensor_source *source, const char *folder,
                        wb_error *err) {
    char name[NAME_BYTES], path[4096];
    wb_error problem = {.message = ""};
    name_file(name, engine);
    const bool has_path = wb_path_join(path, sizeof path, folder, name);
    wb_status status = WB_OK;
    if (has_path) {
        status = read_file(engine, source, path, &problem);
        if (status == WB_ERR_MEMORY) return wb_fail(err, status, 0, "%s", problem.message);
        if (!status) {
            tell(engine, WB_CACHE_READ, "read from ", path, "");
            return WB_OK;
        }
    }
    const bool was_there = has_path && wb_file_exists(path);
    status = wb_weights_open(&engine->weights, &engine->plan, &engine->kernels, source,
                             engine->pool, err);
    if (status) return status;
    if (!has_path) {
        tell(engine, WB_CACHE_FAILED, "not written: ", "the folder's path is too long", "");
        return WB_OK;
    }
    wb_error failure;
    status = write_file(engine, path, &failure);
    if (status == WB_ERR_MEMORY) return wb_fail(err, status, 0, "%s", failure.message);
    if (status)
        tell(engine, WB_CACHE_FAILED, "not written: ", failure.message, "");
    else
        tell(engine, WB_CACHE_WRITTEN, "written to ", path,
             was_there ? problem.message : "there was none");
    return WB_OK;
}
