# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Processes added up: a group, the host. An address space that several processes share is
counted once.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from vmad.model.kinds import KIND_COUNT
from vmad.model.verdict import PairKey
from vmad.scan.snapshot import GroupStats, JudgedProcess, Recoverable

RULES = ("stock", "relaxed")

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Member:
    """A judged process and its address space (``mm``; 0 unknown); walked or only counted."""

    process: JudgedProcess
    mm: int


@dataclass(frozen=True, slots=True)
class Sums:
    """What address spaces add up to."""

    kinds: tuple[int, ...]
    pairs: Mapping[PairKey, int]
    recoverable: Recoverable


def add_up(members: Iterable[Member]) -> Sums:
    """Kinds, pairs and recoverable VMAs of all.

    ``recoverable`` is None under rules by which any member is undecided: a part of the sum would
    pass for all of it. Members that were never walked are left out; they are in the snapshot's
    ``unreadable``.
    """
    kinds = [0] * KIND_COUNT
    pairs: Counter[PairKey] = Counter()
    recoverable: dict[str, int | None] = dict.fromkeys(RULES, 0)
    for member in once(one for one in members if one.process.walked_at is not None):
        kinds = list(map(operator.add, kinds, member.kinds))
        for key, number in member.pairs.items():
            pairs[key] += number
        for rules, more in member.recoverable.items():
            before = recoverable[rules]
            recoverable[rules] = None if before is None or more is None else before + more
    return Sums(tuple(kinds), dict(pairs), recoverable)


def once(members: Iterable[Member]) -> Iterable[JudgedProcess]:
    """One process per address space."""
    seen: set[int] = set()
    for member in members:
        if member.mm:
            if member.mm in seen:
                continue
            seen.add(member.mm)
        yield member.process


def add_up_groups(groups: Iterable[GroupStats]) -> Sums:
    """The same from groups that share no address space."""
    kinds = [0] * KIND_COUNT
    pairs: Counter[PairKey] = Counter()
    recoverable: dict[str, int | None] = dict.fromkeys(RULES, 0)
    for group in groups:
        if group.kinds is None or group.pairs is None or group.recoverable is None:
            continue  # nobody in it was walked
        kinds = list(map(operator.add, kinds, group.kinds))
        for key, number in group.pairs.items():
            pairs[key] += number
        for rules, more in group.recoverable.items():
            before = recoverable[rules]
            recoverable[rules] = None if before is None or more is None else before + more
    return Sums(tuple(kinds), dict(pairs), recoverable)


def same_objects(one: Sequence[object], other: Sequence[object]) -> bool:
    """Whether both hold the same objects; equal ones do not count, as comparing them is dear."""
    return len(one) == len(other) and all(map(operator.is_, one, other))


def group_of(name: str, members: Sequence[Member]) -> GroupStats:
    """A group from its members, of which there is at least one."""
    sums = add_up(members)
    singles = list(once(members))
    walked = any(process.walked_at is not None for process in singles)
    counts = _known(process.map_count for process in singles)
    rates = _known(process.rate for process in singles)
    return GroupStats(
        name=name,
        processes=len(members),
        map_count_sum=sum(counts) if counts else None,
        map_count_max=max(counts, default=None),
        high_water=max(_known(process.high_water for process in singles), default=None),
        ratio=max(_known(process.ratio for process in singles), default=None),
        rate=sum(rates) if rates else None,
        seconds_to_limit=min(_known(process.seconds_to_limit for process in singles), default=None),
        kinds=sums.kinds if walked else None,
        pairs=sums.pairs if walked else None,
        recoverable=sums.recoverable if walked else None,
    )


def _known(values: Iterable[Number | None]) -> list[Number]:
    return [value for value in values if value is not None]


def nearest_first(groups: Iterable[GroupStats], last: str) -> tuple[GroupStats, ...]:
    """Groups by the ratio of their worst process; the one called ``last`` at the end."""
    return tuple(
        sorted(
            groups,
            key=lambda group: (
                group.name == last,
                -(group.ratio or 0.0),
                -(group.map_count_sum or 0),
                group.name,
            ),
        )
    )
