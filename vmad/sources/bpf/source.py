# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Kernel evidence: exact facts of every pair, read from the kernel's own structures by BPF."""

from __future__ import annotations

import mmap
import threading
from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vmad.errors import CannotRead, EvidenceUnavailable, ProcessGone
from vmad.model.facts import UNKNOWN_EXCLUSIVE
from vmad.model.kernel import KernelInfo
from vmad.model.process import Evidence, ProcessId, ProcessSummary, Unread, Unreadable
from vmad.model.table import Rows, VmaTable
from vmad.model.verdict import Verdict
from vmad.rules.relaxed import RelaxedRules
from vmad.sources.bpf.census import KERNEL_CENSUS_ROW, KernelCensus
from vmad.sources.bpf.layout import MAX_HEADERS, WANTED, Status, Steady, settings
from vmad.sources.bpf.open_coded import Entries, Headers, OpenCodedWalk
from vmad.sources.bpf.task_vma import TaskVmaWalk
from vmad.sources.maximum import read_max_map_count
from vmad.sources.source import Census, SourceHealth
from vmad.sources.unseen import Unseen

#: walks, the best first: each is tried, since distributions backport and configure
WALKS: tuple[type[OpenCodedWalk] | type[TaskVmaWalk], ...] = (OpenCodedWalk, TaskVmaWalk)

COUNTS = ("status", "mm", "map_count", "walked", "first_entry", "entries", "lost")

#: readings of one address space, until it stands still
ATTEMPTS = 3

WHY = {
    Status.GONE: (Unread.GONE, "it exited or started another program in the middle"),
    Status.NO_MM: (Unread.GONE, "it has no address space any more"),
    Status.BUSY: (Unread.BUSY, "its mmap_lock stayed contended"),
}


class Walk(Protocol):
    """Either way to walk an address space in the kernel."""

    name: str

    def count(self, wanted: npt.NDArray[np.void]) -> Iterator[tuple[Headers, Entries]]: ...

    def rows(self, wanted: npt.NDArray[np.void]) -> tuple[Rows, np.void]: ...

    def close(self) -> None: ...


class BpfSource:
    """A live host by BPF.

    ``ignored_flags`` (canonical) and ``merge_tables`` (stock, relaxed) come from the rules and
    are handed to the kernel as they are. ``walk`` names one of the walks, or None for the best
    that loads. Raises EvidenceUnavailable with cause and remedy.
    """

    evidence = Evidence.KERNEL

    def __init__(
        self,
        kernel: KernelInfo,
        ignored_flags: int,
        merge_tables: tuple[bytes, bytes],
        *,
        walk: str | None = None,
        proc: str = "/proc",
    ) -> None:
        self.kernel = kernel
        self._proc = proc
        self._unseen = Unseen(proc)
        self._lock = threading.Lock()
        self._relaxed = RelaxedRules(kernel)
        self._walk = _best_walk(settings(kernel, ignored_flags, merge_tables, mmap.PAGESIZE), walk)
        try:
            self._census = KernelCensus()
        except EvidenceUnavailable:
            self._walk.close()
            raise
        self._newest: Census = np.empty(0, dtype=KERNEL_CENSUS_ROW)
        self._walked = self._skipped = 0

    @property
    def max_map_count(self) -> int | None:
        """vm.max_map_count now."""
        return read_max_map_count(self._proc)

    def census(self) -> Census:
        """Every process with an address space; about half a microsecond each."""
        self._newest = self._census.take()
        return self._newest

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        """Processes that /proc shows and the census does not, looked for now."""
        return self._unseen.look(self._census.take)

    def summarise(self, processes: Iterable[ProcessId]) -> Iterator[ProcessSummary | Unreadable]:
        """Walk each once, in batches; results come in the order of the batches.

        The source is free between two batches: other calls may come in between.
        """
        census, numbers, gone = self._look_up(list(processes))
        for process in gone:
            yield Unreadable(process, "", *WHY[Status.GONE])
        for first in range(0, len(numbers), MAX_HEADERS):
            members = census[numbers[first : first + MAX_HEADERS]]
            with self._lock:
                parts = [
                    (headers.copy(), entries.copy())
                    for headers, entries in self._walk.count(_wanted(members))
                ]
            for headers, entries in parts:
                yield from self._summaries(members[headers["position"]], headers, entries)

    def _summaries(
        self, members: Census, headers: Headers, entries: Entries
    ) -> Iterator[ProcessSummary | Unreadable]:
        pairs = entries.tolist()
        for number, (pid, start, comm, header, kinds, recoverable) in enumerate(
            zip(
                members["pid"].tolist(),
                members["start_time"].tolist(),
                members["comm"].tolist(),
                headers[list(COUNTS)].tolist(),
                headers["kinds"].tolist(),
                headers["recoverable"].tolist(),
                strict=True,
            )
        ):
            process, name = ProcessId(pid, start), _text(comm)
            status, mm, map_count, walked, first_entry, used, lost = header
            if status != Status.OK:
                self._skipped += walked
                yield Unreadable(process, name, *WHY[Status(status)])
                continue
            self._walked += walked
            facts = tuple(sorted(pairs[first_entry : first_entry + used]))
            if lost:
                # more distinct facts than the kernel's histogram holds: count the rows instead
                yield self._counted(process, name, members[number : number + 1])
                continue
            stock, relaxed = recoverable
            yield ProcessSummary(
                process,
                name,
                map_count,
                tuple(kinds),
                facts,
                stock,
                relaxed if self._decided(facts) else None,
                mm,
            )

    def _counted(
        self, process: ProcessId, name: str, member: Census
    ) -> ProcessSummary | Unreadable:
        """A summary made from the rows of one process (``member``: shape (1,))."""
        rows, header = self._rows(member)
        status = Status(int(header["status"]))
        if status is not Status.OK:
            return Unreadable(process, name, *WHY[status])
        values, counts = np.unique(rows["facts"][rows["pair"] == 1], return_counts=True)
        facts = tuple(zip(values.tolist(), counts.tolist(), strict=True))
        stock, relaxed = header["recoverable"].tolist()
        return ProcessSummary(
            process,
            name,
            int(header["map_count"]),
            tuple(header["kinds"].tolist()),
            facts,
            stock,
            relaxed if self._decided(facts) else None,
            int(header["mm"]),
        )

    def _decided(self, facts: tuple[tuple[int, int], ...]) -> bool:
        """Whether the relaxed rules decide every pair, so that their runs may be counted."""
        return not any(
            value & UNKNOWN_EXCLUSIVE and self._relaxed.judge(value).verdict is Verdict.UNKNOWN
            for value, _ in facts
        )

    def table(self, process: ProcessId) -> VmaTable:
        """The columns of one process; kernel addresses are replaced by small numbers.

        Read up to three times, until the VMAs stood still meanwhile.
        """
        census, numbers, _ = self._look_up([process])
        if len(numbers) == 0:
            raise self._unseen.why_absent(process)
        member = census[numbers]
        before, steady = None, False
        for _ in range(ATTEMPTS):
            rows, header = self._rows(member)
            steady = header["steady"] == Steady.YES or (
                # without mm_lock_seq: two readings that say the same
                header["steady"] == Steady.UNKNOWN
                and before is not None
                and before.tobytes() == rows.tobytes()
            )
            if steady or header["status"] != Status.OK:
                break
            before = rows
        status = Status(int(header["status"]))
        if status is Status.BUSY:
            raise CannotRead(f"process {process.pid}: {WHY[status][1]}", "try again")
        if status is not Status.OK or len(rows) == 0:
            raise ProcessGone(f"process {process.pid}: {WHY[Status.GONE][1]}")
        rows = rows.copy()
        for column in ("anon_vma", "file"):
            rows[column] = _small_numbers(rows[column])
        self._walked += len(rows)
        return VmaTable(
            id=process,
            comm=_text(member["comm"][0]),
            evidence=self.evidence,
            map_count=int(header["map_count"]),
            rows=rows,
            consistent=bool(steady and not header["resumed"] and len(rows) == header["map_count"]),
            mm=int(header["mm"]),
        )

    def _rows(self, member: Census) -> tuple[Rows, np.void]:
        with self._lock:
            return self._walk.rows(_wanted(member))

    def _look_up(
        self, asked: list[ProcessId]
    ) -> tuple[Census, npt.NDArray[np.intp], list[ProcessId]]:
        """A census, the numbers of the rows that were asked for, and who is not in it.

        The last census serves while it knows everybody: the walks check identity themselves.
        """
        census = self._newest
        numbers, gone = _find(census, asked)
        if gone:
            census = self.census()
            numbers, gone = _find(census, asked)
        return census, numbers, gone

    def health(self) -> SourceHealth:
        """Counters since the source was opened."""
        return SourceHealth(self._walk.name, self._walked, self._skipped)

    def close(self) -> None:
        """Unload the programs."""
        self._walk.close()
        self._census.close()


def _best_walk(text: bytes, name: str | None) -> Walk:
    failures = []
    for kind in WALKS:
        if name is not None and kind.name != name:
            continue
        try:
            return kind(text)
        except EvidenceUnavailable as error:
            failures.append(error)
    raise failures[-1] if failures else EvidenceUnavailable(f"BPF: no walk is called {name}")


def _find(census: Census, asked: list[ProcessId]) -> tuple[npt.NDArray[np.intp], list[ProcessId]]:
    """Rows of the census that were asked for, and those asked for that are not in it."""
    ids = np.array(asked, dtype=np.int64).reshape(-1, 2)
    numbers = np.searchsorted(census["pid"], ids[:, 0])
    found = numbers < len(census)
    there = census[numbers[found]]
    found[found] = (there["pid"] == ids[found, 0]) & (there["start_time"] == ids[found, 1])
    gone = [asked[number] for number in np.flatnonzero(~found).tolist()]
    return numbers[found], gone


def _wanted(members: Census) -> npt.NDArray[np.void]:
    wanted = np.empty(len(members), dtype=WANTED)
    wanted["task_pid"] = members["task_pid"]
    wanted["seen_pid"] = members["pid"]
    wanted["start_boottime"] = members["start_boottime"]
    return wanted


def _text(comm: bytes) -> str:
    return comm.decode("utf-8", "surrogateescape")


def _small_numbers(addresses: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Kernel addresses as 1, 2, …; 0 stays 0. Equal stays equal, different different."""
    values, numbers = np.unique(addresses, return_inverse=True)
    shift = 0 if len(values) and values[0] == 0 else 1
    return (numbers + shift).astype(np.uint64)
