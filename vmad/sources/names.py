# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Names of VMAs for a table that has none: BPF reads no paths, /proc/PID/maps prints them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from vmad.errors import CannotRead, ProcessGone
from vmad.model.kernel import running_kernel
from vmad.model.process import ProcessId
from vmad.model.table import Rows, VmaTable
from vmad.sources.bounded import BY_HAND, Stuck, Tick, no_answer
from vmad.sources.procfs.living import place_of
from vmad.sources.procfs.name import path_text
from vmad.sources.procfs.rights import explained
from vmad.sources.procfs.stat import read_stat

#: seconds after which the names found so far must do: where threads of the target keep its
#: mmap_lock busy, a page of text at a time comes
ENOUGH = 10.0


def with_names(table: VmaTable, proc: str = "/proc") -> VmaTable:
    """``table`` with the names that maps gives to VMAs of the same start and end.

    What changed between the two reads has no name, nor what was not read in time. Raises
    CannotRead, ProcessGone.
    """
    pid = table.id.pid
    try:
        names = BY_HAND.run(lambda tick: _names(table.id, proc, tick))
        if read_stat(pid, proc).start_time != table.id.start_time:
            raise ProcessGone(f"process {pid} is gone")
    except OSError as error:
        raise explained(error, pid, "maps", running_kernel(proc)) from error
    except Stuck as stuck:
        raise no_answer(f"{proc}/{pid}/maps", stuck, BY_HAND.deadline) from stuck
    return replace(table, paths=_of_rows(table.rows, names))


def _of_rows(rows: Rows, names: dict[tuple[int, int], str]) -> dict[int, str]:
    """Names by the number of the row that has just this range."""
    if not names or not len(rows):
        return {}
    ranges = np.array(list(names), np.uint64)
    numbers = np.searchsorted(rows["start"], ranges[:, 0]).clip(max=len(rows) - 1)
    same = (rows["start"][numbers] == ranges[:, 0]) & (rows["end"][numbers] == ranges[:, 1])
    nearest = zip(numbers.tolist(), same.tolist(), names.values(), strict=True)
    return {number: name for number, there, name in nearest if there}


def _names(process: ProcessId, proc: str, tick: Tick) -> dict[tuple[int, int], str]:
    """Read in a bounded worker: maps takes the mmap_lock (fs/proc/task_mmu.c)."""
    tick(process)
    with open(f"{proc}/{place_of(process.pid, proc)}/maps", "rb") as file:
        return named_ranges(_ticking(file, process, tick))


def _ticking(lines: Iterable[bytes], process: ProcessId, tick: Tick) -> Iterator[bytes]:
    until = time.monotonic() + ENOUGH
    for line in lines:
        tick(process)
        if time.monotonic() > until:
            return
        yield line


def named_or_not(table: VmaTable, proc: str = "/proc") -> VmaTable:
    """:func:`with_names`, or the table as it is where maps cannot be read."""
    try:
        return with_names(table, proc)
    except (CannotRead, ProcessGone):
        return table


def named_ranges(lines: Iterable[bytes]) -> dict[tuple[int, int], str]:
    """(start, end) of every line of maps that has a name (proc_pid_maps(5)).

    A newline in a name is escaped by the kernel, so a line is a line.
    """
    names = {}
    for line in lines:
        # start-end perms offset major:minor inode name; the name is padded with blanks, of which
        # a line without one has five, and most lines are without
        if line.count(b" ") <= 5:
            continue
        fields = line.rstrip(b"\n").split(b" ", 5)
        name = fields[5].lstrip(b" ") if len(fields) == 6 else b""
        if name:
            start, _, end = fields[0].partition(b"-")
            names[int(start, 16), int(end, 16)] = path_text(name)
    return names
