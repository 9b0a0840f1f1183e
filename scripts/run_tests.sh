#!/usr/bin/env bash
# Runs tests with nextest, or with cargo's own runner where nextest is missing. Arguments are those both understand: -p,
# --workspace, --features and --test. The runner's summary is the last thing printed.
set -euo pipefail
cd "$(dirname "$0")/.."

# Jobs over bad networks run between network namespaces; the runner counts them as skipped where there can be none.
skip=()
case " $* " in
  *" -E "*) ;;
  *" --workspace "* | *" cli "*)
    try="constellation-try-$$"
    if [ -w /dev/net/tun ] && ip netns add "$try" 2>/dev/null; then
      ip netns del "$try"
    else
      echo "tests: crates/cli/tests/network is skipped: it needs Linux, root, iproute2 and /dev/net/tun" >&2
      skip=(-E "not binary(network)")
    fi
    ;;
esac

if command -v cargo-nextest >/dev/null; then
  exec cargo nextest run --locked "$@" "${skip[@]+"${skip[@]}"}"
fi

echo "tests: cargo-nextest is not installed; using cargo's own runner" >&2
exec cargo test --locked --lib --bins --tests "$@"
