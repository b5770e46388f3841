#!/bin/sh
# What does a tracer say of what it has lost? Each one is stopped while 20,000 connections are made, and then goes
# on; needs root and Debian's libbpf-tools.
set -eu
cd "$(dirname "$0")/../.."
out=$(mktemp -d)
trap 'rm -r "$out"' EXIT

stalled() { # the tracer
    "$@" >"$out/stdout" 2>"$out/stderr" &
    tracer=$!
    sleep 2
    kill -STOP "$tracer"
    python3 docs/samples/churn.py
    kill -CONT "$tracer"
    sleep 2
    kill -INT "$tracer"
    wait "$tracer" || true
}

stalled stdbuf -oL tcpstates
echo "tcpstates printed $(grep -c 8082 "$out/stdout") of 200,000 transitions and says of the others:"
cat "$out/stderr"
stalled "${PROBE:-probe}" trace --no-snapshot --format json
echo "probe printed $(grep -c '"type":"transition".*8082' "$out/stdout") of 200,000 transitions and says of the others:"
grep -hE '"type":"(lost|end)"' "$out/stdout"
