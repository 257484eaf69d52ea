# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The history of one machine, and how much memory it is."""

from __future__ import annotations

import numpy as np

from vmad.timeline.rings import MISSING, Series
from vmad.timeline.timeline import COUNT, FAILURES, LIMIT, STARTS, Remembered, Second, Timeline

NOW = 1_800_000_000.0
MIB = 1 << 20


def names(number: int, prefix: str = "group") -> tuple[str, ...]:
    return tuple(f"{prefix}-{each}.service" for each in range(number))


def counts(*values: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array(values, np.int32)


def newest(series: Series | None) -> int | None:
    return None if series is None else int(series.values[-1])


def test_500_groups_are_less_than_20_mib() -> None:
    timeline = Timeline()
    processes = tuple(Remembered(pid, 1, "db", "db.service") for pid in range(1, 101))

    timeline.put_groups(NOW, names(600), np.arange(600, dtype=np.int32))
    timeline.put_processes(NOW, processes, np.arange(100, dtype=np.int32))
    timeline.put_failures(NOW, {"group-1.service": 3})
    timeline.put_host(NOW, count=65_530, limit=65_530, starts=1)

    tables = (timeline.groups, timeline.processes, timeline.host)
    arrays = [a for t in tables for r in t.columns.values() for a in r.tables]
    assert sum(array.nbytes for array in arrays) < timeline.nbytes < 5 * MIB
    assert len(timeline.groups.keys) == 500
    assert len(timeline.processes.keys) == 64


def test_a_small_host_takes_little() -> None:
    timeline = Timeline()

    timeline.put_groups(NOW, names(10), np.arange(10, dtype=np.int32))

    assert timeline.nbytes < MIB // 2


def test_the_first_groups_have_their_rows_where_there_are_too_many() -> None:
    timeline = Timeline(groups=2)

    timeline.put_groups(NOW, ("a", "b", "c"), counts(7, 8, 9))

    assert newest(timeline.of_group("a", 1, NOW)) == 7
    assert newest(timeline.of_group("b", 1, NOW)) == 8
    assert timeline.of_group("c", 1, NOW) is None


def test_the_group_that_was_heard_of_least_lately_makes_room() -> None:
    timeline = Timeline(groups=3)
    timeline.put_groups(NOW, ("a", "b", "c"), counts(1, 2, 3))
    timeline.put_groups(NOW + 1, ("a", "c"), counts(4, 5))

    timeline.put_groups(NOW + 2, ("new", "c"), counts(6, 7))

    assert timeline.of_group("b", 3, NOW + 2) is None
    series = timeline.of_group("a", 3, NOW + 2)
    assert series is not None
    assert series.values.tolist() == [1, 4, MISSING]
    series = timeline.of_group("new", 3, NOW + 2)
    assert series is not None
    assert series.values.tolist() == [MISSING, MISSING, 6]


def test_groups_that_fail_do_not_displace_those_that_are_there() -> None:
    timeline = Timeline(groups=2)
    there = ("a", "b")
    for second in range(3):
        timeline.put_groups(NOW + second, there, counts(1, 2))

    timeline.put_failures(NOW + 3, {"a": 5})
    timeline.put_groups(NOW + 3, ("a", "b", "c"), counts(1, 2, 3))

    assert newest(timeline.of_group("a", 1, NOW + 3, FAILURES)) == 5
    assert newest(timeline.of_group("b", 1, NOW + 3)) == 2
    assert newest(timeline.of_host(FAILURES, 1, NOW + 3)) == 5


def test_a_process_keeps_its_history_under_another_name() -> None:
    timeline = Timeline()
    before, after = (Remembered(7, 40, comm, "db.service") for comm in ("sh", "postgres"))

    timeline.put_processes(NOW, (before,), counts(30))
    timeline.put_processes(NOW + 1, (after,), counts(90))

    series = timeline.of_process(7, 40, 2, NOW + 1)
    assert series is not None
    assert series.values.tolist() == [30, 90]
    assert timeline.of_process(7, 41, 2, NOW + 1) is None


def test_columns_of_the_host_fold_each_in_its_way() -> None:
    timeline = Timeline()

    timeline.put_host(NOW, count=90, limit=65_530, starts=1)
    timeline.put_host(NOW + 0.5, count=80, limit=30_000, starts=1, areas=None)

    assert newest(timeline.of_host(COUNT, 1, NOW)) == 90
    assert newest(timeline.of_host(LIMIT, 1, NOW)) == 30_000
    assert newest(timeline.of_host(STARTS, 1, NOW)) == 2
    assert newest(timeline.of_host("areas", 1, NOW)) == MISSING


def second(count: int, groups: tuple[str, ...] = ("a", "b")) -> Second:
    java = (Remembered(7, 1, "java", "a"),)
    return Second(groups, counts(count, 3), java, counts(count), {COUNT: count, LIMIT: 65_530})


def test_seconds_that_are_alike_are_remembered_as_if_each_had_been_put() -> None:
    timeline, same = Timeline(), second(9)

    for passed in (0, 1, 2, 4):
        timeline.put(NOW + passed, same)

    expected = [9, 9, 9, MISSING, 9]
    for series in (
        timeline.of_group("a", 5, NOW + 4),
        timeline.of_process(7, 1, 5, NOW + 4),
        timeline.of_host(COUNT, 5, NOW + 4),
    ):
        assert series is not None
        assert series.values.tolist() == expected


def test_a_second_that_differs_ends_those_that_were_alike() -> None:
    timeline, same = Timeline(), second(9)

    timeline.put(NOW, same)
    timeline.put(NOW + 1, same)
    timeline.put(NOW + 2, second(11))

    series = timeline.of_group("a", 3, NOW + 2)
    assert series is not None
    assert series.values.tolist() == [9, 9, 11]


def test_a_second_like_the_last_after_the_clock_was_set_back_is_put_where_it_is_now() -> None:
    timeline, same = Timeline(), second(9)

    timeline.put(NOW, same)
    timeline.put(NOW - 100, same)

    series = timeline.of_host(COUNT, 2, NOW - 100)
    assert series is not None
    assert series.values.tolist() == [MISSING, 9]
    assert newest(timeline.of_host(COUNT, 1, NOW)) == MISSING


def test_alike_seconds_wait_for_a_minute_at_most() -> None:
    timeline, same = Timeline(), second(9)

    for passed in range(0, 121, 10):
        timeline.put(NOW + passed, same)

    # read without asking: what is not there yet is lost if the daemon is killed
    known = timeline.host.columns[COUNT].read(0, 121, NOW + 120).values
    assert np.flatnonzero(known == 9)[-1] >= 121 - 1 - 60


def test_a_failure_takes_the_row_of_who_was_heard_of_before_the_seconds_that_are_alike() -> None:
    timeline = Timeline(groups=3)
    timeline.put_groups(NOW, ("a", "b", "gone"), counts(1, 1, 1))
    timeline.put_groups(NOW + 1, ("gone",), counts(1))
    timeline.put(NOW + 2, second(9, ("a", "b")))

    timeline.put_failures(NOW + 3, {"new": 1})

    assert set(timeline.group_names()) == {"a", "b", "new"}
