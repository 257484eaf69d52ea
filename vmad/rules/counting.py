# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One address space counted: rows become the summary that a live source makes while it walks."""

from __future__ import annotations

import numpy as np

from vmad.model.kernel import KernelInfo
from vmad.model.kinds import KIND_COUNT
from vmad.model.process import ProcessSummary
from vmad.model.table import VmaTable, histogram_of
from vmad.rules.kernel_rules import KernelRules


class Counting:
    """Counts tables; what would be recovered is counted by the rules of ``kernel``."""

    def __init__(self, kernel: KernelInfo) -> None:
        self._rules = KernelRules.of(kernel)

    def summary(self, table: VmaTable) -> ProcessSummary:
        """The histogram of the pairs' facts, VMAs by kind, and what merging recovers."""
        return ProcessSummary(
            table.id,
            table.comm,
            table.map_count,
            tuple(np.bincount(table.rows["kind"], minlength=KIND_COUNT).tolist()),
            histogram_of(table.rows),
            self._rules.merges_of(table),
            table.mm,
        )
