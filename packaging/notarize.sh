#!/usr/bin/env bash
# Notarizes the package (or the disk image: FILE=…) and staples the ticket to it. On a Mac NOTARY_PROFILE is the profile that
# `xcrun notarytool store-credentials` stored. Elsewhere NOTARY_API_KEY is the file from `rcodesign encode-app-store-connect-api-key`,
# and rcodesign must be built with its default features.
set -euo pipefail
cd "$(dirname "$0")"

file=${FILE:-$(python3 -B -c 'import product; print(product.package())')}
[ -f "$file" ] || {
  echo "notarize: $file does not exist: run make pkg" >&2
  exit 1
}

if [ "$(uname -s)" = Darwin ]; then
  : "${NOTARY_PROFILE:?notarize: NOTARY_PROFILE is not set: create a profile with xcrun notarytool store-credentials}"
  xcrun notarytool submit "$file" --keychain-profile "$NOTARY_PROFILE" --wait
  xcrun stapler staple "$file"
  exec spctl --assess --type install --verbose=2 "$file"
fi

: "${NOTARY_API_KEY:?notarize: NOTARY_API_KEY is not set: set it to the file with the App Store Connect key}"
if ! rcodesign notary-submit --help >/dev/null 2>&1; then
  echo "notarize: this rcodesign was built without notarization: run cargo install apple-codesign@0.29.0 --locked --bin rcodesign" >&2
  exit 1
fi
exec rcodesign notary-submit --api-key-file "$NOTARY_API_KEY" --wait --staple "$file"
