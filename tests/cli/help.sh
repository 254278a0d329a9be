# SPDX-License-Identifier: Apache-2.0
# Every command explains itself on standard output and ends in 0.
for command in classify eval quantize tokenize plan study report meter doctor; do
    "$WATTBERT" $command --help >help || echo "exit $?"
    head -n 1 help
    grep -c -e "--help" help
done
"$WATTBERT" --help | grep -c -E "^  (classify|eval|quantize|tokenize|plan|study|report|meter|doctor) "
"$WATTBERT" --version | grep -c "^wattbert [0-9]"
"$WATTBERT" 2>/dev/null
echo "exit $?"
