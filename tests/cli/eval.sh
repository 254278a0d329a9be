# SPDX-License-Identifier: Apache-2.0
# Scores on a small folder of GLUE's layout: by name, by a found and by a given label order.
mkdir -p glue/SST-2 glue/CoLA
head -n 61 "$SOURCE/demo/reviews.tsv" >glue/SST-2/dev.tsv
"$WATTBERT" eval "$MODEL" --task sst2 --data glue
"$WATTBERT" eval "$MODEL" --task sst2 --data glue --json
# Padding makes five times the work, which takes sanitized kernels minutes.
mkdir -p few/SST-2
n_few=61
[ -z "${SANITIZED:-}" ] || n_few=16
head -n $n_few glue/SST-2/dev.tsv >few/SST-2/dev.tsv
"$WATTBERT" eval "$MODEL" --task SST2 --data few --json --technique baseline >padded
"$WATTBERT" eval "$MODEL" --task sst2 --file few/SST-2/dev.tsv --json --technique baseline+packed >packed
for file in padded packed; do sed -e 's/.*"value": \([0-9.]*\),.*/\1/' $file; done | uniq | wc -l
# The outputs of another order: what was right is wrong.
"$WATTBERT" eval "$MODEL" --task sst2 --data glue --label-order 1,0 --json
# A model without names for this task: its order is looked for in the training file.
awk -F '\t' 'NR > 1 { printf "demo\t%d\t\t%s\n", $2, $1 }' "$SOURCE/demo/reviews.tsv" | head -n 150 >glue/CoLA/train.tsv
head -n 60 glue/CoLA/train.tsv >glue/CoLA/dev.tsv
"$WATTBERT" eval "$MODEL" --task cola --data glue --json
rm glue/CoLA/train.tsv
"$WATTBERT" eval "$MODEL" --task cola --data glue --json 2>&1
"$WATTBERT" eval "$MODEL" --task rte --data glue 2>&1
echo "exit $?"
