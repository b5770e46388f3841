#!/bin/sh
# What does a tracer say of what it has lost? Each one is stopped while 20,000 connections are made, and then goes
# on; needs root and Debian's libbpf-tools and bpftrace.
set -eu
cd "$(dirname "$0")/../.."
out=$(mktemp -d)
trap 'rm -r "$out"' EXIT

stalled() { # what counts its lines about the load, then the tracer
    lines=$1
    shift
    "$@" >"$out/stdout" 2>"$out/stderr" &
    tracer=$!
    sleep 3
    kill -STOP "$tracer"
    unshare --net sh -c 'ip link set lo up && exec python3 docs/samples/churn.py'
    kill -CONT "$tracer"
    sleep 2
    kill -INT "$tracer"
    wait "$tracer" || true
    printf '%-9s printed %6d of 200,000 transitions and says of the others: %s\n' "$(basename "$1")" \
        "$(grep -c "$lines" "$out/stdout")" "$(grep -hoiE 'lost [1-9].*|"lost":[1-9][0-9]*' "$out/stdout" "$out/stderr" | paste -sd, | grep . || echo nothing)"
}

PRINT='tracepoint:sock:inet_sock_set_state { printf("%d %d %d\n", args->sport, args->dport, args->newstate); }'
stalled 8082 tcpstates
stalled 8082 bpftrace -e "$PRINT"
stalled 'transition.*8082' "${PROBE:-probe}" trace --no-snapshot --format json
