#!/usr/bin/env bash
# C compiler for macOS, for build scripts in check_macos.sh and link_macos.sh: Zig's clang, which has the headers of macOS's C library.
# Called as `darwin-c++` it compiles C++. Removes the `cc` crate's options for target and SDK, because Zig has its own target and no
# SDK.
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
