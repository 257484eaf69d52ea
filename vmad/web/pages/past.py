# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What happened in a span of time: failures at the limit, starts of vmad, stretched pauses, and
when nobody watched. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from vmad.timeline.rings import MISSING, Series

#: slots, or usual distances of numbers, that lie between two that belong together
LATE = 3


class Happened(Enum):
    """What; in the order in which it matters."""

    FAILED = "failed"
    FULL = "full"
    STARTED = "started"
    STRETCHED = "stretched"
    UNWATCHED = "unwatched"


@dataclass(frozen=True, slots=True)
class Episode:
    """From ``start`` to ``end`` (Unix seconds); ``most`` is a number of failures, the highest
    count, starts, or the longest pause in percent of the configured one.
    """

    what: Happened
    start: int
    end: int
    most: int


@dataclass(frozen=True, slots=True)
class Past:
    """The series of one thing and of the host that it is on; all have the same slots."""

    counts: Series
    failures: Series | None
    limit: Series | None
    starts: Series | None
    pauses: Series | None
    watched: Series | None  #: counts of the host: there are some whenever vmad runs

    @property
    def newest_limit(self) -> int | None:
        """The limit as it was last; None unknown."""
        known = None if self.limit is None else self.limit.known
        return int(known[-1]) if known is not None and len(known) else None

    def episodes(self) -> list[Episode]:
        """What happened, the latest first."""
        limit = self.newest_limit
        episodes = [
            *_episodes(Happened.FAILED, self.failures, lambda value: value > 0, summed=True),
            *_episodes(Happened.STARTED, self.starts, lambda value: value > 0, summed=True),
            *_episodes(Happened.STRETCHED, self.pauses, lambda value: value > 100),
            *self._unwatched(),
        ]
        if limit is not None:
            episodes += _episodes(Happened.FULL, bridged(self.counts), lambda value: value >= limit)
        return sorted(episodes, key=lambda episode: (-episode.start, episode.what.value))

    def _unwatched(self) -> Iterator[Episode]:
        """From the last count of one daemon to the start of the next."""
        if self.watched is None or self.starts is None:
            return
        step, begun = self.watched.step, self.watched.start
        counted = np.flatnonzero(self.watched.values != MISSING)
        for start in np.flatnonzero(self.starts.values > 0).tolist():
            before = counted[counted < start]
            # it may have ended and begun in one slot
            if len(before) and start - before[-1] > 1:
                since = int(before[-1]) + 1
                yield Episode(Happened.UNWATCHED, begun + since * step, begun + start * step, 0)


def bridged(series: Series) -> Series:
    """The same with slots filled in that nothing fell into because samples come late, or are
    further apart than slots: those between two numbers that are at most three usual distances apart
    hold the first of them.
    """
    there = np.flatnonzero(series.values != MISSING)
    if len(there) < 2:
        return series
    apart = np.diff(there)
    most = LATE * int(np.sort(apart)[(len(apart) - 1) // 2])
    values = series.values.copy()
    for at, far in zip(there[:-1].tolist(), apart.tolist(), strict=True):
        if 1 < far <= most:
            values[at + 1 : at + far] = values[at]
    return replace(series, values=values)


def _episodes(
    what: Happened, series: Series | None, is_one: Callable[[int], bool], *, summed: bool = False
) -> Iterator[Episode]:
    """Slots side by side are one, and those that nearly are."""
    if series is None:
        return
    slots = [
        n for n, value in enumerate(series.values.tolist()) if value != MISSING and is_one(value)
    ]
    if not slots:
        return
    ends = np.flatnonzero(np.diff(slots) > LATE)
    for first, last in zip(
        [0, *(ends + 1).tolist()], [*ends.tolist(), len(slots) - 1], strict=True
    ):
        values = series.values[slots[first] : slots[last] + 1]
        known = values[values != MISSING]
        yield Episode(
            what,
            series.start + slots[first] * series.step,
            series.start + (slots[last] + 1) * series.step,
            int(known.sum(dtype=np.int64) if summed else known.max()),
        )
