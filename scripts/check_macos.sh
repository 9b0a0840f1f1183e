#!/usr/bin/env bash
# Type-checks the workspace for Apple silicon with clippy: all targets, warnings are errors. On other systems Zig compiles the C code
# of build scripts against an empty SDK. This checks types and names of every Rust call to macOS; nothing is linked or run.
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
