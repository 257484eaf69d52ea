# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Groups with their marks laid over them: what processes had that run no more, or had lately."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vmad.config.schema import OTHER
from vmad.scan.aggregate import nearest_first
from vmad.scan.grouping import Whole
from vmad.scan.marks import Marks
from vmad.scan.snapshot import GroupStats

#: a ratio is of the highest count in so many seconds: two scrapes at the longest usual interval
RECENT = 120.0
#: a count so near to the mark is as good as the mark
NEAR_THE_MARK = 0.9
#: a mark of this share of the limit weighs as much as a process that is there now; a lower one
#: displaces nobody, so that the containers of a day's jobs leave the others their series
NEAR_THE_LIMIT = 0.5


def weights(marks: Marks, limit: int | None) -> dict[str, float]:
    """What the mark of each group weighs beside the counts of processes, for the cap on groups."""
    highest = {group: marks.highest(group) or 0 for group in marks.groups()}
    near = NEAR_THE_LIMIT * limit if limit else 0
    return {
        group: count if count >= near else count / (limit or 1) for group, count in highest.items()
    }


def with_marks(
    whole: Whole, marks: Marks, limit: int | None, since: float
) -> tuple[GroupStats, ...]:
    """The groups of ``whole``, nearest to the limit first; those without marks as they are.

    Counts from ``since`` (Unix seconds) on go into the ratio.
    """
    marked: dict[str, list[str]] = {}
    for group in marks.groups():
        marked.setdefault(whole.exported_as(group), []).append(group)
    if not marked:
        return whole.groups
    return nearest_first(
        [
            _with_marks(stats, marked[stats.name], marks, limit, since)
            if stats.name in marked
            else stats
            for stats in whole.groups
        ],
        OTHER,
    )


def _with_marks(
    stats: GroupStats, groups: Sequence[str], marks: Marks, limit: int | None, since: float
) -> GroupStats:
    """``groups`` are the marked ones that are exported as this one."""
    high_water = _highest(stats.high_water, *map(marks.highest, groups))
    assert high_water is not None
    recent = _highest(*(marks.highest(group, since) for group in groups))
    ratio = recent / limit if recent is not None and limit else None
    times = (marks.last_at(group, high_water * NEAR_THE_MARK) for group in groups)
    return replace(
        stats,
        high_water=high_water,
        high_water_at=max((at for at in times if at is not None), default=None),
        ratio=max((known for known in (stats.ratio, ratio) if known is not None), default=None),
    )


def _highest(*counts: int | None) -> int | None:
    return max((count for count in counts if count is not None), default=None)
