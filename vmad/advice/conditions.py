# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a record may ask of a process beyond its pattern and programs, as why it does not fit."""

from __future__ import annotations

from vmad.advice.pattern import Pattern
from vmad.advice.record import Test
from vmad.advice.situation import PatternCount, Situation
from vmad.model.program import Version

#: glibc maps blocks of this size and more on their own (M_MMAP_THRESHOLD, mallopt(3))
MMAP_THRESHOLD = 128 << 10
#: share of the pattern's VMAs that must be recoverable for a kernel or a rebuild to be worth it
WORTHWHILE = 0.05
#: share of pieces beyond which their sizes are no chance: of malloc's, one in 16 is a multiple
MOSTLY_ROUND = 0.5


def gain(situation: Situation, rules: str) -> int | None:
    """VMAs that these rules ("relaxed", "rebuild") recover and stock does not; None: unknown."""
    count, stock = situation.recoverable.get(rules), situation.recoverable.get("stock")
    if count is None:
        return None
    return count - (stock or 0) if rules == "relaxed" else count


def recovers_little(situation: Situation, pattern: PatternCount, rules: str) -> str | None:
    """Why these rules are not worth it; None where they are."""
    gained = gain(situation, rules)
    if gained is None:
        return "the evidence does not tell what it would recover"
    if gained <= 0:
        return "it would recover nothing here"
    if gained < pattern.vmas * WORTHWHILE:
        return f"it would recover {gained:,} VMAs, too few of {pattern.vmas:,}"
    return None


def kernel_before(until: Version) -> Test:
    """It is about older kernels."""

    def why_not(situation: Situation, pattern: PatternCount) -> str | None:
        del pattern
        if situation.kernel[:2] >= until:
            return f"Linux {until[0]}.{until[1]} has it already"
        return None

    return why_not


def kernel_from(since: Version) -> Test:
    """It needs what older kernels have not."""

    def why_not(situation: Situation, pattern: PatternCount) -> str | None:
        del pattern
        if situation.kernel[:2] < since:
            return f"it needs Linux {since[0]}.{since[1]}"
        return None

    return why_not


def large_blocks(situation: Situation, pattern: PatternCount) -> str | None:
    """The blocks are those that malloc maps on their own, or they were moved by realloc.

    What lies between holes that realloc left is of any size: what it moved tells.
    """
    pattern = _moved_from_between(situation, pattern) or pattern
    if pattern.median_size is not None and pattern.median_size < MMAP_THRESHOLD:
        return "the pieces are smaller than what malloc maps on its own"
    if pattern.round_share is not None and pattern.round_share > MOSTLY_ROUND:
        return "the pieces are multiples of 64 KiB, as malloc's blocks with their headers are not"
    return None


def unmapped(situation: Situation, pattern: PatternCount) -> str | None:
    """Holes were unmapped, and not left behind by what moved away."""
    if _moved_from_between(situation, pattern) is not None:
        return "mremap moved away what lay between the pieces"
    return None


def _moved_from_between(situation: Situation, pattern: PatternCount) -> PatternCount | None:
    """What left the holes of a process in which half as many pieces were moved, or more."""
    if pattern.pattern is not Pattern.HOLES:
        return None
    moved = (count for count in situation.patterns if count.pattern is Pattern.MOVED)
    return next((count for count in moved if count.vmas * 2 >= pattern.vmas), None)


def shared_and_apart(situation: Situation, pattern: PatternCount) -> str | None:
    """Where pages are shared with a child or parent, the pieces have anon_vmas of their own, too:
    they would stay apart when nobody shares them any more.
    """
    del situation
    if pattern.pattern is Pattern.FORKED and "anon_vma_shared" not in pattern.reasons:
        return "the pieces have one anon_vma, which a fork keeps from merging"
    return None
