#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every header compiles alone in C17, and the public ones in C++17 too.
set -eu
cd -- "$(dirname -- "$0")/.."
warnings="-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror"

# shellcheck disable=SC2086
for header in $(find include src apps -name '*.h' | sort); do
    compiler=${CC:-cc}
    case $header in
    src/cuda/cublaslt.h) continue ;;  # needs the CUDA toolkit, and is compiled where that is
    src/kernels/generic/*) continue ;;  # written for whichever set of lanes is included first
    src/kernels/neon/multiply_blocks.h) continue ;;  # the same of blocks
    src/kernels/neon*)
        flags="-O1 -march=armv8.2-a+dotprod+i8mm+bf16+fp16"
        [ "$(uname -m)" = aarch64 ] || compiler=aarch64-linux-gnu-gcc
        command -v $compiler >/dev/null || continue
        ;;
    src/kernels/avx* | src/kernels/amx*) flags="-O1 -march=sapphirerapids" ;;  # intrinsics: their set, and functions
    include/*) flags= ;;
    *) flags=-D_GNU_SOURCE ;;
    esac
    printf '#include "%s"\nextern int not_empty;\n' "${header#include/}" |
        $compiler -std=c17 $warnings -Wstrict-prototypes $flags -fsyntax-only -x c \
            -Iinclude -Isrc -Iapps/wattbert -I. -
done
command -v "${CXX:-c++}" >/dev/null || {
    echo "no C++ compiler: C++ not checked"
    exit 0
}
# shellcheck disable=SC2086
for header in include/wattbert/*.h; do
    echo "#include <${header#include/}>" |
        ${CXX:-c++} -std=c++17 $warnings -Wold-style-cast -fsyntax-only -x c++ -Iinclude -
done
