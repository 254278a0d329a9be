#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_isa.sh BUILD_DIR: no instruction above the baseline outside its folder. One such
# instruction, inlined by chance, kills the program on an older machine that nobody tests.
# shellcheck disable=SC2044
set -eu
[ "$(uname -m)" = x86_64 ] || {
    echo "skipped: not x86-64"
    exit 77
}

# count OBJECT PATTERN: lines of the disassembly that match.
count() {
    objdump -d --no-show-raw-insn "$1" | grep -cE "$2" || true
}

bad=0
cd "$1"
for object in $(find CMakeFiles -name '*.o' -path '*/w*.dir/*' | sort); do
    case $object in
    */kernels/avx512*) continue ;;
    */kernels/avx2/*) pattern='%zmm|%k[1-7]|%[xy]mm(1[6-9]|2[0-9]|3[01])' ;;
    *) pattern='%ymm|%zmm|[[:space:]]v[a-z0-9]+[[:space:]].*%xmm' ;;
    esac
    n=$(count "$object" "$pattern")
    [ "$n" = 0 ] || {
        echo "$object: $n instructions above its set"
        bad=1
    }
done
# The check itself must be able to see: the AVX2 objects use what it looks for.
for object in $(find CMakeFiles -name '*.o' -path '*/kernels/avx2/*' -size +8k | head -n 1); do
    [ "$(count "$object" '%ymm')" != 0 ] || {
        echo "$object: no %ymm found, the disassembler says nothing"
        bad=1
    }
done
exit $bad
