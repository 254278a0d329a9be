# SPDX-License-Identifier: Apache-2.0
# `wattbert meter`: counters that a command moves, the shape of the report, exit codes, and where
# everything is printed.
zone=machine/sys/class/powercap/intel-rapl:0
mkdir -p "$zone" empty
echo package-0 >"$zone/name"
echo 262143328850 >"$zone/max_energy_range_uj"
echo 1000000 >"$zone/energy_uj"

echo "- a counter that moves by 4 J"
"$WATTBERT" meter --root machine --json -- sh -c "echo 5000000 >$zone/energy_uj" >report
sed -e 's/.*"readings": \[//' -e 's/], "passed_over.*//' -e 's/"low.*"method/"method/' report
echo "- one that wraps"
echo 262143000000 >"$zone/energy_uj"
"$WATTBERT" meter --root machine --json -- sh -c "echo 671150 >$zone/energy_uj" >report
sed -e 's/.*"readings": \[//' -e 's/], "passed_over.*//' -e 's/"low.*"method/"method/' report
echo "- one that stands still is not believed, CPU time speaks instead and says so"
"$WATTBERT" meter --root machine --json -- sleep 0.1 >report
grep -c '"source": "modelled", "domain": "process".*"method": "modelled"' report
grep -c '"source": "rapl", "status": "refused", "reason": "dead counter: package-0 stood still' report
echo "- unless it was asked for"
"$WATTBERT" meter --root machine --source rapl --json -- sleep 0.1 2>message
echo "exit $?"
cut -c 1-47 message

echo "- the exit code is the command's"
"$WATTBERT" meter --root empty -- sh -c 'exit 7' 2>report
echo "exit $?"
"$WATTBERT" meter --root empty -- sh -c 'kill -TERM $$' 2>report
echo "exit $?"
"$WATTBERT" meter --root empty -- ./no-such-program 2>&1
echo "exit $?"
echo "- a report for people is on standard error, and the command keeps standard output"
"$WATTBERT" meter --root empty -- echo from the command 2>report
grep -c "modelled  process .* W  modelled" report
echo "- JSON has standard output for itself"
"$WATTBERT" meter --root empty --json -- echo from the command 2>message | grep -c '^{"seconds": '
cat message
echo "- unless it goes to a file"
"$WATTBERT" meter --root empty --json --output report -- echo from the command
grep -c '"readings"' report

echo "- a recorded trace"
printf 'wattbert-trace 1\ndomains package-0\n0 0\n' >trace
i=1
while [ $i -le 100 ]; do
    echo "$((i / 10)).$((i % 10)) $((2 * i))"
    i=$((i + 1))
done >>trace
"$WATTBERT" meter --replay trace --json --seconds 1 | grep -o '"joules": [0-9]*' |
    awk '{ print ($2 >= 18 && $2 <= 30) ? "about 20 J" : $0 }'
echo "wattbert-trace 2" >trace
"$WATTBERT" meter --replay trace -- true 2>&1
echo "exit $?"

echo "- and what cannot be"
try() {
    "$WATTBERT" meter "$@" 2>&1
    echo "exit $?"
}
try --source wishes -- true
try --root no-such-folder -- true
try --seconds 0 -- true
try --self-test -- true
try --root empty --source nvml -- true
try ls -l
