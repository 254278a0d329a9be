#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# All C sources are as clang-format 14 (Debian 12) writes them; other versions disagree about
# details, so they are not asked.
set -eu
cd -- "$(dirname -- "$0")/.."
for formatter in clang-format-14 clang-format none; do
    ! "$formatter" --version 2>/dev/null | grep -q 'version 14\.' || break
done
[ "$formatter" != none ] || {
    echo "skipped: no clang-format 14"
    exit 77
}
find include src apps tests examples bench tools \
    \( -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' \) -exec "$formatter" --dry-run -Werror {} +
