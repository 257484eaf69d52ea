# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Each address has an accept queue of its own: who floods the daemon keeps nobody else out."""

from __future__ import annotations

import errno
import resource
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from vmad.web.lanes import LANES
from vmad.web.listen import bind_all

#: more than the accept queues of two lanes take
MANY = 600


@contextmanager
def listening(*addresses: str) -> Iterator[list[socket.socket]]:
    with ExitStack() as until_the_end:
        yield [until_the_end.enter_context(one) for one in bind_all(addresses)]


def connecting(source: str, where: tuple[str, int]) -> socket.socket:
    client = socket.socket()
    client.setblocking(False)
    client.bind((source, 0))
    assert client.connect_ex(where) in (0, errno.EINPROGRESS)
    return client


def connected(source: str, where: tuple[str, int]) -> socket.socket:
    return socket.create_connection(where, timeout=60, source_address=(source, 0))


def taken(listener: socket.socket) -> Iterator[str]:
    """The addresses of those who wait for it."""
    while True:
        try:
            client, (address, *_) = listener.accept()
        except BlockingIOError:
            return
        client.close()
        yield address


def test_clients_of_one_address_have_one_lane_and_many_addresses_have_many() -> None:
    sources = [f"127.0.0.{number}" for number in range(2, 66)]
    with listening("127.0.0.1:0") as lanes, ExitStack() as until_the_end:
        where = lanes[0].getsockname()
        for source in 3 * sources:
            until_the_end.enter_context(connected(source, where))
        waiting = [Counter(taken(lane)) for lane in lanes]

    assert len(lanes) == LANES
    assert sum(waiting, Counter()) == dict.fromkeys(sources, 3)
    assert all(number == 3 for lane in waiting for number in lane.values())
    assert sum(map(bool, waiting)) > LANES / 4


def test_clients_of_one_network_of_ipv6_have_one_lane() -> None:
    with listening("[::1]:0") as lanes, ExitStack() as until_the_end:
        for _ in range(20):
            until_the_end.enter_context(socket.create_connection(lanes[0].getsockname()[:2]))
        waiting = sorted(len(list(taken(lane))) for lane in lanes)

    assert waiting == [0] * (LANES - 1) + [20]


def test_a_lane_that_is_full_keeps_nobody_of_another_one_out() -> None:
    with listening("127.0.0.1:0") as lanes, ExitStack() as until_the_end:
        where = lanes[0].getsockname()
        for _ in range(MANY):
            until_the_end.enter_context(connecting("127.0.0.2", where))
        # some of these share the lane, hardly all
        others = [connecting(f"127.0.0.{number}", where) for number in range(3, 35)]
        for other in others:
            until_the_end.enter_context(other)
        waiting = [set(taken(lane)) for lane in lanes]

    assert sum("127.0.0.2" in lane for lane in waiting) == 1
    assert len(set().union(*waiting)) > len(others) / 2


def test_where_few_descriptors_are_allowed_an_address_has_one_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (32, 32))
    with listening("127.0.0.1:0", "[::1]:0") as lanes:
        assert len(lanes) == 2
        assert not any(lane.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) for lane in lanes)
