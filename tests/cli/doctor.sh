# SPDX-License-Identifier: Apache-2.0
# `wattbert doctor`: on a machine without counters it says so for each, and never fails for that.
mkdir empty
export LD_LIBRARY_PATH="$PLAYED" FAKE_DOOR=no-driver
WATTBERT_ISA=scalar "$WATTBERT" doctor --root empty
echo "exit $?"
WATTBERT_ISA=scalar "$WATTBERT" doctor --root empty --json >report
echo "exit $?"
grep -o '"isa": "[a-z]*"' report
grep -o '"name": "bf16+packed", "runs": [a-z]*, "reason": "[^"]*"' report
grep -o '"name": "perf", "usable": [a-z]*, "status": "[a-z]*"' report
grep -o '"chosen_source": "[a-z]*"' report
"$WATTBERT" doctor everything 2>&1
echo "exit $?"
"$WATTBERT" doctor --root no-such-folder 2>&1
echo "exit $?"
