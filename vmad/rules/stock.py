# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The stock rules: what an unpatched kernel of some release does with a pair."""

from __future__ import annotations

from vmad.model import facts as f
from vmad.model.facts import AnonVma
from vmad.model.verdict import Direction, Judgement, Verdict
from vmad.rules.base import Rules
from vmad.rules.conditions import (
    AnonVmas,
    anon_vmas,
    blockers,
    open_questions,
)
from vmad.rules.eras import Era


class StockRules(Rules):
    """is_mergeable_vma, is_mergeable_anon_vma and the page offset test of a kernel release.

    A name with "_shared" says that the patched kernel would block as well. Where it was not seen
    whether a side is exclusive, the names without are given: stock blocks either way, and sharing
    is not claimed without having been seen.
    """

    name = "stock"

    def _decide(self, facts: int) -> Judgement:
        avs = anon_vmas(facts)
        reasons = blockers(facts, self.era, self._codes)
        reasons += anon_vma_reasons(avs)
        reasons += pgoff_reasons(facts, avs)
        if reasons:
            return Judgement(Verdict.BLOCKED, tuple(reasons))
        questions = ["anon_vma_unknown"] if avs is None else []
        questions += open_questions(facts, self.era, pgoff_matters=True)
        if avs is None or questions:
            return Judgement(Verdict.UNKNOWN, tuple(questions))
        return Judgement(Verdict.MERGEABLE, direction=direction(avs, self.era))


def anon_vma_reasons(avs: AnonVmas | None) -> list[str]:
    """Why the anon_vmas block on a stock kernel: no reason or one."""
    if avs is None:
        return []
    if avs.differ:
        return ["anon_vma_shared" if avs.apart else "anon_vma_differs"]
    return ["anon_vma_chain_not_singular"] if avs.beside_fork_child else []


def pgoff_reasons(facts: int, avs: AnonVmas | None) -> list[str]:
    """Why the page offset blocks on a stock kernel: no reason or one."""
    if not facts & f.PGOFF:
        return []
    shared = avs is not None and (avs.apart or avs.beside_fork_child)
    return ["vm_pgoff_shared" if shared else "vm_pgoff"]


def direction(avs: AnonVmas, era: Era) -> Direction:
    """Which side must be operated on for a mergeable pair to merge.

    Up to 6.15 the chain of the neighbour is asked to be singular, and an empty one is not
    (list_is_singular, include/linux/list.h): with one side unfaulted, only an operation on that
    side merges. 6.16 (879bca0a2c4f) made the test symmetric.
    """
    if era.symmetric_anon_vma or not avs.one_unfaulted:
        return Direction.EITHER
    return Direction.A if avs.a is AnonVma.NONE else Direction.B
