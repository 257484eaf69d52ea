# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Turns a source into frames: counts every second, a scan every interval, both within a budget."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from vmad.advice.recognise import TellingSymbols
from vmad.config.schema import Config
from vmad.errors import FAILURES, VmadError, told
from vmad.export.printable import printable
from vmad.model.process import Evidence, ProcessId
from vmad.scan.explain import explain
from vmad.scan.history import History
from vmad.scan.planner import (
    NEAR,
    Ledger,
    Plan,
    hurried_scan_in,
    is_full,
    most_owed,
    next_sample_in,
    next_scan_in,
)
from vmad.scan.scanner import Scanner
from vmad.scan.snapshot import HostSnapshot
from vmad.sources.cpu_time import cpu_seconds
from vmad.sources.names import named_or_not
from vmad.sources.source import Census, Source
from vmad.sources.traits import read_traits
from vmad.top.inside import Inside
from vmad.top.past import Past
from vmad.top.row import Frame, Row, why_of

#: share of a core that samples and scans may take
BUDGET = 0.03
SAMPLE = 1.0
FULL_EVERY = 10
#: so much of the limit, for who is near it, brings a scan forward
MOVED = 0.05


class Failing(Protocol):
    """What knows of calls that failed at the limit."""

    def counts(self, most: int | None, limit: int | None) -> Mapping[ProcessId, int] | None:
        """By process; None where nobody counts them."""


class Nobody:
    """Nobody counts failures."""

    def counts(self, most: int | None, limit: int | None) -> Mapping[ProcessId, int] | None:
        """None."""


class Watching:
    """Looks at ``source``; ``step`` and ``pause`` are for one thread, ``look_into`` for any.

    ``live``: its processes change. ``machine`` is what it is called.
    """

    def __init__(
        self,
        source: Source,
        machine: str,
        *,
        interval: float = 10.0,
        live: bool = True,
        failing: Failing | None = None,
        notes: tuple[str, ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.source = source
        self.live = live
        self._machine = machine
        self._failing = failing or Nobody()
        self._notes = notes
        self._clock = clock
        self._plan = Plan(interval, FULL_EVERY, SAMPLE, BUDGET)
        self._scanner = Scanner(source, Config(), machine)
        self._snapshot: HostSnapshot | None = None
        self._counted: Mapping[ProcessId, int | None] = {}
        self._words: Mapping[ProcessId, tuple[str, str]] = {}  #: group and reason
        self._history = History()
        self._past = Past()
        self._ledger = Ledger()
        self._since_full: int | None = None
        self._scan_due = self._hurried_due = self._stepped = clock()
        self._urgent = False
        self._pause = SAMPLE

    @property
    def pause(self) -> float:
        """Seconds until the next step."""
        return self._pause

    def step(self) -> Frame:
        """What is there now. Raises what the source's census raises when it is the first time;
        later on that is told in the frame.
        """
        now, spent = self._clock(), cpu_seconds()
        self._ledger.wait(now - self._stepped, self._plan.budget)
        self._stepped = now
        problem = None
        try:
            if now >= (self._hurried_due if self._urgent else self._scan_due):
                self._scan(now)
            census = self._sample(now)
            self._urgent = self._is_urgent(census)
        except FAILURES as error:
            if self._snapshot is None or self._history.census is None:
                raise
            problem, census = told(error), self._history.census
        frame = self._frame(census, problem)
        took = cpu_seconds() - spent
        counting = self.source.evidence is Evidence.KERNEL
        pause = next_sample_in(self._plan, took) if counting else self._plan.interval
        self._pause = SAMPLE if pause is None else pause
        return frame

    def _scan(self, now: float) -> None:
        spent = cpu_seconds()
        self._snapshot = self._scanner.scan(is_full(self._plan, self._since_full))
        self._since_full = 0 if self._snapshot.full else (self._since_full or 0) + 1
        processes = self._snapshot.processes
        self._counted = {process.id: process.map_count for process in processes}
        self._words = {
            process.id: (printable(process.group), why_of(process)) for process in processes
        }
        self._ledger.spend(cpu_seconds() - spent, most_owed(self._plan))
        owed = self._ledger.owed
        self._scan_due = now + next_scan_in(self._plan, owed)
        self._hurried_due = now + hurried_scan_in(self._plan, owed)

    def _sample(self, now: float) -> Census:
        census = self.source.sample()
        if len(census) and census["map_count"].max() < 0:  # only walks can count
            census = self._walked_counts(census)
        self._history.sample(census, now)
        self._past.sample(census)
        return census

    def _is_urgent(self, census: Census) -> bool:
        """Whether somebody near the limit has another count than when it was walked."""
        limit = self.source.max_map_count
        if not limit:
            return False
        near = census[census["map_count"] >= NEAR * limit]
        return any(
            abs(number - (self._counted.get(ProcessId(pid, start)) or 0)) > MOVED * limit
            for pid, start, number in near[["pid", "start_time", "map_count"]].tolist()
        )

    def _walked_counts(self, census: Census) -> Census:
        census = census.copy()
        for row, (pid, start) in enumerate(census[["pid", "start_time"]].tolist()):
            counted = self._counted.get(ProcessId(pid, start))
            if counted is not None:
                census["map_count"][row] = counted
        return census

    def _frame(self, census: Census, problem: str | None) -> Frame:
        snapshot = self._snapshot
        assert snapshot is not None
        limit = self.source.max_map_count
        most = int(census["map_count"].max()) if len(census) else -1
        failures = self._failing.counts(most if most >= 0 else None, limit)
        history = self._history
        columns = zip(
            census[["pid", "start_time", "comm", "map_count"]].tolist(),
            history.high_water.tolist(),
            history.rate.tolist(),
            history.left(limit).tolist(),
            strict=True,
        )
        past = self._past.columns()
        rows = []
        for at, ((pid, start, comm, number), high, rate, left) in enumerate(columns):
            if number < 0:
                continue
            process = ProcessId(pid, start)
            rows.append(
                Row(
                    process,
                    printable(comm.decode("utf-8", "surrogateescape")),
                    number,
                    limit,
                    high if high >= 0 else None,
                    None if math.isnan(rate) else rate,
                    None if math.isnan(left) else left,
                    None if failures is None else failures.get(process, 0),
                    *self._words.get(process, ("", "")),
                    past[at],
                )
            )
        return Frame(
            self._machine,
            tuple(rows),
            limit,
            printable(self.source.kernel.release),
            f"{snapshot.evidence.value}, {snapshot.walk}",
            time.time() if self.live else None,
            len(snapshot.unreadable),
            self._notes if problem is None else (problem, *self._notes),
        )

    def look_into(self, process: ProcessId) -> Inside:
        """Read and explain one process."""
        source = self.source
        try:
            table = source.table(process)
            if not len(table.rows):
                return Inside(problem=f"process {process.pid} has no VMA left: it is exiting")
            if source.here and not table.paths:
                table = named_or_not(table)
            traits = read_traits(table, TellingSymbols()) if source.here else None
            return Inside(explain(table, source.kernel, source.max_map_count, traits=traits))
        except VmadError as error:
            return Inside(problem=printable(str(error)))
