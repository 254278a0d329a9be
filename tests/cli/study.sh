# SPDX-License-Identifier: Apache-2.0
# A study of three techniques in seconds: rows, provenance, parts that sum to the whole, and
# resuming, which measures nothing twice.
head -n 21 "$SOURCE/demo/reviews.tsv" >reviews.tsv
study() {
    "$WATTBERT" study sst2="$MODEL" --file reviews.tsv --examples 8 --windows 2 --min-seconds 0.02 \
        --component-seconds 0.02 --idle-seconds 0.02 --energy-source modelled --carbon-zone DEU --pue 1.5 \
        --out out/deep "$@"
}
study --technique baseline,fp8,tf32,i8-dynamic+packed >table
echo "exit $?"
grep -c "" table | awk '{ print ($1 > 6) ? "a table" : "no table" }'
awk 'length($0) > 100 { print "too wide: " $0 }' table
ls out/deep | grep -E "^(results.csv|power.csv|report.html)$"
awk -f "$SOURCE/tests/cli/show.awk" out/deep/results.csv
head -n 1 out/deep/power.csv
cp out/deep/results.csv first.csv
study --technique baseline,i8-dynamic+packed --resume >/dev/null
cmp first.csv out/deep/results.csv && echo "resumed, nothing measured again"
study --technique flash+packed --resume >/dev/null
awk -f "$SOURCE/tests/cli/show.awk" out/deep/results.csv | cut -d '|' -f 1-3
sed 's/,.*//' out/deep/results.csv | tail -n +2 | uniq | wc -l
study --technique bf16+sorted >/dev/null
awk -f "$SOURCE/tests/cli/show.awk" out/deep/results.csv | cut -d '|' -f 1-2
echo "set aside:"
awk -f "$SOURCE/tests/cli/show.awk" out/deep/results.csv.old | cut -d '|' -f 1-2
