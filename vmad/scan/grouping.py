# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Members to groups, under the cap: what did not change since the last scan is not added up."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from vmad.config.schema import OTHER
from vmad.scan.aggregate import (
    Member,
    Sums,
    add_up,
    add_up_groups,
    group_of,
    nearest_first,
    same_objects,
)
from vmad.scan.fold import fold
from vmad.scan.snapshot import GroupStats, JudgedProcess


@dataclass(frozen=True, slots=True)
class Whole:
    """All members added up. ``folded`` is the number of groups counted under ``other``.

    ``marked`` is what the marks of groups weigh, some of which may have no member any more.
    """

    members: tuple[Member, ...]
    processes: tuple[JudgedProcess, ...]  #: the worst first
    groups: tuple[GroupStats, ...]
    folded: int
    sums: Sums
    marked: Mapping[str, float] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()  #: the groups that are exported under their own names

    def exported_as(self, group: str) -> str:
        """The name under which a group is exported."""
        return group if group in self.kept else OTHER


class Grouping:
    """The groups of one host under a cap of ``max_groups``.

    ``vma_bytes`` of kernel memory is what each VMA takes there, None where it cannot be told.
    """

    def __init__(self, max_groups: int, vma_bytes: int | None) -> None:
        self._max_groups = max_groups
        self._vma_bytes = vma_bytes
        self._kept: frozenset[str] = frozenset()
        self._groups: dict[str, tuple[tuple[Member, ...], GroupStats]] = {}

    def add_up(
        self, members: tuple[Member, ...], marked: Mapping[str, float] | None = None
    ) -> Whole:
        """Groups whose members are what they were stay the same objects.

        A group is there while it has a mark, and weighs what that weighs or more.
        """
        marked = marked or {}
        by_group: dict[str, list[Member]] = {group: [] for group in marked}
        for member in members:
            by_group.setdefault(member.process.group, []).append(member)
        exported = self._folded(by_group, marked)
        groups: dict[str, tuple[tuple[Member, ...], GroupStats]] = {}
        for name, in_group in exported.items():
            before, now = self._groups.get(name), tuple(in_group)
            if before is not None and same_objects(before[0], now):
                groups[name] = before
            else:
                groups[name] = now, group_of(name, now, self._vma_bytes)
        self._groups = groups
        # members come in the order of their pids, and reversed sorts keep the order of equals
        worst_first = sorted(
            [member.process for member in members],
            key=lambda process: process.map_count or 0,
            reverse=True,
        )
        spaces = [member.mm for member in members if member.mm]
        everyone = [stats for _, stats in groups.values()]
        shared = len(set(spaces)) < len(spaces)
        return Whole(
            members,
            tuple(worst_first),
            nearest_first(everyone, OTHER),
            len(by_group.keys() - self._kept - {OTHER}),
            add_up(members) if shared else add_up_groups(everyone),
            marked,
            self._kept,
        )

    def _folded(
        self, by_group: dict[str, list[Member]], marked: Mapping[str, float]
    ) -> dict[str, Collection[Member]]:
        """The groups to export; all beyond the cap together are ``other``."""
        weights: dict[str, float | None] = {
            name: max(
                [marked.get(name, 0), *(member.process.map_count or 0 for member in in_group)]
            )
            for name, in_group in by_group.items()
        }
        self._kept = fold(weights, self._max_groups, self._kept)
        exported: dict[str, list[Member]] = {}
        for name, in_group in by_group.items():
            exported.setdefault(name if name in self._kept else OTHER, []).extend(in_group)
        return dict(exported)
