# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which source the daemon reads, and what it falls back on when that one hangs.

Where the walk may hang (see :mod:`vmad.sources.deadline`), procfs takes over until the kernel lets
go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmad.config.schema import Config
from vmad.errors import EvidenceUnavailable
from vmad.sources.choose import open_source
from vmad.sources.deadline import bounded
from vmad.sources.procfs.hidden import hidden_processes
from vmad.sources.source import Source

if TYPE_CHECKING:
    from vmad.sources.procfs.source import ProcfsSource


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
            # later, the right to load is given up
            source.load_all()
            return Opened(bounded(source, scan.deadline), problems)
    source = procfs_source(config, proc)
    problems["procfs"] = hidden_processes(proc)
    return Opened(source, problems)


def procfs_source(config: Config, proc: str = "/proc") -> ProcfsSource:
    """procfs evidence as it is configured. Raises EvidenceUnavailable."""
    from vmad.sources.procfs.source import ProcfsSource  # noqa: PLC0415  mostly not needed

    scan = config.scan
    return ProcfsSource(proc, page_budget=scan.page_budget, deadline=scan.deadline)
