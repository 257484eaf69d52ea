# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is said of one process: what was counted just now, and what its newest walk found."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

from vmad.model.kinds import KIND_COUNT
from vmad.model.process import ProcessId, ProcessSummary
from vmad.model.verdict import RULES, Recoverable
from vmad.rules.kernel_rules import Judged
from vmad.scan.snapshot import JudgedProcess

UNDECIDED: Recoverable = dict.fromkeys(RULES)


@lru_cache(maxsize=1024)
def shared_recoverable(*by_rules: tuple[str, int | None]) -> Recoverable:
    """Equal ones are one object, not to be changed: most processes have few recoverable VMAs."""
    return dict(by_rules)


class Counted(NamedTuple):
    """What changes without a walk. ``map_count`` and ``high_water`` are -1 where unknown, ``rate``
    (VMAs per second) and ``seconds_to_limit`` NaN. ``size`` is in bytes, negative where unknown.
    """

    map_count: int
    high_water: int
    rate: float
    seconds_to_limit: float
    limit: int | None
    size: int = -1


def counted_process(process: ProcessId, comm: str, group: str, counted: Counted) -> JudgedProcess:
    """A process of which only the count is known."""
    return JudgedProcess(
        process,
        comm,
        group,
        *_shown(counted),
        kinds=(0,) * KIND_COUNT,
        pairs={},
        recoverable=UNDECIDED,
        size=counted.size if counted.size >= 0 else None,
    )


def walked_process(
    summary: ProcessSummary,
    group: str,
    counted: Counted,
    judged: Judged,
    walked_at: float,
) -> JudgedProcess:
    """A process with what a walk found at ``walked_at`` (Unix time, seconds)."""
    # one call by position: a full scan makes one of these per process, and dataclasses.replace
    # takes ten times as long
    return JudgedProcess(
        summary.id,
        summary.comm,
        group,
        *_shown(counted),
        summary.kinds,
        judged.pairs,
        shared_recoverable(*summary.recoverable.items(), ("rebuild", judged.rebuild)),
        walked_at,
        counted.size if counted.size >= 0 else None,
    )


def _shown(
    counted: Counted,
) -> tuple[int | None, float | None, int | None, float | None, float | None]:
    """map_count, ratio, high_water, rate, seconds_to_limit; None where unknown (NaN)."""
    count, high, rate, seconds, limit, _ = counted
    return (
        count if count >= 0 else None,
        count / limit if count >= 0 and limit else None,
        high if high >= 0 else None,
        None if math.isnan(rate) else rate,
        None if math.isnan(seconds) else seconds,
    )
