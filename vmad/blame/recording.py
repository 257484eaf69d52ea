# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A recording: BPF tells calls, stacks are unwound as they come, the VMAs read at the end."""

from __future__ import annotations

import os
import select
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from vmad.blame.attribution import Attribution, attribute, grows_until
from vmad.blame.blamed import Blamed, made_by
from vmad.blame.demangle import demangled
from vmad.blame.last_moment import LastMoment
from vmad.blame.stack import Ending, Stack
from vmad.blame.unwind import Unwinder
from vmad.errors import CannotRead, ProcessGone, StillChanging
from vmad.model.kinds import Kind
from vmad.model.process import ProcessId
from vmad.model.table import VmaTable
from vmad.scan.explain import explain
from vmad.sources.bpf.blame import EventKind, ProcessEvent, Recorded, Recorder, StackCopy
from vmad.sources.source import Source

#: seconds between two looks at what happened
_PAUSE: Final = 0.1
#: a process may end at any time: its VMAs are read now and then, for this share of the time
_SHARE: Final = 0.05
#: their makers are read, too, where there are so many times more than ever before; they are told
#: instead of those at the end where there were so many times more
_MORE: Final = 1.05
_MUCH: Final = 1.25
#: seconds of unwinding after which the ring is emptied: 500 stacks fit
_EMPTY: Final = 0.02
#: copies that wait to be unwound at most (64 MiB); what comes faster stays in the ring until that
#: is full, and BPF counts what had no room
_WAITING: Final = 1024
#: so many are unwound at the end in any case, of more only those that made what is there
_UNWOUND_LAST: Final = 128
#: what the kernel makes itself, at execve above all
_BY_KERNEL: Final = (Kind.STACK, Kind.SPECIAL, Kind.HEAP, Kind.FILE)

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Look:
    """The VMAs ``at`` a time (monotonic seconds), with their makers where they were read, too."""

    table: VmaTable
    at: float
    sequence: int
    recorded: Recorded | None


class Recording:
    """The recording of one process by an attached ``recorder``, which has begun with it.

    A child's ``last_moment`` is waited for, and its VMAs are read there. ``otherwise`` opens a
    source that serves where those of ``source`` change during every reading.
    """

    def __init__(
        self,
        recorder: Recorder,
        source: Source,
        process: ProcessId,
        last_moment: LastMoment | None = None,
        otherwise: Callable[[], Source] | None = None,
    ) -> None:
        self._open_otherwise = otherwise
        self._otherwise: Source | None = None
        self._last_moment = last_moment
        self._recorder = recorder
        self._source = source
        self._process = process
        self._tgid = recorder.begin(process.pid)
        self._began = time.monotonic()
        self._pids = {self._tgid: process.pid}
        self._unwinders: dict[int, Unwinder] = {}
        self._stale: set[int] = set()
        self._stacks: dict[int, Stack] = {}
        self._events: list[ProcessEvent] = []
        self._waiting: deque[StackCopy | ProcessEvent] = deque()
        self._last: _Look | None = None
        self._most: _Look | None = None
        self._next_look = self._began
        with suppress(ProcessGone):
            self._unwinder(self._tgid)

    def run(self, seconds: float | None, told: Told, stop: Callable[[], bool]) -> Blamed:
        """Record so long, or until the process ends or ``stop`` says so. Raises ProcessGone."""
        before = self._look() if self._last_moment is None else None
        gone = None
        with suppress(ProcessLookupError):
            gone = os.pidfd_open(self._process.pid)
        try:
            while not self._is_over(seconds, gone) and not stop():
                self._take(0 if self._waiting else _PAUSE)
                self._unwind_until(time.monotonic() + _PAUSE)
                told(f"vmad: recording {self._process.pid}: {self._recorder.calls:,} calls")
                if time.monotonic() >= self._next_look:
                    self._look()
            return self._result(before, gone)
        finally:
            if gone is not None:
                os.close(gone)
            for unwinder in self._unwinders.values():
                unwinder.close()
            if self._otherwise is not None:
                self._otherwise.close()

    def _is_over(self, seconds: float | None, gone: int | None) -> bool:
        if gone is None or select.select([gone], [], [], 0)[0]:
            return True
        if self._last_moment is not None and self._last_moment.reached.is_set():
            return True
        return seconds is not None and time.monotonic() - self._began >= seconds

    def _look(self) -> int | None:
        """Read the VMAs, for the case that there is no later time, or fewer; returns how many."""
        began = time.monotonic()
        try:
            table = self._table()
        except (ProcessGone, CannotRead):
            table = None
        if table is not None and len(table.rows):
            self._last = look = _Look(table, began, self._recorder.sequence, None)
            known = 0 if self._most is None else len(self._most.table.rows)
            if len(table.rows) > _MORE * known:
                self._most = replace(look, recorded=self._recorder.recorded())
        ended = time.monotonic()
        self._next_look = ended + max(_PAUSE, (ended - began) / _SHARE)
        return len(table.rows) if table is not None and len(table.rows) else None

    def _table(self) -> VmaTable:
        """By the other source from when on the first one has been given up. Raises ProcessGone,
        CannotRead."""
        if self._otherwise is None:
            self._source.census()  # it may have another name by now
            try:
                return self._source.table(self._process)
            except StillChanging:
                if self._open_otherwise is None:
                    raise
                self._otherwise = self._open_otherwise()
        return self._otherwise.table(self._process)

    def _result(self, before: int | None, gone: int | None) -> Blamed:
        self._recorder.keep_all()
        alive = gone is not None and not select.select([gone], [], [], 0)[0]
        fresh = self._look() is not None if alive else False
        self._recorder.stop()
        ended = time.monotonic()
        self._take(0, everything=True)
        if self._last is None:
            raise ProcessGone(
                f"process {self._process.pid} ended before its VMAs could be read",
                "record it from its start: vmad blame -- COMMAND",
            )
        shown, at_end = self._last, len(self._last.table.rows)
        over = not alive or (self._last_moment is not None and self._last_moment.reached.is_set())
        if over and self._most is not None and len(self._most.table.rows) > _MUCH * at_end:
            shown, fresh = self._most, False
        attribution = self._attributed(shown, current=fresh)
        # unwound with the files that it still has
        self._unwind_last(set(np.unique(attribution.stack).tolist()))
        if self._last_moment is not None:
            self._last_moment.let_go()
        stacks = demangled(self._stacks)
        source = self._otherwise or self._source
        explanation = explain(shown.table, source.kernel, source.max_map_count)
        return Blamed(
            self._process.pid,
            shown.table.comm,
            ended - self._began,
            before,
            len(shown.table.rows),
            self._recorder.calls,
            self._recorder.way,
            made_by(explanation, attribution, stacks),
            self._recorder.losses(),
            len({stack for stack in stacks.values() if stack.frames}),
            None if fresh else max(ended - shown.at, 0.0),
            at_end,
        )

    def _attributed(self, shown: _Look, *, current: bool) -> Attribution:
        table, events, recorded = shown.table, self._events, shown.recorded
        if recorded is None:
            recorded = self._recorder.recorded()
        else:
            events = [event for event in events if event.sequence <= shown.sequence]
        by_kernel = np.isin(table.rows["kind"], _BY_KERNEL)
        return attribute(
            table.rows["start"],
            by_kernel,
            self._tgid,
            recorded,
            events,
            growing=grows_until(table.rows),
            current=current,
        )

    def _take(self, seconds: float, *, everything: bool = False) -> None:
        """Take over what happened, waiting so long for the first, as far as there is room."""
        if not everything and len(self._waiting) >= _WAITING:
            return
        for event in self._recorder.poll(seconds):
            self._waiting.append(event)
            if isinstance(event, ProcessEvent) and event.kind is not EventKind.CODE:
                self._events.append(event)

    def _unwind_until(self, when: float) -> None:
        """In their order; the ring is emptied meanwhile, since unwinding takes its time."""
        emptied = time.monotonic()
        while self._waiting and emptied < when:
            self._follow(self._waiting.popleft())
            now = time.monotonic()
            if now - emptied > _EMPTY:
                self._take(0)
                emptied = time.monotonic()

    def _unwind_last(self, keys: set[int]) -> None:
        many = len(self._waiting) > _UNWOUND_LAST
        while self._waiting:
            event = self._waiting.popleft()
            if not many or isinstance(event, ProcessEvent) or event.key in keys:
                self._follow(event)

    def _follow(self, event: StackCopy | ProcessEvent) -> None:
        if isinstance(event, StackCopy):
            self._stacks[event.key] = self._unwound(event)
        elif event.kind is EventKind.CODE:
            self._stale.add(event.tgid)
        elif event.kind is EventKind.FORK:
            self._pids[event.tgid] = int(event.values[0])
        elif event.kind is EventKind.EXEC:
            unwinder = self._unwinders.pop(event.tgid, None)
            if unwinder is not None:
                unwinder.close()
            with suppress(ProcessGone):
                self._unwinder(event.tgid)

    def _unwound(self, copy: StackCopy) -> Stack:
        try:
            unwinder = self._unwinder(copy.tgid)
        except ProcessGone:
            return Stack((), Ending.LOST)
        if copy.tgid in self._stale:
            self._stale.discard(copy.tgid)
            with suppress(ProcessGone):  # then the files that it had still serve
                unwinder.refresh()
        return unwinder.unwind(copy.registers, copy.start, copy.memory)

    def _unwinder(self, tgid: int) -> Unwinder:
        unwinder = self._unwinders.get(tgid)
        if unwinder is None:
            unwinder = self._unwinders[tgid] = Unwinder(self._pids[tgid])
            for mapping in unwinder.mappings:
                if mapping.executable:
                    self._recorder.code_is(mapping.start, mapping.end)
        return unwinder
