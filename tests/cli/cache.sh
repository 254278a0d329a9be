# SPDX-License-Identifier: Apache-2.0
# Packed weights are kept where --cache says and used again, with the same labels; what cannot be
# kept is a note. --pin changes no label either.
mkdir kept
for i in 1 2; do
    "$WATTBERT" classify "$MODEL" --cache kept --pin --threads 1 --tsv "a charming journey" "dull and lifeless"
done
"$WATTBERT" plan "$MODEL" --technique f32-flash --threads 1 --cache kept --pin | grep -E "^(threads|weights)"
ls kept
printf 'x' | dd of="$(echo kept/*)" bs=1 seek=5000 conv=notrunc 2>/dev/null
"$WATTBERT" plan "$MODEL" --technique f32-flash --cache kept | grep -E "^weights"
"$WATTBERT" classify "$MODEL" --cache nowhere "a charming journey" 2>&1
