# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A server on loopback with content made from the sample snapshot, and a bare HTTP client."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

from tests.unit.sample import NOW, sample_snapshot, self_stats
from vmad.errors import CannotRead, ProcessGone, StillChanging
from vmad.export.metrics.exposition import Exposition
from vmad.scan.snapshot import HostSnapshot
from vmad.timeline.selection import Selection
from vmad.web.pages.front import render_page
from vmad.web.server import WebServer
from vmad.web.viewer import Viewer


class SampleContent:
    """What a daemon would show: everything, or what there is before the first scan."""

    def __init__(self, snapshot: HostSnapshot | None = None) -> None:
        self.snapshot = snapshot
        self.exposition = Exposition(self_stats(), snapshot)
        self.explaining: Callable[[], None] = lambda: None
        self.edition = 0
        #: what follows an explanation, to make it large
        self.more: Iterable[str] = ()

    def metrics(self, openmetrics: bool, gzip: bool) -> bytes:
        return self.exposition.render(openmetrics, gzip)

    def page(self) -> bytes:
        return render_page(self.snapshot, self_stats(), NOW + 4)

    def scan_json(self) -> Iterator[str] | None:
        return iter(('{"schema": "vmad.scan/1"}\n',)) if self.snapshot else None

    def failures_json(self) -> bytes | None:
        return b'{"schema": "vmad.failures/1"}\n' if self.snapshot else None

    def bursts_json(self) -> bytes | None:
        return b'{"schema": "vmad.bursts/1"}\n' if self.snapshot else None

    def daemon_json(self) -> bytes:
        return b'{"schema": "vmad.daemon/1"}\n'

    def history_page(self, wanted: Selection) -> bytes:
        return f"<!doctype html><title>{wanted.span}</title>\n".encode()

    def history_json(self, wanted: Selection) -> Iterator[str]:
        return iter((f'{{"schema": "vmad.history/1", "span": {wanted.span}}}\n',))

    def blame_page(self, viewer: Viewer) -> bytes | None:
        return b"with names" if viewer.trusted else b"without names"

    def explain_json(self, pid: int, viewer: Viewer, pairs: bool) -> Iterator[str]:
        self.explaining()
        if pid == 404:
            raise ProcessGone("process 404 is gone")
        if pid == 403:
            raise CannotRead("/proc/403/maps: permission denied", "give vmad CAP_PERFMON")
        if pid == 503:
            raise StillChanging("process 503: it changes during every reading", "try again")
        if pid == 500:
            raise ZeroDivisionError("a bug")
        if pairs and not viewer.trusted:
            raise CannotRead("pairs of process 7: its addresses are for others")
        return chain(('{"schema": "vmad.explain/1", ', f'"pid": {pid}}}\n'), self.more)

    def process_page(self, pid: int, viewer: Viewer) -> bytes:
        next(self.explain_json(pid, viewer, pairs=False))
        return b"<!doctype html><title>a process</title>\n"

    def process_map(self, pid: int, viewer: Viewer) -> bytes:
        next(self.explain_json(pid, viewer, pairs=False))
        return b"with addresses" if viewer.trusted else b"without addresses"

    def ready(self) -> str | None:
        return None if self.snapshot else "the first scan is not complete yet"

    def target(self, name: str) -> SampleContent | None:
        return self if name == "web-1" else None


@dataclass(frozen=True)
class Reply:
    """A response as it came over the wire; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def parse_reply(raw: bytes) -> Reply:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    assert first.startswith("HTTP/1.1 "), raw[:100]
    pairs = (line.split(": ", 1) for line in lines)
    headers = {name.lower(): value for name, value in pairs}
    if headers.get("transfer-encoding") == "chunked":
        body = dechunked(body)
    return Reply(int(first.split()[1]), headers, body)


def dechunked(raw: bytes) -> bytes:
    """The body of RFC 9112, 7.1; an answer that broke off has no last chunk."""
    parts: list[bytes] = []
    while True:
        size, _, raw = raw.partition(b"\r\n")
        number = int(size, 16)
        assert raw[number : number + 2] == b"\r\n"
        if not number:
            return b"".join(parts)
        parts.append(raw[:number])
        raw = raw[number + 2 :]


def connect(address: str) -> socket.socket:
    if address.startswith("unix:"):
        one = socket.socket(socket.AF_UNIX)
        one.settimeout(20)
        one.connect(address.removeprefix("unix:"))
        return one
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=20)


def read_all(client: socket.socket) -> bytes:
    """Everything until the server closes."""
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


def send(address: str, message: bytes, tls: ssl.SSLContext | None = None) -> bytes:
    """What the server answers to these bytes until it closes."""
    with connect(address) as plain:
        client = tls.wrap_socket(plain, server_hostname="localhost") if tls else plain
        with client:
            client.sendall(message)
            return read_all(client)


def get(
    address: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
    tls: ssl.SSLContext | None = None,
) -> Reply:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {address}"]
    lines += (f"{name}: {value}" for name, value in (headers or {}).items())
    message = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return parse_reply(send(address, message, tls))


@contextmanager
def serving(
    content: SampleContent | None = None,
    *,
    max_connections: int = 32,
    timeout: float = 10.0,
    web_config: str | None = None,
    budget: float = 1.0,
    hosts: Sequence[str] = (),
    listen: str = "127.0.0.1:0",
    anybody: str = "processes",
) -> Iterator[str]:
    """The address of a server that runs during the block and must be gone after it."""
    before = set(threading.enumerate())
    server = WebServer(
        [listen],
        content or SampleContent(sample_snapshot()),
        max_connections=max_connections,
        timeout=timeout,
        web_config=web_config,
        budget=budget,
        hosts=hosts,
        anybody=anybody,
    )
    server.start()
    started = set(threading.enumerate()) - before
    assert "vmad-http" in {thread.name for thread in started}
    try:
        yield server.addresses[0]
    finally:
        server.stop()
    assert "vmad-http" not in {thread.name for thread in started if thread.is_alive()}
