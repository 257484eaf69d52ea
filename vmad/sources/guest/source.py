# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A QEMU guest read from outside, by the kernel's own structures in its memory.

Nothing holds a lock: an address space may change while it is read. What is read is checked
(tree.py, pairs.py), the checks and the kernel's own counters say when it changed, and then it is
read again; after some attempts it is reported as not read. ``consistent`` stops the guest for
the length of each process's walk instead.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import count

import numpy as np
import numpy.typing as npt

from vmad.errors import CannotRead, ProcessGone, TargetUnavailable
from vmad.model.flags import ACCESS, high_masks
from vmad.model.kernel import KernelInfo
from vmad.model.process import Evidence, ProcessId, ProcessSummary, Unread, Unreadable
from vmad.model.table import VMA_ROW, Rows, VmaTable
from vmad.sources.counting import Counting
from vmad.sources.guest.attach import Guest, attach
from vmad.sources.guest.cache import AnchorCache
from vmad.sources.guest.census import GUEST_CENSUS_ROW, mm_state, take_census
from vmad.sources.guest.freeze import Freezer
from vmad.sources.guest.kinds import area_of, kinds_of
from vmad.sources.guest.memory import U64, Look, Torn
from vmad.sources.guest.names import cgroup_path, exe_path, names_of
from vmad.sources.guest.pairs import Seen, facts_of_pairs, look_at
from vmad.sources.guest.tree import find_vmas
from vmad.sources.guest.types import Types
from vmad.sources.source import Census, SourceHealth

#: readings of one address space, until it stands still
ATTEMPTS = 5
_MAY_SHARE = np.uint64(1 << 7)  # VM_MAYSHARE: what maps prints as "s"


@dataclass(frozen=True)
class _Walked:
    """One address space, whole."""

    seen: Seen
    rows: Rows
    map_count: int
    names: dict[int, str]


class GuestSource:
    """A guest behind a QMP socket. Raises TargetUnavailable, at the start and at every call.

    After that, attach anew with another GuestSource: the guest has rebooted, or is gone.
    """

    evidence = Evidence.KERNEL
    page_shift = 12
    #: /proc here says nothing of its processes
    here = False

    def __init__(
        self,
        path: str,
        *,
        types: str | None = None,
        consistent: bool = False,
        cache: AnchorCache | None = None,
    ) -> None:
        self._guest = attach(path, AnchorCache() if cache is None else cache, Types(types))
        self._freezer = Freezer(self._guest.monitor) if consistent else None
        kernel = self._guest.kernel
        self._high = high_masks(kernel.version[:2], kernel.machine)
        self._counting = Counting(kernel, self.page_shift)
        self._lock = threading.RLock()
        self._numbers: dict[int, int] = {}  # address of an mm_struct -> what it is called outside
        self._census: Census = np.zeros(0, GUEST_CENSUS_ROW)
        self._walked = self._skipped = 0
        #: seconds of each time that the guest was stopped for a walk
        self.stops: list[float] = []
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

    @cached_property
    def hostname(self) -> str | None:
        """What the guest calls itself; None where that cannot be read."""
        with self._lock:
            return self._guest.hostname()

    def census(self) -> Census:
        """Every process of the guest with an address space."""
        with self._lock:
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
            self._census = rows
            self._number(rows["mm"].tolist())
            shown = rows.copy()
            shown["mm"] = [self._numbers[mm] for mm in rows["mm"].tolist()]
            return shown

    def _number(self, mms: list[int]) -> None:
        """Call each address space what it was called before, new ones by new numbers."""
        following = count(max(self._numbers.values(), default=0) + 1)
        self._numbers = {mm: self._numbers.get(mm) or next(following) for mm in mms}

    def summarise(self, processes: Iterable[ProcessId]) -> Iterator[ProcessSummary | Unreadable]:
        """Walk each once; the source is free between two processes."""
        for process in processes:
            try:
                summary = self._counting.summary(self._table(process, names=False))
            except ProcessGone as error:
                yield Unreadable(process, "", Unread.GONE, str(error))
            except CannotRead as error:
                self._skipped += 1
                yield Unreadable(process, self._comm(process), Unread.BUSY, str(error))
            else:
                yield summary

    def table(self, process: ProcessId) -> VmaTable:
        """The columns of one process, with names."""
        return self._table(process, names=True)

    def _table(self, process: ProcessId, *, names: bool) -> VmaTable:
        with self._lock:
            row = self._row(process)
            if self._freezer is None:
                walked = self._attempts(process, row, names=names)
            else:
                with self._freezer.stopped():
                    walked = self._attempts(process, row, names=names)
                if self._freezer.seconds is not None:
                    self.stops.append(self._freezer.seconds)
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

    def _comm(self, process: ProcessId) -> str:
        found = self._census["comm"][self._census["pid"] == process.pid].tolist()
        return found[0].decode("utf-8", "surrogateescape") if found else ""

    def _attempts(self, process: ProcessId, row: np.void, *, names: bool) -> _Walked:
        """Raises ProcessGone, CannotRead."""
        last = ""
        for _ in range(ATTEMPTS):
            try:
                return self._walk(process, row, names=names)
            except Torn as error:
                last = str(error)
        raise CannotRead(
            f"process {process.pid}: it changed under the reader {ATTEMPTS} times ({last})",
            "try again, or stop the guest meanwhile: --consistent",
        )

    def _walk(self, process: ProcessId, row: np.void, *, names: bool) -> _Walked:
        """One reading. Raises Torn where anything does not fit, ProcessGone."""
        space, layout = self._guest.space, self._guest.anchors.layout
        mm = int(row["mm"])
        look = space.look()
        self._check_identity(look, row)
        before = _state(look, self._guest, mm)
        found = find_vmas(look, layout, mm)
        if len(found.entries) != before[0]:
            raise Torn(f"{len(found.entries)} VMAs are in its tree, its map_count is {before[0]}")
        seen = look_at(look, layout, mm, found)
        area = area_of(look, layout, mm)
        facts, pair = facts_of_pairs(look, layout, seen, self._high)
        rows = _rows(seen, facts, pair)
        rows["kind"] = kinds_of(look, layout, seen, area)
        called = names_of(look, layout, seen, area) if names else {}
        again = space.look()
        self._check_identity(again, row)
        after = _state(again, self._guest, mm)
        if before != after:
            raise Torn("its VMAs changed meanwhile")
        if before[2] < 0 and not _same(seen, look_at(again, layout, mm, found)):
            # no mm_lock_seq before 6.4: two readings that say the same
            raise Torn("its VMAs changed meanwhile")
        return _Walked(seen, rows, before[0], called)

    def _told(self, process: ProcessId, read: Callable[[Look, np.void], str | None]) -> str | None:
        with self._lock:
            try:
                return read(self._guest.space.look(), self._row(process))
            except (Torn, ProcessGone):
                return None

    def _check_identity(self, look: Look, row: np.void) -> None:
        layout = self._guest.anchors.layout
        task = np.array([row["task"]], np.uint64)
        names = ("pid", "mm", "start_boottime")
        pid, mm, start = look.fields(task, [layout[f"task_struct.{name}"] for name in names])
        same = (
            int(pid[0]) == int(row["pid"])
            and int(start[0]) // 10_000_000 == int(row["start_time"])
            and int(mm[0]) in (int(row["mm"]), 0)
        )
        # a leader that has exited has no mm; its threads may go on with it
        if not same or (not mm[0] and not self._still_listed(row)):
            raise ProcessGone(
                f"process {int(row['pid'])}: it exited or started another program in the middle"
            )

    def _still_listed(self, row: np.void) -> bool:
        guest = self._guest
        rows = take_census(guest.space.look(), guest.anchors.layout, guest.namespace)
        return bool(((rows["task"] == row["task"]) & (rows["mm"] == row["mm"])).any())

    # --- what a process belongs to

    def cgroup_of(self, process: ProcessId) -> bytes | None:
        """What /proc/PID/cgroup would say in the guest; None where it cannot be read."""
        path = self._told(
            process,
            lambda look, row: cgroup_path(look, self._guest.anchors.layout, int(row["task"])),
        )
        return None if path is None else b"0::" + path.encode("utf-8", "surrogateescape")

    def exe_of(self, process: ProcessId) -> str | None:
        """The path of a process's program in the guest; None where it cannot be read."""
        return self._told(
            process, lambda look, row: exe_path(look, self._guest.anchors.layout, int(row["mm"]))
        )

    def health(self) -> SourceHealth:
        """Counters since the source was opened."""
        return SourceHealth(f"qemu-{self._guest.memory.way}", self._walked, self._skipped)

    def close(self) -> None:
        """Let go of the socket."""
        self._guest.close()


def _state(look: Look, guest: Guest, mm: int) -> tuple[int, int, int, bytes]:
    """(map_count, total_vm, lock_seq or -1, root of the tree): equal while nothing changed.

    Raises Torn while a writer is at it, where the kernel tells.
    """
    layout = guest.anchors.layout
    counts, sizes, seqs = mm_state(look, layout, np.array([mm], np.uint64))
    root = layout.first("mm_struct.mm_mt.ma_root", "mm_struct.mm_rb")
    assert root is not None
    seq = int(seqs.astype(np.int64)[0])
    if seq & 1 and layout.get("mm_struct.mm_lock_seq.sequence") is not None:
        raise Torn("its mmap_lock is held for writing")  # a seqcount since 6.14
    return int(counts[0]), int(sizes[0]), seq, look.bytes(mm + root.offset, 8)


def _same(one: Seen, other: Seen) -> bool:
    return all(
        np.array_equal(getattr(one, column.name), getattr(other, column.name))
        for column in fields(Seen)
    )


def _rows(seen: Seen, facts: U64, pair: npt.NDArray[np.uint8]) -> Rows:
    """Columns for the table; kernel addresses are replaced by small numbers."""
    rows = np.zeros(len(seen.start), VMA_ROW)
    rows["start"], rows["end"] = seen.start, seen.end
    rows["flags"], rows["pgoff"] = seen.flags, seen.pgoff
    rows["facts"], rows["pair"] = facts, pair
    rows["anon_vma"], rows["file"] = _small(seen.anon_vma), _small(seen.file)
    rows["chain"], rows["exclusive"] = seen.chain, seen.exclusive
    shared = (seen.flags & _MAY_SHARE) != 0
    rows["perms"] = (seen.flags & np.uint64(ACCESS)) | shared.astype(np.uint64) << np.uint64(3)
    return rows


def _small(addresses: U64) -> U64:
    """Kernel addresses as 1, 2, …; 0 stays 0. Equal stays equal, different different."""
    values, numbers = np.unique(addresses, return_inverse=True)
    shift = 0 if len(values) and values[0] == 0 else 1
    return (numbers + shift).astype(np.uint64)
