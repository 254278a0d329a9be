# SPDX-License-Identifier: Apache-2.0
# A study that is short of time: fewer windows, rows that say so, and --resume for what was not reached.
head -n 21 "$SOURCE/demo/reviews.tsv" >reviews.tsv
study() {
    "$WATTBERT" study sst2="$MODEL" --file reviews.tsv --examples 8 --windows 2 --min-seconds 0.02 \
        --component-seconds 0.02 --idle-seconds 0.02 --energy-source modelled --carbon-zone DEU --pue 1.5 \
        --out out/deep "$@"
}
rows() {
    tail -n +2 out/deep/results.csv
}
# 500 windows each do not fit; what was not reached is measured later, and nothing of it is lost unsaid.
timeout 120 "$WATTBERT" study sst2="$MODEL" --file reviews.tsv --examples 8 --windows 500 --min-seconds 0.02 \
    --component-seconds 0.02 --idle-seconds 0.02 --energy-source modelled --out out/deep \
    --technique baseline+packed,i8-dynamic+packed --time-limit 2 >/dev/null 2>&1
echo "exit $?"
rows | grep -c -v "[0-9] of 500 windows"
study --technique baseline+packed,i8-dynamic+packed --resume >/dev/null
rows | grep -c "of 500 windows"
awk -f "$SOURCE/tests/cli/show.awk" out/deep/results.csv | cut -d '|' -f 1,6,11
study --technique i8-dynamic+sorted --component-seconds 0 --resume >/dev/null
rows | grep -c "components not measured"
cp out/deep/results.csv first.csv
study --technique i8-dynamic+sorted --component-seconds 0 --resume >/dev/null
cmp first.csv out/deep/results.csv && echo "resumed, nothing measured again"
# A time that is up before the first window.
rm -rf out
study --technique baseline+packed --time-limit 1 --examples 0 --min-seconds 3 --idle-seconds 1.5 2>&1 >/dev/null
echo "exit $?"
awk -f "$SOURCE/tests/cli/show.awk" out/deep/results.csv 2>/dev/null
