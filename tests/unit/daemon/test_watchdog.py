# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a service manager hears: over a real datagram socket, only while there is progress."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmad.daemon.notify import Notify, Watchdog, watchdog_seconds


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(path)
        end.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        yield end


def heard(manager: socket.socket) -> list[str]:
    messages = []
    while True:
        try:
            messages.append(manager.recv(4096).decode())
        except BlockingIOError:
            return messages


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_watchdog_is_fed_until_the_next_scan_is_overdue(manager: socket.socket) -> None:
    clock = Clock()
    watchdog = Watchdog(Notify(), 30.0, clock)
    watchdog.expect(60)
    assert watchdog.period == 10

    clock.now += 59
    assert watchdog.feed()
    assert heard(manager) == ["WATCHDOG=1"]
    clock.now += 2
    assert not watchdog.feed()
    assert heard(manager) == []

    watchdog.expect(60)  # the scan ended after all
    assert watchdog.feed()
    assert heard(manager) == ["WATCHDOG=1"]


def test_without_a_watchdog_nothing_is_fed(manager: socket.socket) -> None:
    watchdog = Watchdog(Notify(), None)
    watchdog.expect(60)

    assert watchdog.period is None
    assert watchdog.feed()
    assert heard(manager) == []


def test_messages_are_those_of_sd_notify(manager: socket.socket) -> None:
    notify = Notify()
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notify.ready("scanned")
    notify.status("well")
    notify.reloading()
    notify.stopping()
    ready, status, reloading, stopping = heard(manager)

    assert ready == "READY=1\nSTATUS=scanned"
    assert (status, stopping) == ("STATUS=well", "STOPPING=1")
    word, stamp = reloading.split("\n")
    assert word == "RELOADING=1"
    assert before <= int(stamp.removeprefix("MONOTONIC_USEC=")) <= before + 60_000_000


def test_abstract_socket_is_spoken_to(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"vmad-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(f"\0{name}")
        end.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        Notify().stopping()
        assert heard(end) == ["STOPPING=1"]


def test_manager_that_went_away_does_not_matter(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/at/all")
    Notify().ready("scanned")
    assert heard(manager) == []


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        ("30000000", "", 30.0),
        ("30000000", str(os.getpid()), 30.0),
        ("30000000", "1", None),  # meant for somebody else
        ("0", "", None),
        ("", "", None),
        ("soon", "", None),
    ],
)
def test_watchdog_seconds_as_sd_watchdog_enabled_has_them(
    monkeypatch: pytest.MonkeyPatch, usec: str, pid: str, seconds: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", pid)

    assert watchdog_seconds() == seconds


def test_without_a_manager_a_watchdog_that_is_asked_for_stands_alone(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not Watchdog(Notify(), 30.0).alone
    monkeypatch.delenv("NOTIFY_SOCKET")
    assert Watchdog(Notify(), 30.0).alone
    assert not Watchdog(Notify(), None).alone
