#!/usr/bin/env bash
# Links the app and the command for Apple silicon without a Mac: arm64 programs, linked by Rust's own linker against stubs of Apple's
# libraries with exactly the symbols of packaging/symbols.txt (docs/release.md says what that proves). Then makes and checks a package
# of them. The programs have never been started: use them to check packages, not on a Mac. They are unoptimized, which takes minutes;
# with --release they have the size of a release, which takes half an hour.
set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)
cd "$scripts/.."

if [ "$(uname -s)" = Darwin ]; then
  echo "link: not needed on a Mac, which has the real libraries: run cargo build --release" >&2
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
    # Unoptimized code keeps every import.
    built="$linked/aarch64-apple-darwin/debug" kind="unoptimized programs linked against stubs of Apple's libraries"
    profile=(--config profile.dev.opt-level=0 --config profile.dev.debug=0 --config 'profile.dev.package."*".opt-level=0')
    ;;
  *)
    echo "link: unknown option $1; the only option is --release" >&2
    exit 2
    ;;
esac

# Without the feature custom-protocol the app loads its pages from this checkout, and contains its path. A separate target folder,
# because the flags differ from clippy's.
CARGO_TARGET_DIR="$linked" CARGO_INCREMENTAL=0 cargo build --locked --target aarch64-apple-darwin \
  -p cli -p constellation-app --bin constellation --bin constellation-app --features constellation-app/custom-protocol "${profile[@]}"

# Not for a release, whose optimized code may import fewer symbols.
if [ "${1:-}" != --release ]; then
  packaging/stubs.py check "$built/constellation-app" "$built/constellation"
fi

# Strips function names like a release, which leaves a third of the size.
for name in constellation-app constellation; do
  LD_LIBRARY_PATH="$(rustc --print sysroot)/lib" "${CARGO_TARGET_AARCH64_APPLE_DARWIN_LINKER%/*}/rust-objcopy" \
    --strip-all "$built/$name" "$linked/$name"
done
APP_BINARY="$linked/constellation-app" COMMAND_BINARY="$linked/constellation" \
  BUILD_KIND="$kind" make --no-print-directory check-package
