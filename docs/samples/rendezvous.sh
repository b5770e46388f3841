#!/bin/sh
# A rendezvous of two processes on one host, and what the first of them prints; needs root.
set -eu
: "${PROBE:=probe}"

at=$(date -u -d '+3 seconds' +%Y-%m-%dT%H:%M:%SZ)
"$PROBE" rendezvous --local 127.0.0.2:1314 --peer 127.0.0.1:1314 --at "$at" >/dev/null &
"$PROBE" rendezvous --local 127.0.0.1:1314 --peer 127.0.0.2:1314 --at "$at"
wait
