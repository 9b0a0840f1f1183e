#!/usr/bin/env bash
# The C compiler for macOS that build scripts call while check_macos.sh runs: Zig's clang, which ships the headers of
# macOS's C library. Called as `darwin-c++` it compiles C++. What the `cc` crate says about target and SDK is dropped,
# because Zig takes its own target and has no SDK.
set -euo pipefail

case "${0##*/}" in
  *c++) mode=c++ ;;
  *) mode=cc ;;
esac

arguments=()
while [ $# -gt 0 ]; do
  case "$1" in
    -arch | -isysroot | -target | --target) shift ;;
    --target=* | -isysroot?* | -mmacosx-version-min=*) ;;
    *) arguments+=("$1") ;;
  esac
  shift
done

exec "$CONSTELLATION_ZIG" -m ziglang "$mode" -target aarch64-macos.13.0 -fno-sanitize=undefined "${arguments[@]}"
