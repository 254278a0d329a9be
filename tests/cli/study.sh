# SPDX-License-Identifier: Apache-2.0
# A study of three techniques in seconds: rows, provenance, parts that sum to the whole, and
# resuming, which measures nothing twice.
head -n 21 "$SOURCE/demo/reviews.tsv" >reviews.tsv
study() {
    "$WATTBERT" study sst2="$MODEL" --file reviews.tsv --examples 8 --windows 2 --min-seconds 0.02 \
        --component-seconds 0.02 --idle-seconds 0.02 --energy-source modelled --carbon-zone DEU --pue 1.5 \
        --out out/deep "$@"
}
study --technique baseline,fp8,i8-dynamic+packed >table
echo "exit $?"
grep -c "" table | awk '{ print ($1 > 6) ? "a table" : "no table" }'
awk 'length($0) > 100 { print "too wide: " $0 }' table
ls out/deep | grep -E "^(results.csv|power.csv|report.html)$"
cat >show.awk <<'END'
# Prints the named columns of a CSV file without quoted line ends.
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
NR == 1 { n = cells($0); for (i = 1; i <= n; i++) at[cell[i]] = i; next }
{
    cells($0)
    printf "%s|%s|%s|%s|%s|%s|%s|%s|%s|%s", cell[at["technique"]], cell[at["protocol"]], cell[at["task"]],
        cell[at["split"]], cell[at["examples"]], cell[at["windows"]], cell[at["energy_method"]],
        cell[at["carbon_source"]], cell[at["status"]], cell[at["reason"]]
    if (cell[at["status"]] == "ok") {
        whole = cell[at["energy_j"]]
        sum = cell[at["attention_j"]] + cell[at["ffn_j"]] + cell[at["embeddings_j"]] + cell[at["head_j"]] + cell[at["rest_j"]]
        grams = whole / 3.6e6 * 380.95 * 1.5
        printf "|%s", (sum / whole - 1) ^ 2 < 1e-14 ? "parts sum" : "parts " sum " of " whole
        printf "|%s", (cell[at["g_co2e"]] / grams - 1) ^ 2 < 1e-12 ? "grams" : "wrong grams"
        # + 0: these cells were put together as strings, and awk would compare them as such.
        low = cell[at["energy_low_j"]] + 0
        high = cell[at["energy_high_j"]] + 0
        printf "|%s", low <= whole + 0 && whole + 0 <= high ? "interval" : "no interval"
    }
    print ""
}
END
awk -f show.awk out/deep/results.csv
head -n 1 out/deep/power.csv
cp out/deep/results.csv first.csv
study --technique baseline,i8-dynamic+packed --resume >/dev/null
cmp first.csv out/deep/results.csv && echo "resumed, nothing measured again"
study --technique flash+packed --resume >/dev/null
awk -f show.awk out/deep/results.csv | cut -d '|' -f 1-3
sed 's/,.*//' out/deep/results.csv | tail -n +2 | uniq | wc -l
study --technique bf16+sorted >/dev/null
awk -f show.awk out/deep/results.csv | cut -d '|' -f 1-2
echo "set aside:"
awk -f show.awk out/deep/results.csv.old | cut -d '|' -f 1-2
# Scales that are given, made from a training file, or neither.
rm -rf out
study --technique i8-static+packed >/dev/null
awk -f show.awk out/deep/results.csv | cut -d '|' -f 1,9,10
"$WATTBERT" quantize "$MODEL" --calibrate reviews.tsv --task sst2 -o given >/dev/null
study --technique i8-static,i8-static+packed --scales given >/dev/null
awk -f show.awk out/deep/results.csv | cut -d '|' -f 1,9,10
mkdir -p glue/SST-2
cp reviews.tsv glue/SST-2/dev.tsv
head -n 40 "$SOURCE/demo/reviews.tsv" >glue/SST-2/train.tsv
study --technique i8-static+packed --data glue >/dev/null
awk -f show.awk out/deep/results.csv | cut -d '|' -f 1,9,10
grep -o '"texts": [0-9]*' out/deep/scales/*.json
echo "== short of time"
rows() {
    tail -n +2 out/deep/results.csv
}
# 500 windows each do not fit; what was not reached is measured later, and nothing of it is lost unsaid.
timeout 120 "$WATTBERT" study sst2="$MODEL" --file reviews.tsv --examples 8 --windows 500 --min-seconds 0.02 \
    --component-seconds 0.02 --idle-seconds 0.02 --energy-source modelled --out out/deep \
    --technique baseline+packed,i8-dynamic+packed --time-limit 2 >/dev/null 2>&1
case $? in
0 | 3) echo "ended by itself" ;;  # 3: under sanitizers the time may be up before the first window
esac
rows 2>/dev/null | grep -c -v "[0-9] of 500 windows"
study --technique baseline+packed,i8-dynamic+packed --resume >/dev/null
rows | grep -c "of 500 windows"
awk -f show.awk out/deep/results.csv | cut -d '|' -f 1,6,11
study --technique i8-dynamic+sorted --component-seconds 0 --resume >/dev/null
rows | grep -c "components not measured"
cp out/deep/results.csv first.csv
study --technique i8-dynamic+sorted --component-seconds 0 --resume >/dev/null
cmp first.csv out/deep/results.csv && echo "resumed, nothing measured again"
# A time that is up before the first window.
rm -rf out
study --technique baseline+packed --time-limit 1 --examples 0 --min-seconds 3 --idle-seconds 1.5 2>&1 >/dev/null
echo "exit $?"
awk -f show.awk out/deep/results.csv 2>/dev/null
