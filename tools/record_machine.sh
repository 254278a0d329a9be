#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Records this machine's energy counters as a folder like those in tests/machines: the files of
# /sys and /proc that wattbert looks at, and how the counters move for a while. Needs nothing but
# a shell; run it as root where counters are closed. GPUs are not recorded: their counters are no files.
#
#     tools/record_machine.sh FOLDER [SECONDS]
set -eu

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "usage: tools/record_machine.sh FOLDER [SECONDS]" >&2
    exit 2
fi
folder=$1
seconds=${2:-5}
if [ -e "$folder" ]; then
    echo "record_machine: $folder exists already, give a new folder" >&2
    exit 1
fi
mkdir -p "$folder/root" "$folder/samples"

# copy FILE: into root/ under its own path; a file that cannot be read is denied when it is played.
copy() {
    mkdir -p "$folder/root$(dirname "$1")"
    if ! cat "$1" >"$folder/root$1" 2>/dev/null; then
        echo 0 >"$folder/root$1"
        echo "deny ${1#/}" >>"$folder/play"
    fi
}

echo "wattbert-machine 1" >"$folder/play"
echo "# $(uname -srm), $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1)" >>"$folder/play"

counters=
for zone in /sys/class/powercap/intel-rapl:*; do
    [ -e "$zone/energy_uj" ] || continue
    for name in name max_energy_range_uj enabled energy_uj; do
        if [ -e "$zone/$name" ]; then copy "$zone/$name"; fi
    done
    if [ -r "$zone/energy_uj" ]; then counters="$counters $zone/energy_uj"; fi
done
for chip in /sys/class/hwmon/hwmon*; do
    [ -e "$chip/name" ] || continue
    for file in "$chip"/name "$chip"/energy*_* "$chip"/power*_* "$chip"/in*_input "$chip"/in*_label \
        "$chip"/curr*_input "$chip"/curr*_label; do
        [ -f "$file" ] || continue
        copy "$file"
        case $file in
        */energy*_input | */power*_input | */power*_average | */curr*_input)
            if [ -r "$file" ]; then counters="$counters $file"; fi
            ;;
        esac
    done
done
for file in /sys/bus/event_source/devices/power/type /sys/bus/event_source/devices/power/cpumask \
    /sys/bus/event_source/devices/power/events/* /proc/sys/kernel/perf_event_paranoid; do
    if [ -f "$file" ]; then copy "$file"; fi
done

# Samples are named by number; play says which file each belongs to.
n=0
for counter in $counters; do
    echo "trace ${counter#/} samples/$n" >>"$folder/play"
    n=$((n + 1))
done

# The time comes from /proc/uptime, in hundredths of a second: fine for steps of 50 ms.
now() { cut -d ' ' -f 1 /proc/uptime; }
start=$(now)
while :; do
    n=0
    at=$(now)
    for counter in $counters; do
        echo "$at $(cat "$counter")" >>"$folder/samples/$n"
        n=$((n + 1))
    done
    if awk "BEGIN { exit !($at - $start >= $seconds) }"; then break; fi
    sleep 0.05
done
echo "recorded $n counters for $seconds s in $folder; write doctor.json and meter.json beside play"
