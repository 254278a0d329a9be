#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_clang.sh BUILD_DIR: the other compiler's warnings, over every command of the build.
set -eu
command -v clang >/dev/null || {
    echo "skipped: no clang"
    exit 77
}
cd "$1"
sed -n 's/^ *"command": "\(.*\)",$/\1/p' compile_commands.json | grep -v '[.]cu[.]o' |
    sed 's/\\\(.\)/\1/g; s/^[^ ]* /clang -fsyntax-only -Werror /; s/ -o [^ ]*\.o / /' |
    tr '\n' '\0' | xargs -0 -P "$(nproc)" -n 1 sh -c
