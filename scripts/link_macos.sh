#!/usr/bin/env bash
# Links the app and the command for Apple silicon without a Mac: real arm64 programs, by the linker that comes with Rust, against
# stubs of Apple's libraries that name the symbols of packaging/symbols.txt and no others (docs/release.md says what that proves).
# They were never started: for checking packages, never for a Mac. Then makes and checks the package of them. They are unoptimized,
# which takes minutes; with --release they are as large as a release's, which takes half an hour.
set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)
cd "$scripts/.."

if [ "$(uname -s)" = Darwin ]; then
  echo "link: on a Mac the real libraries are there: cargo build --release" >&2
  exit 1
fi
# shellcheck source=scripts/darwin_env.sh
. "$scripts/darwin_env.sh"

linked="$(realpath -m "${CARGO_TARGET_DIR:-target}")/linked"
export SDKROOT="$linked/stubs/MacOSX.sdk"
rm -rf "$SDKROOT"
packaging/stubs.py write "$SDKROOT"

CARGO_TARGET_AARCH64_APPLE_DARWIN_LINKER=$(packaging/stubs.py linker)
export CARGO_TARGET_AARCH64_APPLE_DARWIN_LINKER
export CARGO_TARGET_AARCH64_APPLE_DARWIN_RUSTFLAGS="-Clinker-flavor=ld64.lld -Clink-arg=--error-limit=0 \
  --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo --remap-path-prefix=$PWD=. --remap-path-prefix=$linked=target"

case "${1:-}" in
  --release)
    built="$linked/aarch64-apple-darwin/release" kind="programs linked against stubs of Apple's libraries"
    profile=(--release --config profile.release.strip=false)
    ;;
  "")
    # Every symbol is wanted, not speed.
    built="$linked/aarch64-apple-darwin/debug" kind="unoptimized programs linked against stubs of Apple's libraries"
    profile=(--config profile.dev.opt-level=0 --config profile.dev.debug=0 --config 'profile.dev.package."*".opt-level=0')
    ;;
  *)
    echo "link: $1 is unknown; there is --release" >&2
    exit 2
    ;;
esac

# Without the feature Tauri would look for pages where this checkout is, and name the place. A target folder of its own: these flags
# differ from those of clippy.
CARGO_TARGET_DIR="$linked" CARGO_INCREMENTAL=0 cargo build --locked --target aarch64-apple-darwin \
  -p cli -p constellation-app --bin constellation --bin constellation-app --features constellation-app/custom-protocol "${profile[@]}"

# A release takes no more than what it is linked against, and may take less.
if [ "${1:-}" != --release ]; then
  packaging/stubs.py check "$built/constellation-app" "$built/constellation"
fi

# As a release is, without the names of functions: a third of the size.
for name in constellation-app constellation; do
  LD_LIBRARY_PATH="$(rustc --print sysroot)/lib" "${CARGO_TARGET_AARCH64_APPLE_DARWIN_LINKER%/*}/rust-objcopy" \
    --strip-all "$built/$name" "$linked/$name"
done
APP_BINARY="$linked/constellation-app" COMMAND_BINARY="$linked/constellation" \
  BUILD_KIND="$kind" make --no-print-directory check-package
