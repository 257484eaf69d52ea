# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Names of code made at run time: /tmp/perf-PID.map, as JIT compilers write it for perf.

Format: tools/perf/Documentation/jit-interface.txt; lines of "START SIZE NAME", START and SIZE
hexadecimal.
"""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Final

#: bytes that are read of it at most
_LARGEST: Final = 64 << 20


class PerfMap:
    """The perf map of one process, read again when it has grown."""

    def __init__(self, pid: int) -> None:
        self._path = Path(f"/proc/{pid}/root/tmp/perf-{_own_pid(pid)}.map")
        self._size = -1
        self.readings = 0  #: how often it had grown
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._names: list[str] = []

    def name_at(self, address: int) -> str | None:
        """The function that has code there; None where none is known."""
        self.read_news()
        place = bisect_right(self._starts, address) - 1
        if place >= 0 and address < self._ends[place]:
            return self._names[place]
        return None

    def functions(self, start: int, end: int) -> Iterator[tuple[int, int, str]]:
        """Start, end and name of those that lie there, ascending; none overlaps the next."""
        for place in range(bisect_left(self._starts, start), bisect_left(self._starts, end)):
            following = self._starts[place + 1] if place + 1 < len(self._starts) else end
            last = min(self._ends[place], following, end)
            if last > self._starts[place]:
                yield self._starts[place], last, self._names[place]

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
        latest: dict[int, tuple[int, str]] = {}  # code may be made where older code was
        for line in text.decode("utf-8", "backslashreplace").splitlines():
            parts = line.split(" ", 2)
            try:
                start, length = int(parts[0], 16), int(parts[1], 16)
                latest[start] = (start + length, parts[2])
            except (IndexError, ValueError):
                continue  # a line that is being written
        self._starts = sorted(latest)
        self._ends = [latest[start][0] for start in self._starts]
        self._names = [latest[start][1] for start in self._starts]
        self.readings += 1


def _own_pid(pid: int) -> int:
    """What a process calls itself: the last of NSpid, proc_pid_status(5)."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines():
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
    except OSError:
        pass
    return pid
