# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Names of code made at run time: /tmp/perf-PID.map, as JIT compilers write it for perf.

Format: tools/perf/Documentation/jit-interface.txt; lines of "START SIZE NAME", START and SIZE
hexadecimal.
"""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from pathlib import Path
from typing import Final

#: bytes that are read of it at most
_LARGEST: Final = 64 << 20
_EVERYTHING: Final = 1 << 64


class PerfMap:
    """The perf map of one process, read again when it has grown."""

    def __init__(self, pid: int) -> None:
        self._path = Path(f"/proc/{pid}/root/tmp/perf-{_own_pid(pid)}.map")
        self._size = -1
        self.readings = 0  #: how often it had grown
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._names: list[str] = []
        self._whole: list[bool] = []  #: whether a piece has its function's beginning

    def name_at(self, address: int) -> str | None:
        """The function that has code there; None where none is known."""
        self.read_news()
        place = bisect_right(self._starts, address) - 1
        if place >= 0 and address < self._ends[place]:
            return self._names[place]
        return None

    def functions(self, start: int, end: int) -> Iterator[tuple[int, int, str]]:
        """Start, end and name of those that begin there, ascending, as far as no later one lies
        over them."""
        for place in range(bisect_left(self._starts, start), bisect_left(self._starts, end)):
            if self._whole[place]:
                yield self._starts[place], min(self._ends[place], end), self._names[place]

    def read_news(self) -> None:
        """Read it again where it has grown."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        except OSError:
            return
        with os.fdopen(fd, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size == self._size:
                return
            text = file.read(_LARGEST)
        self._size = size
        functions: list[tuple[int, int, str]] = []
        for line in text.decode("utf-8", "backslashreplace").splitlines():
            parts = line.split(" ", 2)
            try:
                start, length = int(parts[0], 16), int(parts[1], 16)
                functions.append((start, start + length, parts[2]))
            except (IndexError, ValueError):
                continue  # a line that is being written
        seen = _seen_from_above(functions)
        self._starts = [start for start, _, _ in seen]
        self._ends = [end for _, end, _ in seen]
        self._names = [functions[number][2] for _, _, number in seen]
        self._whole = [functions[number][0] == start for start, _, number in seen]
        self.readings += 1


def _seen_from_above(functions: Sequence[tuple[int, int, str]]) -> list[tuple[int, int, int]]:
    """Code may be made where older code was: what is not covered by later ones of ``functions``
    (start, end, name), ascending: start, end, number."""
    pieces: list[tuple[int, int, int]] = []
    there: list[int] = []  # a heap: the latest first
    at = 0
    ordered = sorted(range(len(functions)), key=lambda number: functions[number][0])
    for number in (*ordered, None):
        until = functions[number][0] if number is not None else _EVERYTHING
        while there and at < until:
            top = -there[0]
            last = min(functions[top][1], until)
            if last <= at:
                heappop(there)
                continue
            if pieces and pieces[-1][1:] == (at, top):
                pieces[-1] = (pieces[-1][0], last, top)
            else:
                pieces.append((at, last, top))
            at = last
        at = until
        if number is not None:
            heappush(there, -number)
    return pieces


def _own_pid(pid: int) -> int:
    """What a process calls itself: the last of NSpid, proc_pid_status(5)."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines():
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
    except OSError:
        pass
    return pid
