#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every folder includes only what stands to its left (ARCHITECTURE.md). Prints each include that
# does not, and fails.
set -eu
cd -- "$(dirname -- "$0")/.."

# folder: the prefixes its quoted includes may have, and after a ! those they may not have.
rules='
src/base     base/ wattbert/error.h
src/cpu      cpu/ base/
src/kernels  kernels/ cpu/cpu.h base/half.h
src/text     text/ base/
src/format   format/ base/
src/energy   energy/ base/ wattbert/energy.h
src/plan     plan/ base/ cpu/ kernels/ wattbert/
src/model    model/ base/ cpu/ kernels/ plan/ wattbert/wattbert.h
src/cuda     cuda/ base/ kernels/ plan/ model/ wattbert/
src/engine   engine/ base/ cpu/ kernels/ text/ format/ plan/ model/ cuda/cuda.h wattbert/wattbert.h
include      error.h
apps         !cpu/ !kernels/ !text/ !format/ !energy/ !plan/ !model/ !cuda/ !engine/
examples     wattbert/
'

find src include apps examples \( -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' \) | sort | while read -r file; do
    sed -n 's/^[[:space:]]*#[[:space:]]*include "\([^"]*\)".*/\1/p' "$file" | sed "s|^|$file |"
done | RULES=$rules awk '
    BEGIN {
        n = split(ENVIRON["RULES"], lines, "\n")
        for (i = 1; i <= n; i++) {
            n_words = split(lines[i], words, " ")
            if (n_words) folders[words[1]] = lines[i]
        }
    }
    {
        split($1, parts, "/")
        folder = parts[1] == "src" ? parts[1] "/" parts[2] : parts[1]
        n_words = split(folders[folder], words, " ")
        is_allowed = words[2] ~ /^!/
        for (i = 2; i <= n_words; i++) {
            if (index($2, words[i]) == 1) is_allowed = 1
            if (index("!" $2, words[i]) == 1) is_allowed = 0
        }
        if (!is_allowed) {
            printf "%s: may not include \"%s\"\n", $1, $2
            n_bad++
        }
    }
    END { exit n_bad > 0 }'

# Kernels are leaves: no allocation, no input or output. The model reads no files.
bad=$(grep -nE '^ *# *include <(stdio|stdlib|unistd|errno|pthread|fcntl|sys/.*)\.h>' -r src/kernels || true
      grep -nE '\bwb_file_' -r src/model src/kernels || true)
[ -z "$bad" ] || {
    printf '%s\n' "$bad"
    exit 1
}
