# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Processes added up: a group, the host. An address space that several processes share is
counted once.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from vmad.model.kinds import KIND_COUNT
from vmad.model.verdict import RULES, PairKey, Recoverable
from vmad.scan.snapshot import GroupStats, JudgedProcess

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
    return _sums(once([member for member in members if member.process.walked_at is not None]))


def _sums(walked: Sequence[JudgedProcess]) -> Sums:
    return Sums(
        _sum_of_columns([process.kinds for process in walked]),
        _sum_of_pairs([process.pairs for process in walked]),
        _sum_of_recoverable([process.recoverable for process in walked]),
    )


def add_up_groups(groups: Iterable[GroupStats]) -> Sums:
    """The same from groups that share no address space."""
    some = list(groups)  # None: nobody in it was walked
    return Sums(
        _sum_of_columns([group.kinds for group in some if group.kinds is not None]),
        _sum_of_pairs([group.pairs for group in some if group.pairs is not None]),
        _sum_of_recoverable([group.recoverable for group in some if group.recoverable is not None]),
    )


def _sum_of_columns(rows: list[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*rows, strict=True))) if rows else (0,) * KIND_COUNT


def _sum_of_pairs(several: list[Mapping[PairKey, int]]) -> dict[PairKey, int]:
    # processes that look alike share one mapping (the scanner remembers it by their facts): a
    # thousand idle workers are one multiplication
    times = Counter(map(id, several))
    total: Counter[PairKey] = Counter()
    for pairs in {id(pairs): pairs for pairs in several}.values():
        factor = times[id(pairs)]
        for key, number in pairs.items():
            total[key] += factor * number
    return dict(total)


def _sum_of_recoverable(several: list[Recoverable]) -> Recoverable:
    total, undecided = known_recoverable(several)
    return {rules: None if undecided[rules] else total[rules] for rules in RULES}


def known_recoverable(several: Sequence[Recoverable]) -> tuple[dict[str, int], dict[str, int]]:
    """By rules: the sum of what is known, and of how many it is not."""
    known = {rules: _known([by_rules[rules] for by_rules in several]) for rules in RULES}
    return (
        {rules: sum(values) for rules, values in known.items()},
        {rules: len(several) - len(values) for rules, values in known.items()},
    )


def once(members: Sequence[Member]) -> list[JudgedProcess]:
    """One process per address space: the first of those that share it."""
    spaces = {member.mm for member in members}
    if len(spaces) == len(members) and 0 not in spaces:  # mostly nobody shares one
        return [member.process for member in members]
    first: dict[int, JudgedProcess] = {}
    for number, member in enumerate(members, 1):
        # an unknown address space (0) is one of its own: no number of one is negative
        first.setdefault(member.mm or -number, member.process)
    return list(first.values())


def same_objects(one: Sequence[object], other: Sequence[object]) -> bool:
    """Whether both hold the same objects; equal ones do not count, as comparing them is dear."""
    return len(one) == len(other) and all(map(operator.is_, one, other))


def group_of(name: str, members: Sequence[Member], vma_bytes: int | None) -> GroupStats:
    """A group from its members; there is none where only its mark is left.

    ``vma_bytes`` of kernel memory is what each VMA takes, None where that cannot be told.
    """
    singles = once(members)
    never = None in [member.process.walked_at for member in members]
    sums = add_up(members) if never else _sums(singles)
    walked = any(process.walked_at is not None for process in singles)
    counts = _known([process.map_count for process in singles])
    rates = _known([process.rate for process in singles])
    sizes = _known([process.size for process in singles])
    soonest = min(
        [process for process in singles if process.seconds_to_limit is not None],
        key=lambda process: (process.seconds_to_limit or 0.0, -(process.map_count or 0)),
        default=None,
    )
    return GroupStats(
        name=name,
        processes=len(members),
        map_count_sum=sum(counts) if counts else None,
        map_count_max=max(counts, default=None),
        high_water=max(_known([process.high_water for process in singles]), default=None),
        ratio=max(_known([process.ratio for process in singles]), default=None),
        rate=sum(rates) if rates else None,
        seconds_to_limit=None if soonest is None else soonest.seconds_to_limit,
        kinds=sums.kinds if walked else None,
        pairs=sums.pairs if walked else None,
        recoverable=sums.recoverable if walked else None,
        size_sum=sum(sizes) if sizes else None,
        kernel_bytes=sum(counts) * vma_bytes if counts and vma_bytes is not None else None,
        worst=max(
            [process for process in singles if process.map_count is not None],
            key=lambda process: process.map_count or 0,
            default=None,
        ),
        soonest=soonest,
    )


def _known(values: list[Number | None]) -> list[Number]:
    if None not in values:
        return cast("list[Number]", values)
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
                -(group.high_water or 0),
                group.name,
            ),
        )
    )
