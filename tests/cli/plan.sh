# SPDX-License-Identifier: Apache-2.0
# Every technique has a line, those that cannot run a reason; one technique has its matrices.
"$WATTBERT" plan "$MODEL" >all
head -n 2 all
grep -c -E "^(baseline|autocast-f16|autocast-bf16|mixed|flash|i8-dynamic|i8-static|f16-flash|f32-flash|bf16)(\+packed)? " all
grep -E "^fp8 " all
"$WATTBERT" plan "$MODEL" --technique baseline
WATTBERT_ISA=scalar "$WATTBERT" plan "$MODEL" --technique f32-flash+packed | grep -E "^(technique|kernels)"
"$WATTBERT" plan "$MODEL" --technique fp8 2>&1 >/dev/null
