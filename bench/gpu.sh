#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Everything a GPU is measured with, in parts that each end in time and whose failure ends nothing else.
#
#     bench/gpu.sh [--bin DIR] [--model DIR].. [--data DIR] [--out DIR] [--python PROGRAM] PART[=SECONDS]..
#
# PART                needs                        does
#   check             checkcuda                    every kernel and whole forwards against their oracles
#   sanitize          compute-sanitizer            its four tools on whole forwards of the demo's model
#   bench             checkcuda                    bare products, plans at SST-2's and MNLI's lengths, kernels
#   peers             Python with PyTorch          wattbert beside PyTorch, SST-2's lengths and single texts
#   peers-mnli        the same                     MNLI's lengths, half of the contenders
#   attention         the same                     scores in memory and not, at 25, 128 and 512 tokens
#   single            checkcuda                    single texts of 25 and 155 tokens without Python
#   end               bench_end_to_end             what is left of the GPU's rate from text, 8 threads
#   study             models, data                 the energy study, each model in turn, into one report
#   scores            models, data                 the score of every technique
# and `all`: these in this order.
#
# To measure some rows anew: PEERS_ONLY and PEERS_ROUNDS are --only and --rounds of bench/peers_gpu.py in part peers.
#
# Each part writes OUT/PART.log and what it makes into OUT/PART/; OUT/summary.txt has a line for each.
#
# Built here: cmake --preset check && cmake --build --preset check, plus the target bench_end_to_end.
# From prebuilt binaries: --bin DIR holds wattbert, libwattbert.so.0, libwattbert_cuda.so, checkcuda and
# bench_end_to_end; DIR/lib what the machine lacks of libjansson.so.4, libhwloc.so.15 (and its
# libudev.so.1); DIR/lib-curl what it lacks of libcurl.so.4, which the program alone needs. Beside them
# only bench/, tools/make_random_checkpoint.py and demo/ of the repository are needed.
#
# A model is a folder distilbert-TASK. In it may lie scales.json (wattbert quantize), without which
# i8-static is skipped and fp8 finds its scales as it runs, and label-order ("2,0,1"), for checkpoints that
# do not name their labels where there is no training file. --data is the folder of GLUE's folders.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
bin='' models='' data='' out=gpu-results python=python3 parts=''
all_parts="check sanitize bench peers peers-mnli attention single end study scores"

usage() {
    sed -n '3,/^set -u/p' "$0" | sed -e '/^set -u/d' -e 's/^# \{0,1\}//'
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
    --bin | --model | --data | --out | --python)
        [ $# -gt 1 ] || usage
        case $1 in
        --bin) bin=$(cd "$2" && pwd) || exit 2 ;;
        --model) models="$models $(cd "$2" && pwd)" || exit 2 ;;
        --data) data=$(cd "$2" && pwd) || exit 2 ;;
        --out) out=$2 ;;
        --python) python=$2 ;;
        esac
        shift 2
        ;;
    -*) usage ;;
    all) parts="$parts $all_parts" && shift ;;
    *)
        parts="$parts $1"
        shift
        ;;
    esac
done
[ -n "$parts" ] || usage
mkdir -p "$out"
out=$(cd "$out" && pwd)

# ---- Finding things ----

# The program called $1: in --bin, else where the presets build it.
tool() {
    for candidate in ${bin:+"$bin/$1"} "$root/build/check/$1" "$root/build/check/tests/cuda/$1" \
        "$root/build/check/tests/device/$1" "$root/build/release/$1"; do
        if [ -x "$candidate" ]; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    echo "$1 is missing: give --bin, or build it" >&2
    return 1
}

library_path() {
    library_folders=/usr/local/cuda/lib64
    [ -z "$bin" ] || library_folders=$bin:$bin/lib:$library_folders
    printf '%s' "$library_folders"
}

# limit SECONDS COMMAND..: ended softly, so that a study writes what it has.
limit() {
    most=$1
    shift
    timeout -s INT -k 15 "$most" "$@"
}

# ours SECONDS PROGRAM..: with the libraries that lie beside it.
ours() {
    most=$1
    shift
    limit "$most" env "LD_LIBRARY_PATH=$(library_path)${bin:+:$bin/lib-curl}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" "$@"
}

# The library as Python loads it.
library() {
    for candidate in ${bin:+"$bin/libwattbert.so.0"} "$root/build/check/libwattbert.so.0" \
        "$root/build/release/libwattbert.so.0"; do
        [ ! -e "$candidate" ] || break
    done
    printf '%s\n' "$candidate"
}

# scales, order <- the options that a model's folder asks for.
set_options() {
    scales='' order=''
    [ ! -e "$1/scales.json" ] || scales="--scales $1/scales.json"
    [ ! -e "$1/label-order" ] || order="--label-order $(cat "$1/label-order")"
}

needs_models() {
    [ -z "$models" ] || [ -z "$data" ] || return 0
    echo "give --model and --data"
    return 1
}

# ---- Parts: $1 is the time they have, $2 the folder for what they make ----

check() {
    program=$(tool checkcuda) || return 1
    ours "$1" "$program"
}

# Whole forwards of the demo's model, as the program runs them. initcheck counts what cuBLASLt's own kernels read
# of their padding, too: its count is recorded and not judged.
sanitize() {
    program=$(tool wattbert) || return 1
    sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null) || {
        echo "compute-sanitizer is not installed"
        return 77
    }
    code=0
    end_s=$(($(date +%s) + $1))
    for check_tool in memcheck synccheck racecheck initcheck; do
        for technique in f16-flash+packed fp8-dynamic+packed i8-dynamic+packed baseline autocast-f16; do
            left=$((end_s - $(date +%s)))
            [ "$left" -gt 3 ] || { echo "the time is up before $check_tool $technique" && return 1; }
            echo "== $check_tool $technique"
            ours "$left" "$sanitizer" --tool "$check_tool" --error-exitcode 9 "$program" classify "$root/demo/model" \
                --device cuda --technique "$technique" "a charming journey" \
                "dull, lifeless, and far too long for what it has to say" >"$2/last" 2>&1 ||
                [ "$check_tool" = initcheck ] || code=1
            tail -n 12 "$2/last"
            grep -q "ERROR SUMMARY: 0 errors\|: 0 hazards" "$2/last" || [ "$check_tool" = initcheck ] || code=1
        done
    done
    rm "$2/last"
    return "$code"
}

bench() {
    program=$(tool checkcuda) || return 1
    end_s=$(($(date +%s) + $1))
    while read -r options; do
        left=$((end_s - $(date +%s)))
        [ "$left" -gt 5 ] || { echo "the time is up before $options" && return 1; }
        echo "== checkcuda --bench $options"
        # shellcheck disable=SC2086  # words
        ours "$left" "$program" --bench $options
    done <<END
-f bare --seconds 1
-f =f16-flash+packed
-f =fp8-static+packed
-f =bf16-flash+packed
-f =i8-static+packed
-f =i8-dynamic+packed
-f =f16-flash+packed --mnli
-f =fp8-static+packed --mnli
-f =i8-dynamic+packed --mnli
-f kernels
END
}

run_peers() {
    seconds=$1 made=$2
    shift 2
    limit "$seconds" "$python" "$root/bench/peers_gpu.py" --library "$(library)" --library-path "$(library_path)" \
        --seconds $((seconds - 20)) --out "$made" "$@"
}

peers() {
    run_peers "$1" "$2" --tasks sst2 --only "${PEERS_ONLY:-}" --rounds "${PEERS_ROUNDS:-5}"
}

peers_mnli() {
    run_peers "$1" "$2" --tasks mnli --no-singles --fewer
}

attention() {
    run_peers "$1" "$2" --attention --rounds 3 --only "${ATTENTION_ONLY:-*}"
}

single() {
    program=$(tool checkcuda) || return 1
    for plan in f16-flash+packed fp8-static+packed f32-flash+packed; do
        ours "$1" "$program" --bench -f "=single $plan" --seconds 2
    done
}

# Real sentences through DistilBERT's real size: random weights beside a trained checkpoint's vocabulary.
end() {
    program=$(tool bench_end_to_end) || return 1
    "$python" "$root/tools/make_random_checkpoint.py" "$2/model" --dtype f16 || return 1
    for model in $models; do
        cp "$model/vocab.txt" "$2/model/" && break
    done
    cut -f 1 "${data:-/none}/SST-2/dev.tsv" 2>/dev/null | tail -n +2 >"$2/lines.txt"
    [ -s "$2/lines.txt" ] || cut -f 1 "$root/demo/reviews.tsv" | tail -n +2 >"$2/lines.txt"
    for technique in f16-flash+packed fp8-dynamic+packed; do
        ours "$1" "$program" "$2/model" "$2/lines.txt" cuda "$technique" 8 4e6 9
    done
    rm -r "$2/model"
}

# Each model has an equal part of the time; --resume puts their rows together and goes on after an earlier call.
study() {
    needs_models || return 2
    n_left=$(echo "$models" | wc -w) code=0 folder=$2
    end_s=$(($(date +%s) + $1))
    program=$(tool wattbert) || return 1
    for model in $models; do
        part_s=$(((end_s - $(date +%s)) / n_left))
        n_left=$((n_left - 1))
        set_options "$model"
        # shellcheck disable=SC2086  # words
        ours "$part_s" "$program" study "$model" --data "$data" --device cuda $scales $order \
            --technique "${STUDY_TECHNIQUES:-all}" --protocol "${STUDY_PROTOCOLS:-padded,packed}" \
            --windows "${STUDY_WINDOWS:-3}" --component-seconds "${STUDY_COMPONENT_SECONDS:-0.6}" --idle-seconds 2 \
            --carbon-zone DEU --time-limit $((part_s - 20)) --out "$folder" --resume || code=1
    done
    rm -rf "$folder/figures"  # report.html has them, too
    gzip -kf "$folder/power.csv" 2>/dev/null
    return "$code"
}

scores() {
    needs_models || return 2
    program=$(tool wattbert) || return 1
    code=0
    end_s=$(($(date +%s) + $1))
    for model in $models; do
        tasks=$(basename "$model" | sed 's/^distilbert-//')
        [ "$tasks" != mnli ] || tasks="mnli mnli-mm"
        set_options "$model"
        for task in $tasks; do
            for technique in f32-flash+packed tf32+packed f16-flash+packed flash+packed i8-static+packed \
                i8-dynamic+packed fp8+packed fp8-dynamic+packed; do
                left=$((end_s - $(date +%s)))
                [ "$left" -gt 3 ] || { echo "the time is up before $task $technique" && return 1; }
                # shellcheck disable=SC2086  # words
                ours "$left" "$program" eval "$model" --task "$task" --data "$data" --device cuda \
                    --technique "$technique" $scales $order --json || code=1
            done
        done
    done
    return "$code"
}

default_seconds() {
    case $1 in
    check) echo 120 ;;
    sanitize) echo 200 ;;
    bench) echo 120 ;;
    peers) echo 480 ;;
    peers-mnli) echo 270 ;;
    attention) echo 240 ;;
    single) echo 30 ;;
    end) echo 60 ;;
    study) echo 480 ;;
    scores) echo 180 ;;
    *) return 1 ;;
    esac
}

# ---- The run ----

{
    date -u +%Y-%m-%dT%H:%M:%SZ
    nvidia-smi --query-gpu=name,driver_version,power.limit,clocks.max.sm,temperature.gpu --format=csv,noheader
    grep -m 1 "model name" /proc/cpuinfo
    nproc
} >"$out/machine.txt" 2>&1

worst=0
for part in $parts; do
    name=${part%%=*}
    seconds=$(default_seconds "$name") || usage
    [ "$name" = "$part" ] || seconds=${part#*=}
    mkdir -p "$out/$name"
    begin=$(date +%s)
    "$(printf '%s' "$name" | tr - _)" "$seconds" "$out/$name" >"$out/$name.log" 2>&1
    code=$?
    line="$name: exit $code after $(($(date +%s) - begin)) of $seconds s"
    echo "$line" | tee -a "$out/summary.txt"
    tail -n 4 "$out/$name.log" | cut -c 1-200
    rmdir "$out/$name" 2>/dev/null
    [ $code -eq 0 ] || [ $code -eq 77 ] || worst=1
done
exit $worst
