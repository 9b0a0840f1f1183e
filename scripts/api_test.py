#!/usr/bin/env python3
"""API test: sends valid and invalid requests for every operation of the OpenAPI document to a real coordinator (schemathesis),
without a credential, as a device with a lease, and as an administrator. A response of 500 or above, or one that the document does
not describe, is a failure.

Usage: api_test.py PROGRAM [EXAMPLES]. PROGRAM is the built `constellation`; EXAMPLES is the number of random requests for each
operation (default 50). `make api-test` runs it in the environment that `setup.sh api-test` makes. All requests stay on loopback.
Failures are printed with a curl command that reproduces them.
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
# Without a credential every operation that is not public answers 401, whatever the method.
CHECKS_WITHOUT_CREDENTIAL = [check for check in CHECKS if check != "unsupported_method"]
# Left out are checks that contradict the design (negative_data_rejection, positive_data_acceptance): unknown fields of devices' messages are ignored, and a
# document can't say which names and hashes exist. tests/coordinator/access.rs tests the roles.
PHASES = "coverage,fuzzing,stateful"
RUN_TIMEOUT_SECONDS = 600
START_TIMEOUT_SECONDS = 60
SIGNED_CONTEXT = "Constellation 2026-11 device registration v1"  # protocol::enrollment


def main():
    program, examples = Path(sys.argv[1]).resolve(), sys.argv[2] if len(sys.argv) > 2 else "50"
    with tempfile.TemporaryDirectory(prefix="constellation-api-") as folder, coordinator(program, Path(folder)) as it:
        known = Known(it)
        runs = [("no credential", None), ("a device", known.device_token), ("an administrator", it.token)]
        print(f"{'as':<18} {'operations':>10} {'done':>6} {'refused':>8} {'failed':>7} {'seconds':>8}  found", flush=True)
        failed = [role for role, token in runs if not run_as(it, role, token, known, examples)]
        if it.process.poll() is not None:
            sys.exit(f"api-test: the coordinator ended with status {it.process.returncode}:\n{it.log()}")
        it.request("GET", "/tokens")  # fails if the test revoked its own token
        external = [hook["url"] for hook in it.request("GET", "/webhooks") if not hook["url"].startswith(it.address)]
        if external:
            sys.exit(f"api-test: the coordinator would send webhooks to {external}, which are not on loopback")
    if failed:
        sys.exit(f"api-test: failures as {', '.join(failed)}; see above")


class Coordinator:
    def __init__(self, folder, process):
        self.folder, self.process, self.address, self.token = folder, process, None, None

    def log(self):
        return (self.folder / "log").read_text()[-4000:]

    def wait(self):
        data = self.folder / "coordinator"
        for _ in range(START_TIMEOUT_SECONDS * 10):
            if (data / "address").exists() and (data / "admin-token").exists():
                address = (data / "address").read_text().strip()
                self.address = "http://" + address.split("//")[-1]
                self.token = (data / "admin-token").read_text().strip()
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        sys.exit(f"api-test: the coordinator did not start:\n{self.log()}")

    def request(self, method, path, body=None, token=None):
        """Sends a request. Returns the response's JSON, or None if it is empty."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {token or self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.address + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def pin(self):
        return re.search(r"^pin (\S{43})$", (self.folder / "output").read_text(), re.MULTILINE).group(1)


@contextmanager
def coordinator(program, folder):
    command = [program, "coordinator", "--no-discovery", "--listen", "127.0.0.1:0", "--data-dir", "coordinator"]
    environment = {**os.environ, "HOME": str(folder), "RUST_LOG": "warn"}
    for name in [name for name in environment if name.startswith(("CONSTELLATION_", "XDG_"))]:
        del environment[name]
    with open(folder / "output", "wb") as output, open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=log)
    try:
        it = Coordinator(folder, process)
        it.wait()
        yield it
    finally:
        process.terminate()
        process.wait()


class Known:
    """Objects that exist at the coordinator, such as a job, a device and its lease, so that requests can name them."""

    def __init__(self, it):
        job = {"name": "api", "model_type": "nlp", "dataset": "synthetic", "data": {"partitions": 2}}
        jobs = [it.request("POST", "/jobs", {**job, "name": name})["id"] for name in ("api", "held")]
        device, self.device_token = register(it)
        it.request("POST", f"/jobs/{jobs[0]}/start")
        lease = next_lease(it, device, self.device_token)
        token = it.request("POST", "/tokens", {"role": "viewer", "name": "wall"})["id"]
        join_code = it.request("POST", "/join-codes", {"name": "c"})["id"]
        hook = it.request("POST", "/webhooks", {"url": it.address + "/health", "events": []})["id"]
        self.ids = [*jobs, device, lease["id"], token, join_code, hook]
        self.hashes = [lease["base"], *lease["shards"]]

    def settings(self):
        """Returns the settings of schemathesis: no long polls, and half of the ids and hashes exist."""
        return "\n".join(
            [
                f"dictionaries.ids.values = {json.dumps(self.ids)}",
                f"dictionaries.hashes.values = {json.dumps(self.hashes)}",
                "[parameters]",
                '"path.id" = { dictionary = "ids", probability = 0.5 }',
                '"query.lease" = { dictionary = "ids", probability = 0.5 }',
                '"path.hash" = { dictionary = "hashes", probability = 0.5 }',
                '"query.wait" = 0',
                # The test must not revoke its own token, whose id it could read in the list of tokens.
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
    """Enrolls a device with the administrator's token. Returns its id and its own token."""
    key = Ed25519PrivateKey.generate()
    fingerprint = {"app": "0.1.0", "burn": "0.22.1", "backend": "cpu", "hardware": "api"}
    challenge = it.request("POST", "/devices/challenge")["challenge"]
    parts = [challenge.encode(), from_base64(it.pin()), b"api", b"0", *(part.encode() for part in fingerprint.values())]
    message = blake3(derive_key_context=SIGNED_CONTEXT)
    for part in parts:
        message.update(len(part).to_bytes(8, "little") + part)
    registered = it.request(
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
    for _ in range(START_TIMEOUT_SECONDS):
        lease = it.request("GET", f"/devices/{device}/next-job?wait=5", token=token)
        if lease:
            return lease
    sys.exit(f"api-test: the device got no work:\n{it.log()}")


def run_as(it, role, token, known, examples):
    """Runs schemathesis with a token and prints a line with the result. Returns whether it passed."""
    settings, report = it.folder / "schemathesis.toml", it.folder / "report.json"
    settings.write_text(known.settings())
    command = [Path(sys.executable).with_name("schemathesis"), "--config-file", settings, "run"]
    command += [it.address + "/openapi.json", "--checks", ",".join(CHECKS if token else CHECKS_WITHOUT_CREDENTIAL), "--phases", PHASES, "--seed", "1"]
    command += ["--max-examples", examples, "--continue-on-failure", "--request-timeout", "30", "--no-color"]
    command += ["--generation-database", "none", "--warnings", "off", "--report-json-path", report]
    command += ["--generation-with-security-parameters", "false"]
    if token:
        command += ["--header", f"Authorization: Bearer {token}"]
    before, started = response_counts(it), time.monotonic()
    try:
        done = subprocess.run(command, cwd=it.folder, capture_output=True, text=True, timeout=RUN_TIMEOUT_SECONDS)
        status, output = done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired as expired:
        status, output = 1, f"{(expired.stdout or b'').decode()}\nschemathesis did not finish within {RUN_TIMEOUT_SECONDS} seconds"
    seconds, now = time.monotonic() - started, response_counts(it)
    done, refused, failed = (now[kind] - before[kind] for kind in ("2xx", "4xx", "5xx"))
    operations = re.search(r"^  Tested: (\d+)$", output, re.MULTILINE)
    found = "nothing" if status == 0 else f"schemathesis ended with status {status}"
    if status == 0 and (failed or not done):
        status, found = 1, "failures that schemathesis does not count" if failed else "nothing, because no request succeeded"
    operations = operations.group(1) if operations else "?"
    print(f"{role:<18} {operations:>10} {done:>6} {refused:>8} {failed:>7} {seconds:>8.0f}  {found}", flush=True)
    if status != 0:
        print(output, flush=True)
    return status == 0


def response_counts(it):
    """Returns the number of responses so far by status class, from the coordinator's metrics."""
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
