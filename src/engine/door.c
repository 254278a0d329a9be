// SPDX-License-Identifier: Apache-2.0
// Finding libwattbert_cuda.so: beside the object that this code is in, so that a build, an
// installation and a copied folder each find their own, then where the system looks. Nothing of
// CUDA is linked, and a machine without it only misses this one object.
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "engine/engine.h"

#define OBJECT "libwattbert_cuda.so"

// path <- OBJECT in the folder of this code's own object; false where that is not known.
static bool path_beside(char *path, size_t capacity) {
    // POSIX lets functions and data share pointers; ISO C has no cast for it, but memcpy does.
    wb_status (*const here)(wb_door *, wb_error *) = wb_door_open;
    void *address;
    memcpy(&address, &here, sizeof address);
    Dl_info info;
    if (!dladdr(address, &info) || !info.dli_fname) return false;
    // Without a slash it was found in the current folder, by an empty part of a library path.
    const char *slash = strrchr(info.dli_fname, '/');
    const char *folder = slash ? info.dli_fname : ".";
    const int length =
        snprintf(path, capacity, "%.*s/%s", slash ? (int)(slash - folder) : 1, folder, OBJECT);
    return length > 0 && (size_t)length < capacity && wb_file_exists(path);
}

static wb_status fail_absent(wb_error *err) {
    return wb_fail(err, WB_ERR_ABSENT, 0,
                   OBJECT
                   " is neither beside libwattbert.so nor among the system's libraries: "
                   "build wattbert where CUDA's compiler is, or run on the CPU");
}

// The object is never unloaded: CUDA's runtime leaves functions of it behind for the process's end.
static wb_status load(wb_door *door, wb_error *err) {
    const bool is_beside = path_beside(door->path, sizeof door->path);
    if (!is_beside) snprintf(door->path, sizeof door->path, "%s", OBJECT);
    door->library = dlopen(door->path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (door->library) return WB_OK;
    const char *problem = dlerror();
    // "libwattbert_cuda.so: cannot open ...": the object itself, not a library that it needs.
    if (!is_beside && problem && strncmp(problem, OBJECT ":", sizeof OBJECT) == 0)
        return fail_absent(err);
    return wb_fail(err, WB_ERR_ABSENT, 0,
                   "%s cannot be loaded (%s), install the CUDA libraries that it needs", door->path,
                   problem ? problem : "no reason was given");
}

static wb_status find_functions(wb_door *door, wb_error *err) {
    void *symbol = dlsym(door->library, WB_CUDA_SYMBOL);
    if (!symbol)
        return wb_fail(err, WB_ERR_UNSUPPORTED, 0, "%s has no %s, it is no part of wattbert",
                       door->path, WB_CUDA_SYMBOL);
    wb_cuda_door_fn *open = NULL;
    memcpy(&open, &symbol, sizeof open);
    const wb_cuda_door *functions = open();
    if (!functions || functions->version != WB_CUDA_DOOR)
        return wb_fail(err, WB_ERR_UNSUPPORTED, 0,
                       "%s is of another wattbert (version %d of its interface, %d is needed), "
                       "install both from one build",
                       door->path, functions ? functions->version : 0, WB_CUDA_DOOR);
    door->functions = functions;
    return WB_OK;
}

wb_status wb_door_open(wb_door *door, wb_error *err) {
    *door = (wb_door){0};
    wb_status status = load(door, err);
    if (!status) status = find_functions(door, err);
    if (status) wb_door_close(door);
    return status;
}

void wb_door_close(wb_door *door) {
    if (door->library) dlclose(door->library);
    *door = (wb_door){0};
}
