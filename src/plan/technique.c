// SPDX-License-Identifier: Apache-2.0
// The table of techniques: the study's seven in its order, then the single changes it
// confounded, then the same packed: without padding, and in the last layer without the rows
// that the head does not read (13 % of the products at 25 tokens a text). Every row is
// written out, so that one can grep for a name and see all that it means. fp8 has tiled attention,
// so that it differs from f16-flash in its products alone.
#include <string.h>

#include "plan/plan.h"

static const char no_fp8[] = "fp8 products need a Hopper GPU, this engine runs on the CPU";
static const char no_tf32[] =
    "tf32 products need an NVIDIA GPU of Ampere or later, this engine runs on the CPU";

static const wb_technique_spec specs[] = {
    {.technique = {"baseline", "Baseline", "f32, materialised attention, padded"},
     .precision = WB_F32},
    {.technique = {"autocast-f16", "MP Float16",
                   "f32 weights cast to f16 at each use, materialised attention, padded"},
     .precision = WB_F16,
     .is_autocast = true},
    {.technique = {"autocast-bf16", "MP BFloat16",
                   "f32 weights cast to bf16 at each use, materialised attention, padded"},
     .precision = WB_BF16,
     .is_autocast = true},
    {.technique = {"mixed", "MP Mixed",
                   "each matrix in the precision that measured sensitivity and cost allow, "
                   "materialised attention, padded"},
     .precision = WB_F32,
     .is_mixed = true},
    {.technique = {"flash", "Flash Attention", "bf16 weights, tiled attention, padded"},
     .precision = WB_BF16,
     .attention = WB_ATTENTION_FLASH},
    {.technique = {"i8-dynamic", "PTQ",
                   "int8 weights per output channel, int8 activations per token, f32 head, "
                   "materialised attention, padded"},
     .precision = WB_I8_DYNAMIC},
    {.technique = {"f16-flash", "MP Float16 + Flash", "f16 weights, tiled attention, padded"},
     .precision = WB_F16,
     .attention = WB_ATTENTION_FLASH},
    {.technique = {"f32-flash", "", "f32, tiled attention, padded"},
     .precision = WB_F32,
     .attention = WB_ATTENTION_FLASH},
    {.technique = {"tf32", "", "f32 weights, products in tf32, materialised attention, padded"},
     .precision = WB_TF32,
     .unsupported = no_tf32},
    {.technique = {"bf16", "", "bf16 weights, materialised attention, padded"},
     .precision = WB_BF16},
    {.technique = {"f16", "", "f16 weights, materialised attention, padded"}, .precision = WB_F16},
    {.technique = {"i8-static", "",
                   "int8 weights per output channel, int8 activations in scales that calibration "
                   "fixed, sensitive matrices dearer, f32 head, materialised attention, padded"},
     .precision = WB_I8_STATIC},
    {.technique =
         {"fp8", "",
          "fp8 (e4m3) weights and activations, scales calibrated where they are given, f32 "
          "head, tiled attention, padded"},
     .precision = WB_FP8_STATIC,
     .attention = WB_ATTENTION_FLASH,
     .unsupported = no_fp8},
    {.technique = {"fp8-dynamic", "",
                   "fp8 (e4m3) weights, fp8 activations per token, f32 head, tiled attention, "
                   "padded"},
     .precision = WB_FP8_DYNAMIC,
     .attention = WB_ATTENTION_FLASH,
     .unsupported = no_fp8},

    {.technique = {"baseline+packed", "", "f32, materialised attention, no padding"},
     .precision = WB_F32,
     .is_packed = true},
    {.technique = {"autocast-f16+packed", "",
                   "f32 weights cast to f16 at each use, materialised attention, no padding"},
     .precision = WB_F16,
     .is_autocast = true,
     .is_packed = true},
    {.technique = {"autocast-bf16+packed", "",
                   "f32 weights cast to bf16 at each use, materialised attention, no padding"},
     .precision = WB_BF16,
     .is_autocast = true,
     .is_packed = true},
    {.technique = {"mixed+packed", "",
                   "each matrix in the precision that measured sensitivity and cost allow, "
                   "materialised attention, no padding"},
     .precision = WB_F32,
     .is_mixed = true,
     .is_packed = true},
    {.technique = {"flash+packed", "", "bf16 weights, tiled attention, no padding"},
     .precision = WB_BF16,
     .attention = WB_ATTENTION_FLASH,
     .is_packed = true},
    {.technique = {"i8-dynamic+packed", "",
                   "int8 weights per output channel, int8 activations per token, f32 head, "
                   "materialised attention, no padding"},
     .precision = WB_I8_DYNAMIC,
     .is_packed = true},
    {.technique = {"f16-flash+packed", "", "f16 weights, tiled attention, no padding"},
     .precision = WB_F16,
     .attention = WB_ATTENTION_FLASH,
     .is_packed = true},
    {.technique = {"f32-flash+packed", "", "f32, tiled attention, no padding"},
     .precision = WB_F32,
     .attention = WB_ATTENTION_FLASH,
     .is_packed = true},
    {.technique = {"tf32+packed", "",
                   "f32 weights, products in tf32, materialised attention, no padding"},
     .precision = WB_TF32,
     .is_packed = true,
     .unsupported = no_tf32},
    {.technique = {"bf16+packed", "", "bf16 weights, materialised attention, no padding"},
     .precision = WB_BF16,
     .is_packed = true},
    {.technique = {"f16+packed", "", "f16 weights, materialised attention, no padding"},
     .precision = WB_F16,
     .is_packed = true},
    {.technique = {"i8-static+packed", "",
                   "int8 weights per output channel, int8 activations in scales that calibration "
                   "fixed, sensitive matrices dearer, f32 head, materialised attention, no "
                   "padding"},
     .precision = WB_I8_STATIC,
     .is_packed = true},
    {.technique =
         {"fp8+packed", "",
          "fp8 (e4m3) weights and activations, scales calibrated where they are given, f32 "
          "head, tiled attention, no padding"},
     .precision = WB_FP8_STATIC,
     .attention = WB_ATTENTION_FLASH,
     .is_packed = true,
     .unsupported = no_fp8},
    {.technique = {"fp8-dynamic+packed", "",
                   "fp8 (e4m3) weights, fp8 activations per token, f32 head, tiled attention, no "
                   "padding"},
     .precision = WB_FP8_DYNAMIC,
     .attention = WB_ATTENTION_FLASH,
     .is_packed = true,
     .unsupported = no_fp8},
};

enum { N_SPECS = sizeof specs / sizeof *specs };

const wb_technique *wb_technique_at(int index) {
    return index >= 0 && index < N_SPECS ? &specs[index].technique : NULL;
}

const wb_technique_spec *wb_technique_find(const char *name) {
    for (int i = 0; i < N_SPECS; i++)
        if (strcmp(specs[i].technique.name, name) == 0) return &specs[i];
    return NULL;
}

const char *wb_precision_name(wb_precision precision) {
    static const char *const names[WB_N_PRECISIONS] = {
        "f32", "bf16", "f16", "i8-dynamic", "i8-static", "tf32", "fp8-dynamic", "fp8-static"};
    return names[precision];
}

static bool is_arm(const wb_kernels *kernels) {
    return strcmp(kernels->isa, "neon") == 0;
}

// Emulated bf16 and f16 products exist in the kernel table for tests; running a technique on
// them would measure the emulation, so it is refused instead.
wb_status wb_technique_check(const wb_technique_spec *spec, const wb_kernels *kernels,
                             wb_error *err) {
    if (spec->unsupported) return wb_fail(err, WB_ERR_UNSUPPORTED, 0, "%s", spec->unsupported);
    if (spec->precision == WB_BF16 && !kernels->has_bf16)
        return wb_fail(err, WB_ERR_UNSUPPORTED, 0,
                       "this CPU has no bf16 arithmetic (%s) in the %s kernel set",
                       is_arm(kernels) ? "BF16" : "AVX512-BF16", kernels->isa);
    if (spec->precision == WB_F16 && !kernels->has_f16)
        return wb_fail(err, WB_ERR_UNSUPPORTED, 0,
                       "this CPU has no f16 arithmetic (%s) in the %s kernel set",
                       is_arm(kernels) ? "FP16" : "AVX512-FP16", kernels->isa);
    return WB_OK;
}

// Of a GPU everything is native or refused, as on the CPU. Its back end refuses what has no f16.
wb_status wb_technique_check_cuda(const wb_technique_spec *spec, const wb_gpu_arithmetic *gpu,
                                  wb_error *err) {
    const char *missing = NULL;
    switch (spec->precision) {
        case WB_BF16:
            if (!gpu->has_bf16) missing = "bf16 arithmetic (Ampere or later)";
            break;
        case WB_TF32:
            if (!gpu->has_bf16) missing = "tf32 arithmetic (Ampere or later)";
            break;
        case WB_I8_DYNAMIC:
        case WB_I8_STATIC:
            if (!gpu->has_i8) missing = "int8 tensor cores (Turing or later)";
            break;
        case WB_FP8_DYNAMIC:
        case WB_FP8_STATIC:
            if (!gpu->has_fp8) missing = "fp8 tensor cores (Ada, Hopper or later)";
            break;
        default: break;
    }
    if (missing) return wb_fail(err, WB_ERR_UNSUPPORTED, 0, "%.96s has no %s", gpu->name, missing);
    if (!spec->is_mixed) return WB_OK;
    return wb_fail(err, WB_ERR_UNSUPPORTED, 0,
                   "%s is decided by timing single products, which is done on the CPU alone; fp8 "
                   "with the scales of wattbert quantize chooses by layer on a GPU",
                   spec->technique.name);
}
