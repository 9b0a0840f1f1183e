#!/usr/bin/env bash
# Makes a disk image with the signed app and a link to /Applications, for users without an MDM. Runs on a Mac only.
set -euo pipefail
cd "$(dirname "$0")"

if [ "$(uname -s)" != Darwin ]; then
  echo "dmg: hdiutil exists only on a Mac; for an MDM, make the package instead: make pkg" >&2
  exit 1
fi

app=$(python3 -B -c 'import product; print(product.APP)')
image=$(python3 -B -c 'import product; print(product.package().with_suffix(".dmg"))')
codesign --verify --strict --deep "$app"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp -R "$app" "$folder/"
ln -s /Applications "$folder/Applications"
hdiutil create -volname Constellation -srcfolder "$folder" -fs APFS -format ULFO -ov "$image"
[ -z "${SIGN_IDENTITY:-}" ] || codesign --sign "$SIGN_IDENTITY" --timestamp "$image"
echo "dmg: $image"
