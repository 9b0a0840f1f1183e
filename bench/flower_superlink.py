#!/usr/bin/env python3
"""How many nodes Flower's SuperLink holds on this machine, beside `make bench-load`.

    python bench/flower_superlink.py [--nodes 250,500,1000,2000,4000] [--seconds 60] [--insecure]

It starts the `flower-superlink` of the installed `flwr` (as it comes: TLS, state in memory) and holds nodes that do what
its SuperNode does, with flwr's own messages, headers and signatures: register and activate; then ask for messages every
3 s and send a heartbeat every 25 s x 0.8 +- 0.1. Each node has a connection of its own, and another while that one is
busy, as the SuperNode's client. Nodes are added level by level; a level is held when every call was answered within the
SuperNode's own time limits (5 s for a heartbeat, 30 s for another call) and none failed. Latency counts from the moment
when a call was due. Not equal to Constellation's load: a SuperNode polls where a Constellation worker leaves one request
open, HTTP/1.1 where that has HTTP/2, and nothing is written to a disk here. One JSON line a level; the last is the most
that was held.
"""

import argparse
import asyncio
import base64
import contextlib
import datetime
import ipaddress
import json
import os
import random
import resource
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import flwr
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flwr.common.constant import (
    HEARTBEAT_BASE_MULTIPLIER,
    HEARTBEAT_CALL_TIMEOUT,
    HEARTBEAT_DEFAULT_INTERVAL,
    HEARTBEAT_RANDOM_RANGE,
    TIMESTAMP_HEADER,
)
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    ActivateNodeResponse,
    PullMessagesRequest,
    PullMessagesResponse,
    RegisterNodeFleetRequest,
    RegisterNodeFleetResponse,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest, SendNodeHeartbeatResponse
from flwr.proto.node_pb2 import Node
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from flwr.supercore.date import now
from flwr.supercore.primitives.asymmetric import generate_key_pairs, public_key_to_bytes, sign_message
from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE
from flwr.supercore.runtime_version_compatibility import RuntimeVersionMetadata

PULL_SECONDS = 3  # between two requests of a SuperNode for messages
CALL_TIMEOUT = 30
JOINING_AT_ONCE = 16
FAILURES = (OSError, TimeoutError, RuntimeError, asyncio.IncompleteReadError)
VERSION = dict(RuntimeVersionMetadata.from_local_component("SuperNode").as_metadata())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", default="250,500,1000,2000,4000", help="levels, in rising order")
    parser.add_argument("--seconds", type=float, default=60, help="measured at each level, after one period")
    parser.add_argument("--insecure", action="store_true", help="without TLS")
    arguments = parser.parse_args()
    # So that the SuperLink ends with this script.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder, superlink(Path(folder), arguments.insecure) as (link, address, tls):
        asyncio.run(raise_levels(arguments, link, address, tls))


async def raise_levels(arguments: argparse.Namespace, link: subprocess.Popen, address, tls) -> None:
    lives, held, record = [], None, Record()
    for level in [int(level) for level in arguments.nodes.split(",")]:
        line = {"nodes": level, "flwr": flwr.__version__, "tls": tls is not None}
        started = time.monotonic()
        gate = asyncio.Semaphore(JOINING_AT_ONCE)

        async def join() -> None:
            async with gate:
                node = FleetNode(address, tls, record)
                try:
                    await node.join()
                except FAILURES as error:
                    record.errors.append(f"joining: {error!r}")
                    return
                lives.append(asyncio.create_task(node.live()))

        missing = level - len(lives)
        await asyncio.gather(*(join() for _ in range(missing)))
        line["joined_per_second"] = round(missing / (time.monotonic() - started), 1)
        await asyncio.sleep(HEARTBEAT_DEFAULT_INTERVAL - HEARTBEAT_CALL_TIMEOUT)
        line["errors_while_joining"] = len(record.errors)
        line |= await measure(arguments.seconds, link, record)
        line["held"] = line["errors_while_joining"] + line["errors"] == 0 and line["heartbeats"] > 0
        print(json.dumps(line), flush=True)
        if not line["held"]:
            break
        held = line
    for life in lives:
        life.cancel()
    print(json.dumps({"most_nodes_held": held["nodes"] if held else 0} | {"at_that_level": held}))


async def measure(seconds: float, link: subprocess.Popen, record: "Record") -> dict:
    record.clear()
    began, of_link, own = time.monotonic(), processor(link.pid), time.process_time()
    memory = []
    while time.monotonic() - began < seconds:
        await asyncio.sleep(0.2)
        memory.append(resident(link.pid))
    wall = time.monotonic() - began
    return {
        "seconds": round(wall, 1),
        "heartbeats": len(record.heartbeats),
        **quantiles("heartbeat", record.heartbeats),
        "pulls_per_second": round(len(record.pulls) / wall, 1),
        **quantiles("pull", record.pulls),
        **quantiles("generator_lag", record.lags),
        "superlink_rss_mb": round(sum(memory) / len(memory) / 1e6, 1),
        "superlink_rss_peak_mb": round(max(memory) / 1e6, 1),
        "superlink_cores": round((processor(link.pid) - of_link) / wall, 2),
        "generator_cores": round((time.process_time() - own) / wall, 2),
        "errors": len(record.errors),
        "first_error": next(iter(record.errors), None),
    }


class Record:
    """What nodes saw since it was cleared, in seconds."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.heartbeats, self.pulls, self.lags, self.errors = [], [], [], []


class FleetNode:
    """One SuperNode as the SuperLink sees it."""

    def __init__(self, address, tls: ssl.SSLContext | None, record: Record) -> None:
        self.address, self.tls, self.record = address, tls, record
        self.private_key, public_key = generate_key_pairs()
        self.public_key = public_key_to_bytes(public_key)
        self.idle = []
        self.node = None

    async def join(self) -> None:
        request = RegisterNodeFleetRequest(public_key=self.public_key)
        await self.call("register-node", request, RegisterNodeFleetResponse, CALL_TIMEOUT)
        request = ActivateNodeRequest(public_key=self.public_key, heartbeat_interval=HEARTBEAT_DEFAULT_INTERVAL)
        answer = await self.call("activate-node", request, ActivateNodeResponse, CALL_TIMEOUT)
        self.node = Node(node_id=answer.node_id)

    async def live(self) -> None:
        await asyncio.gather(self.beat(), self.pull())

    async def beat(self) -> None:
        request = SendNodeHeartbeatRequest(node=self.node, heartbeat_interval=HEARTBEAT_DEFAULT_INTERVAL)

        def period() -> float:
            share = HEARTBEAT_BASE_MULTIPLIER + random.uniform(*HEARTBEAT_RANDOM_RANGE)
            return (HEARTBEAT_DEFAULT_INTERVAL - HEARTBEAT_CALL_TIMEOUT) * share

        due = time.monotonic() + random.uniform(0, period())
        while True:
            answer = await self.timed(due, "send-node-heartbeat", request, SendNodeHeartbeatResponse)
            if answer is not None and not answer.success:
                self.record.errors.append("the SuperLink does not know the node any more")
            due = max(due + period(), time.monotonic())

    async def pull(self) -> None:
        request = PullMessagesRequest(node=self.node)
        due = time.monotonic() + random.uniform(0, PULL_SECONDS)
        while True:
            await self.timed(due, "pull-messages", request, PullMessagesResponse)
            # As its loop: the pause begins when the answer is there.
            due = time.monotonic() + PULL_SECONDS

    async def timed(self, due: float, name: str, request, answer_type):
        await asyncio.sleep(due - time.monotonic())
        self.record.lags.append(time.monotonic() - due)
        beats = name == "send-node-heartbeat"
        try:
            limit = HEARTBEAT_CALL_TIMEOUT if beats else CALL_TIMEOUT
            answer = await self.call(name, request, answer_type, limit)
        except FAILURES as error:
            self.record.errors.append(f"{name}: {error!r}")
            return None
        (self.record.heartbeats if beats else self.record.pulls).append(time.monotonic() - due)
        return answer

    async def call(self, name: str, request, answer_type, limit: float):
        async with asyncio.timeout(limit):
            try:
                body = await self.exchange(self.idle.pop() if self.idle else await self.open(), name, request)
            except (ConnectionError, asyncio.IncompleteReadError):
                # Closed while it was idle, as the SuperNode's client sees it too.
                body = await self.exchange(await self.open(), name, request)
        answer = answer_type()
        answer.ParseFromString(body)
        return answer

    async def open(self):
        name = "localhost" if self.tls else None
        return await asyncio.open_connection(*self.address, ssl=self.tls, server_hostname=name)

    async def exchange(self, connection, name: str, request) -> bytes:
        reader, writer = connection
        content = request.SerializeToString(deterministic=True)
        timestamp = now().isoformat()
        signature = sign_message(self.private_key, timestamp.encode("ascii"))
        headers = {
            "host": "localhost",
            "content-type": PROTOBUF_MEDIA_TYPE,
            "accept": PROTOBUF_MEDIA_TYPE,
            "content-length": str(len(content)),
            FLEET_HTTP_PUBLIC_KEY_HEADER: base64.b64encode(self.public_key).decode("ascii"),
            TIMESTAMP_HEADER: timestamp,
            FLEET_HTTP_SIGNATURE_HEADER: base64.b64encode(signature).decode("ascii"),
            **VERSION,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"POST /v1/fleet/{name} HTTP/1.1\r\n{head}\r\n".encode("ascii") + content)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            status, _, fields = head.partition("\r\n")
            fields = dict(line.split(": ", 1) for line in fields.strip().split("\r\n"))
            body = await reader.readexactly(int(fields["content-length"]))
        except BaseException:
            writer.close()
            raise
        self.idle.append(connection)
        if " 200 " not in f"{status} ":
            raise RuntimeError(f"{status} {body[:200]!r}")
        return body


@contextlib.contextmanager
def superlink(folder: Path, insecure: bool):
    """The program as it comes, on free ports of this machine."""
    port = free_port()
    program = Path(sys.executable).with_name("flower-superlink")
    command = [program, "--host", "127.0.0.1", "--port", str(port), "--isolation", "process"]
    tls = None
    if insecure:
        command.append("--insecure")
    else:
        certificate, key, authority = make_certificates(folder)
        command += ["--ssl-certfile", certificate, "--ssl-keyfile", key, "--ssl-ca-certfile", authority]
        tls = ssl.create_default_context(cafile=authority)
    environment = os.environ | {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_HOME": str(folder)}
    with open(folder / "superlink.log", "w") as log:
        link = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        wait_for(port, link, folder / "superlink.log")
        yield link, ("127.0.0.1", port), tls
    finally:
        link.terminate()
        link.wait()


def wait_for(port: int, link: subprocess.Popen, log: Path) -> None:
    for _ in range(600):
        if link.poll() is not None:
            sys.exit(f"flower-superlink ended:\n{log.read_text()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    sys.exit(f"flower-superlink does not listen:\n{log.read_text()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_certificates(folder: Path) -> tuple[Path, Path, Path]:
    """A server's certificate with its key, and the authority that signed it."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])

    def certificate(name: x509.Name, public_key, extensions) -> x509.Certificate:
        today = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().issuer_name(issuer).subject_name(name).public_key(public_key)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(today).not_valid_after(today + datetime.timedelta(days=1))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(authority_key, hashes.SHA256())

    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    server = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    authority = certificate(issuer, authority_key.public_key(), [x509.BasicConstraints(ca=True, path_length=None)])
    paths = folder / "server.pem", folder / "server.key", folder / "authority.pem"
    paths[0].write_bytes(certificate(server, key.public_key(), [names]).public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    paths[2].write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    return paths


def resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def processor(pid: int) -> float:
    """Seconds of processor time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def quantiles(name: str, seconds: list) -> dict:
    ordered = sorted(seconds)

    def rank(share: float) -> float | None:
        if not ordered:
            return None
        return round(ordered[max(0, -int(-len(ordered) * share // 1) - 1)] * 1000, 1)

    return {f"{name}_p50_ms": rank(0.5), f"{name}_p99_ms": rank(0.99), f"{name}_max_ms": rank(1.0)}


if __name__ == "__main__":
    main()
