#!/usr/bin/env python3
"""Asks a real coordinator everything that its OpenAPI document describes, with values that fit and values that don't
(schemathesis): as a stranger, as a device that holds a lease, and as an administrator. An answer of 500 or above, or one
that the document does not describe, is a failure.

Usage: api_test.py PROGRAM [EXAMPLES], where PROGRAM is the built `constellation` and EXAMPLES the number of random requests
for each operation (50). Run by `make api-test` in the environment that `setup.sh api-test` makes. Everything stays on
loopback; whatever was found is printed with a curl command that shows it.
"""

import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
]
# Who shows nothing is told 401 wherever that is not written down as public, whatever the method.
CHECKS_OF_STRANGERS = [check for check in CHECKS if check != "unsupported_method"]
# Left out are those that the design contradicts: unknown fields are ignored, and a document can't say which names and hashes there are
# (negative_data_rejection, positive_data_acceptance); who may ask for what is proven by tests/coordinator/access.rs.
PHASES = "coverage,fuzzing,stateful"
SECONDS_OF_A_RUN = 600
SECONDS_TO_START = 60
SIGNED_CONTEXT = "Constellation 2026-11 device registration v1"  # protocol::enrolment


def main():
    program, examples = Path(sys.argv[1]).resolve(), sys.argv[2] if len(sys.argv) > 2 else "50"
    with tempfile.TemporaryDirectory(prefix="constellation-api-") as folder, coordinator(program, Path(folder)) as it:
        known = Known(it)
        runs = [("nobody", None), ("a device", known.device_token), ("an administrator", it.token)]
        print(f"{'as':<18} {'operations':>10} {'done':>6} {'refused':>8} {'failed':>7} {'seconds':>8}  found", flush=True)
        failed = [who for who, token in runs if not asked(it, who, token, known, examples)]
        if it.process.poll() is not None:
            sys.exit(f"api-test: the coordinator ended with status {it.process.returncode}:\n{it.log()}")
        it.ask("GET", "/tokens")  # fails where the requests ended the token that they showed
        strangers = [hook["url"] for hook in it.ask("GET", "/webhooks") if not hook["url"].startswith(it.address)]
        if strangers:
            sys.exit(f"api-test: it would have asked {strangers}, which are not on loopback")
    if failed:
        sys.exit(f"api-test: as {', '.join(failed)}: see above")


class Coordinator:
    def __init__(self, folder, process):
        self.folder, self.process, self.address, self.token = folder, process, None, None

    def log(self):
        return (self.folder / "log").read_text()[-4000:]

    def wait(self):
        data = self.folder / "coordinator"
        for _ in range(SECONDS_TO_START * 10):
            if (data / "address").exists() and (data / "admin-token").exists():
                address = (data / "address").read_text().strip()
                self.address = "http://" + address.split("//")[-1]
                self.token = (data / "admin-token").read_text().strip()
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        sys.exit(f"api-test: the coordinator did not start:\n{self.log()}")

    def ask(self, method, path, body=None, token=None):
        """The answer's JSON; None where it has none."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {token or self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.address + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def pin(self):
        return re.search(r"^pin (\S{43})$", (self.folder / "said").read_text(), re.MULTILINE).group(1)


@contextmanager
def coordinator(program, folder):
    command = [program, "coordinator", "--no-discovery", "--listen", "127.0.0.1:0", "--data-dir", "coordinator"]
    environment = {**os.environ, "HOME": str(folder), "RUST_LOG": "warn"}
    for name in [name for name in environment if name.startswith(("CONSTELLATION_", "XDG_"))]:
        del environment[name]
    with open(folder / "said", "wb") as said, open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=log)
    try:
        it = Coordinator(folder, process)
        it.wait()
        yield it
    finally:
        process.terminate()
        process.wait()


class Known:
    """What there is at the coordinator, so that not only absent things are asked for: a job, a device, its lease."""

    def __init__(self, it):
        job = {"name": "api", "model_type": "nlp", "dataset": "synthetic", "data": {"partitions": 2}}
        jobs = [it.ask("POST", "/jobs", {**job, "name": name})["id"] for name in ("api", "held")]
        device, self.device_token = register(it)
        it.ask("POST", f"/jobs/{jobs[0]}/start")
        lease = next_lease(it, device, self.device_token)
        token = it.ask("POST", "/tokens", {"role": "viewer", "name": "wall"})["id"]
        join_code = it.ask("POST", "/join-codes", {"name": "c"})["id"]
        hook = it.ask("POST", "/webhooks", {"url": it.address + "/health", "events": []})["id"]
        self.ids = [*jobs, device, lease["id"], token, join_code, hook]
        self.hashes = [lease["base"], *lease["shards"]]

    def settings(self):
        """For schemathesis; nothing is waited for, and every other name or hash is one that there is."""
        return "\n".join(
            [
                f"dictionaries.ids.values = {json.dumps(self.ids)}",
                f"dictionaries.hashes.values = {json.dumps(self.hashes)}",
                "[parameters]",
                '"path.id" = { dictionary = "ids", probability = 0.5 }',
                '"query.lease" = { dictionary = "ids", probability = 0.5 }',
                '"path.hash" = { dictionary = "hashes", probability = 0.5 }',
                '"query.wait" = 0',
                # It must not end the token that it shows, which it could read in the list of tokens.
                "[[operations]]",
                'include-path = "/tokens/{id}"',
                'include-method = "DELETE"',
                'parameters = { "path.id" = { dictionary = "ids", probability = 0.5 } }',
                "phases.stateful.enabled = false",
                "phases.fuzzing.extra-data-sources.responses = false",
                "phases.coverage.extra-data-sources.responses = false",
            ]
        )


def register(it):
    """Enrols a device by the administrator's token; gives its id and its own token."""
    key = Ed25519PrivateKey.generate()
    fingerprint = {"app": "0.1.0", "burn": "0.22.1", "backend": "cpu", "hardware": "api"}
    challenge = it.ask("POST", "/devices/challenge")["challenge"]
    parts = [challenge.encode(), from_base64(it.pin()), b"api", b"0", *(part.encode() for part in fingerprint.values())]
    message = blake3(derive_key_context=SIGNED_CONTEXT)
    for part in parts:
        message.update(len(part).to_bytes(8, "little") + part)
    registered = it.ask(
        "POST",
        "/devices/register",
        {
            "name": "api",
            "device_type": "linux",
            "cores": 1,
            "ram_gb": 1.0,
            "gpu_available": False,
            "hardware_id": "api",
            "fingerprint": fingerprint,
            "public_key": to_base64(key.public_key().public_bytes_raw()),
            "challenge": challenge,
            "signature": to_base64(key.sign(message.digest())),
        },
    )
    return registered["id"], registered["token"]


def next_lease(it, device, token):
    for _ in range(SECONDS_TO_START):
        lease = it.ask("GET", f"/devices/{device}/next-job?wait=5", token=token)
        if lease:
            return lease
    sys.exit(f"api-test: the device got no work:\n{it.log()}")


def asked(it, who, token, known, examples):
    """Runs schemathesis as somebody, and says in a line what it found."""
    settings, report = it.folder / "schemathesis.toml", it.folder / "report.json"
    settings.write_text(known.settings())
    command = [Path(sys.executable).with_name("schemathesis"), "--config-file", settings, "run"]
    command += [it.address + "/openapi.json", "--checks", ",".join(CHECKS if token else CHECKS_OF_STRANGERS), "--phases", PHASES, "--seed", "1"]
    command += ["--max-examples", examples, "--continue-on-failure", "--request-timeout", "30", "--no-color"]
    command += ["--generation-database", "none", "--warnings", "off", "--report-json-path", report]
    command += ["--generation-with-security-parameters", "false"]
    if token:
        command += ["--header", f"Authorization: Bearer {token}"]
    before, began = answers(it), time.monotonic()
    try:
        done = subprocess.run(command, cwd=it.folder, capture_output=True, text=True, timeout=SECONDS_OF_A_RUN)
        status, said = done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired as expired:
        status, said = 1, f"{(expired.stdout or b'').decode()}\nit was not done after {SECONDS_OF_A_RUN} seconds"
    seconds, now = time.monotonic() - began, answers(it)
    done, refused, failed = (now[kind] - before[kind] for kind in ("2xx", "4xx", "5xx"))
    operations = re.search(r"^  Tested: (\d+)$", said, re.MULTILINE)
    found = "nothing" if status == 0 else f"schemathesis ended with status {status}"
    if status == 0 and (failed or not done):
        status, found = 1, "failures that schemathesis does not count" if failed else "nothing, as nothing was let in"
    operations = operations.group(1) if operations else "?"
    print(f"{who:<18} {operations:>10} {done:>6} {refused:>8} {failed:>7} {seconds:>8.0f}  {found}", flush=True)
    if status != 0:
        print(said, flush=True)
    return status == 0


def answers(it):
    """How many there were so far of each kind, as the coordinator counts them."""
    counts = {kind: 0 for kind in ("2xx", "4xx", "5xx")}
    request = urllib.request.Request(it.address + "/metrics", headers={"Authorization": f"Bearer {it.token}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read().decode()
    found = re.findall(r'^constellation_http_requests_total\{status="(\w+)"\} (\d+)$', text, re.MULTILINE)
    return {**counts, **{kind: int(count) for kind, count in found}}


def to_base64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


if __name__ == "__main__":
    main()
