#!/usr/bin/env bash
# Runs tests with nextest, or with cargo's own runner where nextest is missing. Arguments are those both understand: -p,
# --workspace, --features and --test. The runner's summary is the last thing printed.
set -euo pipefail
cd "$(dirname "$0")/.."

if command -v cargo-nextest >/dev/null; then
  exec cargo nextest run --locked "$@"
fi

echo "tests: cargo-nextest is not installed; using cargo's own runner" >&2
exec cargo test --locked --lib --bins --tests "$@"
