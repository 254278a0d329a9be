#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# install.sh BUILD_DIR VERSION MODEL: the installed package serves CMake, pkg-config, C and C++, the
# program runs from where it is, and so does a copy of the whole elsewhere.
set -eu
build=$1 version=$2 model=$3
here=$(cd -- "$(dirname -- "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "install.sh: $*" >&2
    exit 1
}

cmake --install "$build" --prefix "$work/first" >"$work/log" || { cat "$work/log"; exit 1; }
mv "$work/first" "$work/moved"  # nothing installed may remember where it was built or put
prefix=$work/moved
! grep -rIl -e "$build" -e "$work/first" "$prefix" || fail "files above name the build folder"

expected="$version 2"
run_consumer() {
    got=$(LD_LIBRARY_PATH=$libdir "$1" "$model") || fail "$1 failed"
    [ "$got" = "$expected" ] || fail "$1 says '$got', want '$expected'"
}
pc=$(find "$prefix" -name wattbert.pc)
libdir=$(dirname -- "$(dirname -- "$pc")")
export PKG_CONFIG_PATH="${pc%/*}"
[ "$(pkg-config --modversion wattbert)" = "$version" ] || fail "pkg-config: wrong version"

cmake -S "$here/consumer" -B "$work/cmake" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" >"$work/log" 2>&1 &&
    cmake --build "$work/cmake" >>"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
run_consumer "$work/cmake/consumer"

# shellcheck disable=SC2046
${CC:-cc} -std=c17 "$here/consumer/consumer.c" -o "$work/c" $(pkg-config --cflags --libs wattbert)
run_consumer "$work/c"
if command -v "${CXX:-c++}" >/dev/null; then
    # shellcheck disable=SC2046
    ${CXX:-c++} -std=c++17 -x c++ "$here/consumer/consumer.c" -x none -o "$work/cxx" \
        $(pkg-config --cflags --libs wattbert)
    run_consumer "$work/cxx"
fi

"$prefix/bin/wattbert" --version | grep -qF "$version" || fail "wattbert --version"
[ -s "$prefix/share/man/man1/wattbert.1" ] || fail "no man page"
