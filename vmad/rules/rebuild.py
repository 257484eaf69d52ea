# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The rebuild rules: which pairs become one VMA when a run is rebuilt by UFFDIO_MOVE."""

from __future__ import annotations

from collections.abc import Iterable

from vmad.model.flags import flag_masks
from vmad.model.verdict import Direction, Judgement, Verdict
from vmad.rules.base import Rules
from vmad.rules.conditions import blockers, open_questions

#: UFFDIO_MOVE (adef440691ba)
SINCE = (6, 8)


class RebuildRules(Rules):
    """Stock rules of a release, without the conditions on anon_vma and page offset.

    A rebuild (examples/rebuild) gives every page of a run the same new anon_vma and the index of
    its place, so neither can differ afterwards; all other conditions stay. It is refused page by
    page where somebody else holds one (a living forked child, a pin, KSM), which a pair's facts
    do not tell: the verdict says what a rebuild would join if none is.
    """

    name = "rebuild"

    @property
    def possible(self) -> bool:
        """Whether this kernel can move pages at all."""
        return self.kernel.version[:2] >= SINCE

    @property
    def unasked(self) -> int:
        """Raw flags that all memory of mmap has alike: on Arm, with a processor that has tags,
        VM_MTE_ALLOWED (arch_calc_vm_flag_bits); without one, none.
        """
        kernel = self.kernel
        return flag_masks(kernel.version[:2], kernel.machine).get("mt_allowed", 0)

    def _decide(self, facts: int) -> Judgement:
        reasons = blockers(facts, self.era, self._codes)
        if reasons:
            return Judgement(Verdict.BLOCKED, tuple(reasons))
        questions = open_questions(facts, self.era, pgoff_matters=False)
        if questions:
            return Judgement(Verdict.UNKNOWN, tuple(questions))
        return Judgement(Verdict.MERGEABLE, direction=Direction.EITHER)


def saved_by_rebuild(histogram: Iterable[tuple[int, int]], rules: RebuildRules) -> int | None:
    """VMAs that rebuilds would save, of pairs counted by facts (``ProcessSummary.facts``).

    Unlike merging, joining is transitive: a run of whatever length becomes one, so every pair that
    may be joined is a VMA saved. 0 on a kernel that cannot; None where a pair is undecided.
    """
    if not rules.possible:
        return 0
    saved = 0
    for facts, number in histogram:
        verdict = rules.judge(facts).verdict
        if verdict is Verdict.UNKNOWN:
            return None
        saved += number if verdict is Verdict.MERGEABLE else 0
    return saved
