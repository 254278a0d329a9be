# SPDX-License-Identifier: Apache-2.0
# Scales from texts in every form, what they say, and i8-static with and without them.
tail -n +2 "$SOURCE/demo/reviews.tsv" | cut -f 1 | head -n 30 >lines.txt
sed 's/.*/{"text": "&"}/' <lines.txt | tr -d '\\' >lines.jsonl
paste lines.txt lines.txt | head -n 20 >pairs.txt
"$WATTBERT" quantize "$MODEL" --calibrate "$SOURCE/demo/reviews.tsv" --task sst2 -o scales --texts 8 |
    sed -e "s|$SOURCE|SOURCE|" -e 's/by [0-9.e-]*/by X/'
grep -c '"name": "layer [0-3] [a-z_]*"' scales/scales.json
grep -o -E '"file": "[^"]*"|"texts": [0-9]*|"sha256": "[0-9a-f]*"' scales/scales.json
sha256sum "$MODEL/model.safetensors" "$MODEL/config.json" | cut -d ' ' -f 1 >hashes
grep -c -f hashes scales/scales.json
"$WATTBERT" quantize "$MODEL" --calibrate lines.txt --out lines --texts 6 | head -n 1
"$WATTBERT" quantize "$MODEL" --calibrate pairs.txt --pairs --out pairs --texts 3 | head -n 1
"$WATTBERT" quantize "$MODEL" --calibrate lines.jsonl --jsonl --out jsonl --texts 3 --max-error 1e-6 | sed -n '3,4p'
head -n 60 "$SOURCE/demo/reviews.tsv" >dev.tsv
for scales in scales scales/scales.json jsonl; do
    "$WATTBERT" eval "$MODEL" --task sst2 --file dev.tsv --technique i8-static+packed --scales $scales | grep technique
done
"$WATTBERT" plan "$MODEL" --technique i8-static --scales jsonl | grep -c -E "^layer .* f32 +0.* fell back: "
"$WATTBERT" plan "$MODEL" --scales scales | grep -E "^i8-static" | sed "s/[0-9.]*$/MB/"  # packed as the kernels want it
"$WATTBERT" plan "$MODEL" | grep -E "^i8-static"
try() {
    "$WATTBERT" "$@" >printed 2>&1 </dev/null
    code=$?
    sed -e "s|$MODEL|MODEL|g" -e "s|$SOURCE|SOURCE|g" printed
    echo "exit $code"
}
try classify "$MODEL" "a text" --technique i8-static
try classify "$MODEL" "a text" --technique i8-static --scales missing
try classify "$MODEL" "a text" --technique i8-static --scales lines.jsonl
sed 's/weights_fingerprint": "./weights_fingerprint": "x/' scales/scales.json >broken.json
try classify "$MODEL" "a text" --technique i8-static --scales broken.json
sed 's/weights_fingerprint": "................/weights_fingerprint": "0123456789abcdef/' scales/scales.json >other.json
try classify "$MODEL" "a text" --technique i8-static --scales other.json
try quantize "$MODEL" --calibrate lines.txt
try quantize "$MODEL" -o scales
try quantize "$MODEL" --calibrate lines.txt -o scales --pairs --jsonl
try quantize "$MODEL" --calibrate lines.txt -o scales --task nli
try quantize "$MODEL" --calibrate missing.txt -o scales
try quantize "$MODEL" --calibrate lines.txt -o scales --pairs
try quantize "$MODEL" --calibrate lines.txt -o no/such/folder
head -n 1 lines.txt >one.txt
try quantize "$MODEL" --calibrate one.txt -o scales
