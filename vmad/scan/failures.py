# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Failures at the limit, added up by group, call and error; the newest remembered one by one."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Protocol

from vmad.config.schema import OTHER, Config
from vmad.errors import EvidenceUnavailable
from vmad.model.failures import FailedCalls, FailureTally, LimitFailure
from vmad.model.identity import ProcessIdentity
from vmad.model.process import ProcessId
from vmad.scan.groups import GroupRules
from vmad.sources.cgroup import parse_cgroup
from vmad.sources.identity import IdentityReader
from vmad.sources.maximum import read_max_map_count
from vmad.sources.procfs.stat import read_stat
from vmad.sources.this_machine import ThisMachine

#: processes, calls and errors that are remembered one by one
REMEMBERED = 50
#: calls whose counters are there before they fail; one for each group, for the sake of the series
USUAL = ("mmap",)


class FailureSource(Protocol):
    """What counts failures in the kernel."""

    way: str

    @property
    def attached(self) -> bool:
        """Whether calls are watched at this moment."""

    @property
    def lost(self) -> int:
        """Failures of which nothing is known."""

    def read(self) -> list[FailedCalls]:
        """What failed since the last time. Raises EvidenceUnavailable."""

    def limit_is(self, max_map_count: int | None) -> None:
        """Count against this limit."""

    def most_is(self, map_count: int | None) -> None:
        """Some process has so many VMAs, and none has more. Raises EvidenceUnavailable."""


class LimitFailures:
    """Adds up what ``source`` counted. Safe for concurrent use.

    ``tell`` is called with what is new, ``count`` being that of the new ones, under a lock.
    """

    def __init__(
        self,
        source: FailureSource,
        config: Config,
        *,
        proc: str = "/proc",
        tell: Callable[[LimitFailure], None] = lambda failure: None,
    ) -> None:
        self.why_down: str | None = None  #: why nothing new arrives; None while it does
        self._source = source
        self._proc = proc
        self._tell = tell
        self._since = time.time()
        self._watched_since = self._since if source.attached else None
        self._lock = threading.Lock()
        self._totals = Counter[tuple[str, str, str]]()
        self._new = Counter[str]()  #: by group, since somebody asked
        self._highest: dict[ProcessId, FailedCalls] = {}  #: likewise
        self._last: dict[tuple[ProcessId, str, str], LimitFailure] = {}
        self._groups: frozenset[str] = frozenset()
        self.configure(config)

    def configure(self, config: Config) -> None:
        """Name groups by these rules from now on."""
        with self._lock:
            self._rules = GroupRules(config.groups, config.default_groups)
            self._identities = IdentityReader(
                ThisMachine(self._proc), with_exe=self._rules.needs_exe, limit=REMEMBERED
            )
            self._most = config.export.max_groups

    def groups_are(self, names: Collection[str]) -> None:
        """These groups are shown: they have failed never, unless it is known that they did."""
        self._groups = frozenset(names)

    def take(self, most: int | None = None, limit: int | None = None) -> None:
        """Add up what is new. A second in which nothing failed costs microseconds.

        ``most``: the most VMAs that some process has now, None unknown. ``limit`` is
        vm.max_map_count now; None: it is read.
        """
        with self._lock:
            self._source.limit_is(read_max_map_count(self._proc) if limit is None else limit)
            try:
                self._source.most_is(most)
                self._know_since_when()
                failed = self._source.read()
            except EvidenceUnavailable as error:
                self.why_down = str(error)
                return
            self.why_down = None
            for calls in sorted(failed, key=lambda calls: calls.last):
                self._add(calls)

    def _know_since_when(self) -> None:
        if not self._source.attached:
            self._watched_since = None
        elif self._watched_since is None:
            self._watched_since = time.time()

    def _add(self, calls: FailedCalls) -> None:
        group = self._group_of(calls)
        new = LimitFailure(
            calls.process, calls.comm, group, calls.call, calls.error, calls.count, calls.last,
            calls.map_count, calls.max_map_count,
        )  # fmt: skip
        self._totals[group, calls.call, calls.error] += calls.count
        self._new[group] += calls.count
        before_it = self._highest.get(calls.process)
        if before_it is None or calls.map_count > before_it.map_count:
            self._highest[calls.process] = calls
        while len(self._highest) > REMEMBERED:
            del self._highest[next(iter(self._highest))]
        before = self._last.pop((calls.process, calls.call, calls.error), None)
        so_far = 0 if before is None else before.count
        self._last[calls.process, calls.call, calls.error] = replace(
            new, count=so_far + calls.count
        )
        while len(self._last) > REMEMBERED:
            del self._last[next(iter(self._last))]
        self._tell(new)

    def _group_of(self, calls: FailedCalls) -> str:
        """Of a process that runs as scans name it, else by what the kernel kept of it."""
        identity = ProcessIdentity(calls.comm)
        if is_there(calls.process, self._proc):
            identity = self._identities.identity(calls.process, calls.comm)
        if identity.cgroup is None and calls.cgroup is not None:
            identity = replace(identity, cgroup=parse_cgroup(b"0::" + calls.cgroup))
        group = self._rules.name_of(identity)
        failed = {group for group, *_ in self._totals}
        return group if group in failed or len(failed) < self._most else OTHER

    def news(self) -> dict[str, int]:
        """Failures by group since this was asked last."""
        with self._lock:
            new, self._new = self._new, Counter()
            return dict(new)

    def highest(self) -> Sequence[FailedCalls]:
        """Of each process that failed since this was asked last, where it had most VMAs."""
        with self._lock:
            highest, self._highest = self._highest, {}
            return tuple(highest.values())

    def tally(self) -> FailureTally:
        """Everything up to now."""
        self.take()
        with self._lock:
            totals = {(group, call, "ENOMEM"): 0 for group in self._groups for call in USUAL}
            return FailureTally(
                self._source.way,
                self._since,
                self._watched_since,
                totals | self._totals,
                tuple(sorted(self._last.values(), key=lambda failure: -failure.last)),
                self._source.lost,
            )


def is_there(process: ProcessId, proc: str = "/proc") -> bool:
    """Whether it runs, or waits for its parent, under this pid."""
    try:
        return read_stat(process.pid, proc).start_time == process.start_time
    except (OSError, ValueError):  # gone
        return False
