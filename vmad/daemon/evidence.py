# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which source the daemon reads, and what it falls back on when that one hangs.

The open-coded BPF walk only ever tries for mmap_lock. The task_vma iterator waits for it, as long
as its holder likes, and holds up everything behind it: so it runs under a deadline, and when that
passes procfs takes over until the kernel lets go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vmad.config.schema import Config
from vmad.errors import EvidenceUnavailable
from vmad.model.kernel import KernelInfo
from vmad.model.process import Evidence, ProcessId, ProcessSummary, Unreadable
from vmad.model.table import VmaTable
from vmad.sources.bounded import BoundedReads, Stuck
from vmad.sources.choose import open_source
from vmad.sources.procfs.source import ProcfsSource
from vmad.sources.source import Census, Source, SourceHealth

#: seconds of walking that are granted per VMA of the host: 30 times what a slow machine takes
PER_VMA = 20e-6


@dataclass(frozen=True, slots=True)
class Opened:
    """A source, and for each kind of evidence why it cannot be had (None: it can)."""

    source: Source
    problems: dict[str, str | None]


def open_evidence(config: Config, proc: str = "/proc") -> Opened:
    """The evidence that the configuration asks for, or the best that works.

    Raises EvidenceUnavailable when none does.
    """
    scan = config.scan
    problems: dict[str, str | None] = {}
    if scan.evidence in ("auto", "kernel"):
        try:
            source = open_source("kernel", None, proc)
        except EvidenceUnavailable as error:
            problems["kernel"] = str(error)
            if scan.evidence == "kernel":
                raise
        else:
            problems |= {"kernel": None, "procfs": None}
            if source.health().walk == "task_vma":
                source = DeadlineSource(source, scan.deadline)
            return Opened(source, problems)
    source = ProcfsSource(proc, page_budget=scan.page_budget, deadline=scan.deadline)
    problems["procfs"] = None
    return Opened(source, problems)


class Hung(Exception):
    """The source does not answer; another one has to serve meanwhile."""


class DeadlineSource:
    """A source whose reads may block, each bounded in time. Raises Hung."""

    def __init__(self, source: Source, deadline: float) -> None:
        self._source = source
        self._deadline = deadline
        self._reads = BoundedReads(1, deadline)

    @property
    def evidence(self) -> Evidence:
        """As the source behind it."""
        return self._source.evidence

    @property
    def kernel(self) -> KernelInfo:
        """As the source behind it."""
        return self._source.kernel

    @property
    def max_map_count(self) -> int | None:
        """As the source behind it."""
        return self._source.max_map_count

    def census(self) -> Census:
        """As the source behind it: takes no lock of a target."""
        return self._source.census()

    def summarise(self, processes: Iterable[ProcessId]) -> Iterator[ProcessSummary | Unreadable]:
        """As the source behind it."""
        asked = list(processes)
        total = int(self.census()["map_count"].sum())
        self._reads.deadline = self._deadline + total * PER_VMA
        try:
            found = self._reads.run(lambda _: list(self._source.summarise(asked)))
        except Stuck as error:
            raise Hung(f"the {self._source.health().walk} walk hangs") from error
        yield from found

    def table(self, process: ProcessId) -> VmaTable:
        """As the source behind it."""
        try:
            return self._reads.run(lambda _: self._source.table(process))
        except Stuck as error:
            raise Hung(f"the {self._source.health().walk} walk hangs") from error

    def health(self) -> SourceHealth:
        """As the source behind it."""
        return self._source.health()

    def close(self) -> None:
        """Close what can be closed."""
        self._reads.close()
        self._source.close()
