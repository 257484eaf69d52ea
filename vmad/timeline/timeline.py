# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The history of one machine: its groups, the processes nearest to the limit, and the host.

A second costs a few vector operations, or none where it is like the one before, and what is kept
of all of them is bounded (``nbytes``).
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vmad.timeline.rings import (
    MISSING,
    MOST,
    RESOLUTIONS,
    Fold,
    Integers,
    Resolution,
    Rings,
    Series,
)
from vmad.timeline.table import Table

#: groups and processes that are remembered
MOST_GROUPS = 500
MOST_PROCESSES = 64

#: VMAs of the worst process, and failures at the limit
COUNT, FAILURES = "count", "failures"
#: of the host: the limit, all VMAs, how often vmad was started, the pause between two scans in
#: percent of the configured one, and what a scan took in milliseconds
LIMIT, AREAS, STARTS, PAUSE, SCAN = "limit", "areas", "starts", "pause_percent", "scan_ms"

OF_GROUPS = {COUNT: Fold.MOST, FAILURES: Fold.SUM}
OF_PROCESSES = {COUNT: Fold.MOST}
OF_HOST = {
    COUNT: Fold.MOST,
    FAILURES: Fold.SUM,
    LIMIT: Fold.LAST,
    AREAS: Fold.MOST,
    STARTS: Fold.SUM,
    PAUSE: Fold.MOST,
    SCAN: Fold.MOST,
}
#: the only key of the host's table
HOST = ("host",)
#: so many seconds that are alike are put into the rings at once
HELD = 60.0


@dataclass(frozen=True, slots=True, order=True)
class Remembered:
    """A process: its id, what it is called, and what it counts under."""

    pid: int
    start_time: int
    comm: str
    group: str


class Second(NamedTuple):
    """What is counted at a moment: VMAs of the worst process of each group and of those nearest to
    the limit, -1 unknown, and numbers of the host by column. Where there are too many the first
    ones are kept. Nothing of it is changed later.
    """

    groups: Sequence[str]
    of_groups: Integers
    processes: Sequence[Remembered]
    of_processes: Integers
    host: Mapping[str, float | None]

    def is_like(self, other: Second) -> bool:
        """Whether it consists of the same objects; of the host, of equal numbers."""
        return self.host == other.host and all(map(operator.is_, self[:4], other[:4]))


class _Held(NamedTuple):
    """A second, and all the times at which it was so, which the rings do not have yet."""

    second: Second
    times: list[float]


class Timeline:
    """Remembers; safe for concurrent use. Times are Unix seconds, unknown numbers None."""

    def __init__(
        self,
        groups: int = MOST_GROUPS,
        processes: int = MOST_PROCESSES,
        resolutions: Sequence[Resolution] = RESOLUTIONS,
    ) -> None:
        self.resolutions = tuple(resolutions)
        self.groups: Table[str] = Table(groups, OF_GROUPS, resolutions)
        self.processes: Table[Remembered] = Table(processes, OF_PROCESSES, resolutions)
        self.host: Table[str] = Table(1, OF_HOST, resolutions)
        self.lock = threading.RLock()
        self._held: _Held | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all slots."""
        return self.groups.nbytes + self.processes.nbytes + self.host.nbytes

    def put(self, at: float, second: Second) -> None:
        """What was counted then."""
        with self.lock:
            held = self._held
            if (
                held is not None
                and second.is_like(held.second)
                and held.times[-1] < at < held.times[0] + HELD
            ):
                held.times.append(at)
                return
            self.settle()
            self._held = _Held(second, [at])

    def settle(self) -> None:
        """Put what was alike into the rings. Everything that reads does so first."""
        with self.lock:
            if self._held is None:
                return
            (second, times), self._held = self._held, None
            self.groups.put(COUNT, second.groups, second.of_groups, *times)
            self.processes.put(COUNT, second.processes, second.of_processes, *times)
            self._put_host(second.host, *times)

    def put_groups(self, at: float, names: Sequence[str], counts: Integers) -> None:
        """VMAs of groups alone, as a :class:`Second` has them."""
        with self.lock:
            self.settle()
            self.groups.put(COUNT, names, counts, at)

    def put_processes(self, at: float, processes: Sequence[Remembered], counts: Integers) -> None:
        """VMAs of processes alone."""
        with self.lock:
            self.settle()
            self.processes.put(COUNT, processes, counts, at)

    def put_failures(self, at: float, failures: Mapping[str, int]) -> None:
        """New failures at the limit, by group."""
        if not failures:
            return
        numbers = np.array([min(number, MOST) for number in failures.values()], np.int32)
        with self.lock:
            self.settle()
            self.groups.put(FAILURES, tuple(failures), numbers, at)
            self._put_host({FAILURES: sum(failures.values())}, at)

    def put_host(self, at: float, **values: float | None) -> None:
        """Numbers of the host, by column."""
        with self.lock:
            self.settle()
            self._put_host(values, at)

    def _put_host(self, values: Mapping[str, float | None], *times: float) -> None:
        for column, value in values.items():
            number = MISSING if value is None else min(int(value), MOST)
            self.host.put(column, HOST, np.array([number], np.int32), *times)

    def slots(self, span: float, until: float) -> Series:
        """Those that are read of such a span, without a number."""
        return Rings(1, Fold.LAST, self.resolutions).read(0, span, until)

    def group_names(self) -> tuple[str, ...]:
        """The groups that are remembered."""
        with self.lock:
            self.settle()
            return self.groups.keys

    def followed(self, span: float, until: float) -> list[tuple[Remembered, Series]]:
        """The processes that are remembered, and the last ``span`` seconds of each."""
        with self.lock:
            self.settle()
            followed = []
            for key in self.processes.keys:
                series = self.processes.read(COUNT, key, span, until)
                assert series is not None
                followed.append((key, series))
            return followed

    def of_group(self, name: str, span: float, until: float, column: str = COUNT) -> Series | None:
        """The last ``span`` seconds of a group up to ``until``; None: it is not remembered."""
        with self.lock:
            self.settle()
            return self.groups.read(column, name, span, until)

    def of_process(self, pid: int, start_time: int, span: float, until: float) -> Series | None:
        """The same of a process, under whatever names it went."""
        with self.lock:
            self.settle()
            series_so_far: Series | None = None
            for key in self.processes.keys:
                if (key.pid, key.start_time) == (pid, start_time):
                    series = self.processes.read(COUNT, key, span, until)
                    assert series is not None
                    if series_so_far is not None:
                        most = np.maximum(series_so_far.values, series.values)
                        series = Series(series.start, series.step, most)
                    series_so_far = series
            return series_so_far

    def of_host(self, column: str, span: float, until: float) -> Series | None:
        """The same of a column of the host."""
        with self.lock:
            self.settle()
            return self.host.read(column, HOST[0], span, until)
