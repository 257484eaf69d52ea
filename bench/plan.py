# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How much is measured: the whole, or a smoke run that only shows that the bench works."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes and numbers of rounds. Times are seconds."""

    large_vmas: int = 60_000
    small_processes: int = 500
    rounds: int = 15
    slow_rounds: int = 3
    samples: int = 20
    sample_pause: float = 1.0
    many_processes: int = 8_000
    intervals: int = 10
    interval: float = 15.0
    million_processes: int = 20
    million_vmas_each: int = 50_000
    million_rounds: int = 7
    latency_rounds: int = 15
    latency_seconds: float = 0.3
    traced_seconds: float = 1.5
    watched_rounds: int = 7
    watched_pieces: int = 800
    rebuilds: int = 100
    rebuild_rounds: int = 5
    rebuild_smaller: int = 1
    rebuild_seconds: float = 4.0

    def step(self, what: str) -> Callable[[int], None]:
        """A progress line per round, on stderr."""

        def show(done: int) -> None:
            print(f"  {what}: round {done + 1}", file=sys.stderr, flush=True)

        return show


#: a second or two per part; its figures mean nothing
QUICK = Plan(
    large_vmas=2_000,
    small_processes=10,
    rounds=2,
    slow_rounds=1,
    samples=2,
    sample_pause=0.05,
    many_processes=100,
    intervals=2,
    interval=1.0,
    million_processes=2,
    million_vmas_each=2_000,
    million_rounds=2,
    latency_rounds=2,
    latency_seconds=0.05,
    traced_seconds=0.1,
    watched_rounds=1,
    watched_pieces=20,
    rebuilds=2,
    rebuild_rounds=1,
    rebuild_smaller=64,
    rebuild_seconds=1.0,
)
