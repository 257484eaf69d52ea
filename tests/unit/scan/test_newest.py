# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A recount brings the last snapshot up to the newest sample, without a walk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest

from tests.unit.scan.hosts import Imagined, ImaginedHost, scanned_of
from vmad.config.schema import Config
from vmad.model.process import ProcessId, ProcessSummary, Unreadable
from vmad.scan.scanner import Scanner


class Leaving(ImaginedHost):
    """The last process leaves once it was walked; ``then`` comes after that."""

    then: Callable[[], None] | None = None

    def summarise(self, processes: Iterable[ProcessId]) -> Iterator[ProcessSummary | Unreadable]:
        results = list(super().summarise(processes))
        if self.then is not None:
            self.processes.pop()
            self.then()
            self.then = None
        return iter(results)


def test_a_recount_says_what_the_newest_sample_saw_without_a_walk() -> None:
    host, scanner, clock = scanned_of(Imagined(1, 100), Imagined(2, 200))
    taken_at = clock.now
    host[1].map_count = 40_000
    clock.now += 3
    scanner.samples.take()

    snapshot = scanner.newest.recount()

    assert snapshot is not None
    assert {one.id.pid: one.map_count for one in snapshot.processes} == {1: 40_000, 2: 200}
    assert (snapshot.taken_at, snapshot.counted_at) == (taken_at, taken_at + 3)
    (group,) = snapshot.groups
    assert (group.map_count_max, group.high_water) == (40_000, 40_000)
    assert group.worst is snapshot.processes[0]
    assert snapshot.worst_ratio == pytest.approx(40_000 / 65_530)
    assert [one.walks for one in host.processes] == [1, 1]


def test_a_recount_leaves_out_who_is_gone() -> None:
    host, scanner, clock = scanned_of(Imagined(1, 100), Imagined(2, 200))
    del host.processes[0]
    clock.now += 1
    scanner.samples.take()

    snapshot = scanner.newest.recount()

    assert snapshot is not None
    assert [one.id.pid for one in snapshot.processes] == [2]


def test_nothing_newer_is_no_recount() -> None:
    _, scanner, clock = scanned_of(Imagined(1))
    assert scanner.newest.recount() is None

    clock.now += 1
    scanner.samples.take()
    assert scanner.newest.recount() is not None
    assert scanner.newest.recount() is None


def test_a_recount_before_the_first_scan_is_none() -> None:
    scanner = Scanner(ImaginedHost([Imagined(1)]), Config(), "host")
    scanner.samples.take()

    assert scanner.newest.recount() is None


def test_a_source_without_counts_is_not_recounted() -> None:
    _, scanner, clock = scanned_of(Imagined(1), counts=False)
    clock.now += 1

    assert scanner.newest.recount() is None


def test_the_scan_after_a_recount_shows_what_it_walked() -> None:
    host, scanner, clock = scanned_of(Imagined(1, 100), Imagined(2, 200))
    host[1].map_count = 40_000
    clock.now += 1
    scanner.samples.take()
    scanner.newest.recount()
    clock.now += 1

    snapshot = scanner.scan(full=False)

    assert [one.kinds[0] for one in snapshot.processes] == [40_000, 200]
    assert snapshot.counted_at == snapshot.taken_at == clock.now


def test_who_is_gone_when_its_walk_is_judged_is_left_out() -> None:
    """Between walk and verdict a sample finds it gone and somebody looks."""
    _, scanner, clock = scanned_of(Imagined(1, 100))
    host = Leaving([Imagined(1, 100), Imagined(2, 200)])
    scanner.use(host)
    scanner.scan(full=True)
    host[2].map_count = 300

    def somebody_looks() -> None:
        clock.now += 1
        scanner.samples.take()
        assert scanner.newest.recount() is not None

    host.then = somebody_looks

    assert [one.id.pid for one in scanner.scan(full=False).processes] == [1]
