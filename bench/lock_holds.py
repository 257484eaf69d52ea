# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How long one thread holds a target's mmap_lock, from the kernel's own trace events.

mmap_lock:mmap_lock_acquire_returned and mmap_lock_released (5.11 and later, 2b5067a8143e) say who
took which lock when. Recorded in a trace instance of our own, in a tracefs mounted under bench/out.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.children import OUT, CannotMeasure

_EVENTS = ("mmap_lock_acquire_returned", "mmap_lock_released")
_LINE = re.compile(r"-(?P<tid>\d+) +\[\d+\] \S+ +(?P<time>\d+\.\d+): (?P<event>\w+): (?P<rest>.*)$")
_FIELD = re.compile(r"(\w+)=(\S*)")


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold of a lock. Seconds; ``switched_off`` is how much of it the holder did not run."""

    tid: int
    mm: str
    write: bool
    seconds: float
    switched_off: float


def holds(trace: str) -> list[Hold]:
    """All holds in the text of a trace, in the order of their ends.

    The lock is not recursive, so an acquisition and the next release of the same lock by the same
    thread belong together; halves whose other half lies outside the trace are left out.
    """
    taken: dict[tuple[int, str, bool], tuple[float, float]] = {}
    off_since: dict[int, float] = {}
    off: dict[int, float] = {}
    found = []
    for line in trace.splitlines():
        match = _LINE.search(line)
        if match is None:
            continue
        tid, now, fields = int(match["tid"]), float(match["time"]), dict(
            _FIELD.findall(match["rest"])
        )  # fmt: skip
        if match["event"] == "sched_switch":
            off_since[tid] = now
            after = int(fields["next_pid"])
            if after in off_since:
                off[after] = off.get(after, 0.0) + now - off_since.pop(after)
            continue
        key = (tid, fields["mm"], fields["write"] == "true")
        if match["event"] == _EVENTS[0]:
            if fields["success"] == "true":
                taken[key] = now, off.get(tid, 0.0)
        elif match["event"] == _EVENTS[1] and key in taken:
            began, off_before = taken.pop(key)
            found.append(Hold(*key, now - began, off.get(tid, 0.0) - off_before))
    return found


class LockTrace:
    """A trace instance that sees the threads with these names (comm)."""

    def __init__(self, instance: Path, names: Sequence[str]) -> None:
        self._instance = instance
        self._write("tracing_on", "0")
        self._write("buffer_size_kb", "8192")
        mine = "||".join(f'comm=="{name}"' for name in names)
        for event in _EVENTS:
            self._write(f"events/mmap_lock/{event}/filter", mine)
            self._write(f"events/mmap_lock/{event}/enable", "1")
        switched = "||".join(f'prev_comm=="{name}"||next_comm=="{name}"' for name in names)
        self._write("events/sched/sched_switch/filter", switched)
        self._write("events/sched/sched_switch/enable", "1")

    def _write(self, file: str, text: str) -> None:
        (self._instance / file).write_text(text, "ascii")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Record what happens inside."""
        self._write("trace", "")
        self._write("tracing_on", "1")
        try:
            yield
        finally:
            self._write("tracing_on", "0")

    def holds(self) -> list[Hold]:
        """What was recorded."""
        return holds((self._instance / "trace").read_text("utf-8", "replace"))


@contextmanager
def lock_trace(names: Sequence[str]) -> Iterator[LockTrace]:
    """Raises CannotMeasure where this kernel or these rights do not allow it."""
    where = OUT / "tracing"
    where.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tracefs", "tracefs", str(where)],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode != 0:
        raise CannotMeasure(f"tracefs: {mounted.stderr.strip()}", "needs root and CONFIG_FTRACE")
    instance = where / "instances" / "vmad-bench"
    try:
        with contextlib.suppress(FileExistsError):
            instance.mkdir()
        try:
            yield LockTrace(instance, names)
        except FileNotFoundError as error:
            raise CannotMeasure(
                f"{error.filename}: this kernel has no such trace event", "needs 5.11 or later"
            ) from error
        finally:
            instance.rmdir()
    finally:
        subprocess.run(["umount", str(where)], check=False)
