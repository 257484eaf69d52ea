# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What rules say of a pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

#: rules that say what a kernel merges; every pair is counted under each
MERGE_RULES = ("stock", "relaxed")
RULES = (*MERGE_RULES, "rebuild")

#: VMAs that would vanish, by rules; None where the evidence leaves pairs undecided
Recoverable = Mapping[str, int | None]


class Verdict(StrEnum):
    """The value is what a person, the metrics and the JSON see."""

    MERGEABLE = "mergeable"  #: the kernel would merge them at its next attempt
    BLOCKED = "blocked"
    UNKNOWN = "unknown"  #: the evidence does not decide


class Direction(StrEnum):
    """Which side an operation must be on for the merge to happen (matters before 6.16)."""

    EITHER = "either"
    A = "a"  #: only an operation on the lower VMA
    B = "b"  #: only an operation on the upper VMA


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its reasons.

    ``reasons`` names every reason that applies, the decisive one first; empty when mergeable.
    ``direction`` is set when mergeable and None otherwise.
    """

    verdict: Verdict
    reasons: tuple[str, ...] = ()
    direction: Direction | None = None

    @property
    def decisive(self) -> str:
        """The one reason this pair is counted under: "latent" names for mergeable pairs."""
        if self.verdict is Verdict.MERGEABLE:
            return "latent" if self.direction is Direction.EITHER else "latent_one_sided"
        return self.reasons[0]


class PairKey(NamedTuple):
    """What pairs are counted under. The sum over one ``rules`` is the number of pairs."""

    rules: str  #: of MERGE_RULES
    verdict: str
    reason: str  #: the decisive one; "latent" or "latent_one_sided" when mergeable
