#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_symbols.sh BUILD_DIR: what the compiled library shows and calls. Symbols cannot hide in
# macros or comments, so this is asked of the objects and not of the source:
#   - the shared library exports exactly the functions that the public headers declare
#   - every external symbol starts with wb_
#   - nothing prints, exits, aborts or asserts; one object reads the environment; one allocates
#   - no object has variables that can change
set -eu
source_dir=$(cd -- "$(dirname -- "$0")/.." && pwd)
build_dir=$1
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
n_bad=0

# bad TITLE < lines: complains when there are any.
bad() {
    cat >"$temporary/bad"
    [ -s "$temporary/bad" ] || return 0
    echo "$1:"
    sed 's/^/    /' "$temporary/bad"
    n_bad=$((n_bad + 1))
}

declared() {
    cat "$source_dir"/include/wattbert/*.h | sed 's|//.*||' | grep -v '^#' | tr '\n' ' ' |
        tr ';{}' '\n\n\n' | grep WB_API | sed 's/(.*//; s/.*[ *]//' | sort
}
exported() {
    nm -D --defined-only "$build_dir/libwattbert.so" | awk '{ print $3 }' | sort
}
declared >"$temporary/declared"
exported >"$temporary/exported"
[ -s "$temporary/declared" ] || echo "no function found in include/" | bad "public headers"
comm -23 "$temporary/declared" "$temporary/exported" | bad "declared in a public header, not exported"
comm -13 "$temporary/declared" "$temporary/exported" | bad "exported, declared in no public header"

cd "$build_dir"
objects=$(find CMakeFiles/wb_*.dir -name '*.o' | sort)
[ -n "$objects" ] || echo "$build_dir" | bad "no objects of the library in"
# shellcheck disable=SC2086
{
    nm -A -g --defined-only $objects | awk '$NF !~ /^wb_/ { sub(/:.*/, "", $1); print $1, $NF }' \
        >"$temporary/unprefixed"
    nm -A -u $objects | awk '{ sub(/:.*/, "", $1); sub(/@.*/, "", $NF); print $1, $NF }' \
        >"$temporary/calls"
    # Tables of constant pointers lie in .data.rel.ro: written by the loader, then never again.
    objdump -t $objects | awk '
        / file format / { sub(/:$/, "", $1); object = $1 }
        /[ \t](\.data|\.bss|\.tdata|\.tbss|\*COM\*)/ && !/[ \t]\.data\.rel\.ro/ && $NF !~ /^\./ {
            print object, $NF
        }' >"$temporary/variables"
}

bad "external symbols without wb_" <"$temporary/unprefixed"
bad "variables that can change" <"$temporary/variables"
grep -E ' (_*(v?f?printf|puts|fputs|putchar|putc|fputc|fwrite|perror|psignal)(_chk)?|stdout|stderr|_?_?exit|_Exit|quick_exit|abort|__assert_fail|system|popen)$' \
    "$temporary/calls" | bad "prints or ends the program"
grep -E ' (malloc|calloc|realloc|reallocarray|free|_*strn?dup|aligned_alloc|posix_memalign|memalign|_*v?asprintf(_chk)?|getline|open_memstream)$' \
    "$temporary/calls" | grep -v '/base/alloc\.c\.o ' | bad "allocates outside src/base/alloc.c"
grep -E ' _*(secure_)?(get|set|put)env$' "$temporary/calls" >"$temporary/environment" || true
[ "$(wc -l <"$temporary/environment")" -le 1 ] || bad "environment read in more than one place" <"$temporary/environment"
exit "$((n_bad > 0))"
