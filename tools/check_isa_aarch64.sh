#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_isa_aarch64.sh BUILD_DIR OBJDUMP: as check_isa.sh, for Arm: each instruction above ARMv8.0 is
# used in its own folder, and nowhere else.
# shellcheck disable=SC2044
set -eu
cd "$1"
objdump=$2

# The instructions of each rung, and atomics of ARMv8.1, which -march=armv8.2-a would allow.
end='[[:space:]]'
dotprod="[us]dot$end"
i8mm="(us|su)dot$end|(us|[us])mmla$end"
bf16="bf(dot|mmla|mlal[bt]?|cvtn?2?)$end"
fp16="f[a-z]+$end+(v[0-9]+\.[48]h, v[0-9]+\.[48]h|h[0-9]+, h[0-9]+)"
others="(cas|swp|ld(add|clr|eor|set))[abhlp]*$end|sqrdml[as]h$end"

# count OBJECT PATTERN: instructions that match; each line begins with an address and a colon.
count() {
    "$objdump" -d --no-show-raw-insn "$1" | grep -cE ":$end+($2)" || true
}

bad=0
n_objects=0
for object in $(find CMakeFiles -name '*.o' -path '*/wb_*.dir/*' | sort); do
    n_objects=$((n_objects + 1))
    own=none
    case $object in
    */kernels/neon_dotprod/*) own=$dotprod pattern="$i8mm|$bf16|$fp16|$others" ;;
    */kernels/neon_i8mm/*) own=$i8mm pattern="$dotprod|$bf16|$fp16|$others" ;;
    */kernels/neon_bf16/*) own=$bf16 pattern="$dotprod|$i8mm|$fp16|$others" ;;
    */kernels/neon_fp16/*) own=$fp16 pattern="$dotprod|$i8mm|$bf16|$others" ;;
    *) pattern="$dotprod|$i8mm|$bf16|$fp16|$others" ;;
    esac
    n=$(count "$object" "$pattern")
    [ "$n" = 0 ] || {
        echo "$object: $n instructions above its set"
        bad=1
    }
    # The check itself must be able to see: each rung uses what it is made for.
    [ "$own" = none ] || [ "$(count "$object" "$own")" != 0 ] || {
        echo "$object: none of its own instructions found"
        bad=1
    }
done
[ "$n_objects" != 0 ] || bad=1
exit $bad
