# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One piece of advice: what it is for, whose it is, what it costs, how it was seen to work."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from vmad.advice.pattern import Pattern
from vmad.model.program import Program, Version

if TYPE_CHECKING:
    from vmad.advice.situation import PatternCount, Situation

_REASONS_BEGIN = re.compile(r"[,:;.]( |$)| \(")
_NO_WORD = re.compile(r"[^a-z0-9]+")


class Whose(StrEnum):
    """Who can do it; the value is what a person sees."""

    OPERATOR = "operator"
    PROGRAMMER = "programmer"
    KERNEL = "kernel"


@dataclass(frozen=True, slots=True)
class Measured:
    """VMAs of one program before and after, as counted; ``like`` names program, load, kernel.

    ``atlas`` are the names of the atlas' rows (before, after), where `make atlas` measures it anew.
    """

    before: int
    after: int
    like: str
    atlas: tuple[str, str]

    @property
    def share(self) -> float:
        """Part of the VMAs that went away."""
        return 1 - self.after / self.before

    def __str__(self) -> str:
        """For a person."""
        return f"measured {self.before:,} to {self.after:,} ({self.like})"


@dataclass(frozen=True, slots=True)
class Documented:
    """From its documentation or a report; ``share`` is what may be hoped for, to rank it."""

    share: float = 0.3
    note: str = ""

    def __str__(self) -> str:
        """For a person."""
        return "from its documentation, not measured here" + (
            f" ({self.note})" if self.note else ""
        )


#: why a record does not fit, as words after "not shown: "; None where it fits
Test = Callable[["Situation", "PatternCount"], str | None]


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to change, told in the first words of ``text`` and reasoned in the rest.

    It is for the ``patterns``, in a process with one of ``programs`` (any where empty) from
    version ``since`` up to but without ``until``, and with none of ``without``; ``reasons`` narrow
    it to pairs that have one of them. ``recovers`` are the rules ("relaxed", "rebuild") by which
    vmad itself must count something to gain, which is all that it takes away. ``tests`` are asked
    last. ``source`` is a man page, a kernel file or commit, or an issue.
    """

    name: str
    text: str
    whose: Whose
    patterns: tuple[Pattern, ...]
    proof: Measured | Documented
    cost: str
    check: str
    source: str
    programs: tuple[Program, ...] = ()
    since: Version | None = None
    until: Version | None = None
    without: tuple[Program, ...] = ()
    reasons: tuple[str, ...] = ()
    recovers: str | None = None
    tests: tuple[Test, ...] = ()

    @property
    def in_short(self) -> str:
        """Its first words, up to where the reasons begin."""
        return _REASONS_BEGIN.split(self.text, maxsplit=1)[0]

    @property
    def anchor(self) -> str:
        """Its place in the runbook, after the #."""
        return f"change-{self.name}"

    @property
    def whom(self) -> str:
        """Program or person that it is for."""
        if self.programs:
            return ", ".join(program.value for program in self.programs[:2])
        return self.whose.value
