# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One address space counted: rows become the summary that a live source makes while it walks."""

from __future__ import annotations

import numpy as np

from vmad.model.kernel import KernelInfo
from vmad.model.kinds import KIND_COUNT
from vmad.model.process import ProcessSummary
from vmad.model.table import VmaTable
from vmad.rules.relaxed import RelaxedRules
from vmad.rules.runs import recoverable
from vmad.rules.stock import StockRules


class Counting:
    """Counts tables; what would be recovered is counted by the rules of ``kernel``."""

    def __init__(self, kernel: KernelInfo) -> None:
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
            recoverable(table, self._stock),
            recoverable(table, self._relaxed),
            table.mm,
        )
