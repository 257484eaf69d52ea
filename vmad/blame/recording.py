# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A recording: BPF tells calls, stacks are unwound as they come, the VMAs read at the end."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import numpy as np

from vmad.blame.attribution import attribute
from vmad.blame.blamed import Blamed, made_by
from vmad.blame.last_moment import LastMoment
from vmad.blame.stack import Ending, Stack
from vmad.blame.unwind import Unwinder
from vmad.errors import CannotRead, ProcessGone
from vmad.model.kinds import Kind
from vmad.model.process import ProcessId
from vmad.model.table import VmaTable
from vmad.scan.explain import explain
from vmad.sources.bpf.blame import EventKind, ProcessEvent, Recorder, StackCopy
from vmad.sources.source import Source

#: seconds between two looks at what happened
_PAUSE: Final = 0.1
#: a process may end at any time: its VMAs are read now and then, at this share of the time
_SHARE: Final = 0.03
_SELDOM: Final = 0.5
#: what the kernel makes itself, at execve above all
_BY_KERNEL: Final = (Kind.STACK, Kind.SPECIAL, Kind.HEAP, Kind.FILE)

Told = Callable[[str], None]


class Recording:
    """The recording of one process by an attached ``recorder``, which has begun with it.

    A child's ``last_moment`` is waited for, and its VMAs are read there.
    """

    def __init__(
        self,
        recorder: Recorder,
        source: Source,
        process: ProcessId,
        last_moment: LastMoment | None = None,
    ) -> None:
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
        self._table: VmaTable | None = None
        self._table_at = self._began
        self._next_table = self._began
        with suppress(ProcessGone):
            self._unwinder(self._tgid)

    def run(self, seconds: float | None, told: Told, stop: Callable[[], bool]) -> Blamed:
        """Record so long, or until the process ends or ``stop`` says so. Raises ProcessGone."""
        before = self._look()
        gone = None
        with suppress(ProcessLookupError):
            gone = os.pidfd_open(self._process.pid)
        try:
            while not self._is_over(seconds, gone) and not stop():
                self._take(self._recorder.poll(_PAUSE))
                told(f"vmad: recording {self._process.pid}: {self._recorder.calls:,} calls")
                if time.monotonic() >= self._next_table:
                    self._look()
            return self._result(before, gone)
        finally:
            if gone is not None:
                os.close(gone)
            for unwinder in self._unwinders.values():
                unwinder.close()

    def _is_over(self, seconds: float | None, gone: int | None) -> bool:
        if gone is None or select.select([gone], [], [], 0)[0]:
            return True
        if self._last_moment is not None and self._last_moment.reached.is_set():
            return True
        return seconds is not None and time.monotonic() - self._began >= seconds

    def _look(self) -> int | None:
        """Read the VMAs, for the case that there is no later time; returns how many."""
        began = time.monotonic()
        try:
            table = self._source.table(self._process)
        except (ProcessGone, CannotRead):
            table = None
        ended = time.monotonic()
        self._next_table = ended + max(_SELDOM, (ended - began) / _SHARE)
        if table is not None and len(table.rows):
            self._table, self._table_at = table, ended
            return len(table.rows)
        return None

    def _result(self, before: int | None, gone: int | None) -> Blamed:
        self._recorder.keep_all()
        alive = gone is not None and not select.select([gone], [], [], 0)[0]
        fresh = self._look() is not None if alive else False
        self._take(self._recorder.poll(0))  # unwound with the files that it still has
        if self._last_moment is not None:
            self._last_moment.let_go()
        self._recorder.stop()
        seconds = time.monotonic() - self._began
        if self._table is None:
            raise ProcessGone(
                f"process {self._process.pid} ended before its VMAs could be read",
                "record it from its start: vmad blame -- COMMAND",
            )
        table, source = self._table, self._source
        recorded = self._recorder.recorded()
        by_kernel = np.isin(table.rows["kind"], _BY_KERNEL)
        attribution = attribute(
            table.rows["start"], by_kernel, self._tgid, recorded, self._events, current=fresh
        )
        explanation = explain(table, source.kernel, source.max_map_count)
        return Blamed(
            self._process.pid,
            table.comm,
            seconds,
            before,
            len(table.rows),
            self._recorder.calls,
            self._recorder.way,
            made_by(explanation, attribution, self._stacks),
            self._recorder.losses(),
            len({stack for stack in self._stacks.values() if stack.frames}),
            None if fresh else time.monotonic() - self._table_at,
        )

    def _take(self, events: list[StackCopy | ProcessEvent]) -> None:
        for event in events:
            if isinstance(event, StackCopy):
                self._stacks[event.key] = self._unwound(event)
                continue
            self._events.append(event)
            if event.kind is EventKind.CODE:
                self._events.pop()  # told for the unwinder alone
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
