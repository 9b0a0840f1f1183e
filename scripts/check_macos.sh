#!/usr/bin/env bash
# Type-checks the whole workspace for Apple silicon: clippy, all targets, warnings are failures. On a Mac that is plain
# clippy. Elsewhere C in build scripts is compiled by Zig against an empty SDK: this proves types, names and availability
# of every Rust call to macOS, and neither links nor runs anything.
set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)
cd "$scripts/.."

clippy=(cargo clippy --locked --workspace --all-targets --keep-going)

if [ "$(uname -s)" = Darwin ]; then
  exec "${clippy[@]}" -- -D warnings
fi

# shellcheck source=scripts/darwin_env.sh
. "$scripts/darwin_env.sh"
exec "${clippy[@]}" --target aarch64-apple-darwin -- -D warnings
