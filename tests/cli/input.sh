# SPDX-License-Identifier: Apache-2.0
# Wrong input: one line on standard error that names it, exit 1.
try() {
    "$WATTBERT" "$@" >printed 2>&1 </dev/null
    code=$?
    sed "s|$MODEL|MODEL|g" printed
    echo "exit $code"
}
try classify nowhere "a text"
try classify "$MODEL" --file nowhere.txt
try eval "$MODEL" --task sst2 --data nowhere
try eval "$MODEL" --task mnli --file nowhere.tsv
printf 'sentence1\tsentence2\tlabel\na\tb\tneutral\n' >mnli.tsv
try eval "$MODEL" --task mnli --file mnli.tsv
printf 'sentence\tlabel\nfine\t1\nbad\n' >short.tsv
try eval "$MODEL" --task sst2 --file short.tsv
printf 'sentence\tlabel\nfine\tgood\n' >label.tsv
try eval "$MODEL" --task sst2 --file label.tsv
printf 'sentence\tlabel\nfine\t1\n' >fine.tsv
try eval "$MODEL" --task sst2 --file fine.tsv --label-order 0,0
try study "$MODEL" --task sst2 --file fine.tsv --carbon-zone Atlantis
try study "$MODEL" --task sst2 --file fine.tsv --carbon-zone DEU --carbon-intensity 3
try study "$MODEL" --task sst2 --file fine.tsv --carbon-live DE
