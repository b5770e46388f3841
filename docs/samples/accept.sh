#!/bin/sh
# Who accepted? tcplife beside probe, on a server that closes first; needs root and Debian's libbpf-tools.
set -eu
cd "$(dirname "$0")/../.."
out=$(mktemp -d)
trap 'rm -r "$out"' EXIT

stdbuf -oL tcplife >"$out/tcplife" 2>/dev/null &
tcplife=$!
sleep 1
COLUMNS=118 "${PROBE:-probe}" trace --connections --no-snapshot -- python3 docs/samples/first.py >"$out/probe"
sleep 1
kill "$tcplife"

echo "tcplife:"
grep -E '^PID|8081' "$out/tcplife"
echo "probe trace --connections:"
grep -E '8081' "$out/probe"
