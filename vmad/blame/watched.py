# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The VMAs of recorded processes, read now and then, since any of them may end at any time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import monotonic, thread_time
from typing import Final

from vmad.errors import CannotRead, ProcessGone, StillChanging
from vmad.model.process import ProcessId
from vmad.model.table import VmaTable
from vmad.scan.explain import Explanation, explain
from vmad.sources.bpf.blame import Recorded, Recorder
from vmad.sources.source import Source

#: makers are read, too, where that took less than so many seconds before
_CHEAP: Final = 0.02
#: or where there are so many times more VMAs than ever before; they are told instead of those at
#: the end where there were so many times more
_MORE: Final = 1.05
_MUCH: Final = 1.25


class Tables:
    """VMAs by ``source``; by what ``otherwise`` opens from when on one of them changed during every
    reading."""

    def __init__(self, source: Source, otherwise: Callable[[], Source] | None = None) -> None:
        self._source = source
        self._open_otherwise = otherwise
        self._otherwise: Source | None = None

    def of(self, process: ProcessId) -> VmaTable:
        """Raises ProcessGone, CannotRead."""
        if self._otherwise is None:
            try:
                return self._source.table(process)
            except StillChanging:
                if self._open_otherwise is None:
                    raise
                self._otherwise = self._open_otherwise()
        return self._otherwise.table(process)

    def find(self, pid: int) -> ProcessId:
        """A process by its number. Raises ProcessGone."""
        return (self._otherwise or self._source).find(pid)

    def names_are_new(self) -> None:
        """Processes may have other names by now."""
        if self._otherwise is None:
            self._source.census()

    def explained(self, table: VmaTable) -> Explanation:
        """Why these VMAs are apart."""
        source = self._otherwise or self._source
        return explain(table, source.kernel, source.max_map_count)

    def close(self) -> None:
        """The other one, where it was opened."""
        if self._otherwise is not None:
            self._otherwise.close()


@dataclass(frozen=True, slots=True)
class Look:
    """The VMAs ``at`` a time (monotonic seconds), before which so many ``calls`` were recorded,
    with their makers where they were read, too; ``still``: no call was recorded meanwhile."""

    table: VmaTable
    at: float
    calls: int
    begun_with: int  #: the recorder's sequence before, and behind
    sequence: int
    recorded: Recorded | None = None
    still: bool = False


class Watched:
    """One recorded process and what was seen of it."""

    def __init__(self, recorder: Recorder, tables: Tables, process: ProcessId, tgid: int) -> None:
        self._recorder = recorder
        self._tables = tables
        self.process = process
        self.tgid = tgid
        self.gone = False
        self.unread: CannotRead | None = None  #: why it could not be read at the latest look
        self.last: Look | None = None  #: the latest
        self._most: Look | None = None
        self.makers: Recorded | None = None  #: as they were last read
        self._took = 0.0  # seconds that makers took to read

    def look(self) -> int | None:
        """Read its VMAs, for the case that there is no later time, or fewer; returns how many."""
        began, calls = monotonic(), self._recorder.calls
        begun_with = self._recorder.sequence
        try:
            table = self._tables.of(self.process)
        except ProcessGone:
            self.gone = True
            return None
        except CannotRead as error:
            self.unread = error
            return None
        if not len(table.rows):
            return None
        self.last = look = Look(table, began, calls, begun_with, self._recorder.sequence)
        known = 0 if self._most is None else len(self._most.table.rows)
        grown = len(table.rows) > _MORE * known
        if grown or self._took < _CHEAP:
            began = thread_time()
            makers = self._recorder.recorded().of_family(self.tgid)
            self._took = thread_time() - began
            still = self._recorder.calls == calls
            recorded = makers
            if self.makers is not None and not still:
                # some may have vanished since the VMAs were read, above all of one that ends
                recorded = makers.completed(self.makers, table.rows["start"])
            self.makers = makers
            self.last = replace(look, recorded=recorded, still=still)
            if grown:
                self._most = self.last
        return len(table.rows)

    def has_become_another(self, sequence: int) -> None:
        """By an exec: what was seen before it is of no use any more."""
        if self.last is not None and self.last.begun_with < sequence:
            self.last = None
            self.makers = None
        if self._most is not None and self._most.begun_with < sequence:
            self._most = None

    def most_telling(self, *, ended: bool) -> Look | None:
        """What to tell of it: the last look; of one that has ended, its most where that was more by
        far."""
        if not ended or self.last is None or self._most is None:
            return self.last
        by_far = len(self._most.table.rows) > _MUCH * len(self.last.table.rows)
        return self._most if by_far else self.last
