# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""An imagined host whose processes a test moves about, as a Source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from vmad.config.schema import Config
from vmad.model.kernel import KernelInfo
from vmad.model.kinds import KIND_COUNT
from vmad.model.process import Evidence, ProcessId, ProcessSummary, Unread, Unreadable
from vmad.model.table import VmaTable
from vmad.model.verdict import MERGE_RULES
from vmad.rules.vma_cost import TYPICAL, VmaCost
from vmad.scan.scanner import Scanner
from vmad.scan.snapshot import HostSnapshot
from vmad.sources.source import CENSUS_ROW, Census, SourceHealth
from vmad.sources.this_machine import ThisMachine

#: two neighbours of which nothing differs: mergeable by both rules
ALIKE = 0
KERNEL = KernelInfo("6.12.9", page_shift=12)


@dataclass
class Imagined:
    """One process. ``why`` makes its walk fail."""

    pid: int
    map_count: int = 100
    start_time: int = 1
    mm: int = 0
    comm: str = "imagined"
    lock_seq: int = 2
    facts: tuple[tuple[int, int], ...] = ()
    recoverable: int | None = 0
    why: Unread | None = None
    walks: int = 0
    pages: int | None = None  #: ten to a VMA unless told

    @property
    def total_vm(self) -> int:
        return self.map_count * 10 if self.pages is None else self.pages

    @property
    def id(self) -> ProcessId:
        return ProcessId(self.pid, self.start_time)


def census_of(processes: Iterable[Imagined], counts: bool = True) -> Census:
    """As the kernel's (``counts``), or as that of procfs."""
    rows = [
        (
            one.pid,
            one.start_time,
            (one.mm or one.pid * 4096) if counts else 0,
            one.map_count if counts else -1,
            one.lock_seq if counts else -1,
            one.total_vm,
            one.comm.encode(),
        )
        for one in sorted(processes, key=lambda one: one.pid)
    ]
    return np.array(rows, dtype=CENSUS_ROW)


@dataclass
class ImaginedHost(ThisMachine):
    """A Source. ``counts`` False: one that cannot count, as procfs. ``hidden`` is missed.

    No process of it is looked up in the real /proc.
    """

    processes: list[Imagined] = field(default_factory=list)
    counts: bool = True
    hidden: tuple[Unreadable, ...] = ()
    max_map_count: int | None = 65_530
    before_summaries: Callable[[], None] = lambda: None
    kernel: KernelInfo = KERNEL
    vma_cost: VmaCost | None = TYPICAL
    proc: str = "/nowhere"

    @property
    def evidence(self) -> Evidence:
        return Evidence.KERNEL if self.counts else Evidence.PROCFS

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        return self.hidden

    def __getitem__(self, pid: int) -> Imagined:
        return next(one for one in self.processes if one.pid == pid)

    def census(self) -> Census:
        return census_of(self.processes, self.counts)

    def sample(self) -> Census:
        return self.census()

    def summarise(self, processes: Iterable[ProcessId]) -> Iterator[ProcessSummary | Unreadable]:
        self.before_summaries()
        there = {one.id: one for one in self.processes}
        for process in processes:
            one = there.get(process)
            if one is None:
                yield Unreadable(process, "", Unread.GONE, "it exited")
                continue
            one.walks += 1
            if one.why is not None:
                yield Unreadable(process, one.comm, one.why, "as the test wants it")
                continue
            kinds = (one.map_count, *(0,) * (KIND_COUNT - 1))
            recoverable = dict.fromkeys(MERGE_RULES, one.recoverable if self.counts else None)
            yield ProcessSummary(
                process,
                one.comm,
                one.map_count,
                kinds,
                one.facts,
                recoverable,
                (one.mm or one.pid * 4096) if self.counts else 0,
            )

    def table(self, process: ProcessId) -> VmaTable:
        raise NotImplementedError

    def health(self) -> SourceHealth:
        return SourceHealth("imagined", sum(one.walks * one.map_count for one in self.processes))

    def close(self) -> None:
        return


def scanner_of(host: ImaginedHost, config: Config | None = None) -> Scanner:
    """One that has not scanned yet."""
    return Scanner(host, config or Config(), "host")


def scan(scanner: Scanner, full: bool = False, execed: tuple[int, ...] = ()) -> HostSnapshot:
    """Scan who is due, or everybody."""
    return scanner.scan(full, execed)


class Clock:
    """Unix seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def scanned_of(*processes: Imagined, counts: bool = True) -> tuple[ImaginedHost, Scanner, Clock]:
    """A host that was scanned once, and the clock that its scanner goes by."""
    host, clock = ImaginedHost(list(processes), counts=counts), Clock()
    scanner = Scanner(host, Config(), "host", clock=clock)
    scanner.scan(full=True)
    return host, scanner, clock
