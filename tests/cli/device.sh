# SPDX-License-Identifier: Apache-2.0
# --device on a GPU that is played: what runs there, what is said where none can be used, and when
# the CPU may step in.
export LD_LIBRARY_PATH="$PLAYED"
echo "== what runs"
"$WATTBERT" plan "$MODEL" --device cuda | sed -n 2p
"$WATTBERT" plan "$MODEL" --device cuda | grep -E "^(tf32|i8-static|fp8|fp8-dynamic|mixed) "
"$WATTBERT" plan "$MODEL" --device cuda:1 --technique fp8+packed | sed -n '4,10p;13p'
FAKE_DOOR=ampere "$WATTBERT" plan "$MODEL" --device cuda | grep -E "^fp8 "
"$WATTBERT" classify "$MODEL" --device cuda --tsv "a charming journey" dull | sed 's/\t[^\t]*\t/ /' | wc -l
"$WATTBERT" doctor | sed -n '/^  cuda:0/,/^  back end/p'
"$WATTBERT" doctor | grep -c "^Techniques on the GPU"
"$WATTBERT" doctor --json | grep -o '"gpu": {"usable": true, "device": "cuda:0", "name": "[^"]*"'

echo "== nothing to run on"
for script in no-driver old-driver old-gpu version no-memory lost=1; do
    FAKE_DOOR=$script "$WATTBERT" classify "$MODEL" --device cuda dull 2>&1
    echo "exit $?"
done
FAKE_DOOR=no-driver "$WATTBERT" plan "$MODEL" --device cuda 2>&1
echo "exit $?"
"$WATTBERT" eval "$MODEL" --device cuda:7 --task sst2 --file "$SOURCE/demo/reviews.tsv" 2>&1
echo "exit $?"
mkdir alone
ln -s "$(readlink "$PLAYED"/libwattbert.so.0)" alone/
LD_LIBRARY_PATH="$PWD/alone" "$WATTBERT" classify "$MODEL" --device cuda dull 2>&1
echo "exit $?"
: >alone/libwattbert_cuda.so
LD_LIBRARY_PATH="$PWD/alone" "$WATTBERT" classify "$MODEL" --device cuda dull 2>&1
echo "exit $?"

echo "== the CPU, when asked for"
"$WATTBERT" classify "$MODEL" "a charming journey" >on_cpu
FAKE_DOOR=no-driver "$WATTBERT" classify "$MODEL" --device auto "a charming journey" 2>note >on_auto
cat note
cmp on_cpu on_auto && echo "the same"
"$WATTBERT" classify "$MODEL" --device auto "a charming journey" 2>note >on_gpu
cmp -s on_cpu on_gpu || echo "the GPU's own"
wc -c <note
FAKE_DOOR=no-memory "$WATTBERT" classify "$MODEL" --device auto dull 2>&1
echo "exit $?"

echo "== mistyped"
for command in classify plan "eval --task sst2 --data nowhere" "study --task sst2 --data nowhere"; do
    # shellcheck disable=SC2086
    "$WATTBERT" $command "$MODEL" --device gpu 2>&1
done
"$WATTBERT" classify "$MODEL" --device cuda --technique mixed dull 2>&1
echo "exit $?"
"$WATTBERT" classify "$MODEL" --device cuda --technique i8-static dull 2>&1
echo "exit $?"
