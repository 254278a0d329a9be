# SPDX-License-Identifier: Apache-2.0
# Wrong command lines: one line on standard error, exit 2.
try() {
    "$WATTBERT" "$@" >printed 2>&1 </dev/null
    code=$?
    sed "s|$MODEL|MODEL|g" printed
    echo "exit $code"
}
try frobnicate
try classify
try classify "$MODEL" --technique
try classify "$MODEL" --frobnicate
try classify "$MODEL" --threads none
try classify "$MODEL" --jsonl --tsv
try classify "$MODEL" --file texts "a text"
try classify "$MODEL" --technique f64 "a text"
try tokenize
try tokenize "$MODEL" --max-length 2
try plan
try plan "$MODEL" --technique f64
try eval "$MODEL"
try eval "$MODEL" --task sst2
try eval "$MODEL" --task sst3 --data .
try eval "$MODEL" --task sst2 --data . --split test
try study
try study "$MODEL" --data .
try study "$MODEL" --task sst3 --data .
try study "$MODEL" --task sst2
try study "$MODEL" --task sst2 --data . --technique f64
try study "$MODEL" --task sst2 --data . --protocol loose
try study sst2="$MODEL" cola="$MODEL" --file examples.tsv
