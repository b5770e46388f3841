#!/bin/sh
# Records the samples of the documentation again; needs root. PROBE names the program, probe on PATH else.
set -eu
cd "$(dirname "$0")/../.."
: "${PROBE:=probe}"

record() { # NAME, then what follows `probe trace`
    name=$1
    shift
    "$PROBE" trace --no-snapshot --record "docs/samples/$name.rec" "$@" >/dev/null
}

record first -- python3 docs/samples/first.py
record web -- python3 docs/samples/web.py
record retry -- python3 docs/samples/retry.py
record stuck --stuck-after 1s -- python3 docs/samples/stuck.py
record poll --time-wait -- python3 docs/samples/poll.py
for scenario in shared-port simultaneous-open self-connect; do
    "$PROBE" run "$scenario" --record "docs/samples/$scenario.rec" >/dev/null
done
