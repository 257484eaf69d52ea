# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Between two scans of everybody: who is near the limit is walked, and every second remembered."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.daemons import wait_for
from tests.unit.scan.hosts import Imagined, ImaginedHost
from vmad.config.schema import Config, ScanConfig
from vmad.daemon.evidence import Opened
from vmad.daemon.host import Host
from vmad.daemon.notify import Notify, Watchdog
from vmad.scan import planner
from vmad.scan.scanner import Scanner
from vmad.scan.snapshot import HostSnapshot
from vmad.sources.events import ProcessEvents
from vmad.timeline.timeline import STARTS

#: a scan of everybody at the start and then never
CONFIG = Config(
    scan=ScanConfig(interval=3600, sample_interval=0.02, budget=1.0, events=False, failures="off")
)


@contextmanager
def running(machine: ImaginedHost) -> Iterator[tuple[Host, list[HostSnapshot]]]:
    """The host after its first scan, and what was shown."""
    shown: list[HostSnapshot] = []
    subject = Host(
        CONFIG,
        Opened(machine, {"kernel": None, "procfs": None}),
        Scanner(machine, CONFIG, "host"),
        events=ProcessEvents(1.0),
        watchdog=Watchdog(Notify(), None),
        shown=lambda snapshot, first: shown.append(snapshot),
    )
    loops = [threading.Thread(target=loop) for loop in (subject.scan_loop, subject.sample_loop)]
    for loop in loops:
        loop.start()
    try:
        wait_for("the first scan", lambda: shown)
        yield subject, shown
    finally:
        subject.stop()
        for loop in loops:
            loop.join(30)
    assert not any(loop.is_alive() for loop in loops)


def test_who_comes_near_the_limit_is_walked_before_the_interval_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(planner, "BREATH", 0.01)
    machine = ImaginedHost([Imagined(1, 100), Imagined(2, 100)])
    with running(machine) as (subject, shown):
        machine[1].map_count = 5_000
        machine[2].map_count = 60_000
        wait_for("a walk of who is near", lambda: machine[2].walks == 2)
        wait_for("what it found", lambda: shown[-1].processes[0].kinds[0] == 60_000)

        assert machine[1].walks == 1
        assert not shown[-1].full
        assert subject.counts.full_scans == 1


def test_every_second_is_remembered_without_anybody_who_looks() -> None:
    machine = ImaginedHost([Imagined(1, 100, comm="a")])
    with running(machine) as (subject, _):
        machine[1].map_count = 700

        def remembered() -> bool:
            series = subject.timeline.of_group("comm/a", 300, time.time())
            return series is not None and 700 in series.known

        wait_for("the count of a sample", remembered)
        starts = subject.timeline.of_host(STARTS, 300, time.time())
        assert starts is not None
        assert starts.known.tolist() == [1]
        process = subject.timeline.of_process(1, 1, 300, time.time())
        assert process is not None
        assert 700 in process.known
        assert machine[1].walks == 1
