# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Filling one buffer with the maps of many processes, so that they are parsed in one go.

The buffer has a fixed size, whatever the number of processes and the size of each: a process whose
maps do not fit goes on in the next buffer, which then begins with its last line once more, so that
the pair across the cut is seen.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from vmad.model.process import ProcessId, Unread
from vmad.sources.bounded import Tick
from vmad.sources.procfs.rights import why_unread
from vmad.sources.procfs.text import PAD, Bytes

#: below this much room a buffer counts as full: read(2) of maps returns up to a page at a time
_ROOM = 16 << 10
_NEWLINE = 10


@dataclass(slots=True)
class Segment:
    """The lines [begin, end) of a buffer belong to ``process`` (an index into what was asked for).

    ``repeated``: the first line was already the last one of the segment before.
    """

    process: int
    begin: int
    end: int
    repeated: bool


@dataclass(slots=True)
class Filled:
    """One buffer: its segments, the processes that end in it, and those that could not be read."""

    segments: list[Segment] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    unread: list[tuple[int, Unread, str]] = field(default_factory=list)
    more: bool = True


def gate_line(proc: str = "/proc") -> bytes | None:
    """The line of the vsyscall page, which ends the maps of every 64-bit process (x86-64).

    No process can bring it about: the address is the kernel's. None where maps has no such line
    (other architectures, vsyscall=none).
    """
    with open(f"{proc}/self/maps", "rb") as file:
        last = file.read().splitlines(keepends=True)[-1]
    return last if last.startswith(b"ffffffffff600000-") else None


def new_buffer(size: int = 1 << 20) -> Bytes:
    """A buffer for ``size`` bytes of text: temporaries stay small, NumPy calls per line few."""
    return np.zeros(size + 2 * PAD, np.uint8)


class MapsReader:
    """Reads the maps of ``processes`` in order, one buffer per :meth:`fill`.

    ``place`` gives the directory below ``proc`` in which a process's files are.
    Whether the pids are still theirs is for the caller to find out afterwards. Runs in a bounded
    worker: after a Stuck neither the reader nor its last buffer may be used again.
    """

    _buffer: Bytes
    _view: memoryview
    _limit: int

    def __init__(
        self,
        processes: Sequence[ProcessId],
        gate: bytes | None = None,
        proc: str = "/proc",
        place: Callable[[int], str] = str,
    ) -> None:
        self._processes = processes
        self._place = place
        self._gate = gate
        self._proc = proc
        self._next = 0
        self._fd = -1
        self._carried = b""

    def fill(self, buffer: Bytes, tick: Tick) -> Filled:
        """Read until ``buffer`` is full or all is read; ``more`` is False at the end."""
        self._buffer = buffer
        self._view = buffer.data
        self._limit = len(buffer) - PAD
        filled = Filled()
        at = PAD
        try:
            while self._next < len(self._processes) and self._limit - at >= _ROOM:
                at = self._read_one(self._next, at, filled, tick)
        except BaseException:
            self.close()
            raise
        filled.more = self._next < len(self._processes)
        return filled

    def close(self) -> None:
        """Close the process being read, if any."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _read_one(self, index: int, begin: int, filled: Filled, tick: Tick) -> int:
        """Read (on) one process into the buffer at ``begin``; returns where the next may begin."""
        process = self._processes[index]
        tick(process)
        try:
            if self._fd < 0:
                path = f"{self._proc}/{self._place(process.pid)}/maps"
                self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            carried, self._carried = self._carried, b""
            at = begin + len(carried)
            self._view[begin:at] = carried
            while self._limit - at >= _ROOM:
                got = os.readv(self._fd, (self._view[at : self._limit],))
                if got == 0:
                    whole = self._is_whole(begin, at)
                    break
                at += got
                if self._gate and self._view[at - len(self._gate) : at] == self._gate:
                    whole = True  # nothing follows: the read that says so is saved
                    break
                tick(process)
            else:
                return self._cut(index, begin, at, bool(carried), filled)
        except OSError as error:
            self._done()
            filled.unread.append((index, why_unread(error), error.strerror or str(error)))
            return begin
        self._done()
        if not whole:
            detail = "exited or executed another program while it was read"
            filled.unread.append((index, Unread.GONE, detail))
            return begin
        filled.segments.append(Segment(index, begin, at, bool(carried)))
        filled.ended.append(index)
        return at

    def _done(self) -> None:
        self.close()
        self._next += 1

    def _is_whole(self, begin: int, end: int) -> bool:
        """Whether the text ended because maps did, not because the address space went away.

        Once the mm has no user left, reading it says "end of file" (m_start, fs/proc/task_mmu.c).
        So ask for the first line again.
        """
        if begin == end:
            return False
        if self._view[end - 1] != _NEWLINE:
            raise OSError(errno.EBADMSG, "maps does not end with a line")
        return len(os.pread(self._fd, 1, 0)) == 1

    def _cut(self, index: int, begin: int, end: int, repeated: bool, filled: Filled) -> int:
        """The buffer is full in the middle of a process: keep its last whole line for the next."""
        text = self._buffer[begin:end]
        newlines = np.flatnonzero(text[-4 * _ROOM :] == _NEWLINE) + max(len(text) - 4 * _ROOM, 0)
        if not len(newlines):
            raise OSError(errno.EBADMSG, "a line of maps has no end")
        last = int(newlines[-1]) + 1
        before = int(newlines[-2]) + 1 if len(newlines) > 1 else 0
        self._carried = text[before:].tobytes()
        filled.segments.append(Segment(index, begin, begin + last, repeated))
        return self._limit
