#!/usr/bin/env bash
# Runs tests with nextest, or with cargo's own runner if nextest is not installed. Accepts the arguments that both support: -p,
# --workspace, --features and --test. The runner's summary is printed last.
set -euo pipefail
cd "$(dirname "$0")/.."

# Tests over bad networks need network namespaces. They are skipped where none can be created.
skip=()
case " $* " in
  *" -E "*) ;;
  *" --workspace "* | *" cli "*)
    try="constellation-try-$$"
    if [ -w /dev/net/tun ] && ip netns add "$try" 2>/dev/null; then
      ip netns del "$try"
    else
      echo "tests: skipping crates/cli/tests/network, which needs Linux, root, iproute2 and /dev/net/tun" >&2
      skip=(-E "not binary(network)")
    fi
    ;;
esac

if command -v cargo-nextest >/dev/null; then
  exec cargo nextest run --locked "$@" "${skip[@]+"${skip[@]}"}"
fi

echo "tests: cargo-nextest is not installed; using cargo's own runner" >&2
exec cargo test --locked --lib --bins --tests "$@"
