# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Many HTTP clients in one thread: each a generator that waits for its socket, or for a while."""

from __future__ import annotations

import errno
import heapq
import select
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from itertools import count

from tests.siege.programs import kept

#: linux/in.h; Python 3.12 and later has it
IP_BIND_ADDRESS_NO_PORT = 24
#: seconds after which a scrape counts as lost, as Prometheus has it
TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Wait:
    """Until the socket may be read or written, or ``seconds`` have passed."""

    seconds: float
    on: socket.socket | None = None
    events: int = 0


Client = Generator[Wait, bool, None]


@dataclass
class Tally:
    """What the clients of one kind met. Seconds."""

    latencies: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)

    def quantile(self, part: float) -> float:
        """Of the answers with status 200; NaN without any."""
        if not self.latencies:
            return float("nan")
        ordered = sorted(self.latencies)
        return ordered[min(int(part * len(ordered)), len(ordered) - 1)]


class Crowd:
    """Runs clients until a time comes."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._order = count()
        #: (when, tie-breaker, client, number of its wait)
        self._timers: list[tuple[float, int, Client, int]] = []
        self._waits: dict[Client, tuple[int, socket.socket | None]] = {}
        self._by_descriptor: dict[int, Client] = {}

    def run(self, clients: Iterable[Client], seconds: float) -> None:
        """Let them go about it."""
        end = time.monotonic() + seconds
        for client in clients:
            self._step(client, None)
        while (now := time.monotonic()) < end:
            pause = min(self._timers[0][0] if self._timers else end, end) - now
            for descriptor, _ in self._poll.poll(max(pause, 0)):
                waiting = self._by_descriptor.get(descriptor)
                if waiting is not None:
                    self._step(waiting, True)
            now = time.monotonic()
            while self._timers and self._timers[0][0] <= now:
                _, _, client, number = heapq.heappop(self._timers)
                if client in self._waits and self._waits[client][0] == number:
                    self._step(client, False)
        for client in list(self._waits):
            self._forget(client)
            client.close()
        self._poll.close()

    def _step(self, client: Client, ready: bool | None) -> None:
        self._forget(client)
        wait = next(client) if ready is None else client.send(ready)
        number = next(self._order)
        self._waits[client] = number, wait.on
        if wait.on is not None:
            self._by_descriptor[wait.on.fileno()] = client
            self._poll.register(wait.on, wait.events)
        heapq.heappush(self._timers, (time.monotonic() + wait.seconds, number, client, number))

    def _forget(self, client: Client) -> None:
        _, on = self._waits.pop(client, (0, None))
        if on is not None and on.fileno() >= 0:
            self._by_descriptor.pop(on.fileno(), None)
            self._poll.unregister(on)


class Clients:
    """Kinds of clients of the exporter at ``address``, which is scraped at ``metrics``; all come
    from ``source``.
    """

    def __init__(self, address: str, source: str, metrics: str = "/metrics") -> None:
        host, _, port = address.rpartition(":")
        self._where = (host, int(port))
        self._host = address
        self._source = source
        self._metrics = metrics

    def _open(self, receive_buffer: int | None = None) -> socket.socket:
        one = socket.socket()
        one.setblocking(False)
        if receive_buffer is not None:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        # connect chooses the port, which may be another connection's, too
        one.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        one.bind((self._source, 0))
        code = one.connect_ex(self._where)
        assert code in (0, errno.EINPROGRESS), errno.errorcode[code]
        return one

    def _request(self, path: str, *more: str) -> bytes:
        lines = (f"GET {path} HTTP/1.1", f"Host: {self._host}", "Connection: close", *more)
        return "\r\n".join((*lines, "", "")).encode()

    def scraper(self, tally: Tally, pause: float, path: str | None = None) -> Client:
        """Asks as Prometheus does, waits for the answer, pauses, asks again."""
        request = self._request(path or self._metrics, "Accept-Encoding: gzip")
        while True:
            began = time.monotonic()
            with self._open() as one:
                status, first = "lost", b""
                try:
                    if (yield Wait(TIMEOUT, one, select.EPOLLOUT)):
                        one.send(request)
                        while (yield Wait(TIMEOUT, one, select.EPOLLIN)):
                            part = one.recv(1 << 18)
                            if not part:
                                status = first[9:12].decode() or "empty"
                                break
                            first = first or part
                except OSError as error:
                    status = errno.errorcode.get(error.errno or 0, "error")
            tally.statuses[status] += 1
            if status == "200":
                tally.latencies.append(time.monotonic() - began)
            yield Wait(pause)

    def silent(self, delay: float) -> Client:
        """Connects after ``delay`` seconds and says nothing, until it is closed; then again."""
        yield Wait(delay)
        while True:
            with self._open() as one:
                try:
                    yield Wait(TIMEOUT, one, select.EPOLLOUT)
                    yield Wait(3600, one, select.EPOLLIN)
                except OSError:
                    pass
            yield Wait(1)

    def slow_writer(self) -> Client:
        """Sends its request byte by byte."""
        while True:
            with self._open() as one:
                try:
                    yield Wait(TIMEOUT, one, select.EPOLLOUT)
                    for byte in self._request(self._metrics, "X-Slow: " + "x" * 400):
                        one.send(bytes((byte,)))
                        yield Wait(0.1)
                except OSError:
                    pass
            yield Wait(0.05)

    def slow_reader(self, path: str | None = None) -> Client:
        """Reads its answer a few bytes at a time."""
        while True:
            with self._open(2048) as one:
                try:
                    yield Wait(TIMEOUT, one, select.EPOLLOUT)
                    one.send(self._request(path or self._metrics))
                    while (yield Wait(TIMEOUT, one, select.EPOLLIN)) and one.recv(256):
                        yield Wait(0.1)
                except OSError:
                    pass
            yield Wait(0.05)

    def storm(self, tally: Tally, rate: int) -> Client:
        """storm.c: ``rate`` scrapes a second whether they are answered or not."""
        where = (self._source, self._where[0], str(self._where[1]), self._metrics)
        return _running((kept("storm"), str(rate), *where), tally)


def _running(command: tuple[str, ...], tally: Tally) -> Client:
    """A program that says at its end how many were answered, and how many it asked for."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        try:
            while True:
                yield Wait(3600)
        finally:
            answered, asked = map(int, running.communicate()[0].split())
            tally.statuses["200"] += answered
            tally.statuses["lost"] += asked - answered
