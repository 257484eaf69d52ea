# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Situations in which a record must be chosen."""

from __future__ import annotations

from collections.abc import Iterator

from vmad.advice.pattern import TEXTS, Pattern
from vmad.advice.record import Advice
from vmad.advice.situation import PatternCount, Situation
from vmad.model.program import Program, Recognised

VMAS = 10_000
KERNELS = ((5, 15), (6, 1), (6, 18))


def situation(
    pattern: Pattern,
    programs: tuple[Recognised, ...] = (),
    *,
    kernel: tuple[int, int] = (6, 18),
    reasons: tuple[str, ...] = (),
    gain: int = 0,
    size: int = 1 << 20,
) -> Situation:
    """One pattern makes up all; ``gain`` VMAs are recoverable by whatever is not stock."""
    named = reasons or tuple(each for each in TEXTS[pattern].reasons if not each.endswith(":"))
    counts = (PatternCount(pattern, VMAS, dict.fromkeys(named, VMAS), size, VMAS),)
    recoverable = {"stock": 0, "relaxed": gain, "rebuild": gain}
    return Situation(counts, programs, kernel, recoverable, VMAS)


def recognised(program: Program, version: tuple[int, ...] | None = None) -> Recognised:
    """The program, told by a test."""
    return Recognised(program, version, "a test says so")


def made_for(record: Advice) -> Iterator[Situation]:
    """Every situation that the record says it is for: each pattern, program and kernel."""
    programs: list[tuple[Recognised, ...]] = [
        (recognised(program, record.since),) for program in record.programs
    ]
    for pattern in record.patterns:
        for runs in programs or [()]:
            for kernel in KERNELS:
                some: list[tuple[str, ...]] = [(each,) for each in record.reasons]
                for reasons in some or [()]:
                    yield situation(pattern, runs, kernel=kernel, reasons=reasons, gain=VMAS)
