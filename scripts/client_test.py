#!/usr/bin/env python3
"""Client test: the OpenAPI document of a real coordinator is valid, and a Python client that openapi-python-client generates from it
submits a job, waits for it and downloads the model.

Usage: client_test.py PROGRAM. PROGRAM is the built `constellation`. `make test-clients` runs it in the environment that `setup.sh
clients` makes. All requests stay on loopback. The TypeScript client is tested by ui/e2e/client.test.ts.
"""

import compileall
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from openapi_spec_validator import OpenAPIV31SpecValidator

START_TIMEOUT_SECONDS = 60
JOB_TIMEOUT_SECONDS = 300
PACKAGE = "constellation_client"
# The generator does not know these types, which the document names rightly.
CONFIG = {
    "package_name_override": PACKAGE,
    "post_hooks": [],
    "content_type_overrides": {
        "application/jsonl": "text/plain",
        "application/x-tar": "application/octet-stream",
        "application/x-apple-aspen-config": "text/plain",
    },
}


def main():
    program = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="constellation-client-") as folder, ExitStack() as stack:
        folder = Path(folder)
        address, token = start_cluster(program, folder, stack)
        with urllib.request.urlopen(address + "/openapi.json", timeout=60) as answer:
            document = json.load(answer)
        validate(document)
        generate(document, folder)
        run_job(address, token)


def start_cluster(program, folder, stack):
    """Starts a coordinator and a worker. Returns the coordinator's address and an administrator's token."""
    command = ["coordinator", "--no-discovery", "--listen", "127.0.0.1:0", "--data-dir", "coordinator"]
    coordinator = start(program, folder, command, stack)
    data = folder / "coordinator"
    wait_for(lambda: (data / "address").exists() and (data / "admin-token").exists(), coordinator, folder)
    url, token = (data / "address").read_text().strip(), (data / "admin-token").read_text().strip()
    url = "https://" + url.split("//")[-1]
    made = [program, "join-code", "create", "--json", "--data-dir", "coordinator"]
    link = json.loads(subprocess.run(made, cwd=folder, env=environment(folder), capture_output=True, check=True).stdout)["link"]
    start(program, folder, ["worker", "--when", "always", "--backend", "cpu", "--coordinator", url, "--join", link, "--data-dir", "worker"], stack)
    return url.replace("https:", "http:"), token


def start(program, folder, command, stack):
    log = stack.enter_context(open(folder / f"{command[0]}.log", "wb"))
    process = subprocess.Popen([program, *command], cwd=folder, env=environment(folder), stdout=log, stderr=log)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return process


def environment(folder):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CONSTELLATION_", "XDG_"))}
    return {**clean, "HOME": str(folder)}


def wait_for(is_met, process, folder):
    for _ in range(START_TIMEOUT_SECONDS * 10):
        if is_met():
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    sys.exit("client-test: the coordinator did not start:\n" + (folder / "coordinator.log").read_text()[-4000:])


def validate(document):
    errors = [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()]
    if errors:
        sys.exit("client-test: the OpenAPI document is not valid:\n" + "\n".join(errors))
    operations = sum(method != "parameters" for path in document["paths"].values() for method in path)
    print(f"client-test: the document of {operations} operations is a valid OpenAPI {document['openapi']} document")


def generate(document, folder):
    """Generates the client and makes it importable. A part that the generator can't handle is an error."""
    (folder / "openapi.json").write_text(json.dumps(document))
    (folder / "config.json").write_text(json.dumps(CONFIG))
    generator = Path(sys.executable).with_name("openapi-python-client")
    command = [generator, "generate", "--path", "openapi.json", "--config", "config.json", "--meta", "none"]
    command += ["--output-path", PACKAGE, "--fail-on-warning"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=JOB_TIMEOUT_SECONDS)
    if done.returncode != 0:
        sys.exit(f"client-test: openapi-python-client ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
    if not compileall.compile_dir(folder / PACKAGE, quiet=1):
        sys.exit("client-test: the generated client does not compile")
    sys.path.insert(0, str(folder))
    files = list((folder / PACKAGE).rglob("*.py"))
    for file in files:
        importlib.import_module(".".join(file.relative_to(folder).with_suffix("").parts).removesuffix(".__init__"))
    print(f"client-test: the Python client has {len(files)} modules, and all can be imported")


def run_job(address, token):
    """Submits a job, waits for it and downloads its model, only through the generated client."""
    part = lambda name: importlib.import_module(f"{PACKAGE}.{name}")
    call = lambda tag, name: part(f"api.{tag}.{name}").sync_detailed
    models, client = part("models"), part("client").AuthenticatedClient(base_url=address, token=token, timeout=60)
    with client:
        spec = models.JobSpec(
            name="from python",
            model_type=models.ModelType.NLP,
            dataset="synthetic",
            data=models.DataSpec(partitions=2, train_limit=200),
            plan=models.PlanSpec(optimizer=models.OptimizerType0(kind=models.OptimizerType0Kind.SGD, learning_rate=0.1)),
            run=models.RunSpec(rounds=2),
        )
        job = expect(call("jobs", "jobs_create")(client=client, body=spec), 201)
        job = expect(call("jobs", "jobs_start")(id=job.id, client=client), 200)
        revision, deadline = 0, time.monotonic() + JOB_TIMEOUT_SECONDS
        while job.status not in (models.JobStatus.COMPLETED, models.JobStatus.FAILED, models.JobStatus.CANCELLED):
            if time.monotonic() > deadline:
                sys.exit(f"client-test: the job did not end: {job.status}, {job.explanation}")
            revision = expect(call("events", "events")(client=client, after=revision, wait=5), 200).revision
            job = expect(call("jobs", "jobs_show")(id=job.id, client=client), 200)
        if job.status != models.JobStatus.COMPLETED:
            sys.exit(f"client-test: the job is {job.status}: {job.reason}")
        rounds = expect(call("jobs", "jobs_rounds")(id=job.id, client=client), 200)
        answer = call("models", "models_download")(name="from python", client=client)
        file = expect(answer, 200).payload.read()
        header = json.loads(file[8 : 8 + int.from_bytes(file[:8], "little")])
        tensors = [name for name in header if name != "__metadata__"]
        tag = answer.headers["etag"].strip('"')
        if tag != job.model_blake3 or not tensors or len(rounds) != 2:
            sys.exit(f"client-test: the model is not the job's: {tag}, {job.model_blake3}, {tensors}, {len(rounds)} rounds")
        # An error is a problem that says what to change.
        spec.additional_properties["roundz"] = 3
        refused = call("jobs", "jobs_create")(client=client, body=spec)
        if refused.status_code != 422 or not re.search("roundz", refused.parsed.detail):
            sys.exit(f"client-test: an unknown field is answered with {refused.status_code}: {refused.content}")
    print(
        f"client-test: the Python client ran job {job.id} of {len(rounds)} rounds to accuracy {job.test_accuracy:.2f} and "
        f"downloaded its model: {len(file)} bytes, {len(tensors)} tensors, BLAKE3 {tag[:8]}…"
    )


def expect(response, status):
    if response.status_code != status:
        sys.exit(f"client-test: expected {status}, got {response.status_code}: {response.content[:500]}")
    return response.parsed


if __name__ == "__main__":
    main()
