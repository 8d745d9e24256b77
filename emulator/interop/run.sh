#!/usr/bin/env bash
# The official JavaScript client against the emulator, and what core/COMPARISON.md says of it. Needs Node.js and npm.
# UPSTASH_DLQ names a command that is built already.
set -euo pipefail
cd "$(dirname "$0")"
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  ../../.ci/skip "the official client against the emulator, because Node.js or npm is not here"
  exit
fi
if ! npm ci --no-update-notifier --loglevel=error; then
  ../../.ci/skip "the official client against the emulator, because npm could not fetch it"
  exit
fi
node compare.mjs
export RUNS=400
if [ -z "${UPSTASH_DLQ:-}" ]; then
  cargo build -q -p upstash-dlq --locked
  UPSTASH_DLQ=$(realpath "${CARGO_TARGET_DIR:-../../target}")/debug/upstash-dlq
fi
coproc EMULATOR { exec "$UPSTASH_DLQ" emulator --listen 127.0.0.1:0 --runs "$RUNS" --seed 7 --quiet; }
trap 'kill "$EMULATOR_PID" 2>/dev/null || true' EXIT
read -r -t 60 line <&"${EMULATOR[0]}"
export QSTASH_URL="${line#listening on }"
# The public token of the official local server.
export QSTASH_TOKEN=eyJVc2VySUQiOiJkZWZhdWx0VXNlciIsIlBhc3N3b3JkIjoiZGVmYXVsdFBhc3N3b3JkIn0=
node interop.mjs
