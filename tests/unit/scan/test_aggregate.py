# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Processes added up: shared address spaces once, nothing unknown taken for 0."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.sample import GUARDS, MOVED, pairs, process
from vmad.model.kinds import KIND_COUNT
from vmad.scan.aggregate import Member, add_up, group_of, nearest_first
from vmad.scan.snapshot import JudgedProcess

KINDS = (3, *(0,) * (KIND_COUNT - 1))


def member(judged: JudgedProcess, mm: int = 0) -> Member:
    return Member(judged, mm)


def some(pid: int, count: int, **more: object) -> JudgedProcess:
    made = process(pid, "x", "g", count, kinds=KINDS, pair_counts=pairs((GUARDS, 2), (MOVED, 1)))
    return replace(made, **more)  # type: ignore[arg-type]


def test_address_space_that_processes_share_counts_once() -> None:
    """CLONE_VM without CLONE_THREAD: two processes, one mm."""
    together = [member(some(1, 500), 77), member(some(2, 500), 77), member(some(3, 40), 78)]
    group = group_of("g", together, 232)

    assert group.processes == 3
    assert group.map_count_sum == 540
    assert group.kinds is not None
    assert group.kinds[0] == 6
    assert group.pairs == pairs((GUARDS, 4), (MOVED, 2))


def test_unknown_address_spaces_are_each_their_own() -> None:
    assert group_of("g", [member(some(1, 5)), member(some(2, 5))], 232).map_count_sum == 10


def test_one_undecided_member_makes_the_sum_undecided() -> None:
    known = some(1, 5, recoverable={"stock": 1, "relaxed": 4, "rebuild": 4})
    half = some(2, 5, recoverable={"stock": 2, "relaxed": None, "rebuild": None})

    assert add_up([member(known, 1), member(half, 2)]).recoverable == {
        "stock": 3, "relaxed": None, "rebuild": None,
    }  # fmt: skip


def test_member_that_was_only_counted_does_not_spoil_the_sums() -> None:
    counted = some(
        2,
        900,
        recoverable={"stock": None, "relaxed": None, "rebuild": None},
        pairs={},
        walked_at=None,
    )
    group = group_of("g", [member(some(1, 5), 1), member(counted, 2)], 232)

    assert group.map_count_max == 900
    assert group.pairs == pairs((GUARDS, 2), (MOVED, 1))
    assert group.recoverable == {"stock": 0, "relaxed": 0, "rebuild": 0}


def test_nothing_is_said_of_pairs_where_nobody_was_walked() -> None:
    group = group_of("g", [member(some(1, 900, walked_at=None))], 232)

    assert (group.kinds, group.pairs, group.recoverable) == (None, None, None)
    assert group.map_count_max == 900


def test_unknown_counts_are_none_and_not_0() -> None:
    unknown = some(1, 5, map_count=None, ratio=None, high_water=None, rate=None)
    group = group_of("g", [member(unknown)], 232)

    assert (group.map_count_sum, group.map_count_max, group.ratio) == (None, None, None)
    assert (group.high_water, group.rate, group.seconds_to_limit) == (None, None, None)


def test_group_shows_its_worst_member() -> None:
    calm, worse = some(1, 10, rate=0.0), some(2, 60_000, rate=10.0)
    soon = some(3, 100, rate=1e6, seconds_to_limit=0.07, high_water=65_000)
    group = group_of("g", [member(calm), member(worse), member(soon)], 232)

    assert group.ratio == worse.ratio
    assert group.seconds_to_limit == 0.07
    assert group.high_water == 65_000
    assert group.rate == 10 + 1e6


def test_nearest_group_comes_first_and_other_last() -> None:
    groups = [
        group_of(name, [member(process(1, "x", name, count))], 232)
        for name, count in (("b", 10), ("other", 65_000), ("a", 10), ("c", 20))
    ]

    assert [group.name for group in nearest_first(groups, "other")] == ["c", "a", "b", "other"]
