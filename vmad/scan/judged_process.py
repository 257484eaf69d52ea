# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is said of one process: what was counted just now, and what its newest walk found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from vmad.model.kinds import KIND_COUNT
from vmad.model.process import ProcessId, ProcessSummary
from vmad.model.verdict import PairKey
from vmad.scan.snapshot import JudgedProcess, Recoverable

UNDECIDED: Recoverable = {"stock": None, "relaxed": None}


class Counted(NamedTuple):
    """What changes without a walk. ``map_count`` and ``high_water`` are -1 where unknown."""

    map_count: int
    high_water: int
    rate: float | None
    limit: int | None


def counted_process(
    process: ProcessId, comm: str, group: str, counted: Counted, seconds_to_limit: float
) -> JudgedProcess:
    """A process of which only the count is known; ``seconds_to_limit`` is NaN where unknown."""
    count, high, rate, limit = counted
    return JudgedProcess(
        id=process,
        comm=comm,
        group=group,
        map_count=count if count >= 0 else None,
        ratio=count / limit if count >= 0 and limit else None,
        high_water=high if high >= 0 else None,
        rate=rate,
        seconds_to_limit=None if math.isnan(seconds_to_limit) else seconds_to_limit,
        kinds=(0,) * KIND_COUNT,
        pairs={},
        recoverable=UNDECIDED,
    )


def walked_process(
    counted: JudgedProcess,
    summary: ProcessSummary,
    pairs: Mapping[PairKey, int],
    walked_at: float,
) -> JudgedProcess:
    """The same with what a walk found at ``walked_at`` (Unix time, seconds)."""
    return replace(
        counted,
        kinds=summary.kinds,
        pairs=pairs,
        recoverable={
            "stock": summary.recoverable_stock,
            "relaxed": summary.recoverable_relaxed,
        },
        walked_at=walked_at,
    )
