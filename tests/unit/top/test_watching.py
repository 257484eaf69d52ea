# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is seen of a host that changes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.unit.capture.recorded import capture
from tests.unit.explain.tables import alternating, table_of
from tests.unit.scan.hosts import Imagined, ImaginedHost
from vmad.errors import TargetUnavailable
from vmad.model.process import ProcessId
from vmad.sources.capture import CaptureSource
from vmad.sources.source import Census
from vmad.top.row import Frame
from vmad.top.sparkline import known_part
from vmad.top.watching import Watching


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def by_name(frame: Frame) -> dict[str, int | None]:
    return {row.comm: row.map_count for row in frame.rows}


def test_a_count_is_that_of_this_second() -> None:
    grows = Imagined(7, 1_000, comm="grows")
    clock = Clock()
    watching = Watching(ImaginedHost(processes=[grows]), "here", clock=clock)
    watching.step()
    for second in range(1, 6):
        clock.now += 1
        grows.map_count = 1_000 + 10 * second
        frame = watching.step()

    (row,) = frame.rows
    assert (row.map_count, row.high_water) == (1_050, 1_050)
    assert row.rate == pytest.approx(10)
    assert known_part(row.past) == [1_000, 1_010, 1_020, 1_030, 1_040, 1_050]
    assert grows.walks == 1  # not walked for it


def test_walks_wait_for_the_interval() -> None:
    moves = Imagined(7)
    clock = Clock()
    watching = Watching(ImaginedHost(processes=[moves]), "here", clock=clock, interval=10)
    for _ in range(12):
        moves.map_count += 1
        watching.step()
        clock.now += 1

    assert moves.walks == 2


def test_who_comes_near_the_limit_is_walked_before_the_interval_ends() -> None:
    climbs, rests = Imagined(7, comm="climbs"), Imagined(8, comm="rests")
    clock = Clock()
    host = ImaginedHost(processes=[climbs, rests])
    watching = Watching(host, "here", clock=clock, interval=3600)
    watching.step()
    for count in (60_000, 60_000, 60_010, 60_020):
        clock.now += 2
        climbs.map_count = count
        rests.map_count += 1
        watching.step()

    assert climbs.walks == 2


def test_who_comes_is_shown_before_any_walk_and_who_goes_is_not() -> None:
    stays, comes = Imagined(1, comm="stays"), Imagined(2, 9_000, comm="comes")
    host = ImaginedHost(processes=[stays])
    clock = Clock()
    watching = Watching(host, "here", clock=clock)
    watching.step()
    host.processes = [stays, comes]
    clock.now += 1
    assert by_name(watching.step()) == {"stays": 100, "comes": 9_000}

    host.processes = [stays]
    clock.now += 1
    assert by_name(watching.step()) == {"stays": 100}


def test_where_only_walks_count_the_pause_is_the_interval() -> None:
    host = ImaginedHost(processes=[Imagined(7, 300, comm="walked")], counts=False)
    watching = Watching(host, "here", interval=7)

    assert by_name(watching.step()) == {"walked": 300}
    assert watching.pause == 7


def test_time_is_told_of_who_is_near_and_of_nobody_who_has_just_begun() -> None:
    near, new = Imagined(7, 60_000, comm="near"), Imagined(8, 100, comm="new")
    clock = Clock()
    watching = Watching(ImaginedHost(processes=[near, new]), "here", clock=clock)
    watching.step()
    for _ in range(5):
        clock.now += 1
        near.map_count += 10
        new.map_count += 200
        frame = watching.step()

    left = {row.comm: row.seconds_to_limit for row in frame.rows}
    assert left == {"near": pytest.approx(548), "new": None}

    near.map_count = 65_530
    clock.now += 1
    full = watching.step().of(near.id)
    assert full is not None
    assert full.seconds_to_limit == 0


class Fails(ImaginedHost):
    """A guest that goes."""

    gone = False

    def sample(self) -> Census:
        if self.gone:
            raise TargetUnavailable("the guest is gone")
        return super().sample()


def test_what_was_seen_last_stays_with_the_reason_why_it_is_old() -> None:
    host = Fails(processes=[Imagined(7, comm="guest")])
    watching = Watching(host, "there")
    watching.step()
    host.gone = True

    frame = watching.step()

    assert by_name(frame) == {"guest": 100}
    assert "the guest is gone" in frame.notes[0]


def test_what_cannot_be_read_at_all_is_an_error() -> None:
    host = Fails(processes=[Imagined(7)])
    host.gone = True

    with pytest.raises(TargetUnavailable):
        Watching(host, "there").step()


class Counts:
    """Somebody who knows of failures."""

    def counts(self, most: int | None, limit: int | None) -> Mapping[ProcessId, int] | None:
        assert (most, limit) == (65_530, 65_530)
        return {ProcessId(7, 1): 12}


def test_failures_are_those_of_the_process_and_unknown_where_nobody_counts() -> None:
    host = ImaginedHost(processes=[Imagined(7, 65_530), Imagined(8, 5)])

    assert [row.failures for row in Watching(host, "x", failing=Counts()).step().rows] == [12, 0]
    assert [row.failures for row in Watching(host, "x").step().rows] == [None, None]


def test_a_name_cannot_steer_the_terminal() -> None:
    host = ImaginedHost(processes=[Imagined(7, comm="\x1b[31mred\n")])

    (row,) = Watching(host, "x").step().rows
    assert row.comm == "\\x1b[31mred\\x0a"


def test_a_capture_is_looked_into(tmp_path: Path) -> None:
    table = table_of(alternating(50), pid=9, comm="java")
    capture(tmp_path / "host", [table])
    source = CaptureSource(str(tmp_path / "host"))
    watching = Watching(source, "host", live=False)

    frame = watching.step()
    found = watching.look_into(table.id)

    assert frame.at is None
    assert [(row.comm, row.map_count, row.rate) for row in frame.rows] == [("java", 51, None)]
    assert frame.rows[0].why.startswith("vm_flags:access")
    assert found.explanation is not None
    assert watching.look_into(ProcessId(10, 1)).problem is not None
    source.close()
