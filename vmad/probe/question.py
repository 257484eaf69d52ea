# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One boundary: may it be asked about, by which calls, and is everything else as before.

Pure functions over what a Sight shows; nothing here touches a process.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmad.model.flags import SOFTDIRTY, VM_SPECIAL
from vmad.model.verdict import Direction, Verdict
from vmad.probe.sight import Seen
from vmad.probe.toggle import Toggle, choose_toggle
from vmad.rules.stock import StockRules


@dataclass(frozen=True, slots=True)
class Step:
    """A toggle of one whole VMA; ``side`` is "a" (below the boundary) or "b"."""

    side: str
    start: int
    length: int
    toggle: Toggle


@dataclass(frozen=True, slots=True)
class Question:
    """A pair that may be asked about: the steps in order, until the boundary is gone."""

    a: Seen
    b: Seen
    steps: tuple[Step, ...]


def pose(
    seen: list[Seen], boundary: int, rules: StockRules, room: int | None, room_needed: int = 1
) -> Question | str:
    """The question to ask at a boundary, or the reason why it is not asked.

    ``seen`` is what Sight.around gives; ``room`` is max_map_count - map_count, None unknown.
    """
    pair = _pair_at(seen, boundary)
    if isinstance(pair, str):
        return pair
    index = pair
    a, b = seen[index - 1], seen[index]
    if (a.flags | b.flags) & VM_SPECIAL:
        return "VM_SPECIAL: the kernel never merges these, and some refuse the hint back"
    if (a.flags ^ b.flags) & SOFTDIRTY:
        return "soft-dirty on one side only: a merge could lose the mark (before 7.x)"
    if room is not None and room < room_needed:
        return (
            "too little room below vm.max_map_count: a split that the restoring might need "
            "would fail"
        )
    steps = []
    for side in _sides(b, rules):
        at = index - 1 if side == "a" else index
        each = seen[at]
        neighbours = []
        if at and seen[at - 1].end == each.start:
            neighbours.append(seen[at - 1].flags)
        if at + 1 < len(seen) and seen[at + 1].start == each.end:
            neighbours.append(seen[at + 1].flags)
        toggle = choose_toggle(each.flags, *neighbours)
        if toggle is not None:
            steps.append(Step(side, each.start, each.end - each.start, toggle))
    if not steps:
        return "every harmless hint is carried by a neighbour already"
    return Question(a, b, tuple(steps))


def _pair_at(seen: list[Seen], boundary: int) -> int | str:
    """Index of the upper VMA, or why there is no pair."""
    for index, each in enumerate(seen):
        if each.start < boundary < each.end:
            return f"no VMA begins at {boundary:#x}: it lies inside {each.start:#x}-{each.end:#x}"
        if each.start == boundary:
            if not index or seen[index - 1].end != boundary:
                return f"nothing ends at {boundary:#x}: the VMA there has no neighbour below"
            a = seen[index - 1]
            if not (a.anonymous and each.anonymous):
                return f"no pair at {boundary:#x}: not both sides are private and anonymous"
            return index
    return f"no VMA begins at {boundary:#x}"


def _sides(b: Seen, rules: StockRules) -> tuple[str, ...]:
    """Which sides to operate on, in order: from 6.16 either does (879bca0a2c4f)."""
    if b.facts is not None:
        judgement = rules.judge(b.facts)
        if judgement.verdict is Verdict.MERGEABLE:
            return ("a",) if judgement.direction is Direction.A else ("b",)
    return ("b",) if rules.era.symmetric_anon_vma else ("b", "a")


def merged(after: list[Seen], boundary: int) -> bool:
    """Whether a VMA spans the boundary."""
    return any(each.start < boundary < each.end for each in after)


def unexpected(before: list[Seen], after: list[Seen], ignored: int) -> list[str]:
    """Differences other than merges of neighbours; ``ignored`` flags may be lost in a merge.

    Both lists cover the same range, ascending.
    """
    problems = []
    left = list(before)
    for now in after:
        members = []
        while left and left[0].end <= now.end:
            members.append(left.pop(0))
        if not members or members[0].start != now.start or members[-1].end != now.end:
            problems.append(f"{now.start:#x}-{now.end:#x} is made of none of the VMAs before")
            continue
        for was in members:
            if (was.flags ^ now.flags) & ~ignored:
                problems.append(
                    f"{was.start:#x}-{was.end:#x}: flags {was.flags:#x} became {now.flags:#x}"
                )
        problems += _anon_vma_problem(members, now)
    problems += [f"{was.start:#x}-{was.end:#x} is gone" for was in left]
    return problems


def _anon_vma_problem(members: list[Seen], now: Seen) -> list[str]:
    if now.anon_vma is None:
        return []
    had = {was.anon_vma for was in members} - {0}
    place = f"{now.start:#x}-{now.end:#x}"
    if had and now.anon_vma not in had:
        return [f"{place}: another anon_vma than before"]
    if not had and now.anon_vma:
        return [f"{place}: has an anon_vma that it had not before"]
    if now.pgoff != members[0].pgoff:
        return [f"{place}: page offset {members[0].pgoff} became {now.pgoff}"]
    return []
