# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is rebuilt in one stop: planned while the process runs, since planning takes its time."""

from __future__ import annotations

import bisect
import mmap
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vmad.errors import CannotRead
from vmad.model.process import Evidence, ProcessId
from vmad.model.table import VMA_ROW, VmaTable
from vmad.model.verdict import Verdict
from vmad.probe.cost import PER_PIECE, PER_STOP, Pace, move_seconds
from vmad.probe.visit import MAX_CUTS
from vmad.rules.carried import Carried
from vmad.rules.rebuild import RebuildRules
from vmad.rules.rebuild_runs import Run, how_carried, movable, rebuild_runs
from vmad.sources.bpf.window import KernelWindow, WindowRow, rows_of

#: addresses [start, end) in which runs may lie
Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Piece:
    """A run that fits into a stop, its raw ``flags``, and its VMAs as they were seen (``rows``)."""

    run: Run
    flags: int
    rows: bytes

    @property
    def range(self) -> Range:
        """Its addresses."""
        return self.run.start, self.run.end


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A VMA [start, end) that no piece may hold, and why, as words after "it"."""

    start: int
    end: int
    why: str

    @property
    def range(self) -> Range:
        """Its addresses."""
        return self.start, self.end


class Pieces:
    """Cuts ranges into pieces.

    ``own`` are addresses that stopped threads need to go on; whatever VMA holds one is left out.
    """

    def __init__(
        self,
        process: ProcessId,
        window: KernelWindow,
        rules: RebuildRules,
        pace: Pace,
        max_stop: float,
    ) -> None:
        self._process, self._window, self._rules = process, window, rules
        self._pace, self._max_stop = pace, max_stop
        self.own: list[int] = []

    def take(self, waiting: deque[Range], seconds: float) -> list[Piece | LeftOut] | None:
        """From the front of ``waiting`` what fills a stop of ``seconds``; the rest stays in it.

        None, and all stays, where the VMAs do not hold still.
        """
        rest = waiting.copy()
        try:
            taken = list(self._taken(rest, seconds))
        except (CannotRead, _Changing):
            return None
        waiting.clear()
        waiting.extend(rest)
        return taken

    def holds(self, piece: Piece) -> bool:
        """Whether the piece is still as it was seen, and no thread needs it."""
        run = piece.run
        if lowest_in(run.start, run.end, self.own):
            return False
        return self._window.raw(run.start, run.vmas) == piece.rows

    def below(self, run: Run) -> int:
        """Where the VMA begins that the run, once rebuilt, can be a part of; 0: there is none.

        Mostly that is what an earlier stop has left of the same run.
        """
        page = mmap.PAGESIZE
        rows, _ = self._window.look(run.start - page, 2)
        if len(rows) < 2 or rows[0].end != run.start or not rows[1].pair or run.carried.lock:
            return 0
        vma, joins = rows[0], self._rules.judge(rows[1].facts).verdict is Verdict.MERGEABLE
        natural = vma.anon_vma and vma.pgoff == vma.start // page
        needed = lowest_in(vma.start, vma.end, self.own)
        if not (joins and natural and self._movable(vma)) or needed:
            return 0
        return vma.start if vma.end - vma.start > page else 0

    def _taken(self, waiting: deque[Range], seconds: float) -> Iterator[Piece | LeftOut]:
        first = True
        while waiting and (first or seconds > PER_STOP / 2):
            start, end = waiting.popleft()
            found = self._first(start, end, seconds)
            if found is None:
                continue
            upto = found.end if isinstance(found, LeftOut) else found.run.end
            if upto < end:
                waiting.appendleft((upto, end))
            yield found
            if isinstance(found, Piece):
                first = False
                size = found.run.end - found.run.start
                seconds -= self._pace.seconds(found.run.vmas, size) + PER_PIECE

    def _first(self, start: int, end: int, seconds: float) -> Piece | LeftOut | None:
        rows = self._look(start, end, seconds)
        run = self._run(rows)
        if run is None:
            return None
        needed = lowest_in(run.start, run.end, self.own)
        if needed:
            index = bisect.bisect_right(run.starts, needed) - 1
            if index < 2:
                why = "holds a thread's stack or its thread-local storage"
                return LeftOut(run.starts[index], _end(run, index + 1), why)
            run = _head(run, index)
        vmas = run.vmas
        while vmas > 2 and self._pace.seconds(vmas, _end(run, vmas) - run.start) > seconds:
            vmas -= max(1, vmas // 8)
        if move_seconds(vmas, _end(run, vmas) - run.start) > self._max_stop:
            why = "is too large to be moved within one stop"
            return LeftOut(run.start, _end(run, 1), why)
        run = _head(run, vmas)
        first = next(index for index, row in enumerate(rows) if row.start == run.start)
        raw = bytes(self._window.raw(run.start, vmas))
        # the first row of a look is not held against its neighbour
        again = rows_of(raw)
        if again[0][:3] != rows[first][:3] or again[1:] != rows[first + 1 : first + vmas]:
            raise _Changing
        return Piece(run, rows[first].flags, raw)

    def _run(self, rows: Sequence[WindowRow]) -> Run | None:
        """The first run of the rows; one VMA alone may yet join what was rebuilt below it."""
        found = rebuild_runs(self._table(rows), self._rules).runs
        if found:
            return found[0]
        for row in rows:
            how = how_carried(row.flags, row.kind, bool(row.file), self._rules.unasked)
            if isinstance(how, Carried):
                return Run(row.start, row.end, (row.start,), how)
        return None

    def _movable(self, row: WindowRow) -> bool:
        return movable(row.flags, row.kind, bool(row.file), self._rules.unasked)

    def _look(self, start: int, end: int, seconds: float) -> list[WindowRow]:
        """The VMAs of [start, end), as they are now, as many as may fill a stop."""
        limit = min(int(seconds / self._pace.seconds(1, 0)) + 3, MAX_CUTS)
        rows, _ = self._window.look(start, limit)
        return [row for row in rows if row.start < end]

    def _table(self, rows: Sequence[WindowRow]) -> VmaTable:
        table = np.zeros(len(rows), VMA_ROW)
        for name in ("start", "end", "flags", "facts", "file", "kind", "pair"):
            table[name] = [getattr(row, name) for row in rows]
        return VmaTable(self._process, "", Evidence.KERNEL, None, table)


class _Changing(Exception):
    """Two looks did not agree."""


def give_back(waiting: deque[Range], ranges: Iterable[Range]) -> None:
    """Put ranges to those that wait, in ascending order, adjacent ones as one."""
    every = sorted([*waiting, *ranges])
    waiting.clear()
    for piece in every:
        if waiting and waiting[-1][1] == piece[0]:
            waiting.append((waiting.pop()[0], piece[1]))
        else:
            waiting.append(piece)


def lowest_in(start: int, end: int, addresses: list[int]) -> int:
    """The lowest of ascending addresses that lies in [start, end), or 0."""
    first = bisect.bisect_left(addresses, start)
    return addresses[first] if first < len(addresses) and addresses[first] < end else 0


def _end(run: Run, vmas: int) -> int:
    """Where the first ``vmas`` VMAs of a run end."""
    return run.end if vmas >= run.vmas else run.starts[vmas]


def _head(run: Run, vmas: int) -> Run:
    return Run(run.start, _end(run, vmas), run.starts[:vmas], run.carried)
