#!/usr/bin/env bash
# Fuzzes the targets of fuzz/, or those that are named, prints a table, and fails where one found something.
# Usage: [FUZZ_SECONDS=60] fuzz.sh [TARGET…]. What they learn stays in the cache folder and is where the next run begins.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${FUZZ_SECONDS:-60}
home="${XDG_CACHE_HOME:-$HOME/.cache}/constellation/fuzz"
# A compiler that isn't a nightly one takes the options for coverage and for the address sanitizer only like this.
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
  [ "${#found[@]}" -eq 0 ] || fail "fuzz: ${found[*]}: see $home/TARGET.log; what was found lies in $home/found/TARGET"
}

# Debug assertions and checks for overflow are on; the address sanitizer counts what is allocated.
build() {
  local options=(--fuzz-dir fuzz --target-dir "$home/target")
  if [ "$#" -eq 0 ]; then
    cargo fuzz build "${options[@]}"
  fi
  for target in "$@"; do
    cargo fuzz build "${options[@]}" "$target"
  done
}

# One target for its time. An input may take 10 seconds, 1 GiB in one piece and 2 GiB in all.
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
