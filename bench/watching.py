# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What watched programs pay: for failures at the limit and for bursts, call by call."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from bench.children import built
from bench.figures import Asked, Figure
from bench.plan import Plan
from bench.ratios import paired, spread
from vmad.errors import EvidenceUnavailable
from vmad.model.kernel import running_kernel
from vmad.sources.bpf.bursts import KernelBursts
from vmad.sources.bpf.failures import KernelFailures
from vmad.sources.maximum import read_max_map_count

#: turns in one piece: some hundred microseconds
TURNS = 300
CALLS = {
    "mmap": "mmap and munmap of a page",
    "written": "the same, written to",
    "mprotect": "mprotect of a page",
    "getppid": "getppid",
}
_METHOD = (
    "bench/calls.c, a program that makes the call again and again, without and with in turn; "
    "the lowest of {pieces} pieces of {turns} turns each."
)


class _Watching(Protocol):
    way: str

    def close(self) -> None:
        """Detach."""


def measure(plan: Plan) -> list[Figure]:
    """The figures of this part."""
    program = built("calls.c", "vmad-calls")
    limit = read_max_map_count()
    return [
        *_figures("failures", lambda: KernelFailures(running_kernel(), limit), None, program, plan),
        *_figures("bursts", lambda: KernelBursts(limit), Asked("<=", 1.03), program, plan),
    ]


def _figures(
    what: str,
    start: Callable[[], _Watching],
    asked: Asked | None,
    program: Path,
    plan: Plan,
) -> list[Figure]:
    """One for each call; ``asked`` is asked of the first."""
    method = _METHOD.format(pieces=plan.watched_pieces, turns=TURNS)
    without: dict[str, list[float]] = {call: [] for call in CALLS}
    watched: dict[str, list[float]] = {call: [] for call in CALLS}
    step = plan.step(what)
    try:
        for done in range(plan.watched_rounds):
            step(done)
            for call in CALLS:
                without[call].append(nanoseconds(program, call, plan))
            watching = start()
            for call in CALLS:
                watched[call].append(nanoseconds(program, call, plan))
            way = watching.way
            watching.close()
    except EvidenceUnavailable as error:
        return [
            Figure(f"{what}-{call}", f"{text}, {what} watched", "", None, None, method, str(error))
            for call, text in CALLS.items()
        ]
    return [
        Figure(
            f"{what}-{call}",
            f"{text}, {what} watched ({way})",
            "",
            asked if call == "mmap" else None,
            paired(watched[call], without[call]),
            method,
            extra={
                "without_ns": spread(without[call]).median,
                "watched_ns": spread(watched[call]).median,
            },
        )
        for call, text in CALLS.items()
    ]


def nanoseconds(program: Path, call: str, plan: Plan) -> float:
    """What one turn of this call takes in a program of its own."""
    command = [str(program), call, str(plan.watched_pieces), str(TURNS)]
    return float(subprocess.run(command, capture_output=True, check=True).stdout)
