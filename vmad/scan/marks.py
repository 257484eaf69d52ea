# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The high-water marks of groups, which outlive the processes that made them.

Of each group a falling staircase is kept: a mark stays until a later one is as high, or until it
is older than the window. So the highest count of any time up to now is known, in a few numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

#: groups whose marks are kept; beyond them the lowest go, a quarter at a time
MOST_GROUPS = 512
#: steps of one staircase; beyond them the two that differ least become one
MOST_STEPS = 16


@dataclass(frozen=True, slots=True)
class Mark:
    """``count`` VMAs that one process last had at ``at`` (Unix seconds)."""

    count: int
    at: float


class Marks:
    """Marks by group, each kept for ``keep`` seconds. Not safe for concurrent use."""

    def __init__(self, keep: float, left: Mapping[str, Sequence[Mark]] | None = None) -> None:
        self.keep = keep
        # oldest and highest first: counts fall strictly, times do not fall
        self._steps: dict[str, list[Mark]] = {}
        for group, steps in (left or {}).items():
            for step in sorted(steps, key=lambda step: step.at):
                self.mark(group, step.count, step.at)
        #: whether a group's mark has risen since somebody set this to False
        self.risen = False

    def mark(self, group: str, count: int, at: float) -> None:
        """A process of ``group`` had ``count`` VMAs at ``at``, later than all before it: what is of
        a time to come, as after the clock was set back, is taken to be of then.
        """
        steps = self._steps.get(group)
        if steps is None:
            self._make_room()
            steps = self._steps[group] = []
        if not steps or count > steps[0].count:
            self.risen = True
        if steps and steps[-1].at > at:
            steps[:] = [Mark(step.count, min(step.at, at)) for step in steps]
        while steps and steps[-1].count <= count:
            steps.pop()
        steps.append(Mark(count, at))
        if len(steps) > MOST_STEPS:
            _join_the_closest(steps)

    def expire(self, now: float) -> None:
        """Drop what is older than the window. What is of a time to come is taken to be of now."""
        oldest = now - self.keep
        for group, steps in list(self._steps.items()):
            if steps[0].at >= oldest and steps[-1].at <= now:
                continue
            kept = [Mark(step.count, min(step.at, now)) for step in steps if step.at >= oldest]
            if kept:
                self._steps[group] = kept
            else:
                del self._steps[group]

    def groups(self) -> Collection[str]:
        """Those that have a mark."""
        return self._steps.keys()

    def highest(self, group: str, since: float = 0.0) -> int | None:
        """The highest count at ``since`` (Unix seconds) or later; None without any."""
        steps = self._steps.get(group, ())
        return next((step.count for step in steps if step.at >= since), None)

    def last_at(self, group: str, count: float) -> float | None:
        """When a process of the group last had ``count`` VMAs or more (Unix seconds)."""
        steps = self._steps.get(group, ())
        return next((step.at for step in reversed(steps) if step.count >= count), None)

    def leave(self) -> dict[str, tuple[Mark, ...]]:
        """What another one may go on with."""
        return {group: tuple(steps) for group, steps in self._steps.items()}

    def _make_room(self) -> None:
        if len(self._steps) >= MOST_GROUPS:
            lowest = sorted(self._steps, key=lambda group: self._steps[group][0].count)
            for group in lowest[: MOST_GROUPS // 4]:
                del self._steps[group]


def _join_the_closest(steps: list[Mark]) -> None:
    """Two neighbours become one that is as high as the higher and as late as the later one."""
    number = min(range(len(steps) - 1), key=lambda n: steps[n].count - steps[n + 1].count)
    steps[number : number + 2] = [Mark(steps[number].count, steps[number + 1].at)]
