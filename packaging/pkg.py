#!/usr/bin/env python3
"""Makes the flat package for an MDM, which installs the signed app into /Applications. On a Mac pkgbuild and productbuild make it,
signed with the identity SIGN_INSTALLER_IDENTITY. Elsewhere this script writes it, and rcodesign signs it with SIGN_INSTALLER_P12
and SIGN_INSTALLER_P12_PASSWORD_FILE (or with a self-signed certificate).
"""

import os
import plistlib
import shutil
import subprocess
import sys
from xml.sax.saxutils import quoteattr

import archive
import bom
from product import APP, IDENTIFIER, MINIMUM_SYSTEM, NAME, OUT, ROOT, build, package, version
from sign import certificate, rcodesign

COMPONENT = "constellation.pkg"
SCRIPTS = ("preinstall", "postinstall")


def main():
    if not (APP / "Contents/_CodeSignature/CodeResources").exists():
        sys.exit("pkg: the app is not signed yet: run make sign")
    target = package()
    if sys.platform == "darwin":
        on_mac(target)
    else:
        unsigned = target.with_suffix(".unsigned.pkg")
        unsigned.write_bytes(package_bytes())
        rcodesign("sign", *certificate("installer"), unsigned, target)
        unsigned.unlink()
    print(f"pkg: {target} ({target.stat().st_size / 1e6:.1f} MB)")


def on_mac(target):
    component = OUT / COMPONENT
    scripts = OUT / "scripts"
    shutil.rmtree(scripts, ignore_errors=True)
    scripts.mkdir()
    for name in SCRIPTS:
        shutil.copy(ROOT / "packaging/scripts" / name, scripts / name)
    # Not relocatable: the Installer must not update a copy of the app elsewhere on the disk instead.
    root = OUT / "root"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(APP, root / APP.name, symlinks=True)
    parts = OUT / "components.plist"
    parts.write_bytes(plistlib.dumps([{"RootRelativeBundlePath": APP.name, "BundleIsRelocatable": False, "BundleOverwriteAction": "upgrade"}]))
    contents = ["--root", root, "--component-plist", parts, "--install-location", "/Applications"]
    identity_options = ["--identifier", f"{IDENTIFIER}.pkg", "--version", f"{version()}.{build()}", "--ownership", "recommended"]
    subprocess.run(["pkgbuild", *contents, *identity_options, "--scripts", scripts, component], check=True)
    distribution_file = OUT / "Distribution"
    distribution_file.write_text(distribution(installed_kilobytes()))
    identity = os.environ.get("SIGN_INSTALLER_IDENTITY")
    signed = ["--sign", identity, "--timestamp"] if identity else []
    subprocess.run(["productbuild", "--distribution", distribution_file, "--package-path", OUT, *signed, target], check=True)


def package_bytes():
    """Returns the unsigned package."""
    payload = [(".", APP.parent), *archive.entries(APP, f"./{APP.name}")]
    # The archive's root stands for /Applications itself, which belongs to the system.
    root = OUT / "root"
    root.mkdir(exist_ok=True)
    payload[0] = (".", root)
    scripts = [(".", root), *((f"./{name}", ROOT / "packaging/scripts" / name) for name in SCRIPTS)]
    kilobytes = installed_kilobytes()
    return archive.xar(
        {
            "Distribution": distribution(kilobytes).encode(),
            COMPONENT: {
                "PackageInfo": information(len(payload), kilobytes).encode(),
                "Bom": bom.write(payload),
                "Payload": archive.cpio_gz(payload),
                "Scripts": archive.cpio_gz(scripts),
            },
        }
    )


def installed_kilobytes():
    return -(-sum(path.stat().st_size for path in APP.rglob("*") if path.is_file()) // 1024)


def information(count, kilobytes):
    own = (
        f'<bundle path="./{APP.name}" id="{IDENTIFIER}" CFBundleShortVersionString="{version()}" CFBundleVersion="{build()}"/>'
    )
    return f"""<?xml version="1.0" encoding="utf-8"?>
<pkg-info format-version="2" identifier="{IDENTIFIER}.pkg" version="{version()}.{build()}" install-location="/Applications" \
auth="root" overwrite-permissions="true" relocatable="false" postinstall-action="none">
    <payload numberOfFiles="{count}" installKBytes="{kilobytes}"/>
    {own}
    <bundle-version>
        <bundle id="{IDENTIFIER}"/>
    </bundle-version>
    <upgrade-bundle>
        <bundle id="{IDENTIFIER}"/>
    </upgrade-bundle>
    <relocate/>
    <scripts>
        <preinstall file="./preinstall"/>
        <postinstall file="./postinstall"/>
    </scripts>
</pkg-info>
"""


def distribution(kilobytes):
    identifier = quoteattr(f"{IDENTIFIER}.pkg")
    return f"""<?xml version="1.0" encoding="utf-8"?>
<installer-gui-script minSpecVersion="2">
    <title>{NAME}</title>
    <options customize="never" require-scripts="false" hostArchitectures="arm64"/>
    <domains enable_anywhere="false" enable_currentUserHome="false" enable_localSystem="true"/>
    <volume-check>
        <allowed-os-versions>
            <os-version min="{MINIMUM_SYSTEM}"/>
        </allowed-os-versions>
    </volume-check>
    <choices-outline>
        <line choice="default"/>
    </choices-outline>
    <choice id="default" title="{NAME}">
        <pkg-ref id={identifier}/>
    </choice>
    <pkg-ref id={identifier} version="{version()}.{build()}" installKBytes="{kilobytes}" onConclusion="none">#{COMPONENT}</pkg-ref>
</installer-gui-script>
"""


if __name__ == "__main__":
    main()
