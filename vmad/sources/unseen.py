# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Processes that /proc shows and the kernel's task iterator does not: never passed over in silence.

A security module or a patched kernel may hide a process from BPF, as seen with PID 1 of a 6.18
micro virtual machine. Listing /proc costs about a microsecond per process, so it is done in full
scans alone; kernel threads, which have no address space, are remembered by the inode number of
their directory (see vmad/sources/procfs/census.py for what that number proves).
"""

from __future__ import annotations

import os
from collections.abc import Callable

from vmad.errors import CannotRead, ProcessGone, VmadError
from vmad.model.process import ProcessId, Unread, Unreadable
from vmad.sources.procfs.living import place_by
from vmad.sources.procfs.stat import Stat, read_stat
from vmad.sources.source import Census

HIDDEN = "it runs, but this kernel does not show it to BPF"


class Unseen:
    """Compares a census with /proc."""

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._kernel_threads: dict[int, int] = {}  # pid -> inode

    def look(self, census: Callable[[], Census]) -> tuple[Unreadable, ...]:
        """Who has an address space and is not in the census, ascending by pid.

        ``census`` is called after /proc was listed: so who is listed, lives and is seen is in it.
        Raises OSError when /proc cannot be listed.
        """
        with os.scandir(self._proc) as entries:
            shown = {int(entry.name): entry.inode() for entry in entries if entry.name.isdigit()}
        kernel_threads = {
            pid: inode for pid, inode in self._kernel_threads.items() if shown.get(pid) == inode
        }
        hidden = []
        for pid in sorted(shown.keys() - kernel_threads.keys() - set(census()["pid"].tolist())):
            stat = self._stat(pid)
            if stat is None:
                continue
            if stat.kernel_thread_for_ever:
                kernel_threads[pid] = shown[pid]
            if _has_address_space(stat, pid, self._proc):
                process = ProcessId(pid, stat.start_time)
                hidden.append(Unreadable(process, _name(stat), Unread.ERROR, HIDDEN))
        self._kernel_threads = kernel_threads
        return tuple(hidden)

    def why_absent(self, process: ProcessId) -> VmadError:
        """What to tell a person who asks for a process that is not in the census."""
        stat = self._stat(process.pid)
        if (
            stat is None
            or stat.start_time != process.start_time
            or not (_has_address_space(stat, process.pid, self._proc))
        ):
            return ProcessGone(f"process {process.pid} is gone")
        return CannotRead(
            f"process {process.pid} ({_name(stat)}): {HIDDEN}", "try --evidence procfs"
        )

    def _stat(self, pid: int) -> Stat | None:
        try:
            return read_stat(pid, self._proc)
        except OSError:  # it has gone meanwhile
            return None


def _has_address_space(stat: Stat, pid: int, proc: str) -> bool:
    # vsize is 0 once the mm is let go, also while the process is still on its way out
    place = place_by(stat, pid, proc)
    return place is not None and place.vsize != 0


def _name(stat: Stat) -> str:
    return stat.comm.decode("utf-8", "surrogateescape")
