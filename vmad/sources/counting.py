# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One address space counted: rows become the summary that a live source makes while it walks."""

from __future__ import annotations

import mmap

import numpy as np

from vmad.model.kernel import KernelInfo
from vmad.model.kinds import KIND_COUNT
from vmad.model.process import ProcessSummary
from vmad.model.table import VmaTable
from vmad.rules.relaxed import RelaxedRules
from vmad.rules.runs import recoverable
from vmad.rules.stock import StockRules
from vmad.sources.source import Source

#: log2 of this machine's page size in bytes
PAGE_SHIFT = mmap.PAGESIZE.bit_length() - 1


def page_shift_of(source: Source) -> int:
    """log2 of the page size where the tables of a source come from: a capture knows its own."""
    shift: int = getattr(source, "page_shift", PAGE_SHIFT)
    return shift


class Counting:
    """Counts tables; what would be recovered is counted by the rules of ``kernel``.

    ``page_shift`` is log2 of the page size of the machine that the tables come from.
    """

    def __init__(self, kernel: KernelInfo, page_shift: int) -> None:
        self._page_shift = page_shift
        self._stock = StockRules(kernel)
        self._relaxed = RelaxedRules(kernel)

    def summary(self, table: VmaTable) -> ProcessSummary:
        """The histogram of the pairs' facts, VMAs by kind, and what either rules recover."""
        rows = table.rows
        values, counts = np.unique(rows["facts"][rows["pair"] == 1], return_counts=True)
        return ProcessSummary(
            table.id,
            table.comm,
            table.map_count,
            tuple(np.bincount(rows["kind"], minlength=KIND_COUNT).tolist()),
            tuple(zip(values.tolist(), counts.tolist(), strict=True)),
            recoverable(table, self._stock, self._page_shift),
            recoverable(table, self._relaxed, self._page_shift),
            table.mm,
        )
