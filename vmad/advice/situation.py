# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is known of a process when advice is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vmad.advice.pattern import Pattern
from vmad.model.program import Program, Recognised, Version


@dataclass(frozen=True, slots=True)
class PatternCount:
    """A pattern, and how much of the process it is.

    ``reasons`` counts every reason of its pairs, not the decisive ones alone. ``median_size`` is
    that of its writable pieces, bytes; ``round_share`` the part of them that are multiples of
    64 KiB; ``objects`` the number of different files or memory objects.
    """

    pattern: Pattern
    vmas: int
    reasons: Mapping[str, int] = field(default_factory=dict)
    median_size: int | None = None
    objects: int | None = None
    round_share: float | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """One process. ``recoverable`` counts VMAs by "stock", "relaxed" and "rebuild"; None: unknown.

    ``kernel`` is (major, minor) of the kernel that runs it.
    """

    patterns: tuple[PatternCount, ...]
    programs: tuple[Recognised, ...]
    kernel: Version
    recoverable: Mapping[str, int | None] = field(default_factory=dict)
    vmas: int = 0
    threads: int | None = None

    def recognised(self, program: Program) -> Recognised | None:
        """The program, where the process runs it."""
        return next((seen for seen in self.programs if seen.program is program), None)
