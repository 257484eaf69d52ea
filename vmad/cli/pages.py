# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Pages behind pairs, read from pagemap: of each pair that is shown, of a sample of each cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vmad.model.distinct import distinct
from vmad.model.table import Rows
from vmad.scan.explain import Explanation, main_causes
from vmad.scan.page_sample import PageSample, spread
from vmad.scan.repeats import Indices
from vmad.sources.bounded import BY_HAND, Stuck, no_answer
from vmad.sources.procfs.pagemap import PAGE_COUNTS, PAGE_SHIFT, page_counts

if TYPE_CHECKING:
    from vmad.export.explain_json import PairPages

#: pairs of one cause whose pages are looked at unasked
SAMPLE = 64
#: bytes of a VMA up to which its pages are looked at unasked: 8 bytes are read for each page
SAMPLE_LARGEST = 64 << 20
#: … and asked: a terabyte of reserved address space would take gigabytes of reading
LARGEST = 16 << 30


def pair_pages(explanation: Explanation, limit: int | None) -> PairPages:
    """Pages of both sides of the first ``limit`` pairs (None: of all), by boundary.

    None stands for what the kernel or our rights do not tell, and for VMAs above 16 GiB. Raises
    CannotRead, ProcessGone.
    """
    upper = explanation.pairs.upper[:limit]
    rows = distinct(np.concatenate([upper - 1, upper]))
    counts = _counted(explanation, rows, LARGEST)
    of_row = {
        row: {name: None if n < 0 else n for name, n in zip(_NAMES, counted, strict=True)}
        for row, counted in zip(rows.tolist(), counts.tolist(), strict=True)
    }
    starts = explanation.table.rows["start"][upper].tolist()
    return {
        start: {"a": of_row[row - 1], "b": of_row[row]}
        for start, row in zip(starts, upper.tolist(), strict=True)
    }


def sampled_pages(explanation: Explanation) -> dict[str, PageSample]:
    """Pages of a bounded sample of the pairs of each main cause, by reason.

    Raises CannotRead, ProcessGone.
    """
    samples = {}
    for cause in main_causes(explanation.causes):
        if cause.reason is None:
            continue
        upper = spread(cause.rows, SAMPLE)
        rows = distinct(np.concatenate([upper - 1, upper]))
        counts = _counted(explanation, rows, SAMPLE_LARGEST)
        looked_at = rows[counts["present"] >= 0]
        of_sample = explanation.table.rows[looked_at]
        samples[cause.reason] = PageSample(
            len(upper),
            cause.vmas,
            len(rows) - len(looked_at),
            int((of_sample["end"] - of_sample["start"]).sum()) >> PAGE_SHIFT,
            *(_sum(counts[name]) for name in ("present", "swapped", "shared")),
        )
    return samples


_NAMES = PAGE_COUNTS.names or ()


def _counted(explanation: Explanation, rows: Indices, largest: int) -> Rows:
    """PAGE_COUNTS of each row; -1 throughout for VMAs of more than ``largest`` bytes."""
    table = explanation.table
    start, end = table.rows["start"][rows], table.rows["end"][rows]
    counts = np.full(len(rows), -1, PAGE_COUNTS)
    few = end - start <= largest
    ranges = np.stack([start[few], end[few]], axis=1)
    try:
        counts[few] = BY_HAND.run(
            lambda tick: page_counts(table.id, ranges, kernel=explanation.kernel, tick=tick)
        )
    except Stuck as stuck:
        raise no_answer(f"/proc/{table.id.pid}/pagemap", stuck, BY_HAND.deadline) from stuck
    return counts


def _sum(column: Indices) -> int | None:
    """The sum of what is known; None when nothing is."""
    known = column[column >= 0]
    return int(known.sum()) if len(known) else None
