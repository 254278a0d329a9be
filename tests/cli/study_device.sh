# SPDX-License-Identifier: Apache-2.0
# A study of a played GPU: its own counter by its UUID, its clocks, rows keyed by the device, and
# rows of the CPU beside them.
export LD_LIBRARY_PATH="$PLAYED"
head -n 21 "$SOURCE/demo/reviews.tsv" >reviews.tsv
study() {
    "$WATTBERT" study sst2="$MODEL" --file reviews.tsv --examples 8 --windows 2 --min-seconds 0.05 \
        --component-seconds 0.02 --idle-seconds 0.05 --carbon-zone DEU --out out "$@"
}

# A driver's management library, whose counter steps by 2.5 J every 10 ms or so.
mkdir -p gpu/usr/lib gpu/nvml
ln -s "$NVML" gpu/usr/lib/libnvidia-ml.so.1
cp "$NVML" gpu/usr/lib/copy && mv -f gpu/usr/lib/copy gpu/usr/lib/libnvidia-ml.so.1
echo "Scripted GPU H" >gpu/nvml/name
echo 580.1 >gpu/nvml/driver
echo GPU-played-1 >gpu/nvml/uuid
echo 1755 >gpu/nvml/clock_mhz
echo 2619 >gpu/nvml/memory_clock_mhz
echo 61 >gpu/nvml/temperature
echo 700000 >gpu/nvml/power_limit_mw
echo 4 >gpu/nvml/slowdowns
echo 1000000 >gpu/nvml/total_energy_mj
cat >columns.awk <<'END'
# Prints the columns named in names, apart by "|".
function cells(line,    n, i, c, quoted) {
    n = 1; cell[1] = ""; quoted = 0
    for (i = 1; i <= length(line); i++) {
        c = substr(line, i, 1)
        if (c == "\"") quoted = !quoted
        else if (c == "," && !quoted) cell[++n] = ""
        else cell[n] = cell[n] c
    }
    return n
}
NR == 1 { n = cells($0); for (i = 1; i <= n; i++) at[cell[i]] = i; n_names = split(names, name, " "); next }
{
    cells($0)
    for (i = 1; i <= n_names; i++) printf "%s%s", (i > 1 ? "|" : ""), cell[at[name[i]]]
    print ""
}
END
show() {
    awk -v names="$1" -f columns.awk out/results.csv
}

echo "== refused"
study --device cuda 2>&1 >/dev/null
FAKE_DOOR=no-driver study --device cuda 2>&1 >/dev/null
echo "exit $?"
ls out 2>&1

LD_LIBRARY_PATH="$PLAYED:$PWD/gpu/usr/lib" study --device cuda 2>&1 >/dev/null

echo "== the board's counter"
(
    joules=1000
    while [ ! -e stop ]; do
        joules=$((joules + 5))
        echo "$((joules * 500))" >gpu/nvml/new
        mv -f gpu/nvml/new gpu/nvml/total_energy_mj
        sleep 0.006
    done
) 2>/dev/null &
FAKE_DOOR_LOG=$PWD/calls FAKE_DOOR=ms=1 LD_LIBRARY_PATH="$PLAYED:$PWD/gpu/usr/lib" study --device cuda:1 --technique baseline,fp8+packed,mixed \
    --min-tokens 2000 >table
echo "exit $?"
touch stop
wait  # before its files go: it would write new ones meanwhile
rm -r gpu
show "technique device precision status energy_source energy_method clock_low_hz clock_high_hz memory_clock_hz temperature_high_celsius power_limit_w"
show "technique reason" | grep mixed | cut -c 1-60
show flags | head -n 1
show "driver" | head -n 1 | sed 's/^[^,]*, //'
show "technique examples energy_j attention_j ffn_j embeddings_j head_j rest_j" | awk -F "|" '$3 != "" {
    print $1, $2, ($4 + $5 + $6 + $7 + $8) / $3 - 1 < 1e-7 ? "parts sum" : "parts differ"
}'
awk -F , 'NR > 1 { print $5, $6 }' out/power.csv | sort -u
# A component's window is 3 steps of the counter, a technique's 20, and passes take as long as replays or longer.
awk '/^forward/ { n_forwards++ } /^replay - 4 / { n_replays++ }
    END { print ((n_replays > 0 && n_replays < 0.7 * n_forwards) ? "short replays" : n_replays " of " n_forwards) }' calls

echo "== rows of both devices"
cp out/results.csv gpu.csv
study --technique baseline+packed --energy-source modelled --resume >table
show "technique device energy_method" | sed 's/|[^|S]*|modelled/|the CPU|modelled/'
grep -c -E "^(Scripted GPU H|[^ ].*)$" table | awk '{ print ($1 > 8) ? "tables of both" : "one table" }'
study --device cuda --technique baseline --energy-source modelled --resume --min-tokens 2000 >/dev/null
show "technique device energy_method" | wc -l
study --device cuda --technique f32-flash --energy-source modelled --resume >/dev/null
show "technique flags" | grep -o "^f32-flash|\|the GPU's energy is not in it: modelled sees the processor"
grep -c "Devices side by side" out/report.html
