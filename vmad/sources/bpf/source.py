# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Kernel evidence: exact facts of every pair, read from the kernel's own structures by BPF."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator

import numpy as np
import numpy.typing as npt

from vmad.errors import CannotRead, EvidenceUnavailable, ProcessGone, StillChanging
from vmad.model.facts import UNKNOWN_EXCLUSIVE
from vmad.model.kernel import KernelInfo
from vmad.model.process import Evidence, ProcessId, ProcessSummary, Unread, Unreadable
from vmad.model.table import VmaTable, histogram_of, opaque_ids
from vmad.model.verdict import Recoverable, Verdict
from vmad.rules.kernel_rules import KernelRules
from vmad.rules.marked import marked_from
from vmad.sources.another_program import through_exec
from vmad.sources.bounded import Stuck
from vmad.sources.bpf.census import KERNEL_CENSUS_ROW, KernelCensus
from vmad.sources.bpf.layout import MAX_HEADERS, WANTED, Status, settings_of
from vmad.sources.bpf.lockless import LocklessWalk
from vmad.sources.bpf.open_coded import OpenCodedWalk
from vmad.sources.bpf.queued import Entries, Headers, QueuedWalk
from vmad.sources.bpf.task_vma import TaskVmaWalk
from vmad.sources.bpf.waiting import (
    PATIENCE,
    Reading,
    WaitingWalks,
    Walk,
    is_exact,
    is_over,
    settle,
)
from vmad.sources.maximum import read_max_map_count
from vmad.sources.source import Census, SourceHealth
from vmad.sources.this_machine import ThisMachine
from vmad.sources.unseen import Unseen

#: walks, the best first: each is tried, since distributions backport and configure
WALKS: tuple[type[QueuedWalk] | type[TaskVmaWalk], ...] = (LocklessWalk, OpenCodedWalk, TaskVmaWalk)

#: seconds after which no further reading is begun that takes no lock, before those that take one
BRIEF = 0.2

COUNTS = ("status", "mm", "walked", "first_entry", "entries", "lost")

#: up to so many VMAs what has changed meanwhile is walked once more by the best walk, before those
#: that wait for mmap_lock: it takes a millisecond or two, and may well be still
SECOND_LOOK = 8192

_GONE = Unread.GONE, "it exited or started another program in the middle"
_CHANGING = Unread.CHANGING, "its address space changed during every reading of it"
_BUSY = Unread.BUSY, "its mmap_lock stayed contended"


class BpfSource(ThisMachine):
    """A live host by BPF.

    What the rules of ``kernel`` say of flags and runs is handed to it as tables. ``walk`` names
    one of the walks, or None for the best that loads; ``patience`` is with one process that never
    holds still, seconds. Raises EvidenceUnavailable with cause and remedy.
    """

    evidence = Evidence.KERNEL

    def __init__(
        self,
        kernel: KernelInfo,
        *,
        walk: str | None = None,
        proc: str = "/proc",
        patience: float = PATIENCE,
    ) -> None:
        self.kernel = kernel
        super().__init__(proc)
        self._unseen = Unseen(proc)
        self._lock = threading.Lock()
        rules = KernelRules.of(kernel)
        self._relaxed = rules.relaxed
        text = settings_of(rules)
        self._walk = _best_walk(text, walk)
        self._waiting = WaitingWalks(self._walk, self._lock, text, patience)
        try:
            self._census = KernelCensus(marked_from(self.max_map_count))
        except EvidenceUnavailable:
            self._walk.close()
            raise
        self._newest: Census = np.empty(0, dtype=KERNEL_CENSUS_ROW)
        self._walked = self._skipped = 0

    @property
    def max_map_count(self) -> int | None:
        """vm.max_map_count now."""
        return read_max_map_count(self.proc)

    def census(self) -> Census:
        """Every process with an address space; about half a microsecond each."""
        self._newest = self._census.take()
        return self._newest

    def sample(self) -> Census:
        """The same for the counts alone; of who is new, everything."""
        self._newest = self._census.take(light=True)
        return self._newest

    def last_cgroup_of(self, process: ProcessId) -> bytes | None:
        """The path of its cgroup in the unified hierarchy, of a process that may be gone but had
        many VMAs in one of the last censuses of its first minutes.
        """
        return self._census.cgroup_of(*process)

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        """Processes that /proc shows and the census does not, looked for now."""
        return self._unseen.look(self._census.take)

    def summarise(self, processes: Iterable[ProcessId]) -> Iterator[ProcessSummary | Unreadable]:
        """Walk each once, in batches; results come in the order of the batches.

        Those that changed meanwhile are walked again, then one by one by the walks that wait for
        mmap_lock. The source is free between two batches: other calls may come in between.
        """
        census, numbers, gone = self._look_up(list(processes))
        for process in gone:
            yield Unreadable(process, "", *_GONE)
        changed = yield from self._pass(census[numbers])
        small = changed["map_count"] <= SECOND_LOOK
        again = yield from self._pass(changed[small])
        until = time.monotonic() + self._waiting.patience
        for members in (again, changed[~small]):
            for row in range(len(members)):
                yield self._waited_for(members[row : row + 1], time.monotonic() < until)

    def _pass(self, wanted: Census) -> Generator[ProcessSummary | Unreadable, None, Census]:
        """Walk each once by the best walk; returns those that changed meanwhile."""
        changed = [wanted[:0]]
        for first in range(0, len(wanted), MAX_HEADERS):
            members = wanted[first : first + MAX_HEADERS]
            with self._lock:
                parts = [
                    (headers.copy(), entries.copy())
                    for headers, entries in self._walk.count(_wanted(members))
                ]
            for headers, entries in parts:
                settled = is_exact(headers) | is_over(headers)
                changed.append(members[headers["position"][~settled]])
                exact = headers[settled]
                yield from self._summaries(members[exact["position"]], exact, entries)
        return np.concatenate(changed)

    def _waited_for(self, member: Census, patient: bool) -> ProcessSummary | Unreadable:
        """One process (shape (1,)) that does not hold still."""
        wanted = _wanted(member)

        def read(walk: Walk) -> Reading:
            ((headers, entries),) = walk.count(wanted, digest=True)
            return Reading(headers[0].copy(), entries.copy())

        why = _CHANGING
        try:
            vmas = int(member["map_count"][0])
            reading = self._careful(vmas, read) if patient else None
        except Stuck:
            reading, why = None, _BUSY
        if reading is None:
            self._skipped += max(int(member["map_count"][0]), 0)
            return Unreadable(_id(member[0]), _text(member["comm"][0]), *why)
        headers = reading.header.reshape(1)
        (found,) = self._summaries(member, headers, reading.content)
        return found

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
            status, mm, walked, first_entry, used, lost = header
            if status != Status.OK:
                self._skipped += walked
                yield Unreadable(process, name, *_GONE)
                continue
            self._walked += walked
            facts = tuple(sorted(pairs[first_entry : first_entry + used]))
            if lost:
                # more distinct facts than the kernel's histogram holds: count the rows instead
                yield self._counted(process, name, members[number : number + 1])
                continue
            yield ProcessSummary(
                process,
                name,
                walked,
                tuple(kinds),
                facts,
                self._recoverable(recoverable, facts),
                mm,
            )

    def _counted(
        self, process: ProcessId, name: str, member: Census
    ) -> ProcessSummary | Unreadable:
        """A summary made from the rows of one process (``member``: shape (1,))."""
        try:
            reading = self._rows(member)
        except Stuck:
            return Unreadable(process, name, *_BUSY)
        if reading is None:
            return Unreadable(process, name, *_CHANGING)
        header, rows = reading
        if is_over(header):
            return Unreadable(process, name, *_GONE)
        facts = histogram_of(rows)
        return ProcessSummary(
            process,
            name,
            int(header["walked"]),
            tuple(header["kinds"].tolist()),
            facts,
            self._recoverable(header["recoverable"].tolist(), facts),
            int(header["mm"]),
        )

    def _recoverable(self, merges: list[int], facts: tuple[tuple[int, int], ...]) -> Recoverable:
        """``merges`` as the kernel counted them, None where a pair is undecided."""
        stock, relaxed = merges
        return {"stock": stock, "relaxed": relaxed if self._decided(facts) else None}

    def _decided(self, facts: tuple[tuple[int, int], ...]) -> bool:
        """Whether the relaxed rules decide every pair, so that their runs may be counted."""
        return not any(
            value & UNKNOWN_EXCLUSIVE and self._relaxed.judge(value).verdict is Verdict.UNKNOWN
            for value, _ in facts
        )

    def table(self, process: ProcessId) -> VmaTable:
        """The columns of one process; kernel addresses are replaced by small numbers.

        Raises ProcessGone, StillChanging, CannotRead.
        """
        return through_exec(process, lambda: self._table(process), lambda: self._lives(process))

    def _lives(self, process: ProcessId) -> bool:
        numbers, _ = _find(self.census(), [process])
        return len(numbers) > 0

    def _table(self, process: ProcessId) -> VmaTable:
        census, numbers, _ = self._look_up([process])
        if len(numbers) == 0:
            raise self._unseen.why_absent(process)
        member = census[numbers]
        try:
            reading = self._rows(member)
        except Stuck as error:
            raise CannotRead(f"process {process.pid}: {_BUSY[1]}", "try again") from error
        if reading is None:
            raise StillChanging(f"process {process.pid}: {_CHANGING[1]}", "try again")
        header, rows = reading
        if is_over(header) or len(rows) == 0:
            raise ProcessGone(f"process {process.pid}: {_GONE[1]}")
        rows = rows.copy()
        for column in ("anon_vma", "file"):
            rows[column] = opaque_ids(rows[column])
        self._walked += len(rows)
        return VmaTable(
            id=process,
            comm=_text(member["comm"][0]),
            evidence=self.evidence,
            map_count=len(rows),
            rows=rows,
            mm=int(header["mm"]),
        )

    def _rows(self, member: Census) -> Reading | None:
        """An exact reading; None where it changes all the time. Raises Stuck."""
        wanted = _wanted(member)
        for _ in range(2):
            with self._lock:
                rows, header = self._walk.rows(wanted)
            if is_exact(header) or is_over(header):
                return Reading(header, rows)

        def read(walk: Walk) -> Reading:
            rows, header = walk.rows(wanted, digest=True)
            return Reading(header.copy(), rows)

        return self._careful(int(member["map_count"][0]), read)

    def _careful(self, vmas: int, read: Callable[[Walk], Reading]) -> Reading | None:
        """A reading of a process of about so many VMAs that does not hold still; None, Stuck: as
        ``WaitingWalks.read``.
        """

        def alone(walk: Walk) -> Reading:
            with self._lock:
                return read(walk)

        if isinstance(self._walk, LocklessWalk):
            reading = settle((self._walk,), alone, BRIEF)
            if reading is not None:
                return reading
        return self._waiting.read(vmas, read)

    def load_all(self, process: ProcessId | None = None) -> None:
        """Load also the walks that few processes need, and try each with ``process``.

        Raises EvidenceUnavailable, CannotRead, OSError where one that has loaded does not work.
        """
        self._waiting.load()
        if process is None:
            return
        census, numbers, _ = self._look_up([process])
        wanted = _wanted(census[numbers])

        def read(walk: Walk) -> Reading:
            rows, header = walk.rows(wanted)
            return Reading(header.copy(), rows)

        try:
            self._waiting.each(read)
        except Stuck as error:
            raise CannotRead(f"process {process.pid}: {_BUSY[1]}") from error

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
        self._waiting.close()
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


def _id(row: np.void) -> ProcessId:
    return ProcessId(int(row["pid"]), int(row["start_time"]))


def _text(comm: bytes) -> str:
    return comm.decode("utf-8", "surrogateescape")
