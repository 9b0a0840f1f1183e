#!/usr/bin/env bash
# Has Apple look at the package (or at the disk image: FILE=…) and staples the ticket to it. On a Mac NOTARY_PROFILE names what
# `xcrun notarytool store-credentials` kept; elsewhere NOTARY_API_KEY names the file of `rcodesign encode-app-store-connect-api-key`,
# and rcodesign must have been built with its default features.
set -euo pipefail
cd "$(dirname "$0")"

file=${FILE:-$(python3 -B -c 'import product; print(product.package())')}
[ -f "$file" ] || {
  echo "notarize: there is no $file: make pkg" >&2
  exit 1
}

if [ "$(uname -s)" = Darwin ]; then
  : "${NOTARY_PROFILE:?notarize: NOTARY_PROFILE is not set: xcrun notarytool store-credentials makes a profile}"
  xcrun notarytool submit "$file" --keychain-profile "$NOTARY_PROFILE" --wait
  xcrun stapler staple "$file"
  exec spctl --assess --type install --verbose=2 "$file"
fi

: "${NOTARY_API_KEY:?notarize: NOTARY_API_KEY is not set: it names the file with the key of App Store Connect}"
if ! rcodesign notary-submit --help >/dev/null 2>&1; then
  echo "notarize: this rcodesign can't: cargo install apple-codesign@0.29.0 --locked --bin rcodesign" >&2
  exit 1
fi
exec rcodesign notary-submit --api-key-file "$NOTARY_API_KEY" --wait --staple "$file"
