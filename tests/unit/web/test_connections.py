# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Clients that are silent, slow or gone cost the others nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
import threading
import time

import pytest

from tests.unit.sample import crowded_snapshot, sample_snapshot
from tests.unit.web.serving import SampleContent, connect, get, parse_reply, read_all, serving
from vmad.errors import UsageError, VmadError
from vmad.web.connection import SILENT, STALLED, Connection, Phase
from vmad.web.places import Places
from vmad.web.server import WebServer


def test_health_answers_beside_200_silent_connections() -> None:
    with serving(max_connections=8) as address:
        silent = [connect(address) for _ in range(200)]
        try:
            assert [get(address, "/-/healthy").status for _ in range(3)] == [200, 200, 200]
            assert get(address, "/metrics").status == 200
        finally:
            for one in silent:
                one.close()


def test_silent_connection_is_closed_after_the_timeout() -> None:
    with serving(timeout=0.05) as address, connect(address) as silent:
        assert read_all(silent) == b""


def test_request_that_drips_does_not_outlive_the_timeout() -> None:
    with serving(timeout=0.2) as address, connect(address) as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        client.settimeout(0.01)

        assert drip_until_closed(client)


def drip_until_closed(client: socket.socket) -> bool:
    """Send a header line whenever a recv of the client times out, until the server closes."""
    while True:
        try:
            client.sendall(b"A: 1\r\n")
            return client.recv(1) == b""
        except TimeoutError:
            continue
        except (ConnectionResetError, BrokenPipeError):
            return True


def test_a_request_that_has_come_does_not_give_way_before_it_is_read() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)

    async def gives_way(come: bytes) -> bool:
        return Connection(ours, since=-1.0, come=come).gives_way(SILENT)

    with ours, theirs:
        assert asyncio.run(gives_way(b""))
        assert not asyncio.run(gives_way(b"GET / HT"))
        theirs.sendall(b"GET / HT")
        assert not asyncio.run(gives_way(b""))


def test_a_place_is_taken_from_who_has_most_though_another_keeps_still_for_longer() -> None:
    async def who_is_left() -> list[str]:
        now = asyncio.get_running_loop().time()
        places = Places(4)
        for origin, still in (("few", 4), ("many", 2), ("many", 3), ("many", 0)):
            client = socket.socket()
            one = Connection(client, now - still * SILENT, origin=origin, phase=Phase.WRITING)
            one.began_writing = one.since
            places.take(one)
        while places.full:
            assert await places.room()
        left = [f"{one.origin} {(now - one.since) / SILENT:.0f}" for one in places]
        for one in places:
            one.client.close()
        return left

    assert 4 * SILENT < STALLED
    assert asyncio.run(who_is_left()) == ["few 4", "many 2", "many 0"]


def test_longest_silent_connection_gives_way_and_the_latest_stays() -> None:
    with serving(max_connections=3) as address:
        clients = [connect(address) for _ in range(4)]
        try:
            assert clients[0].recv(1) == b""
            for one in clients[1:]:
                one.sendall(b"GET /-/healthy HTTP/1.0\r\n\r\n")
                assert parse_reply(read_all(one)).status == 200
        finally:
            for one in clients:
                one.close()


def test_clients_that_do_not_read_give_way_too() -> None:
    """They sent whole requests, so only the lack of progress tells them from honest ones."""
    content = SampleContent(crowded_snapshot(400))
    assert len(content.metrics(False, False)) > 900_000
    with serving(content, max_connections=2) as address:
        deaf = []
        try:
            for _ in range(2):
                one = socket.socket()
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                host, port = address.split(":")
                one.connect((host, int(port)))
                one.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
                deaf.append(one)
            deadline = time.monotonic() + 20
            status = 503
            while status != 200 and time.monotonic() < deadline:
                # a refusal may be cut short by a reset: then there is no room yet either
                with contextlib.suppress(ConnectionError):
                    status = get(address, "/-/healthy").status
            assert status == 200
        finally:
            for one in deaf:
                one.close()


def test_client_that_vanishes_while_written_to_leaves_no_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    content = SampleContent(crowded_snapshot(400))
    with caplog.at_level(logging.INFO), serving(content) as address:
        for _ in range(5):
            with connect(address) as client:
                client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
                client.recv(1)
                # closing with a zero linger time sends a reset
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert get(address, "/-/healthy").status == 200

    assert not caplog.records


def test_many_clients_at_once_all_get_everything() -> None:
    content = SampleContent(sample_snapshot())
    bodies: list[bytes] = []
    with serving(content, max_connections=64) as address:

        def scrape() -> None:
            bodies.append(get(address, "/metrics").body)

        clients = [threading.Thread(target=scrape) for _ in range(40)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()

    assert bodies == [content.metrics(False, False)] * 40


def test_stop_does_not_wait_for_a_process_being_explained() -> None:
    content = SampleContent(sample_snapshot())
    entered, never = threading.Event(), threading.Event()

    def hang() -> None:
        entered.set()
        never.wait()

    content.explaining = hang
    server = WebServer(["127.0.0.1:0"], content)
    server.start()
    with connect(server.addresses[0]) as client:
        client.sendall(b"GET /api/v1/explain/1 HTTP/1.0\r\n\r\n")
        entered.wait()

        server.stop()

        assert client.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            connect(server.addresses[0])
    never.set()


def test_several_addresses_are_served_and_name_their_ports() -> None:
    server = WebServer(["127.0.0.1:0", "[::1]:0"], SampleContent(None))
    server.start()
    try:
        first, second = server.addresses
        assert first.startswith("127.0.0.1:")
        assert second.startswith("[::1]:")
        assert [get(one, "/-/healthy").status for one in (first, second)] == [200, 200]
    finally:
        server.stop()


def test_port_in_use_is_one_line_with_the_remedy() -> None:
    with serving() as address:
        second = WebServer(["127.0.0.1:0", address], SampleContent(None))

        with pytest.raises(VmadError) as failure:
            second.start()

    port = address.split(":")[1]
    assert str(failure.value) == (
        f"cannot listen on {address}: Address already in use; "
        f"`ss -ltnp 'sport = :{port}'` names the program that holds the port; "
        "stop it or choose another with --web.listen-address"
    )


@pytest.mark.parametrize("address", ["", "19797", "localhost", "::1:80", "[::1]", "a:b", "a:99999"])
def test_malformed_listen_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match=r"allowed: HOST:PORT such as 127\.0\.0\.1:19797"):
        WebServer([address], SampleContent(None)).bind()


def test_address_of_another_machine_is_refused_in_one_line() -> None:
    with pytest.raises(VmadError, match=r"^cannot listen on 192\.0\.2\.1:0: .*; choose an address"):
        WebServer(["192.0.2.1:0"], SampleContent(None)).start()
