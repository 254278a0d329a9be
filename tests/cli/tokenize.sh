# SPDX-License-Identifier: Apache-2.0
# Ids a line, in input order; every JSON string is a text.
"$WATTBERT" tokenize "$MODEL" "a charming journey" ""
printf 'a charming journey\n\nA Charming JOURNEY\n' | "$WATTBERT" tokenize "$MODEL"
printf 'a charming journey\tdull\n' | "$WATTBERT" tokenize "$MODEL" --pairs
cat >texts.jsonl <<'END'
{"text": "a charming journey"}
{"text": "a charming journey", "pair": "dull"}
{"text": "a charming journey", "pair": null}
{"text": "dull", "pair": ""}
{"text": "a\u0000 charming\u0000 journey"}
{"text": "a charming journey \ud800"}
{"text": "a charming journey \ufffd"}

{"text": "caf\u00e9"}
{"id": 1, "text": "cafe"}
END
"$WATTBERT" tokenize "$MODEL" --jsonl <texts.jsonl
"$WATTBERT" tokenize "$MODEL" --jsonl --file texts.jsonl --max-length 4
