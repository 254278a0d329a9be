# SPDX-License-Identifier: Apache-2.0
# Ctrl-C: what was measured is in a valid results.csv, and --resume finishes it.
head -n 21 "$SOURCE/demo/reviews.tsv" >reviews.tsv
options="--file reviews.tsv --examples 8 --min-seconds 0.02 --component-seconds 0.02
    --idle-seconds 0.02 --energy-source modelled --technique baseline+packed,i8-dynamic+packed --out out"
# shellcheck disable=SC2086  # the options are words
"$WATTBERT" study sst2="$MODEL" $options --windows 1000 2>message &
pid=$!
tries=0
while [ $tries -lt 3000 ] && ! grep -q modelled out/power.csv 2>/dev/null; do
    sleep 0.1
    tries=$((tries + 1))
done
kill -INT $pid
wait $pid
echo "exit $?"
cat message
grep -c interrupted out/results.csv | awk '{ print ($1 >= 1) ? "rows were kept" : "no rows" }'
ls out | grep -c "\.new$"
"$WATTBERT" study sst2="$MODEL" $options --windows 2 --resume >/dev/null
echo "exit $?"
grep -c interrupted out/results.csv
tail -n +2 out/results.csv | wc -l
