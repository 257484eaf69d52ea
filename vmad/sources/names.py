# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Names of VMAs for a table that has none: BPF reads no paths, /proc/PID/maps prints them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from vmad.errors import CannotRead, ProcessGone
from vmad.model.kernel import running_kernel
from vmad.model.process import ProcessId
from vmad.model.table import VmaTable
from vmad.sources.bounded import BY_HAND, Stuck, Tick, no_answer
from vmad.sources.procfs.living import place_of
from vmad.sources.procfs.rights import explained
from vmad.sources.procfs.stat import read_stat
from vmad.sources.procfs.table import path_text


def with_names(table: VmaTable, proc: str = "/proc") -> VmaTable:
    """``table`` with the names that maps gives to VMAs of the same start and end.

    What changed between the two reads has no name. Raises CannotRead, ProcessGone.
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
    ranges = zip(table.rows["start"].tolist(), table.rows["end"].tolist(), strict=True)
    paths = {row: names[found] for row, found in enumerate(ranges) if found in names}
    return replace(table, paths=paths)


def _names(process: ProcessId, proc: str, tick: Tick) -> dict[tuple[int, int], str]:
    """Read in a bounded worker: maps takes the mmap_lock (fs/proc/task_mmu.c)."""
    tick(process)
    with open(f"{proc}/{place_of(process.pid, proc)}/maps", "rb") as file:
        return named_ranges(_ticking(file, process, tick))


def _ticking(lines: Iterable[bytes], process: ProcessId, tick: Tick) -> Iterator[bytes]:
    for line in lines:
        tick(process)
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
        # start-end perms offset major:minor inode name; the name is padded with blanks
        fields = line.rstrip(b"\n").split(b" ", 5)
        name = fields[5].lstrip(b" ") if len(fields) == 6 else b""
        if name:
            start, _, end = fields[0].partition(b"-")
            names[int(start, 16), int(end, 16)] = path_text(name)
    return names
