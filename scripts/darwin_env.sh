#!/usr/bin/env bash
# Environment for building for macOS on other systems, sourced by check_macos.sh and link_macos.sh: installs Zig and Rust's standard
# library for Apple silicon, and makes build scripts compile C with Zig against an empty SDK folder.
darwin_scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
darwin_tools="${XDG_CACHE_HOME:-$HOME/.cache}/constellation/darwin"

"$darwin_scripts/setup.sh" darwin
mkdir -p "$darwin_tools/MacOSX.sdk"
ln -sf "$darwin_scripts/darwin_cc.sh" "$darwin_tools/darwin-cc"
ln -sf "$darwin_scripts/darwin_cc.sh" "$darwin_tools/darwin-c++"
printf '#!/bin/sh\nexec "%s" -m ziglang ar "$@"\n' "$darwin_tools/zig/bin/python" >"$darwin_tools/darwin-ar"
chmod +x "$darwin_tools/darwin-ar"

export CONSTELLATION_ZIG="$darwin_tools/zig/bin/python"
export ZIG_GLOBAL_CACHE_DIR="$darwin_tools/zig-cache"
export CC_aarch64_apple_darwin="$darwin_tools/darwin-cc"
export CXX_aarch64_apple_darwin="$darwin_tools/darwin-c++"
export AR_aarch64_apple_darwin="$darwin_tools/darwin-ar"
export SDKROOT="$darwin_tools/MacOSX.sdk"
export MACOSX_DEPLOYMENT_TARGET=13.0
