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
from vmad.model.kernel import KernelInfo
from vmad.model.process import Evidence, ProcessId, ProcessSummary, Unread, Unreadable
from vmad.model.table import Rows, VmaTable
from vmad.sources.bpf.census import KernelCensus
from vmad.sources.bpf.layout import WANTED, Status, settings
from vmad.sources.bpf.open_coded import Entries, Headers, OpenCodedWalk
from vmad.sources.bpf.task_vma import TaskVmaWalk
from vmad.sources.maximum import read_max_map_count
from vmad.sources.source import CENSUS_ROW, Census, SourceHealth

#: walks, the best first: each is tried, since distributions backport and configure
WALKS: tuple[type[OpenCodedWalk] | type[TaskVmaWalk], ...] = (OpenCodedWalk, TaskVmaWalk)

COUNTS = ("status", "map_count", "walked", "first_entry", "entries", "lost")

WHY = {
    Status.GONE: (Unread.GONE, "it exited or started another program in the middle"),
    Status.NO_MM: (Unread.GONE, "it has no address space any more"),
    Status.BUSY: (Unread.BUSY, "its mmap_lock stayed contended"),
}


class Walk(Protocol):
    """Either way to walk an address space in the kernel."""

    name: str
    busy_total: int

    def count(self, wanted: npt.NDArray[np.void]) -> Iterator[tuple[int, Headers, Entries]]: ...

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
        self._lock = threading.Lock()
        self._census = KernelCensus()
        self._walk = _best_walk(settings(kernel, ignored_flags, merge_tables, mmap.PAGESIZE), walk)
        self._newest: Census = np.empty(0, dtype=CENSUS_ROW)
        self._walked = self._skipped = 0

    @property
    def max_map_count(self) -> int | None:
        """vm.max_map_count now."""
        return read_max_map_count(self._proc)

    def census(self) -> Census:
        """Every process with an address space; about half a microsecond each."""
        self._newest = self._census.take()
        return self._newest

    def summarise(self, processes: Iterable[ProcessId]) -> Iterator[ProcessSummary | Unreadable]:
        """Walk each once, in batches; results come in the order of the batches."""
        asked = list(processes)
        with self._lock:
            census = self.census()
            numbers, gone = _find(census, asked)
            for process in gone:
                yield Unreadable(process, "", *WHY[Status.GONE])
            wanted = _wanted(census[numbers])
            for first, headers, entries in self._walk.count(wanted):
                yield from self._summaries(census, numbers[first:], headers, entries)

    def _summaries(
        self, census: Census, numbers: npt.NDArray[np.intp], headers: Headers, entries: Entries
    ) -> Iterator[ProcessSummary | Unreadable]:
        members = census[numbers[headers["pid"]]]
        pairs = entries.tolist()
        for (pid, start, mm, *_, comm, _, _), header, kinds, recoverable in zip(
            members.tolist(),
            headers[list(COUNTS)].tolist(),
            headers["kinds"].tolist(),
            headers["recoverable"].tolist(),
            strict=True,
        ):
            process = ProcessId(pid, start)
            name = comm.decode("utf-8", "surrogateescape")
            status, map_count, walked, first, used, lost = header
            if status != Status.OK:
                self._skipped += max(walked, 0)
                yield Unreadable(process, name, *WHY[Status(status)])
                continue
            self._walked += walked
            facts = tuple(sorted(pairs[first : first + used]))
            if lost:
                # more distinct facts than the kernel's histogram holds: count the rows instead
                rows, _ = self._walk.rows(_wanted(census[census["pid"] == pid]))
                values, counts = np.unique(rows["facts"][rows["pair"] == 1], return_counts=True)
                facts = tuple(zip(values.tolist(), counts.tolist(), strict=True))
            yield ProcessSummary(
                process, name, map_count, tuple(kinds), facts, recoverable[0], recoverable[1], mm
            )

    def table(self, process: ProcessId) -> VmaTable:
        """The columns of one process; kernel addresses are replaced by small numbers."""
        with self._lock:
            census = self.census()
            numbers, _ = _find(census, [process])
            if len(numbers) == 0:
                raise ProcessGone(f"process {process.pid} is gone")
            rows, header = self._walk.rows(_wanted(census[numbers]))
        member = census[numbers[0]]
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
            comm=bytes(member["comm"]).decode("utf-8", "surrogateescape"),
            evidence=self.evidence,
            map_count=int(header["map_count"]),
            rows=rows,
            consistent=not header["resumed"] and len(rows) == header["map_count"],
            mm=int(member["mm"]),
        )

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
    by_id = {
        (pid, start): number
        for number, (pid, start) in enumerate(
            zip(census["pid"].tolist(), census["start_time"].tolist(), strict=True)
        )
    }
    numbers, gone = [], []
    for process in asked:
        number = by_id.get((process.pid, process.start_time))
        if number is None:
            gone.append(process)
        else:
            numbers.append(number)
    return np.array(numbers, dtype=np.intp), gone


def _wanted(members: Census) -> npt.NDArray[np.void]:
    wanted = np.zeros(len(members), dtype=WANTED)
    wanted["pid"] = members["init_pid"]
    wanted["start_boottime"] = members["start_boottime"]
    return wanted


def _small_numbers(addresses: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Kernel addresses as 1, 2, …; 0 stays 0. Equal stays equal, different different."""
    values, numbers = np.unique(addresses, return_inverse=True)
    shift = 0 if len(values) and values[0] == 0 else 1
    return (numbers + shift).astype(np.uint64)
