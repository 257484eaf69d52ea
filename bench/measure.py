# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a piece of work costs, in wall time and CPU time, and doing several in turn."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.ratios import Spread, paired, spread, worse


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds."""

    wall: float
    cpu: float


def cost_of(work: Callable[[], object], times: int = 1) -> Cost:
    """Of one of ``times`` calls: all threads of this process and the children it waited for."""
    before, began = _cpu(), time.perf_counter()
    for _ in range(times):
        work()
    return Cost((time.perf_counter() - began) / times, (_cpu() - before) / times)


def _cpu() -> float:
    # of other processes the kernel keeps user and system time only in sum to the nanosecond
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def cpu_seconds_of(pid: int) -> float:
    """CPU seconds that all threads of a process have spent, to the nanosecond.

    The clock of another process: clock_getcpuclockid(3), include/linux/posix-timers_types.h.
    """
    return time.clock_gettime(~pid << 3 | 2)


def in_turn(
    subjects: Mapping[str, Callable[[], Cost]],
    rounds: int,
    step: Callable[[int], None] = lambda done: None,
) -> dict[str, list[Cost]]:
    """Each subject once per round, after one round that does not count."""
    for measure in subjects.values():
        measure()
    costs: dict[str, list[Cost]] = {name: [] for name in subjects}
    for done in range(rounds):
        step(done)
        for name, measure in subjects.items():
            costs[name].append(measure())
    return costs


@dataclass(frozen=True, slots=True)
class CostRatio:
    """One cost in terms of another, by both clocks."""

    wall: Spread
    cpu: Spread

    @property
    def judged(self) -> Spread:
        """The worse one."""
        return worse(self.wall, self.cpu)


def cost_ratio(ours: list[Cost], theirs: list[Cost]) -> CostRatio:
    """Round by round."""
    return CostRatio(
        paired([cost.wall for cost in ours], [cost.wall for cost in theirs]),
        paired([cost.cpu for cost in ours], [cost.cpu for cost in theirs]),
    )


def milliseconds(costs: list[Cost], name: str) -> dict[str, float]:
    """Medians, named for ``Figure.extra``."""
    return {
        f"{name}_wall_ms": spread([cost.wall for cost in costs]).median * 1e3,
        f"{name}_cpu_ms": spread([cost.cpu for cost in costs]).median * 1e3,
    }
