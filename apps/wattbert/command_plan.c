// SPDX-License-Identifier: Apache-2.0
// `wattbert plan`: what would run on this machine and why. Without --technique, one line for
// each technique, those that cannot run with their reason; with it, every matrix.
#include <string.h>

#include "app.h"
#include "device.h"
#include "models.h"

static const char usage_text[] =
    "Prints what each technique would run on this machine: precision, attention, packing,\n"
    "instruction set and the size of its weights, and of those that cannot run why not.\n"
    "With --technique, every matrix: its shape and precision, the relative change of the\n"
    "logits when it alone changes, and its measured cost (only `mixed` measures these; with\n"
    "--scales, i8-static shows the errors of calibration, and of matrices that fell back to a\n"
    "dearer precision the error that they would have had). With --device cuda, the same of the\n"
    "GPU.\n"
    "\n"
    "  wattbert plan distilbert-sst2\n"
    "  wattbert plan distilbert-sst2 --technique mixed+packed\n"
    "  wattbert plan distilbert-sst2 --technique i8-static --scales sst2/scales.json\n"
    "  wattbert plan distilbert-sst2 --device cuda\n";

// *gpu <- what device names; its name is "" on the CPU. A GPU that cannot be used is told once, not
// as the reason of every technique.
static wb_status find_gpu(wb_gpu_info *gpu, const char *device, wb_error *err) {
    *gpu = (wb_gpu_info){0};
    if (!device || strcmp(device, "cpu") == 0) return WB_OK;
    const wb_status status = wb_gpu_describe(gpu, device, err);
    return strcmp(device, "auto") == 0 ? WB_OK : status;
}

static void print_machine(const wb_model_info *model, const wb_gpu_info *gpu) {
    wb_machine machine;
    wb_machine_describe(&machine);
    printf("machine    %s, %d cores, %d threads, %s (%s)\n", machine.cpu, machine.n_cores,
           machine.n_threads, machine.isa, machine.features);
    if (gpu->name[0]) {
        char text[256];
        device_describe(text, sizeof text, gpu);
        printf("gpu        %s\n", text);
    }
    printf(
        "model      %s: %d layers x %d, %d heads of %d, d_ff %d, %d outputs, %.1f M weights in "
        "%s\n",
        model->path, model->n_layers, model->d_model, model->n_heads, model->d_head, model->d_ff,
        model->n_labels, (double)model->n_parameters / 1e6, model->weights_dtype);
}

static void print_measured(double value, const char *format) {
    if (value < 0.0)
        printf(" %10s", "-");
    else
        printf(format, value);
}

static void print_matrices(const wb_plan_info *plan) {
    printf("\n%-26s %11s  %-20s %10s %10s\n", "matrix", "n x k", "precision", "error", "ns/token");
    for (int i = 0; i < plan->n_matrices; i++) {
        const wb_matrix_plan *m = &plan->matrices[i];
        char shape[32];
        snprintf(shape, sizeof shape, "%d x %d", m->n, m->k);
        printf("%-26s %11s  %-20s", m->name, shape, m->precision);
        print_measured(m->error, " %10.2e");
        print_measured(m->cost_ns, " %10.1f");
        if (m->refused_error >= 0.0) printf("  fell back: %.1e", m->refused_error);
        putchar('\n');
    }
}

static void print_plan(const wb_plan_info *plan) {
    printf("technique  %s\n", plan->technique);
    printf("device     %s, %s\n", plan->device, plan->device_name);
    printf("precision  %s\n", plan->precision);
    printf("attention  %s\n", plan->attention);
    printf("batches    %s, %s\n", plan->packing, plan->batch_rule);
    printf("kernels    %s (%s)\n", plan->kernels, plan->isa);
    printf("threads    %d%s%s\n", plan->n_threads, plan->pinning[0] ? ", " : "", plan->pinning);
    printf("weights    %.1f MB packed%s%s\n", (double)plan->weights_bytes / 1e6,
           plan->cache[0] ? ", " : "", plan->cache);
    print_matrices(plan);
}

static int print_one(const wb_model *model, wb_options *options) {
    wb_engine *engine;
    wb_error err;
    if (wb_engine_open(&engine, model, options, &err)) return app_fail_error(&err, NULL);
    device_note(wb_engine_plan(engine));
    print_plan(wb_engine_plan(engine));
    wb_engine_close(engine);
    return EXIT_OK;
}

static int print_all(const wb_model *model, wb_options *options) {
    printf("\n%-22s %-24s %-9s %-7s %8s\n", "technique", "precision", "attention", "packing", "MB");
    const wb_technique *technique;
    for (int i = 0; (technique = wb_technique_at(i)) != NULL; i++) {
        wb_engine *engine;
        wb_error err;
        options->technique = technique->name;
        const wb_status status = wb_engine_open(&engine, model, options, &err);
        if (status && status != WB_ERR_UNSUPPORTED) return app_fail_error(&err, NULL);
        if (status) {
            printf("%-22s skipped: %s\n", technique->name, err.message);
            continue;
        }
        const wb_plan_info *plan = wb_engine_plan(engine);
        printf("%-22s %-24s %-9s %-7s %8.1f\n", technique->name, plan->precision, plan->attention,
               plan->packing, (double)plan->weights_bytes / 1e6);
        wb_engine_close(engine);
    }
    return EXIT_OK;
}

int command_plan(int argc, char **argv) {
    const char *technique = NULL;
    wb_options options = wb_default_options();
    int n_threads = 0;
    bool is_pinned = false;
    const app_option table[] = {
        {"technique", "NAME", "print this one in full", APP_STRING, &technique, 0, 0},
        {"device", "NAME", DEVICE_HELP, APP_STRING, &options.device, 0, 0},
        {"scales", "FILE", SCALES_HELP, APP_STRING, &options.scales, 0, 0},
        {"threads", "N", "default: one per core", APP_INT, &n_threads, 1, 4096},
        {"pin", NULL, PIN_HELP, APP_FLAG, &is_pinned, 0, 0},
        {"cache", "DIR", CACHE_HELP, APP_STRING, &options.cache, 0, 0},
    };
    const app_usage usage = {
        .synopsis = "plan MODEL",
        .text = usage_text,
        .options = table,
        .n_options = sizeof table / sizeof *table,
    };
    char **words;
    int n_words;
    const int code = app_parse(&usage, argc, argv, &words, &n_words);
    if (code >= 0) return code;
    if (n_words != 1) return app_fail(EXIT_USAGE, "plan: give one MODEL folder, see --help");
    int unknown = models_check_technique("plan", technique);
    if (unknown < 0) unknown = device_check("plan", options.device);
    if (unknown >= 0) return unknown;
    wb_gpu_info gpu;
    wb_model *model;
    wb_error err;
    if (find_gpu(&gpu, options.device, &err) || models_open(&model, words[0], &err))
        return app_fail_error(&err, NULL);
    options.n_threads = n_threads;
    options.pin = is_pinned;
    print_machine(wb_model_describe(model), &gpu);
    int result;
    if (technique) {
        options.technique = technique;
        result = print_one(model, &options);
    } else {
        result = print_all(model, &options);
    }
    wb_model_close(model);
    return result;
}
