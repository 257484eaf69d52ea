# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A recording: BPF tells calls, stacks are unwound as they come, the VMAs read at the end."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import numpy as np

from vmad.blame.attribution import Attribution, attribute, grows_until
from vmad.blame.blamed import Blamed, OneProcess, made_by
from vmad.blame.demangle import demangled
from vmad.blame.drained import Drained
from vmad.blame.last_moment import LastMoment
from vmad.blame.stack import Ending, Stack
from vmad.blame.unwind import Unwinder
from vmad.blame.watched import Look, Tables, Watched
from vmad.errors import ProcessGone, VmadError
from vmad.model.kinds import Kind
from vmad.model.process import ProcessId
from vmad.sources.bpf.blame import EventKind, ProcessEvent, Recorder, StackCopy
from vmad.sources.narrow import is_32_bit
from vmad.sources.source import Source

#: seconds between two looks at what happened
_PAUSE: Final = 0.1
#: a process may end at any time: its VMAs are read now and then, for this share of a processor
_SHARE: Final = 0.05
#: bytes of copies that wait to be unwound at most
_WAITING: Final = 64 << 20
#: so many are unwound at the end in any case, of more only those that made what is there
_UNWOUND_LAST: Final = 128
#: what the kernel makes itself, at execve above all
_BY_KERNEL: Final = (Kind.STACK, Kind.SPECIAL, Kind.HEAP, Kind.FILE)

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Told:
    """A process with the look that is told, and who made what was seen then."""

    watched: Watched
    look: Look
    fresh: bool
    makers: Attribution
    at_end: int


def _refuse_32_bit(pid: int) -> None:
    """Raises VmadError; a process that is gone or nobody may look at is none."""
    with suppress(OSError):
        if is_32_bit(f"/proc/{pid}"):
            raise VmadError(
                f"process {pid} runs a 32-bit program", "calls of 64-bit ones are recorded"
            )


class Recording:
    """The recording of one process by an attached ``recorder``, which has begun with it.

    A child's ``last_moment`` is waited for, and its VMAs are read there. ``otherwise`` opens a
    source that serves where those of ``source`` change during every reading. Its own children are
    told, too, as far as the recorder follows them. Raises ProcessGone; VmadError of a 32-bit
    program.
    """

    def __init__(
        self,
        recorder: Recorder,
        source: Source,
        process: ProcessId,
        last_moment: LastMoment | None = None,
        otherwise: Callable[[], Source] | None = None,
    ) -> None:
        self._tables = Tables(source, otherwise)
        self._last_moment = last_moment
        self._recorder = recorder
        self._process = process
        _refuse_32_bit(process.pid)
        self._tgid = recorder.begin(process.pid)
        self._began = time.monotonic()
        self._first = Watched(recorder, self._tables, process, self._tgid)
        self._children: dict[int, Watched] = {}
        self._pids = {self._tgid: process.pid}
        self._unwinders: dict[int, Unwinder] = {}
        self._stale: set[int] = set()
        self._stacks: dict[int, Stack] = {}
        #: by tgid, the keys of those that were made since its last exec
        self._current: dict[int, set[int]] = {}
        self._events: list[ProcessEvent] = []
        self._next_look = self._began
        with suppress(ProcessGone):
            self._unwinder(self._tgid)
        self._before = self._first.look() if last_moment is None else None
        self._drained: Drained

    def run(self, seconds: float | None, told: Told, stop: Callable[[], bool]) -> Blamed:
        """Record so long, or until the process ends or ``stop`` says so. Raises ProcessGone,
        VmadError where it becomes a 32-bit program."""
        gone = None
        # not before: where the command cannot be run nobody would end its thread, which would then
        # poll what the recorder has given back
        self._drained = Drained(self._recorder, _WAITING, self._note, self._look_at_all)
        try:
            with suppress(ProcessLookupError):
                gone = os.pidfd_open(self._process.pid)
            while not self._is_over(seconds, gone) and not stop():
                self._unwind_until(time.monotonic() + _PAUSE)
                told(f"vmad: recording {self._process.pid}: {self._recorder.calls:,} calls")
            return self._result(gone)
        finally:
            self._drained.close()
            if gone is not None:
                os.close(gone)
            for unwinder in self._unwinders.values():
                unwinder.close()
            self._tables.close()

    def _is_over(self, seconds: float | None, gone: int | None) -> bool:
        if gone is None or select.select([gone], [], [], 0)[0]:
            return True
        if self._last_moment is not None and self._last_moment.reached.is_set():
            return True
        return seconds is not None and time.monotonic() - self._began >= seconds

    def _look_at_all(self) -> None:
        """At every process that is still there, for the case that there is no later time; from the
        thread, since unwinding may take long."""
        if time.monotonic() < self._next_look:
            return
        began = time.thread_time()
        self._tables.names_are_new()
        for watched in (self._first, *self._children.values()):
            if not watched.gone:
                watched.look()
        took = time.thread_time() - began
        self._next_look = time.monotonic() + max(_PAUSE, took / _SHARE)

    def _result(self, gone: int | None) -> Blamed:
        self._drained.close()
        self._drained.take_the_rest()  # children that are new are looked at, too
        self._recorder.keep_all()
        alive = gone is not None and not select.select([gone], [], [], 0)[0]
        self._first.gone = self._first.gone or not alive
        self._tables.names_are_new()
        fresh = {
            id(watched)
            for watched in (self._first, *self._children.values())
            if not watched.gone and watched.look() is not None
        }
        self._recorder.stop()
        ended = time.monotonic()
        self._drained.take_the_rest()
        if self._first.last is None:
            if self._first.unread is not None:
                raise self._first.unread
            raise ProcessGone(
                f"process {self._process.pid} ended before its VMAs could be read",
                "record it from its start: vmad blame -- COMMAND",
            )
        over = not alive or (self._last_moment is not None and self._last_moment.reached.is_set())
        told = [self._attributed(self._first, ended=over, fresh=id(self._first) in fresh)]
        told += [
            self._attributed(child, ended=child.gone, fresh=id(child) in fresh)
            for child in self._children.values()
            if child.last is not None
        ]
        # unwound with the files that it still has
        self._unwind_last({key for one in told for key in np.unique(one.makers.stack).tolist()})
        if self._last_moment is not None:
            self._last_moment.let_go()
        stacks = demangled(self._stacks)
        current = set().union(*self._current.values())
        distinct = {stack for key, stack in stacks.items() if stack.frames and key in current}
        first, *children = (
            OneProcess(
                one.watched.process.pid,
                one.look.table.comm,
                len(one.look.table.rows),
                made_by(self._tables.explained(one.look.table), one.makers, stacks),
                None if one.fresh else max(ended - one.look.at, 0.0),
                one.at_end,
            )
            for one in told
        )
        return Blamed(
            first.pid,
            first.comm,
            ended - self._began,
            self._before,
            first.map_count,
            self._recorder.calls,
            self._recorder.way,
            first.makers,
            self._recorder.losses(),
            len(distinct),
            sum(stack.complete for stack in distinct),
            first.ended,
            first.map_count_end,
            tuple(sorted(children, key=lambda child: -child.told)),
        )

    def _attributed(self, watched: Watched, *, ended: bool, fresh: bool) -> _Told:
        """Who made the VMAs that are told of one process, which was looked at."""
        look = watched.most_telling(ended=ended)
        assert look is not None
        assert watched.last is not None
        fresh = fresh and look is watched.last
        table, events, recorded = look.table, self._events, look.recorded
        if recorded is None or fresh:
            recorded = self._recorder.recorded()
            # nothing was recorded since, so that nothing was forgotten either
            still = look.calls == self._recorder.calls
            if not fresh and watched.makers is not None:
                recorded = recorded.completed(watched.makers, table.rows["start"])
        else:
            events = [event for event in events if event.sequence <= look.sequence]
            still = look.still
        makers = attribute(
            table.rows["start"],
            np.isin(table.rows["kind"], _BY_KERNEL),
            watched.tgid,
            recorded,
            events,
            growing=grows_until(table.rows),
            current=fresh or still,
        )
        return _Told(watched, look, fresh, makers, len(watched.last.table.rows))

    def _note(self, event: StackCopy | ProcessEvent) -> None:
        """As soon as it is told: a child may be gone soon."""
        if isinstance(event, StackCopy) or event.kind is EventKind.CODE:
            return
        self._events.append(event)
        if event.kind is EventKind.EXEC:
            watched = self._first if event.tgid == self._tgid else self._children.get(event.tgid)
            if watched is not None:
                watched.has_become_another(event.sequence)
            if watched is self._first:
                _refuse_32_bit(self._process.pid)
        elif event.kind is EventKind.FORK:
            with suppress(ProcessGone):
                process = self._tables.find(int(event.values[0]))
                self._children[event.tgid] = Watched(
                    self._recorder, self._tables, process, event.tgid
                )

    def _unwind_until(self, when: float) -> None:
        """What arrives, in its order."""
        while (left := when - time.monotonic()) > 0:
            event = self._drained.take(left)
            if event is not None:
                self._follow(event)

    def _unwind_last(self, keys: set[int]) -> None:
        many = len(self._drained) > _UNWOUND_LAST
        while (event := self._drained.take(0)) is not None:
            if not many or isinstance(event, ProcessEvent) or event.key in keys:
                self._follow(event)

    def _follow(self, event: StackCopy | ProcessEvent) -> None:
        if isinstance(event, StackCopy):
            self._stacks[event.key] = self._unwound(event)
            self._current.setdefault(event.tgid, set()).add(event.key)
        elif event.kind is EventKind.CODE:
            self._stale.add(event.tgid)
        elif event.kind is EventKind.FORK:
            self._pids[event.tgid] = int(event.values[0])
        elif event.kind is EventKind.EXEC:
            self._current.pop(event.tgid, None)
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
