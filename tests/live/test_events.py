# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Process events from the real connector: they come, they get lost, and that is noticed."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from vmad.config.schema import Config
from vmad.daemon.service import EVENTS_SHARE
from vmad.sources import connector, events
from vmad.sources.events import EventCounts, ProcessEvents

NETLINK_CONNECTOR = 11
CN_IDX_PROC, CN_VAL_PROC = 1, 1


def wait_for(what: str, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"not within a minute: {what}"
        time.sleep(0.01)


class Listener:
    """Process events, and everything that was looked at so far."""

    def __init__(self, share: float = 1.0) -> None:
        self.overrun = threading.Event()
        self.subject = ProcessEvents(share, self.overrun.set)
        self.execed: set[int] = set()
        self.rescans = 0

    def look(self) -> EventCounts:
        now = self.subject.look()
        self.execed |= now.execed
        self.rescans += now.rescan
        return now

    def start(self) -> None:
        self.subject.start()
        wait_for("events to be up", lambda: self.subject.peek().up)

    def hears_an_exec(self) -> None:
        with subprocess.Popen(["sleep", "60"]) as child:
            wait_for("the exec", lambda: self.look() and child.pid in self.execed)
            child.kill()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.subject.stop()


def poison() -> None:
    """A control message of 40 bytes to everybody who listens, as any process may send it."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_CONNECTOR) as sender:
        header = struct.pack("=IHHII", 40, 3, 0, 0, os.getpid())
        message = struct.pack("=IIIIHHI", CN_IDX_PROC, CN_VAL_PROC, 0, 0, 4, 0, 1)
        sender.sendto(header + message, (0, CN_IDX_PROC))


def test_exec_of_a_child_is_told_once(listener: Listener) -> None:
    listener.start()
    listener.hears_an_exec()

    wait_for("the exec counted", lambda: listener.subject.peek().events >= 1)
    assert listener.subject.look().execed.isdisjoint(listener.execed)


def test_message_that_is_no_event_does_no_harm(listener: Listener) -> None:
    """The filter keeps it from the socket."""
    listener.start()
    poison()
    listener.hears_an_exec()

    assert listener.subject.peek().overruns == 0


def test_more_events_than_fit_are_an_overrun_and_heal(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connector, "RECEIVE_BUFFER", 4096)
    listener.start()
    # the reader stops at the counts, which are held here, while the kernel goes on sending
    with listener.subject._lock:
        for _ in range(100):
            subprocess.run(["true"], check=True)
        monkeypatch.undo()  # the next socket has room for this busy machine
    assert listener.overrun.wait(60)
    wait_for("recovery", lambda: listener.subject.peek().up)
    listener.hears_an_exec()

    assert listener.rescans >= 1


def test_reader_that_is_dearer_than_its_share_rests_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(events, "SHARE_WINDOW", 0.05)
    monkeypatch.setattr(events, "SHARE_PAUSE", (0.05, 0.1))
    monkeypatch.setattr(events, "GATHER", 0.0)
    caplog.set_level("WARNING", "vmad")
    listener = Listener(share=0.0)
    rests = 0
    listener.subject.start()
    try:
        while rests < 3:
            subprocess.run(["true"], check=True)
            now = listener.look()
            if now.resting:
                assert not now.up
                assert "scan.budget" in str(now.why_down)
            rests = listener.subject.peek().overruns
    finally:
        listener.subject.stop()
    assert listener.rescans >= 1
    assert [record.message.split(":")[0] for record in caplog.records] == ["process events rest"]


#: forks, and programs that start, a second: a build by make with some compilers at a time
BUILD = "while :; do true & sh -c : ; sleep 0.05; done"


def test_a_build_host_keeps_its_events_at_the_default_budget() -> None:
    share = Config().scan.budget * EVENTS_SHARE
    listener = Listener(share=share)
    listener.start()
    with subprocess.Popen(["sh", "-c", BUILD], start_new_session=True) as build:
        try:
            wait_for("programs to start", lambda: listener.subject.peek().events >= 300)
            now = listener.subject.peek()
        finally:
            os.killpg(build.pid, signal.SIGKILL)
            listener.subject.stop()
    assert (now.up, now.resting, now.overruns) == (True, False, 0)


def test_stop_ends_the_thread_though_nothing_happens(listener: Listener) -> None:
    listener.start()
    assert listener.subject._reader is not None
    thread = listener.subject._reader.thread
    assert thread is not None
    listener.subject.stop()
    subprocess.run(["true"], check=True)
    thread.join(60)

    assert not thread.is_alive()
    assert listener.subject.peek().why_down == "process events: stopped"


def test_started_again_it_listens_again(listener: Listener) -> None:
    listener.start()
    listener.subject.stop()
    listener.start()
    listener.hears_an_exec()


def test_in_a_network_namespace_of_its_own_the_reason_is_named() -> None:
    """The connector answers in the initial one alone."""
    asked = subprocess.run(
        [
            *("unshare", "--net", sys.executable, "-c"),
            "from vmad.sources.events import event_source_problem; print(event_source_problem())",
        ],
        capture_output=True,
        text=True,
        check=True,
    )

    assert asked.stdout.startswith("process events: ")
    assert "needs CONFIG_PROC_EVENTS and the initial network namespace" in asked.stdout
    assert asked.stderr == ""
