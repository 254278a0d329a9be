# SPDX-License-Identifier: Apache-2.0
# 1,500 lines, more than a chunk: the answers are those of the lines one by one, in order.
awk 'BEGIN {
    for (i = 0; i < 1500; i++)
        printf "{\"text\": \"%s %d\"}\n", i % 3 ? "a charming journey" : "dull and lifeless", i
}' >texts.jsonl
"$WATTBERT" classify "$MODEL" --jsonl <texts.jsonl >all.jsonl
wc -l <all.jsonl
for line in 1 1024 1025 1500; do
    sed -n ${line}p texts.jsonl | "$WATTBERT" classify "$MODEL" --jsonl >one.jsonl
    sed -n ${line}p all.jsonl | cmp - one.jsonl && echo "line $line is the same"
done
# A reader that goes away early ends the program without a word.
yes '{"text": "dull"}' | "$WATTBERT" classify "$MODEL" --jsonl | head -n 1 | cut -c 1-10
