#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The form of every source file: SPDX line, no tabs, no trailing blanks, a final newline; C files
# at most 600 lines, functions at most 60 (kernels 120), no conditional compilation outside the
# files that meet the hardware. Prints file:line for each breach, and fails.
set -eu
cd -- "$(dirname -- "$0")/.."

sources=$(find include src apps tests examples bench tools cmake run .ci CMakeLists.txt \
    \( -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' -o -name '*.sh' -o -name '*.py' -o -name 'CMakeLists.txt' -o -name '*.cmake' \
    -o -path run -o -path .ci/run \) -type f | sort)

# shellcheck disable=SC2086
awk '
    FNR == 1 {
        is_c = FILENAME ~ /\.([ch]|cuh?)$/
        most = FILENAME ~ /^src\/kernels\/|\.cuh?$/ ? 120 : 60
        # Four files meet the hardware, one the compilers; public headers meet both and C++.
        may_if = FILENAME ~ /^src\/(cpu\/cpu\.c|cuda\/cell\.cuh|base\/pool\.c|kernels\/select\.c|kernels\/generic\/inline\.h)$/ ||
                 FILENAME ~ /^(include|tests)\//
        is_checked = 0
        start = 0
    }
    FNR <= 2 && /SPDX-License-Identifier: Apache-2\.0/ { is_checked = 1 }
    FNR == 3 && !is_checked { breach("no SPDX-License-Identifier: Apache-2.0 in its first line") }
    /\t/ && FILENAME !~ /\.tsv$/ { breach("tab") }
    /[ \r]$/ { breach("trailing blank") }
    FNR == 601 && is_c { breach("longer than 600 lines") }
    is_c && !may_if && /^[ ]*#[ ]*(if|ifdef|elif)([ (]|$)/ { breach("conditional compilation: " $0) }
    is_c && !may_if && /^[ ]*#[ ]*ifndef/ && $2 !~ /_(H|CUH)$/ { breach("conditional compilation: " $0) }
    # clang-format leaves a function no other form: it starts at the last letter in column one that
    # is no label, and ends with a lone }.
    is_c && /^[a-zA-Z_]/ && !/^[a-zA-Z_]+:$/ { start = FNR }
    is_c && /^}$/ && FNR - start + 1 > most {
        breach("function of " FNR - start + 1 " lines, at most " most)
    }
    function breach(what) {
        printf "%s:%d: %s\n", FILENAME, FNR, what
        n_breaches++
    }
    END { exit n_breaches > 0 }' $sources

for file in $sources; do
    [ -z "$(tail -c 1 "$file")" ] || {
        echo "$file: no newline at its end"
        exit 1
    }
done
