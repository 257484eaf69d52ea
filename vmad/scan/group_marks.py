# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Marks groups while the processes that had many VMAs are there to be asked whose they are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from vmad.config.schema import Config
from vmad.model.process import ProcessId
from vmad.scan.grouping import Whole
from vmad.scan.groups import GroupRules
from vmad.scan.marked_groups import weights, with_marks
from vmad.scan.marks import Mark, Marks
from vmad.scan.snapshot import GroupStats
from vmad.sources.cgroup import parse_cgroup
from vmad.sources.identity import IdentityReader
from vmad.sources.source import Source

#: processes whose identity is remembered, of those that no scan has met when they are marked
REMEMBERED = 1024


class GroupMarks:
    """The marks of one machine's groups. Safe for concurrent use: two locks, neither of which is
    held while the other is.

    ``known`` tells the group of a process that a scan has met; ``left`` are the marks of an earlier
    one; ``clock`` gives Unix time in seconds.
    """

    def __init__(
        self,
        keep: float,
        left: Mapping[str, Sequence[Mark]] | None,
        known: Callable[[ProcessId, str], str | None],
        clock: Callable[[], float],
    ) -> None:
        self._marks = Marks(keep, left)
        self._known = known
        self._clock = clock
        self._lock = threading.Lock()
        self._naming = threading.Lock()

    def go_by(self, config: Config, rules: GroupRules, source: Source) -> None:
        """Keep as long, and name by these rules, from now on."""
        with self._lock:
            self._marks.keep = config.scan.keep_marks
        with self._naming:
            self._rules = rules
            self._identities = IdentityReader(source, with_exe=rules.needs_exe, limit=REMEMBERED)

    def tell(
        self,
        high: Iterable[tuple[ProcessId, str, int]],
        source: Source,
        cgroup: bytes | None = None,
    ) -> None:
        """These processes (with comm and count) have many VMAs. ``cgroup``: the path of the one in
        the unified hierarchy, if it is known.
        """
        named = [
            (self.group_of(process, comm, source, cgroup), count) for process, comm, count in high
        ]
        with self._lock:
            now = self._clock()
            for group, count in named:
                self._marks.mark(group, count, now)

    def group_of(
        self, process: ProcessId, comm: str, source: Source, cgroup: bytes | None = None
    ) -> str:
        """The name that a scan gave, or would give if there were one now.

        /proc names every hierarchy; of a process that is gone the unified one has to do.
        """
        group = self._known(process, comm)
        if group is not None:
            return group
        with self._naming:
            identity = self._identities.identity(process, comm)
            rules = self._rules
        if identity.cgroup is None:
            cgroup = cgroup or source.last_cgroup_of(process)
            if cgroup is not None:
                identity = replace(identity, cgroup=parse_cgroup(b"0::" + cgroup))
        return rules.name_of(identity)

    def left(self, risen: bool = False) -> dict[str, tuple[Mark, ...]] | None:
        """The marks of all groups, for the next scanner; ``risen``: None while none has risen
        since they were asked for last.
        """
        with self._lock:
            if risen and not self._marks.risen:
                return None
            self._marks.risen = False
            return self._marks.leave()

    def weights(self, limit: int | None) -> dict[str, float]:
        """What each group's mark weighs beside counts; marks that are too old are dropped."""
        with self._lock:
            self._marks.expire(self._clock())
            return weights(self._marks, limit)

    def laid_over(self, whole: Whole, limit: int | None, since: float) -> tuple[GroupStats, ...]:
        """The groups with their marks; counts from ``since`` (Unix seconds) go into the ratio."""
        with self._lock:
            return with_marks(whole, self._marks, limit, since)
