# SPDX-License-Identifier: Apache-2.0
# Studies of a played GPU whose memory holds each technique, but not all of them at once; one
# technique that it does not hold; one that finds no memory after its first windows; and a GPU that is
# lost. Whatever happens, other rows are measured and there is a report.
export LD_LIBRARY_PATH="$PLAYED"
head -n 21 "$SOURCE/demo/reviews.tsv" >reviews.tsv
study() {
    rm -f calls
    FAKE_DOOR_LOG=$PWD/calls "$WATTBERT" study sst2="$MODEL" --file reviews.tsv --device cuda \
        --energy-source modelled --examples 8 --min-tokens 20000 --windows 2 --min-seconds 0.02 \
        --component-seconds 0.02 --idle-seconds 0.02 --out out "$@" 2>&1 >table
    echo "exit $?"
    ls out/report.html
}
# Technique, windows, status and reason.
show() {
    awk -f "$SOURCE/tests/cli/show.awk" out/results.csv | cut -d "|" -f 1,6,9,10
}
all=baseline,flash,i8-dynamic,f16-flash,tf32

echo "== more than the memory"
FAKE_DOOR=memory=1500 study --technique $all --protocol padded,packed
show | grep -c "|2|ok|$"
grep -c -E "interrupted|of 2 windows" out/results.csv
awk '/^memory/ && $3 > most { most = $3 } END { print (most > 750 && most <= 1500) ? "within" : "beyond" }' calls

echo "== enough for all"
rm -r out
FAKE_DOOR=memory=16000 study --technique $all --protocol padded,packed
awk '{ n[$1]++ } END { print n["open"], n["close"], n["capture"], n["release"] }' calls
# Captured activations are given back, and engines that are done.
awk '/^memory/ && $3 > most { most = $3 } /^capture/ { last = held } /^memory/ { held = $3 }
    END { print (last < most / 4) ? "given back" : "held" }' calls

echo "== one technique too large"
rm -r out
FAKE_DOOR=memory=1000 study --technique $all --protocol packed
show
grep -c "failed <b>i8-dynamic+packed</b>: engine: " out/report.html
FAKE_DOOR=memory=2000 study --technique $all --protocol packed --resume
show

echo "== no memory in the middle"
rm -r out
FAKE_DOOR=full=40,ms=5 study --technique baseline+packed --windows 50
show | sed 's/|[1-9][0-9]*|/|some|/'
grep -o "ended early: [^;]*" out/results.csv

echo "== too small for anything"
rm -r out
FAKE_DOOR=memory=100 study --technique baseline,flash+packed
show

echo "== a lost GPU"
rm -r out
study --technique baseline+packed
rm out/report.html
FAKE_DOOR=lost=1 study --technique f16-flash+packed --resume
show
