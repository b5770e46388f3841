#!/bin/sh
# A rendezvous of two processes on one host, and what the first of them prints; needs root. Without a link between them
# the SYNs cross only now and then, so it takes several attempts.
set -eu
: "${PROBE:=probe}"
out=$(mktemp)
trap 'rm "$out"' EXIT

for _ in 1 2 3 4 5 6 7 8; do
    at=$(date -u -d '+3 seconds' +%Y-%m-%dT%H:%M:%SZ)
    "$PROBE" rendezvous --local 127.0.0.2:1314 --peer 127.0.0.1:1314 --at "$at" >/dev/null &
    "$PROBE" rendezvous --local 127.0.0.1:1314 --peer 127.0.0.2:1314 --at "$at" >"$out" && break
    wait
done
wait
cat "$out"
