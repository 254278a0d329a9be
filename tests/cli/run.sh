#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs one CLI test and compares what it prints.
#   LIBRARY=.. BACK_END=.. NVML=.. run.sh PROGRAM TEST.sh [--set-exact]
# The expectation lies beside the test: TEST.stdout.exact line for line, or TEST.stdout.glob,
# whose lines are shell patterns and in which a line "..." stands for any lines. --set-exact
# rewrites the first from what is printed now.
set -u
program=$1 script=$2 mode=${3:-}
here=$(cd "$(dirname "$script")" && pwd)
script=$here/$(basename "$script")
expected=${script%.sh}.stdout
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/wattbert-cli.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT

# The caller's settings must not reach the program.
unset ELECTRICITYMAPS_TOKEN WATTBERT_ISA FAKE_DOOR FAKE_DOOR_LOG
export WATTBERT="$program" MODEL="$root/demo/model" SOURCE="$root" LC_ALL=C.UTF-8
export XDG_CACHE_HOME="$work/cache"
export PLAYED="$work/played"
mkdir "$work/in" "$PLAYED"
ln -s "$LIBRARY" "$PLAYED/"
ln -s "$BACK_END" "$PLAYED/libwattbert_cuda.so"
(cd "$work/in" && sh "$script") >"$work/stdout" 2>"$work/stderr" </dev/null

fail() {
    echo "$(basename "$script"): $1"
    echo "--- printed"
    cat "$work/stdout"
    echo "--- standard error"
    cat "$work/stderr"
    exit 1
}

# Succeeds where the lines of $work/stdout from number $2 on match the patterns of $1 from number
# $3 on. "..." is followed by at most one place where the rest matches: the first.
match() {
    awk -v patterns="$1" '
        # A shell pattern of * and ? as a regular expression; every other character is itself.
        function regex(glob,    i, c, out) {
            out = "^"
            for (i = 1; i <= length(glob); i++) {
                c = substr(glob, i, 1)
                if (c == "*") out = out ".*"
                else if (c == "?") out = out "."
                else if (c ~ /[][\\.^$+(){}|]/) out = out "\\" c
                else out = out c
            }
            return out "$"
        }
        BEGIN { while ((getline line < patterns) > 0) pattern[++n] = line; at = 1 }
        {
            if (at <= n && pattern[at] != "..." && $0 ~ regex(pattern[at])) { at++; next }
            if (at <= n && pattern[at] == "...") {
                if (at < n && $0 ~ regex(pattern[at + 1])) at += 2
                next
            }
            if (at > 1 && pattern[at - 1] == "...") next
            printf "line %d does not match \"%s\": %s\n", NR, pattern[at], $0
            failed = 1
            exit 1
        }
        END {
            if (failed) exit 1
            if (at <= n && pattern[at] == "...") at++
            if (at <= n) { printf "nothing matches \"%s\"\n", pattern[at]; exit 1 }
        }' "$work/stdout"
}

if [ "$mode" = --set-exact ]; then
    cp "$work/stdout" "$expected.exact"
elif [ -f "$expected.exact" ]; then
    diff -u "$expected.exact" "$work/stdout" || fail "the output differs"
elif [ -f "$expected.glob" ]; then
    match "$expected.glob" || fail "the output does not match"
else
    fail "no $(basename "$expected").exact or .glob"
fi
# Every script ends well on purpose; a sanitizer's report is a failure wherever it is printed.
if grep -q -e "Sanitizer" -e "runtime error" "$work/stderr" "$work/stdout"; then
    fail "a sanitizer complains"
fi
exit 0
