# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Keeps each process's highest map_count between two samples, where the kernel lets BPF see it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from vmad.config.schema import Config
from vmad.daemon.limit_log import PeakSeen
from vmad.errors import EvidenceUnavailable
from vmad.model.process import ProcessId
from vmad.scan.crossings import NEAR
from vmad.sources.maximum import read_max_map_count

if TYPE_CHECKING:
    from vmad.sources.bpf.bursts import KernelBursts

log = logging.getLogger("vmad")


class Marked(Protocol):
    """What is told of the highest counts: a scanner's samples."""

    def mark(self, process: ProcessId, comm: str, count: int, cgroup: bytes | None = None) -> None:
        """A process, which may be gone by now, had so many VMAs."""

    def group_of(self, process: ProcessId, comm: str, cgroup: bytes | None = None) -> str:
        """What it counts under."""

    @property
    def most(self) -> int | None:
        """The most VMAs that a process had in the newest sample; None unknown."""


class BurstWatching:
    """The programs, where they are wanted and can be had. ``why_not`` says in one line why not."""

    def __init__(self, config: Config, proc: str = "/proc") -> None:
        self.why_not: str | None = None
        self._proc = proc
        self._kernel: KernelBursts | None = None
        if config.scan.bursts == "off":
            self.why_not = "switched off (scan.bursts)"
            return
        from vmad.sources.bpf.bursts import KernelBursts  # noqa: PLC0415  libbpf

        try:
            self._kernel = KernelBursts(
                read_max_map_count(proc), on_demand=config.scan.bursts != "always"
            )
        except EvidenceUnavailable as error:
            self.why_not = str(error)
            log.info("scan.bursts: map_count is sampled only: %s", error)
            return
        log.info("highest counts are kept by BPF (%s)", self._kernel.way)

    def try_reading(self) -> None:
        """Ask the kernel as later on. Raises EvidenceUnavailable where a right is missing."""
        if self._kernel is not None:
            self._kernel.try_reading()

    def mark(self, samples: Marked, limit: int | None = None) -> list[PeakSeen]:
        """Tell of what has risen since the last time; returns that of it which is near ``limit``,
        which is as LimitFailures.take has it.
        """
        if self._kernel is None:
            return []
        limit = read_max_map_count(self._proc) if limit is None else limit
        self._kernel.limit_is(limit)
        try:
            self._kernel.most_is(samples.most)
            peaks = self._kernel.read()
        except EvidenceUnavailable as error:
            self.why_not = str(error)
            return []
        self.why_not = None
        seen = []
        for peak in peaks:
            who = peak.who
            samples.mark(who.process, who.comm, peak.map_count, who.cgroup)
            if limit and peak.map_count >= NEAR * limit:
                group = samples.group_of(who.process, who.comm, who.cgroup)
                seen.append(PeakSeen(who.process, who.comm, group, peak.map_count))
        return seen
