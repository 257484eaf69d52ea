# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Asks a source what a process belongs to, once per process and command."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Protocol

from vmad.model.identity import CgroupIdentity, ProcessIdentity, label_safe
from vmad.model.process import ProcessId
from vmad.sources.cgroup import parse_cgroup

#: identities that are remembered: more than processes on any host that was seen
REMEMBERED = 1 << 17


#: equal ones are one object: thousands of processes share few
_alike = lru_cache(maxsize=1024)(ProcessIdentity)


class IdentitySource(Protocol):
    """What tells what its processes belong to: a part of :class:`vmad.sources.source.Source`."""

    def cgroup_of(self, process: ProcessId) -> bytes | None:
        """What /proc/PID/cgroup says there; None where it cannot be read."""

    def exe_of(self, process: ProcessId) -> bytes | None:
        """The path of its program; None where it cannot be read."""


class IdentityReader:
    """Remembers the identity of every process that ``source`` was asked about.

    On this machine one open, read and close per new process; one readlink more when ``with_exe``
    is set (some rule looks at ``exe``). At most ``limit`` identities are kept, the oldest go first.
    """

    def __init__(
        self, source: IdentitySource, *, with_exe: bool = False, limit: int = REMEMBERED
    ) -> None:
        self._source = source
        self._with_exe = with_exe
        self._limit = limit
        self._known: dict[ProcessId, ProcessIdentity] = {}

    def __len__(self) -> int:
        return len(self._known)

    def identity(self, process: ProcessId, comm: str, *, reread: bool = False) -> ProcessIdentity:
        """What ``process`` belongs to; from memory while its comm stays.

        ``reread`` says that it exec'ed, or that it is time to look again (a service manager may
        move a process after its exec). Never raises for a process that went or may not be read:
        what could not be read is None, and is tried again next time.
        """
        safe = label_safe(comm)
        known = self._known.get(process)
        if known is not None and known.comm == safe and not reread:
            return known
        cgroup = self._read_cgroup(process)
        if cgroup is None:
            return ProcessIdentity(safe, None, known.cgroup if known is not None else None)
        exe = self._read_exe(process) if self._with_exe else None
        identity = _alike(safe, exe, cgroup)
        self._known.pop(process, None)
        self._known[process] = identity
        while len(self._known) > self._limit:
            del self._known[next(iter(self._known))]
        return identity

    def forget(self, process: ProcessId) -> None:
        """The process exited."""
        self._known.pop(process, None)

    def keep_only(self, alive: Collection[tuple[int, int]]) -> None:
        """Forget every process that is not in ``alive`` (a set, for speed): after a census."""
        for process in [known for known in self._known if known not in alive]:
            del self._known[process]

    def _read_cgroup(self, process: ProcessId) -> CgroupIdentity | None:
        text = self._source.cgroup_of(process)
        return None if text is None else parse_cgroup(text)

    def _read_exe(self, process: ProcessId) -> str | None:
        path = self._source.exe_of(process)
        return None if path is None else label_safe(path)
