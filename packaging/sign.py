#!/usr/bin/env python3
"""Signs the app: on a Mac by codesign with the keychain identity SIGN_IDENTITY, elsewhere by rcodesign with the certificate SIGN_P12
and SIGN_P12_PASSWORD_FILE. Without either it uses a self-signed certificate from the cache, which tests the steps but is not trusted
by any Mac.
"""

import os
import plistlib
import subprocess
import sys

from product import APP, CACHE, COMMAND, IDENTIFIER, MINIMUM_SYSTEM, OUT, ROOT, executables

RCODESIGN = CACHE / "sign/bin/rcodesign"


def main():
    if not APP.exists():
        sys.exit("sign: the app does not exist yet: run make bundle")
    entitlements = OUT / "entitlements.plist"
    # Rewritten to remove comments.
    entitlements.write_bytes(plistlib.dumps(plistlib.loads((ROOT / "entitlements.plist").read_bytes())))
    if sys.platform == "darwin":
        sign_on_mac(entitlements)
    else:
        rcodesign("sign", *certificate("application"), *settings(entitlements), APP)
    print(f"sign: {APP} is signed by {signer()}")


def sign_on_mac(entitlements):
    identity = os.environ.get("SIGN_IDENTITY") or "-"
    # Notarization requires a timestamp from Apple's server. An ad-hoc signature can't have one.
    options = ["--force", "--options", "runtime", "--sign", identity, "--entitlements", entitlements]
    options += [] if identity == "-" else ["--timestamp"]
    # Nested code first, because the app's seal covers it.
    for path in (*reversed(executables(APP)[1:]), APP):
        own = ["--identifier", f"{IDENTIFIER}.{COMMAND}"] if path != APP else []
        subprocess.run(["codesign", *options, *own, path], check=True)
    subprocess.run(["codesign", "--verify", "--strict", "--deep", "--verbose=2", APP], check=True)


def settings(entitlements):
    """Returns rcodesign's options for the app's main program and for the command, which is addressed by its path in the bundle."""
    command = f"Contents/MacOS/{COMMAND}"
    scopes = [("", ""), (f"{command}:", command)]
    arguments = ["--binary-identifier", f"{command}:{IDENTIFIER}.{COMMAND}"]
    for prefix, _ in scopes:
        arguments += ["--code-signature-flags", f"{prefix}runtime", "--runtime-version", f"{prefix}{MINIMUM_SYSTEM}.0"]
        arguments += ["--entitlements-xml-file", f"{prefix}{entitlements}"]
    return arguments


def certificate(kind):
    """Returns rcodesign's options for the certificate. `kind` is application or installer."""
    prefix = "SIGN" if kind == "application" else "SIGN_INSTALLER"
    path = os.environ.get(f"{prefix}_P12")
    if path:
        return ["--p12-file", path, "--p12-password-file", os.environ[f"{prefix}_P12_PASSWORD_FILE"]]
    # Without a timestamp from Apple's server, because a check must work offline.
    return ["--timestamp-url", "none", "--pem-file", self_signed(kind)]


def self_signed(kind):
    path = CACHE / f"signing/{kind}.pem"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        profile = f"developer-id-{kind}"
        subject = ["--person-name", "Self-signed, for checks", "--team-id", "SELFSIGNED", "--validity-days", "3650"]
        rcodesign("generate-self-signed-certificate", "--profile", profile, *subject, "--pem-unified-file", path)
        path.chmod(0o600)
    return path


def signer():
    if sys.platform == "darwin":
        return os.environ.get("SIGN_IDENTITY") or "nobody (ad hoc)"
    return os.environ.get("SIGN_P12") or "this machine itself (self-signed)"


def rcodesign(*arguments):
    """Runs rcodesign without the user's configuration file. Returns its standard output; exits with its output if it fails."""
    if not RCODESIGN.exists():
        sys.exit("sign: rcodesign is not installed: run scripts/setup.sh sign")
    command, *rest = arguments
    ran = subprocess.run([RCODESIGN, command, "--config-file", "/dev/null", *rest], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if ran.returncode != 0:
        sys.exit(f"sign: rcodesign {command} failed:\n{ran.stdout}{ran.stderr}")
    return ran.stdout


if __name__ == "__main__":
    main()
