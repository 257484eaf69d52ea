# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tells the log who comes near the limit: a line for each process and threshold, and for bursts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from vmad.daemon.line_bound import LineBound
from vmad.daemon.messages import AT_LIMIT, BURST, NEAR_LIMIT, tell
from vmad.export.quantities import count, duration, percent
from vmad.model.identity import label_safe
from vmad.model.process import ProcessId
from vmad.scan.bursts import FROM, TO
from vmad.scan.crossings import Crossing, Crossings, Near

#: a burst of the same process is told again after so many seconds
AGAIN_AFTER = 300.0


@dataclass(frozen=True, slots=True)
class PeakSeen:
    """The most VMAs that a process, which may be gone, had since the last look."""

    process: ProcessId
    comm: str
    group: str
    map_count: int


class LimitLog:
    """Of one machine; ``target`` is its name where it is a guest, and ``where`` the option by which
    a command reads it. Safe for concurrent use.
    """

    def __init__(
        self,
        target: str | None = None,
        where: str = "",
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._target = target
        self._where = where
        self._clock = clock
        self._lock = threading.Lock()
        self._crossings = Crossings()
        self._bound = LineBound(clock)
        self._bursts: dict[ProcessId, float] = {}

    def look(self, near: Iterable[Near], limit: int | None, peaks: Iterable[PeakSeen] = ()) -> None:
        """``near``: everybody who has crossings.NEAR of ``limit`` or more now. ``peaks`` are
        counts between two samples.
        """
        with self._lock:
            now = {process.process: process.map_count for process in near}
            for crossing in self._crossings.look(near, limit):
                if self._bound.admits():
                    self._tell(crossing)
            for peak in peaks:
                if limit and peak.map_count >= FROM * limit:
                    self._burst(peak, now.get(peak.process, 0), limit)

    def _tell(self, crossing: Crossing) -> None:
        near, limit = crossing.near, crossing.limit
        name = _name(near.comm, near.process, near.group)
        command = f"vmad explain {near.process.pid}{self._where}"
        had = f"{count(near.map_count)} of {count(limit)} VMAs"
        text = f"{name} has {had} ({percent(near.map_count / limit)})"
        if near.rate is not None:
            text += f", {near.rate:+,.3g}/s"
        if near.left:
            text += f", at the limit in {duration(near.left)}"
        if crossing.threshold >= 1:
            text = f"at the limit: {text}: mmap, munmap, mprotect and new threads fail"
        tell(
            AT_LIMIT if crossing.threshold >= 1 else NEAR_LIMIT,
            f"{text}; {command}{self._others()}",
            **self._fields(near, limit),
            percent=f"{crossing.threshold:.0%}".rstrip("%"),
            rate=None if near.rate is None else f"{near.rate:.3f}",
            seconds_to_limit=None if near.left is None else f"{near.left:.0f}",
            command=command,
        )

    def _burst(self, peak: PeakSeen, now: int, limit: int) -> None:
        at = self._clock()
        self._bursts = {who: when for who, when in self._bursts.items() if at - when < AGAIN_AFTER}
        known = peak.process in self._bursts or self._crossings.reached(peak.process) >= FROM
        if now >= TO * limit or known:
            return  # it is there to be seen, or was
        if not self._bound.admits():
            return
        self._bursts[peak.process] = at
        name = _name(peak.comm, peak.process, peak.group)
        command = f"vmad scan{self._where}"
        had = f"{count(peak.map_count)} of {count(limit)} VMAs ({percent(peak.map_count / limit)})"
        tell(
            BURST,
            f"burst: {name} had {had} between two counts; {command}{self._others()}",
            **self._fields(peak, limit),
            command=command,
        )

    def _others(self) -> str:
        number = self._bound.left_out()
        return f" ({number:,} other lines were left out)" if number else ""

    def _fields(self, seen: Near | PeakSeen, limit: int) -> dict[str, object]:
        return {
            "pid": seen.process.pid,
            "comm": label_safe(seen.comm),
            "group": label_safe(seen.group),
            "areas": seen.map_count,
            "limit": limit,
            "target": self._target,
        }


def _name(comm: str, process: ProcessId, group: str) -> str:
    return f"{label_safe(comm)} (pid {process.pid}, {label_safe(group)})"
