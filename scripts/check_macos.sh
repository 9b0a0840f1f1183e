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

"$scripts/setup.sh" darwin
tools="${XDG_CACHE_HOME:-$HOME/.cache}/constellation/darwin"
mkdir -p "$tools/MacOSX.sdk"
ln -sf "$scripts/darwin_cc.sh" "$tools/darwin-cc"
ln -sf "$scripts/darwin_cc.sh" "$tools/darwin-c++"
printf '#!/bin/sh\nexec "%s" -m ziglang ar "$@"\n' "$tools/zig/bin/python" >"$tools/darwin-ar"
chmod +x "$tools/darwin-ar"

export CONSTELLATION_ZIG="$tools/zig/bin/python"
export ZIG_GLOBAL_CACHE_DIR="$tools/zig-cache"
export CC_aarch64_apple_darwin="$tools/darwin-cc"
export CXX_aarch64_apple_darwin="$tools/darwin-c++"
export AR_aarch64_apple_darwin="$tools/darwin-ar"
export SDKROOT="$tools/MacOSX.sdk"
export MACOSX_DEPLOYMENT_TARGET=13.0

exec "${clippy[@]}" --target aarch64-apple-darwin -- -D warnings
