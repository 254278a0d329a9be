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
wide='%zmm|%k[1-7]|%[xy]mm(1[6-9]|2[0-9]|3[01])'
tiles='%tmm|ldtilecfg|sttilecfg|tilerelease'
for object in $(find CMakeFiles -name '*.o' -path '*/w*.dir/*' | sort); do
    case $object in
    */kernels/amx_int8/*) pattern='tdp[^b]|tdpbf16' ;;
    */kernels/amx_bf16/*) pattern='tdpb[^f]|vpdpb|vdpbf16' ;;
    */kernels/avx512*) pattern=$tiles ;;
    */kernels/avx2/*) pattern="$wide|$tiles|vpdpb" ;;
    */kernels/avx2_vnni/*) pattern="$wide|$tiles" ;;
    *) pattern="%ymm|%zmm|$tiles|[[:space:]]v[a-z0-9]+[[:space:]].*%xmm" ;;
    esac
    n=$(count "$object" "$pattern")
    [ "$n" = 0 ] || {
        echo "$object: $n instructions above its set"
        bad=1
    }
done
# The check itself must be able to see: these folders hold what they are for.
for expected in avx2:%ymm avx2_vnni:vpdpbusd.*%ymm avx512_vnni:vpdpbusd.*%zmm avx512_bf16:vdpbf16ps \
    amx_int8:tdpbusd amx_int8:tilerelease amx_bf16:tdpbf16ps amx_bf16:tilerelease; do
    object=$(find CMakeFiles -name '*.o' -path "*/w*.dir/*/kernels/${expected%%:*}/*" | head -n 1)
    [ -n "$object" ] && [ "$(count "$object" "${expected#*:}")" != 0 ] || {
        echo "${expected%%:*}: no ${expected#*:} found in it"
        bad=1
    }
done
exit $bad
