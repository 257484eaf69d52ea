# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A source made of tables, and captures recorded from it by the program's own writer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from vmad.errors import ProcessGone
from vmad.model.kernel import KernelInfo
from vmad.model.process import Evidence, ProcessId, ProcessSummary, Unreadable
from vmad.model.table import VmaTable
from vmad.rules.counting import Counting
from vmad.sources.capture import CaptureSource
from vmad.sources.capture_writer import CaptureWriter
from vmad.sources.recording import Recorded, record
from vmad.sources.redaction import Redaction
from vmad.sources.source import CENSUS_ROW, Census, SourceBase, SourceHealth

KERNEL = KernelInfo("6.1.0-56-amd64", page_shift=12)
KEY = b"tests"


class TablesSource(SourceBase):
    """What these tables hold, as a source. ``gone`` are pids in the census that exited since."""

    evidence = Evidence.KERNEL
    max_map_count: int | None = 65530

    def __init__(
        self, tables: Iterable[VmaTable], kernel: KernelInfo = KERNEL, gone: Iterable[int] = ()
    ) -> None:
        self.kernel = kernel
        self._tables = {table.id: table for table in tables}
        self._gone = [ProcessId(pid, 1) for pid in gone]

    def find(self, pid: int) -> ProcessId:
        """The table's process."""
        return next(process for process in self._tables if process.pid == pid)

    def census(self) -> Census:
        """Every table, and those who are gone."""
        census = np.zeros(len(self._tables) + len(self._gone), CENSUS_ROW)
        for row, table in zip(census, self._tables.values(), strict=False):
            comm = table.comm.encode("utf-8", "surrogateescape")
            row["pid"], row["start_time"] = table.id
            row["mm"], row["map_count"], row["comm"] = table.mm, len(table.rows), comm
            row["lock_seq"], row["total_vm"] = 7, 11
        for row, process in zip(census[len(self._tables) :], self._gone, strict=True):
            row["pid"], row["start_time"], row["map_count"] = *process, -1
        return census

    def sample(self) -> Census:
        """The census."""
        return self.census()

    def summarise(self, processes: Iterable[ProcessId]) -> Iterator[ProcessSummary | Unreadable]:
        """Count the tables."""
        counting = Counting(self.kernel)
        for process in processes:
            yield counting.summary(self.table(process))

    def table(self, process: ProcessId) -> VmaTable:
        """The table."""
        if process not in self._tables:
            raise ProcessGone(f"process {process.pid} is gone")
        return self._tables[process]

    def health(self) -> SourceHealth:
        """Nothing was walked."""
        return SourceHealth("open-coded")

    def close(self) -> None:
        """Nothing to give back."""


def capture(
    path: Path,
    tables: Iterable[VmaTable],
    *,
    names: bool = True,
    gone: Iterable[int] = (),
    kernel: KernelInfo = KERNEL,
) -> Recorded:
    """Record ``tables`` into ``path``."""
    redaction = None if names else Redaction(KEY)
    with CaptureWriter(str(path), redaction) as writer:
        return record(TablesSource(tables, kernel, gone), writer, None, lambda done, total: None)


def reopened(path: Path, tables: Iterable[VmaTable], *, names: bool = True) -> CaptureSource:
    """Record ``tables`` and open what was recorded."""
    capture(path, tables, names=names)
    return CaptureSource(str(path))
