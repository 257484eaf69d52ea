# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Large answers are made while they are read, one at a time, and nobody can sit on them."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.unit.sample import sample_snapshot
from tests.unit.web.serving import SampleContent, connect, get, parse_reply, read_all, send, serving

PIECE = "x" * 1000
#: far more than the kernel keeps for a client that does not read
PIECES = 20_000
ASK = b"GET /api/v1/explain/7 HTTP/1.0\r\n\r\n"


class Counted(SampleContent):
    """Its explanations are large; ``made`` pieces of them were asked for so far."""

    def __init__(self) -> None:
        super().__init__(sample_snapshot())
        self.made = 0
        self.begun = threading.Semaphore(0)

    def explain_json(self, *asked: object) -> Iterator[str]:
        self.begun.release()
        return self._pieces()

    def _pieces(self) -> Iterator[str]:
        for _ in range(PIECES):
            self.made += 1
            yield PIECE


def deaf(address: str) -> socket.socket:
    """A client that asks and does not read."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    host, port = address.split(":")
    one.connect((host, int(port)))
    one.sendall(ASK)
    return one


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_large_answer_comes_whole(version: str, coding: str) -> None:
    content = SampleContent(sample_snapshot())
    content.more = [PIECE] * 300
    message = f"GET /api/v1/explain/7 HTTP/{version}\r\nHost: localhost\r\n"
    with serving(content) as address:
        reply = parse_reply(send(address, f"{message}Accept-Encoding: {coding}\r\n\r\n".encode()))

    assert ("transfer-encoding" in reply.headers) == (version == "1.1")
    body = gzip.decompress(reply.body) if coding == "gzip" else reply.body
    assert body.decode() == '{"schema": "vmad.explain/1", "pid": 7}\n' + PIECE * 300


def test_large_answer_is_made_no_faster_than_it_is_read() -> None:
    content = Counted()
    with serving(content, timeout=20) as address, deaf(address):
        content.begun.acquire()
        assert [get(address, "/metrics").status for _ in range(20)] == [200] * 20
        made = content.made

    assert made < PIECES / 10


def test_client_that_does_not_read_a_large_answer_gives_way_to_the_next() -> None:
    content = Counted()
    with serving(content, timeout=3600) as address:
        clients = [deaf(address) for _ in range(3)]
        try:
            for _ in clients:
                content.begun.acquire()
            body = get(address, "/api/v1/explain/7").body
        finally:
            for one in clients:
                one.close()

    assert len(body) == PIECES * len(PIECE)


def test_work_ends_when_the_client_has_left() -> None:
    """Whoever hangs up while another has the turn is not served when it comes to him."""
    content = SampleContent(sample_snapshot())
    entered, leave = threading.Semaphore(0), threading.Event()

    def explain_slowly() -> None:
        entered.release()
        leave.wait()

    content.explaining = explain_slowly
    with serving(content) as address, connect(address) as first:
        first.sendall(ASK)
        entered.acquire()
        for _ in range(3):
            with connect(address) as one:
                one.sendall(ASK)
        with connect(address) as last:
            last.sendall(ASK)
            leave.set()
            assert parse_reply(read_all(last)).status == 200
        assert parse_reply(read_all(first)).status == 200
        # the first and the last alone
        entered.acquire()
        assert not entered.acquire(blocking=False)


def test_answer_that_breaks_off_has_no_end(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Iterator[str]:
        yield PIECE * 100
        raise ZeroDivisionError("a bug")

    content = SampleContent(sample_snapshot())
    content.more = broken()
    message = b"GET /api/v1/explain/7 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    raw = b""
    with caplog.at_level(logging.ERROR), serving(content) as address:
        with suppress(ConnectionResetError):
            raw = send(address, message)
        assert get(address, "/-/healthy").status == 200

    assert not raw.endswith(b"0\r\n\r\n")
    assert "an answer broke off" in caplog.text


def test_answer_that_nobody_takes_does_not_stay_with_the_kernel() -> None:
    """A scrape fits into the socket; its connection counts until the client has it, and is reset
    when it does not come for it.
    """
    content = SampleContent(sample_snapshot())
    with serving(content, timeout=0.2) as address:
        assert get(address, "/metrics").status == 200
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        host, port = address.split(":")
        one.connect((host, int(port)))
        with one:
            one.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            # SO_ERROR is set by the reset that comes though nothing is read (socket(7))
            poll_for_reset(one)


def poll_for_reset(client: socket.socket) -> None:
    """Wait, not reading, until the other side has reset the connection."""
    import select  # noqa: PLC0415

    poll = select.poll()
    poll.register(client, select.POLLERR)
    assert poll.poll(20_000)
    (error,) = struct.unpack("i", client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR, 4))
    assert error


def test_json_in_pieces_is_the_same_document() -> None:
    from vmad.export.scan_json import scan_document, scan_pieces  # noqa: PLC0415

    host = sample_snapshot()
    for processes in ((), host.processes[:1], host.processes * 60):
        parts = {
            "evidence": host.evidence,
            "kernel": host.kernel,
            "max_map_count": host.max_map_count,
            "took_seconds": host.took_seconds,
            "processes": processes,
            "unreadable": host.unreadable,
            "groups": host.groups,
        }
        pieces = list(scan_pieces(**parts))  # type: ignore[arg-type]

        assert json.loads("".join(pieces)) == json.loads(
            json.dumps(scan_document(**parts))  # type: ignore[arg-type]
        )
