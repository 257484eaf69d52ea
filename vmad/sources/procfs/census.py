# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Every process with an address space, from /proc/PID/stat, and a cheap proof of identity.

The inode number of /proc/PID stands for one struct pid: it is drawn afresh (get_next_ino) when the
directory is first looked up, and a dead process's entry is never revived (pid_revalidate,
fs/proc/base.c). readdir of /proc shows it for nothing, so a process whose number is still the one
of the census is still itself; another number proves nothing, then stat decides.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from vmad.model.process import ProcessId
from vmad.sources.procfs.living import place_by
from vmad.sources.procfs.stat import read_stat
from vmad.sources.source import CENSUS_ROW, Census


class _Known(NamedTuple):
    inode: int
    start_time: int
    comm: bytes


class ProcessList:
    """The processes under ``proc``, remembered from one census to the next."""

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._known: dict[int, _Known] = {}
        self._kernel_threads: dict[int, int] = {}  # pid -> inode
        self._places: dict[int, str] = {}  # of those whose leader has exited

    def census(self) -> Census:
        """One row per process that has an address space, ascending by pid, dtype CENSUS_ROW.

        total_vm comes from vsize, and lock_seq is the process's page faults and CPU time: who has
        not run has not called mmap. map_count and mm are unknown to /proc. Raises OSError when
        /proc itself cannot be listed.
        """
        rows: list[tuple[int, int, int, int, int, int, bytes]] = []
        known: dict[int, _Known] = {}
        kernel_threads: dict[int, int] = {}
        places: dict[int, str] = {}
        with os.scandir(self._proc) as entries:
            directories = [(int(e.name), e.inode()) for e in entries if e.name.isdigit()]
        for pid, inode in sorted(directories):
            if self._kernel_threads.get(pid) == inode:
                kernel_threads[pid] = inode
                continue
            try:
                stat = read_stat(pid, self._proc)
            except OSError:
                continue  # gone since the listing
            if stat.kernel_thread_for_ever:
                kernel_threads[pid] = inode
            place = place_by(stat, pid, self._proc)
            if place is None:
                continue
            if place.tid != pid:
                places[pid] = place.directory
            known[pid] = _Known(inode, stat.start_time, stat.comm)
            pages = place.vsize // mmap.PAGESIZE
            rows.append((pid, stat.start_time, 0, -1, stat.activity, pages, stat.comm))
        self._known, self._kernel_threads, self._places = known, kernel_threads, places
        return np.array(rows, CENSUS_ROW)

    def place(self, pid: int) -> str:
        """The directory below /proc that showed its address space at the last census."""
        return self._places.get(pid) or str(pid)

    def replaced(self, processes: Iterable[ProcessId]) -> list[ProcessId]:
        """Those whose pid is not theirs (any more), dead or alive. One listing for all.

        Raises OSError when /proc itself cannot be listed.
        """
        with os.scandir(self._proc) as entries:
            shown = {int(e.name): e.inode() for e in entries if e.name.isdigit()}
        suspects = []
        for process in processes:
            known = self._known.get(process.pid)
            if (
                known is None
                or known.start_time != process.start_time
                or shown.get(process.pid) != known.inode
            ):
                suspects.append(process)
        return [process for process in suspects if not self._surely_same(process)]

    def _surely_same(self, process: ProcessId) -> bool:
        try:
            return self.is_same(process)
        except OSError:  # gone
            return False

    def is_same(self, process: ProcessId) -> bool:
        """Whether the pid belongs to that process now, dead or alive. Raises OSError when gone."""
        known = self._known.get(process.pid)
        if (
            known is not None
            and known.start_time == process.start_time
            and os.stat(f"{self._proc}/{process.pid}").st_ino == known.inode
        ):
            return True
        inode = os.stat(f"{self._proc}/{process.pid}").st_ino
        stat = read_stat(process.pid, self._proc)
        if stat.start_time != process.start_time:
            return False
        self._known[process.pid] = _Known(inode, stat.start_time, stat.comm)
        return True

    def comm(self, process: ProcessId) -> str:
        """The process's comm as last seen, "" if never; undecodable bytes as surrogates."""
        known = self._known.get(process.pid)
        if known is None or known.start_time != process.start_time:
            return ""
        return known.comm.decode(errors="surrogateescape")
