#!/usr/bin/env bash
# Fuzzes the named targets of fuzz/, or all of them. Prints a table and fails if a target finds a problem.
# Usage: [FUZZ_SECONDS=60] fuzz.sh [TARGET…]. The corpus is kept in the cache folder, and the next run starts from it.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${FUZZ_SECONDS:-60}
home="${XDG_CACHE_HOME:-$HOME/.cache}/constellation/fuzz"
# Lets a stable compiler accept the unstable options for coverage and the address sanitizer.
export RUSTC_BOOTSTRAP=1

main() {
  local host targets=("$@") found=() target
  host=$(rustc -vV | sed -n 's/^host: //p')
  build "$@"
  [ "$#" -gt 0 ] || read -r -d '' -a targets < <(cargo fuzz list --fuzz-dir fuzz && printf '\0')
  scratch=$(mktemp -d "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")/constellation-fuzz.XXXXXX")
  trap 'rm -rf "$scratch"' EXIT
  printf '%-14s %10s %8s %7s %7s %6s  %s\n' target inputs a_second edges corpus MiB found
  for target in "${targets[@]}"; do
    fuzz "$target" "$home/target/$host/release/$target" || found+=("$target")
  done
  [ "${#found[@]}" -eq 0 ] || fail "fuzz: problems in ${found[*]}: see $home/TARGET.log; the inputs are in $home/found/TARGET"
}

# Builds with debug assertions, overflow checks and the address sanitizer, which limits allocations.
build() {
  local options=(--fuzz-dir fuzz --target-dir "$home/target")
  if [ "$#" -eq 0 ]; then
    cargo fuzz build "${options[@]}"
  fi
  for target in "$@"; do
    cargo fuzz build "${options[@]}" "$target"
  done
}

# Fuzzes one target. Limits for an input: 10 seconds, allocations of 1 GiB, and 2 GiB of memory in total.
fuzz() {
  local target=$1 program=$2 log="$home/$1.log" status=0
  mkdir -p "$home/corpus/$target" "$home/found/$target" "$scratch/seeds" "$scratch/files"
  rm -rf "$scratch/seeds/$target"
  mkdir "$scratch/seeds/$target"
  CONSTELLATION_FUZZ_SEEDS="$scratch/seeds/$target" TMPDIR="$scratch/files" ASAN_OPTIONS=detect_odr_violation=0 \
    "$program" -max_total_time="$seconds" -timeout=10 -malloc_limit_mb=1024 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$home/found/$target/" "$home/corpus/$target" "$scratch/seeds/$target" >"$log" 2>&1 || status=$?
  rm -rf "$scratch/files"
  row "$target" "$log" "$status"
  return "$status"
}

row() {
  local log=$2 found=nothing last
  last=$(grep -E '^#[0-9]+.* cov: ' "$log" | tail -n 1)
  stat() { sed -n "s/^stat::$1: *//p" "$log" | tail -n 1; }
  after() { sed -n "s/.* $1: \([0-9]*\).*/\1/p" <<<"$last"; }
  [ "$3" -eq 0 ] ||
    found=$(grep -m 1 -E 'panicked at|ERROR: (libFuzzer|AddressSanitizer|LeakSanitizer)' "$log" || echo "status $3")
  printf '%-14s %10s %8s %7s %7s %6s  %s\n' "$1" "$(stat number_of_executed_units)" "$(stat average_exec_per_sec)" \
    "$(after cov)" "$(after corp)" "$(stat peak_rss_mb)" "$found"
}

fail() {
  echo "$*" >&2
  exit 1
}

main "$@"
