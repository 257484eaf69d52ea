# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What happened in a span of time: failures at the limit, starts of vmad, stretched pauses, and
when nobody watched. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from vmad.timeline.rings import MISSING, Series


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
        found = [
            *_episodes(Happened.FAILED, self.failures, lambda value: value > 0, summed=True),
            *_episodes(Happened.STARTED, self.starts, lambda value: value > 0, summed=True),
            *_episodes(Happened.STRETCHED, self.pauses, lambda value: value > 100),
            *self._unwatched(),
        ]
        if limit is not None:
            found += _episodes(Happened.FULL, self.counts, lambda value: value >= limit)
        return sorted(found, key=lambda one: (-one.start, one.what.value))

    def _unwatched(self) -> Iterator[Episode]:
        """Between two times at which vmad ran; before the first nothing is known."""
        if self.watched is None:
            return
        before: int | None = None
        step = self.watched.step
        for number, value in enumerate(self.watched.values.tolist()):
            if value == MISSING:
                continue
            # a sample may be late: one slot without is no gap
            if before is not None and number - before > 2:
                start = self.watched.start + (before + 1) * step
                yield Episode(Happened.UNWATCHED, start, self.watched.start + number * step, 0)
            before = number


def _episodes(
    what: Happened, series: Series | None, is_one: Callable[[int], bool], *, summed: bool = False
) -> Iterator[Episode]:
    """Slots side by side are one."""
    if series is None:
        return
    begun: int | None = None
    most = 0
    for number, value in enumerate((*series.values.tolist(), MISSING)):
        if value != MISSING and is_one(value):
            if begun is None:
                begun, most = number, 0
            most = most + value if summed else max(most, value)
        elif begun is not None:
            start = series.start + begun * series.step
            yield Episode(what, start, series.start + number * series.step, most)
            begun = None
