# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A QEMU guest read from outside, by the kernel's own structures in its memory.

Nothing holds a lock: an address space may change while it is read. What is read is checked
(tree.py, pairs.py), the checks and the kernel's own counters say when it changed, and then it is
read again; after some attempts it is reported as not read. ``consistent`` stops the guest for
the length of each process's walk instead.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import count

import numpy as np

from vmad.errors import CannotRead, ProcessGone, StillChanging, TargetUnavailable
from vmad.model.kernel import KernelInfo
from vmad.model.process import Evidence, ProcessId, ProcessSummary, Unread, Unreadable
from vmad.model.stops import Stops
from vmad.model.table import VmaTable
from vmad.rules.counting import Counting
from vmad.rules.vma_cost import VmaCost, cost_of
from vmad.sources.another_program import through_exec
from vmad.sources.guest.attach import Guest, attach
from vmad.sources.guest.cache import AnchorCache
from vmad.sources.guest.census import GUEST_CENSUS_ROW, take_census
from vmad.sources.guest.freeze import Freezer
from vmad.sources.guest.memory import Look, Torn
from vmad.sources.guest.names import cgroup_path, exe_path
from vmad.sources.guest.qmp import LONGEST_WORK
from vmad.sources.guest.types import Types
from vmad.sources.guest.walk import Walked, walk
from vmad.sources.room import need
from vmad.sources.source import Census, SourceBase, SourceHealth
from vmad.sources.vma_cost import as_slabs

#: readings of one address space, until it stands still
ATTEMPTS = 5
#: of memory, for each process that is told of (docs/reliability.md)
_BYTES_OF_A_PROCESS = 4096


class GuestSource(SourceBase):
    """A guest behind a QMP socket. Raises TargetUnavailable, at the start and at every call.

    After that, attach anew with another GuestSource: the guest has rebooted, or is gone.
    """

    evidence = Evidence.KERNEL

    def __init__(
        self,
        path: str,
        *,
        types: str | None = None,
        consistent: bool = False,
        cache: AnchorCache | None = None,
        stops: Stops | None = None,
    ) -> None:
        self._guest = attach(path, AnchorCache() if cache is None else cache, Types(types))
        self._freezer = Freezer(self._guest.monitor, stops) if consistent else None
        kernel = self._guest.kernel
        self._counting = Counting(kernel)
        self._lock = threading.RLock()
        self._numbers: dict[int, int] = {}  # address of an mm_struct -> what it is called outside
        self._census: Census = np.zeros(0, GUEST_CENSUS_ROW)
        self._walked = self._skipped = 0
        self.status = "running"

    @property
    def target(self) -> str:
        """What to call it: "qemu:PATH"."""
        return f"qemu:{self._guest.path}"

    @property
    def guest(self) -> Guest:
        """What is attached to."""
        return self._guest

    @property
    def kernel(self) -> KernelInfo:
        """The guest's kernel."""
        return self._guest.kernel

    @property
    def max_map_count(self) -> int | None:
        """vm.max_map_count of the guest now."""
        with self._lock:
            return self._guest.sysctl("max_map_count")

    @property
    def stops(self) -> Stops | None:
        """Of the guest for walks; None where it is read while it runs."""
        return None if self._freezer is None else self._freezer.stops

    @property
    def vma_cost(self) -> VmaCost | None:
        """What a VMA costs by the types of the guest's kernel."""
        return cost_of(as_slabs(self._guest.anchors.layout.sizes))

    @cached_property
    def hostname(self) -> str | None:
        """What the guest calls itself; None where that cannot be read."""
        with self._lock:
            return self._guest.hostname()

    def census(self) -> Census:
        """Every process of the guest with an address space. Raises NoRoom, too."""
        with self._lock, self._guest.monitor.by(time.monotonic() + LONGEST_WORK):
            self.status = self._guest.check()
            guest = self._guest
            for attempt in range(ATTEMPTS):
                try:
                    rows = take_census(guest.space.look(), guest.anchors.layout, guest.namespace)
                    break
                except Torn as error:
                    if attempt == ATTEMPTS - 1:
                        raise TargetUnavailable(
                            f"{self.target}: its table of processes cannot be read: {error}",
                            "try again; is it booting or going down just now?",
                        ) from error
            more = max(len(rows) - len(self._census), 0)
            need(more * _BYTES_OF_A_PROCESS, f"what is kept of {len(rows):,} processes")
            self._census = rows
            self._number(rows["mm"].tolist())
            shown = rows.copy()
            shown["mm"] = [self._numbers[mm] for mm in rows["mm"].tolist()]
            return shown

    def sample(self) -> Census:
        """The census: counts alone are not cheaper."""
        return self.census()

    def _number(self, mms: list[int]) -> None:
        """Call each address space what it was called before, new ones by new numbers."""
        following = count(max(self._numbers.values(), default=0) + 1)
        self._numbers = {mm: self._numbers.get(mm) or next(following) for mm in mms}

    def summarise(self, processes: Iterable[ProcessId]) -> Iterator[ProcessSummary | Unreadable]:
        """Walk each once; the source is free between two processes."""
        deadline = time.monotonic() + LONGEST_WORK
        for process in processes:
            try:
                summary = self._counting.summary(self._table(process, deadline, names=False))
            except ProcessGone as error:
                yield Unreadable(process, "", Unread.GONE, str(error))
            except CannotRead as error:
                self._skipped += 1
                why = Unread.CHANGING if isinstance(error, StillChanging) else Unread.ERROR
                yield Unreadable(process, self._comm(process), why, str(error))
            else:
                yield summary

    def table(self, process: ProcessId) -> VmaTable:
        """The columns of one process, with names."""
        deadline = time.monotonic() + LONGEST_WORK
        return through_exec(
            process,
            lambda: self._table(process, deadline, names=True),
            lambda: self._lives(process),
        )

    def _lives(self, process: ProcessId) -> bool:
        rows = self.census()
        mine = (rows["pid"] == process.pid) & (rows["start_time"] == process.start_time)
        return bool(mine.any())

    def _table(self, process: ProcessId, deadline: float, *, names: bool) -> VmaTable:
        with self._lock, self._guest.monitor.by(deadline):
            row = self._row(process)
            if self._freezer is None:
                walked = self._attempts(process, row, names=names)
            else:
                with self._freezer.stopped():
                    walked = self._attempts(process, row, names=names)
            self._walked += len(walked.rows)
            mm = self._numbers.get(int(row["mm"]), 0)
        return VmaTable(
            id=process,
            comm=row["comm"].decode("utf-8", "surrogateescape"),
            evidence=self.evidence,
            map_count=walked.map_count,
            rows=walked.rows,
            paths=walked.names,
            mm=mm,
        )

    def _row(self, process: ProcessId) -> np.void:
        """The process's row of the newest census that has it. Raises ProcessGone."""
        for fresh in (False, True):
            if fresh:
                self.census()
            rows = self._census
            at = int(np.searchsorted(rows["pid"], process.pid))
            if at < len(rows):
                row: np.void = rows[at]
                if (int(row["pid"]), int(row["start_time"])) == process:
                    return row
        raise ProcessGone(f"process {process.pid} is not in the guest (any more)")

    def find(self, pid: int) -> ProcessId:
        """A process of the guest that has an address space. Raises ProcessGone."""
        census = self.census()
        rows = census[census["pid"] == pid]
        if not len(rows):
            raise ProcessGone(
                f"the guest has no process {pid} with an address space",
                "vmad scan --all lists those that it has",
            )
        return ProcessId(pid, int(rows["start_time"][0]))

    def _comm(self, process: ProcessId) -> str:
        comms = self._census["comm"][self._census["pid"] == process.pid].tolist()
        return comms[0].decode("utf-8", "surrogateescape") if comms else ""

    def _attempts(self, process: ProcessId, row: np.void, *, names: bool) -> Walked:
        """Raises ProcessGone, StillChanging."""
        last = ""
        for _ in range(ATTEMPTS):
            try:
                return walk(self._guest, row, names=names)
            except Torn as error:
                last = str(error)
        raise StillChanging(
            f"process {process.pid}: it changed under the reader {ATTEMPTS} times ({last})",
            "try again, or stop the guest meanwhile: --consistent",
        )

    def _told(self, process: ProcessId, read: Callable[[Look, np.void], str | None]) -> str | None:
        with self._lock:
            try:
                return read(self._guest.space.look(), self._row(process))
            except (Torn, ProcessGone):
                return None

    # --- what a process belongs to

    def cgroup_of(self, process: ProcessId) -> bytes | None:
        """What /proc/PID/cgroup would say in the guest; None where it cannot be read."""
        path = self._told(
            process,
            lambda look, row: cgroup_path(look, self._guest.anchors.layout, int(row["task"])),
        )
        return None if path is None else b"0::" + path.encode("utf-8", "surrogateescape")

    def exe_of(self, process: ProcessId) -> bytes | None:
        """The path of a process's program in the guest; None where it cannot be read."""
        path = self._told(
            process, lambda look, row: exe_path(look, self._guest.anchors.layout, int(row["mm"]))
        )
        return None if path is None else os.fsencode(path)

    def health(self) -> SourceHealth:
        """Counters since the source was opened."""
        return SourceHealth(f"qemu-{self._guest.memory.way}", self._walked, self._skipped)

    def close(self) -> None:
        """Let go of the socket."""
        self._guest.close()
