# SPDX-License-Identifier: Apache-2.0
# What comes before a malformed line is printed; the error names the line.
printf '{"text": "dull"}\n{"text": dull}\n{"text": "dull"}\n' >broken.jsonl
"$WATTBERT" tokenize "$MODEL" --jsonl <broken.jsonl 2>&1
echo "exit $?"
printf '{"text": "dull"}\n{"pair": "dull"}\n' | "$WATTBERT" tokenize "$MODEL" --jsonl 2>&1
echo "exit $?"
printf '{"text": "dull", "pair": 3}\n' | "$WATTBERT" tokenize "$MODEL" --jsonl 2>&1
echo "exit $?"
printf '"dull"\n' | "$WATTBERT" tokenize "$MODEL" --jsonl 2>&1
echo "exit $?"
printf 'a tab\tand\nno tab\n' | "$WATTBERT" tokenize "$MODEL" --pairs 2>&1 | tail -n 1
printf '{"text": "caf\351"}\n' | "$WATTBERT" tokenize "$MODEL" --jsonl 2>&1
echo "exit $?"
