#!/usr/bin/env python3
"""Signs the app: on a Mac by codesign with the identity SIGN_IDENTITY (a name of the keychain), elsewhere by rcodesign with
the certificate SIGN_P12 and SIGN_P12_PASSWORD_FILE. Without either a certificate that this machine signs itself, kept in
the cache: it proves the steps, and no Mac trusts it.
"""

import os
import plistlib
import subprocess
import sys

from product import APP, CACHE, COMMAND, IDENTIFIER, MINIMUM_SYSTEM, OUT, ROOT, executables

RCODESIGN = CACHE / "sign/bin/rcodesign"


def main():
    if not APP.exists():
        sys.exit("sign: there is no app yet: make bundle")
    entitlements = OUT / "entitlements.plist"
    # Written anew, and so without comments.
    entitlements.write_bytes(plistlib.dumps(plistlib.loads((ROOT / "entitlements.plist").read_bytes())))
    if sys.platform == "darwin":
        sign_on_mac(entitlements)
    else:
        rcodesign("sign", *certificate("application"), *settings(entitlements), APP)
    print(f"sign: {APP} is signed by {who()}")


def sign_on_mac(entitlements):
    identity = os.environ.get("SIGN_IDENTITY") or "-"
    # A timestamp comes from Apple's server; notarization wants one, and an ad-hoc signature can't have one.
    options = ["--force", "--options", "runtime", "--sign", identity, "--entitlements", entitlements]
    options += [] if identity == "-" else ["--timestamp"]
    # What lies inside first: the app's seal covers it.
    for path in (*reversed(executables(APP)[1:]), APP):
        own = ["--identifier", f"{IDENTIFIER}.{COMMAND}"] if path != APP else []
        subprocess.run(["codesign", *options, *own, path], check=True)
    subprocess.run(["codesign", "--verify", "--strict", "--deep", "--verbose=2", APP], check=True)


def settings(entitlements):
    """For the app's own program, and for the command beside it, which rcodesign addresses by its path in the bundle."""
    command = f"Contents/MacOS/{COMMAND}"
    scopes = [("", ""), (f"{command}:", command)]
    arguments = ["--binary-identifier", f"{command}:{IDENTIFIER}.{COMMAND}"]
    for prefix, _ in scopes:
        arguments += ["--code-signature-flags", f"{prefix}runtime", "--runtime-version", f"{prefix}{MINIMUM_SYSTEM}.0"]
        arguments += ["--entitlements-xml-file", f"{prefix}{entitlements}"]
    return arguments


def certificate(kind):
    """Arguments that name the certificate; `kind` is application or installer."""
    prefix = "SIGN" if kind == "application" else "SIGN_INSTALLER"
    given = os.environ.get(f"{prefix}_P12")
    if given:
        return ["--p12-file", given, "--p12-password-file", os.environ[f"{prefix}_P12_PASSWORD_FILE"]]
    # No server of Apple's gives a timestamp is asked: a check must work without a network.
    return ["--timestamp-url", "none", "--pem-file", self_signed(kind)]


def self_signed(kind):
    path = CACHE / f"signing/{kind}.pem"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        profile = f"developer-id-{kind}"
        who = ["--person-name", "Self-signed, for checks", "--team-id", "SELFSIGNED", "--validity-days", "3650"]
        rcodesign("generate-self-signed-certificate", "--profile", profile, *who, "--pem-unified-file", path)
        path.chmod(0o600)
    return path


def who():
    if sys.platform == "darwin":
        return os.environ.get("SIGN_IDENTITY") or "nobody (ad hoc)"
    return os.environ.get("SIGN_P12") or "this machine itself (self-signed)"


def rcodesign(*arguments):
    """Its words on standard output; ends with them where it fails. Settings of whoever runs it don't count."""
    if not RCODESIGN.exists():
        sys.exit("sign: rcodesign is missing: run scripts/setup.sh sign")
    command, *rest = arguments
    ran = subprocess.run([RCODESIGN, command, "--config-file", "/dev/null", *rest], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if ran.returncode != 0:
        sys.exit(f"sign: rcodesign {command} failed:\n{ran.stdout}{ran.stderr}")
    return ran.stdout


if __name__ == "__main__":
    main()
