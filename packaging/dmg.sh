#!/usr/bin/env bash
# A disk image with the signed app and a link to /Applications, for people without an MDM. Only a Mac can write one.
set -euo pipefail
cd "$(dirname "$0")"

if [ "$(uname -s)" != Darwin ]; then
  echo "dmg: only a Mac has hdiutil; what an MDM pushes is the package: make pkg" >&2
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
