// SPDX-License-Identifier: Apache-2.0
// `wattbert doctor`: what this machine can run and measure, and why not the rest and what to do. It
// decides nothing: every line is what the library says of itself.
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app.h"
#include "device.h"

typedef struct findings {
    wb_machine machine;
    wb_source_info sources[WB_MAX_SOURCES];
    int n_sources;
    const char *chosen;  // the source that a study would use
    char gnuplot[512];   // its path; "" where it is missing
    char device[24];     // "cuda:0"
    wb_gpu_info gpu;
    wb_error no_gpu;  // why there is none to compute on; status WB_OK where there is
} findings;

// path <- where PATH finds the program; "" where it does not.
static void find_program(char *path, size_t capacity, const char *name) {
    const char *at = getenv("PATH");
    path[0] = 0;
    while (at && *at) {
        const size_t n = strcspn(at, ":");
        const int length = snprintf(path, capacity, "%.*s/%s", (int)n, at, name);
        if (length > 0 && (size_t)length < capacity && access(path, X_OK) == 0) return;
        at += n + (at[n] == ':');
    }
    path[0] = 0;
}

// Which source wb_meter_open() takes: the first that sees the processor and works.
static const char *choose_source(const findings *f) {
    for (int i = 0; i < f->n_sources; i++)
        if (f->sources[i].status == WB_OK && f->sources[i].sees_cpu) return f->sources[i].name;
    return "modelled";
}

static wb_status look_around(findings *f, const wb_meter_options *options, wb_error *err) {
    wb_machine_describe(&f->machine);
    snprintf(f->device, sizeof f->device, "cuda:%d", options->gpu_index);
    if (wb_gpu_describe(&f->gpu, f->device, &f->no_gpu) == WB_OK) f->no_gpu.status = WB_OK;
    find_program(f->gnuplot, sizeof f->gnuplot, "gnuplot");
    const wb_status status =
        wb_sources_probe(options, f->sources, WB_MAX_SOURCES, &f->n_sources, err);
    f->chosen = choose_source(f);
    return status;
}

static const wb_source_info *find_source(const findings *f, const char *name) {
    for (int i = 0; i < f->n_sources; i++)
        if (strcmp(f->sources[i].name, name) == 0) return &f->sources[i];
    return NULL;
}

// A packed form runs wherever the plain one does: one line for both.
static bool is_packed_form(const char *technique) {
    return strstr(technique, "+packed") != NULL;
}

// ---- For people -----------------------------------------------------------------

enum { NAME_WIDTH = 16, TEXT_WIDTH = 80 };

// "  name            text", text wrapped at words under itself.
static void print_line(const char *name, const char *text) {
    printf("  %-*s", NAME_WIDTH, name);
    int column = 0;
    while (*text) {
        const int n = (int)strcspn(text, " ");
        if (column > 0 && column + 1 + n > TEXT_WIDTH) {
            printf("\n  %*s", NAME_WIDTH, "");
            column = 0;
        }
        column += printf("%s%.*s", column > 0 ? " " : "", n, text);
        text += n;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void format_bytes(char *out, size_t capacity, size_t n_bytes) {
    if (n_bytes == 0)
        snprintf(out, capacity, "unknown");
    else if (n_bytes < (size_t)1 << 20)
        snprintf(out, capacity, "%zu KiB", n_bytes >> 10);
    else
        snprintf(out, capacity, "%.4g MiB", (double)n_bytes / (1 << 20));
}

static void print_machine(const findings *f) {
    const wb_machine *m = &f->machine;
    char text[256], l1[32], l2[32], l3[32];
    printf("Machine\n");
    print_line("processor", m->cpu);
    snprintf(text, sizeof text, "%d, with %d hardware threads, that this process may use",
             m->n_cores, m->n_threads);
    print_line("cores", text);
    format_bytes(l1, sizeof l1, m->l1d_bytes);
    format_bytes(l2, sizeof l2, m->l2_bytes);
    format_bytes(l3, sizeof l3, m->l3_bytes);
    snprintf(text, sizeof text, "L1d %s, L2 %s, L3 %s", l1, l2, l3);
    print_line("caches", text);
    snprintf(text, sizeof text, "%s (%s)", m->isa, m->features[0] ? m->features : "no extensions");
    print_line("kernels", text);
    const wb_source_info *gpu = find_source(f, "nvml");
    print_line("GPU", gpu && gpu->device[0] ? gpu->device : "none that NVIDIA's driver knows");
}

// What --device cuda would run on, or why it would not.
static void print_gpu(const findings *f) {
    char text[700];
    if (f->no_gpu.status) {
        snprintf(text, sizeof text, "no: %s", f->no_gpu.message);
        print_line("CUDA", text);
        return;
    }
    device_describe(text, sizeof text, &f->gpu);
    print_line(f->device, text);
    print_line("back end", f->gpu.library);
}

static void print_techniques(const char *device, const char *title) {
    printf("\n%s\n", title);
    const wb_technique *technique;
    for (int i = 0; (technique = wb_technique_at(i)) != NULL; i++) {
        if (is_packed_form(technique->name)) continue;
        wb_error err;
        char text[640];
        if (wb_technique_runs(technique->name, device, &err))
            snprintf(text, sizeof text, "no: %s", err.message);
        else
            snprintf(text, sizeof text, "runs: %s", technique->summary);
        print_line(technique->name, text);
    }
}

static void print_sources(const findings *f) {
    printf("\nEnergy\n");
    for (int i = 0; i < f->n_sources; i++) {
        const wb_source_info *s = &f->sources[i];
        if (strcmp(s->name, "replay") == 0) continue;  // no property of a machine
        char text[1024];
        if (s->status)
            snprintf(text, sizeof text, "%s: %s", wb_status_name(s->status), s->reason);
        else
            snprintf(text, sizeof text, "works: %s%s%s (%s)", s->domains, s->reason[0] ? "; " : "",
                     s->reason, s->measures);
        print_line(s->name, text);
    }
    char text[128];
    snprintf(text, sizeof text, "%s%s", f->chosen,
             strcmp(f->chosen, "modelled") == 0 ? ": no joule will be measured, only guessed" : "");
    print_line("chosen", text);
}

static void print_all(const findings *f) {
    print_machine(f);
    print_gpu(f);
    print_techniques("cpu", "Techniques (each also as NAME+packed, without padding)");
    if (!f->no_gpu.status) print_techniques(f->device, "Techniques on the GPU");
    print_sources(f);
    printf("\nPrograms\n");
    char version[64];
    snprintf(version, sizeof version, "%s, library %s", WATTBERT_VERSION, wb_version());
    print_line("wattbert", version);
    print_line("gnuplot", f->gnuplot[0] ? f->gnuplot
                                        : "missing, figures need it: sudo apt install gnuplot-nox");
}

// ---- For programs -----------------------------------------------------------------

static json_t *machine_to_json(const wb_machine *m) {
    return json_pack("{s:s, s:s, s:s, s:i, s:i, s:I, s:I, s:I}", "cpu", m->cpu, "isa", m->isa,
                     "features", m->features, "cores", m->n_cores, "threads", m->n_threads,
                     "l1d_bytes", (json_int_t)m->l1d_bytes, "l2_bytes", (json_int_t)m->l2_bytes,
                     "l3_bytes", (json_int_t)m->l3_bytes);
}

// {"usable": false, "reason": ...} where there is none.
static json_t *gpu_to_json(const findings *f) {
    if (f->no_gpu.status)
        return json_pack("{s:b, s:s, s:s}", "usable", 0, "status", wb_status_name(f->no_gpu.status),
                         "reason", f->no_gpu.message);
    const wb_gpu_info *g = &f->gpu;
    char capability[24];
    snprintf(capability, sizeof capability, "%d.%d", g->compute_major, g->compute_minor);
    return json_pack("{s:b, s:s, s:s, s:s, s:s, s:i, s:i, s:I, s:b, s:b, s:b, s:s}", "usable", 1,
                     "device", f->device, "name", g->name, "uuid", g->uuid, "compute_capability",
                     capability, "driver_version", g->driver_version, "runtime_version",
                     g->runtime_version, "memory_bytes", (json_int_t)g->memory_bytes, "bf16",
                     g->has_bf16, "fp8", g->has_fp8, "i8", g->has_i8, "library", g->library);
}

// All forms, where the list for people leaves the packed ones out.
static json_t *techniques_to_json(const char *device) {
    json_t *list = json_array();
    const wb_technique *technique;
    for (int i = 0; (technique = wb_technique_at(i)) != NULL; i++) {
        wb_error err = {0};
        const wb_status status = wb_technique_runs(technique->name, device, &err);
        json_array_append_new(list, json_pack("{s:s, s:b, s:s}", "name", technique->name, "runs",
                                              status == WB_OK, "reason", err.message));
    }
    return list;
}

static json_t *sources_to_json(const findings *f) {
    json_t *list = json_array();
    for (int i = 0; i < f->n_sources; i++) {
        const wb_source_info *s = &f->sources[i];
        json_array_append_new(
            list, json_pack("{s:s, s:b, s:s, s:s, s:s, s:s, s:s, s:f, s:f}", "name", s->name,
                            "usable", s->status == WB_OK, "status",
                            s->status ? wb_status_name(s->status) : "usable", "reason", s->reason,
                            "domains", s->domains, "measures", s->measures, "device", s->device,
                            "resolution_uj", s->resolution_uj, "interval_ms", s->interval_ms));
    }
    return list;
}

static int print_json(const findings *f) {
    json_t *object =
        json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:s, s:s}", "version", wb_version(), "machine",
                  machine_to_json(&f->machine), "gpu", gpu_to_json(f), "techniques",
                  techniques_to_json("cpu"), "techniques_on_gpu",
                  f->no_gpu.status ? json_array() : techniques_to_json(f->device), "sources",
                  sources_to_json(f), "chosen_source", f->chosen, "gnuplot", f->gnuplot);
    if (!object || json_dumpf(object, stdout, JSON_REAL_PRECISION(9)) != 0) {
        json_decref(object);
        return app_fail(EXIT_MACHINE, "doctor: its findings could not be written as JSON");
    }
    json_decref(object);
    printf("\n");
    return EXIT_OK;
}

int command_doctor(int argc, char **argv) {
    bool is_json = false;
    wb_meter_options meter = wb_default_meter_options();
    const app_option options[] = {
        {"json", NULL, "one line of JSON", APP_FLAG, &is_json, 0, 0},
        {"root", "DIR", "DIR stands for / before /sys and /proc: a recorded machine", APP_STRING,
         &meter.root, 0, 0},
        {"gpu", "INDEX", "which GPU to look at, as NVML and as CUDA count; 0", APP_INT,
         &meter.gpu_index, 0, 1024},
    };
    const app_usage usage = {
        .synopsis = "doctor [OPTION...]",
        .text =
            "Says what this machine can run and measure, and of the rest why not and what to do.\n"
            "Counters are watched for a moment: one that stands still is not believed.\n",
        .options = options,
        .n_options = (int)(sizeof options / sizeof *options)};
    char **words;
    int n_words;
    const int code = app_parse(&usage, argc, argv, &words, &n_words);
    if (code >= 0) return code;
    if (n_words > 0)
        return app_fail(EXIT_USAGE, "doctor: it takes no \"%s\", only options", words[0]);
    findings f = {0};
    wb_error err;
    if (look_around(&f, &meter, &err)) return app_fail_error(&err, NULL);
    if (is_json) return print_json(&f);
    print_all(&f);
    return EXIT_OK;
}
