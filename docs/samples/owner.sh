#!/bin/sh
# Whose sockets? tcpstates beside probe, on one run of first.py over loopback; needs root and Debian's libbpf-tools.
set -eu
cd "$(dirname "$0")/../.."
out=$(mktemp -d)
trap 'rm -r "$out"' EXIT

stdbuf -oL tcpstates >"$out/tcpstates" 2>/dev/null &
tcpstates=$!
sleep 1
COLUMNS=118 "${PROBE:-probe}" trace --no-snapshot --port 8081 -- python3 docs/samples/first.py >"$out/probe"
sleep 1
kill "$tcpstates"

echo "tcpstates, the server's accepted socket:"
grep -E ' 8081 +127.0.0.1 +[1-9]' "$out/tcpstates" | head -n 2 |
    awk '{ printf "  %-12s %-6s %-11s -> %s\n", $3, $2, $8, $10 }'
echo "probe trace, the same socket:"
grep -E ':8081 → .*:[0-9]' "$out/probe" | grep -E '^ .*127.0.0.1:8081 →' | head -n 2
