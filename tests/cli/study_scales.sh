# SPDX-License-Identifier: Apache-2.0
# Techniques with calibrated scales: none there are, given ones, and made from a training file.
head -n 21 "$SOURCE/demo/reviews.tsv" >reviews.tsv
study() {
    "$WATTBERT" study sst2="$MODEL" --file reviews.tsv --examples 8 --windows 2 --min-seconds 0.02 \
        --component-seconds 0.02 --idle-seconds 0.02 --energy-source modelled --carbon-zone DEU --pue 1.5 \
        --out out/deep "$@"
}
study --technique i8-static+packed >/dev/null
awk -f "$SOURCE/tests/cli/show.awk" out/deep/results.csv | cut -d '|' -f 1,9,10
"$WATTBERT" quantize "$MODEL" --calibrate reviews.tsv --task sst2 -o given >/dev/null
study --technique i8-static,i8-static+packed --scales given >/dev/null
awk -f "$SOURCE/tests/cli/show.awk" out/deep/results.csv | cut -d '|' -f 1,9,10
mkdir -p glue/SST-2
cp reviews.tsv glue/SST-2/dev.tsv
head -n 40 "$SOURCE/demo/reviews.tsv" >glue/SST-2/train.tsv
study --technique i8-static+packed --data glue >/dev/null
awk -f "$SOURCE/tests/cli/show.awk" out/deep/results.csv | cut -d '|' -f 1,9,10
grep -o '"texts": [0-9]*' out/deep/scales/*.json
