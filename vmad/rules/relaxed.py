# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The relaxed rules: what a kernel with the anon_vma series does with a pair."""

from __future__ import annotations

from vmad.model import facts as f
from vmad.model.verdict import Direction, Judgement, Verdict
from vmad.rules.base import Rules
from vmad.rules.conditions import (
    AnonVmas,
    anon_vmas,
    blockers,
    open_questions,
)
from vmad.rules.stock import anon_vma_reasons, direction, pgoff_reasons


class RelaxedRules(Rules):
    """Stock rules of a release, with two conditions lifted, as the series of 2026-11-30 does.

    Different anon_vmas and a page offset that does not continue no longer block when at least
    one side is exclusive: the series re-points that side's pages to the other's anon_vma and
    offset (Matena's RFC of 2022, "Removing limitations of merging anonymous VMAs"), unless the
    other is a fork child's. A side that was never written to takes any offset.
    """

    name = "relaxed"

    def _decide(self, facts: int) -> Judgement:
        avs = anon_vmas(facts)
        reasons = blockers(facts, self.era, self._codes)
        reasons += surviving_reasons(facts, avs)
        if reasons:
            return Judgement(Verdict.BLOCKED, tuple(reasons))
        questions = anon_vma_questions(facts, avs)
        movable = avs is not None and (avs.offset_free or avs.apart is False)
        questions += open_questions(facts, self.era, pgoff_matters=not movable)
        if avs is None or questions:
            return Judgement(Verdict.UNKNOWN, tuple(questions))
        if avs.differ or facts & f.PGOFF:
            # the series absorbs whichever side can be, so both sides may be operated on
            return Judgement(Verdict.MERGEABLE, direction=Direction.EITHER)
        return Judgement(Verdict.MERGEABLE, direction=direction(avs, self.era))


def surviving_reasons(facts: int, avs: AnonVmas | None) -> list[str]:
    """Anon_vma and page offset reasons that the series certainly does not lift."""
    if avs is None or not (avs.beside_fork_child or avs.apart):
        return []
    return anon_vma_reasons(avs) + pgoff_reasons(facts, avs)


def anon_vma_questions(facts: int, avs: AnonVmas | None) -> list[str]:
    """What is open about the anon_vmas and could block: no reason or one."""
    if avs is None:
        return ["anon_vma_unknown"]
    hinges = avs.differ or facts & (f.PGOFF | f.UNKNOWN_PGOFF)
    return ["anon_vma_exclusive_unknown"] if avs.apart is None and hinges else []
