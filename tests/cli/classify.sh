# SPDX-License-Identifier: Apache-2.0
# Labels for people, as TSV and as JSON lines; the same texts in every way in.
"$WATTBERT" classify "$MODEL" "a charming journey" "dull and lifeless"
printf 'a charming journey\ndull and lifeless\n' | "$WATTBERT" classify "$MODEL" --tsv
printf 'a charming journey\tdull and lifeless' >pairs.tsv
"$WATTBERT" classify "$MODEL" --tsv --pairs --file pairs.tsv
printf '{"text": "a charming journey"}\n{"text": "dull and lifeless"}\n' >texts.jsonl
"$WATTBERT" classify "$MODEL" --jsonl <texts.jsonl
"$WATTBERT" classify "$MODEL" --jsonl --technique i8-dynamic --energy --file texts.jsonl
"$WATTBERT" classify "$MODEL" --energy "a charming journey"
printf 'a\tb\\nc\n' | "$WATTBERT" classify "$MODEL" --tsv | cut -f 3
"$WATTBERT" classify "$MODEL" --jsonl </dev/null
echo "exit $?"
"$WATTBERT" classify "$MODEL" --technique baseline --padded-length 4 "a charming journey" 2>&1
cp -r "$MODEL" tags
sed 's/"activation"/"problem_type": "multi_label_classification", &/' "$MODEL/config.json" >tags/config.json
"$WATTBERT" classify tags --jsonl <texts.jsonl
