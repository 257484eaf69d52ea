# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Reads what a process belongs to, from /proc or where it runs, once per process and command."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Protocol, cast

from vmad.model.identity import CgroupIdentity, ProcessIdentity, label_safe
from vmad.model.process import ProcessId
from vmad.sources.cgroup import parse_cgroup
from vmad.sources.procfs.living import place_of

#: bytes; /proc/PID/cgroup is one record of a dozen paths, each below PATH_MAX
_CGROUP_SIZE = 64 << 10
#: identities that are remembered: more than processes on any host that was seen
REMEMBERED = 1 << 17


class IdentityReader:
    """Remembers the identity of every process that it was asked about.

    One open, read and close per new process; one readlink more when ``with_exe`` is set (some
    rule looks at ``exe``). At most ``limit`` identities are kept, the oldest go first.
    """

    def __init__(
        self, proc: str = "/proc", *, with_exe: bool = False, limit: int = REMEMBERED
    ) -> None:
        self._proc = proc
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
        found = ProcessIdentity(safe, exe, cgroup)
        self._known.pop(process, None)
        self._known[process] = found
        while len(self._known) > self._limit:
            del self._known[next(iter(self._known))]
        return found

    def forget(self, process: ProcessId) -> None:
        """The process exited."""
        self._known.pop(process, None)

    def keep_only(self, alive: Collection[tuple[int, int]]) -> None:
        """Forget every process that is not in ``alive`` (a set, for speed): after a census."""
        for process in [known for known in self._known if known not in alive]:
            del self._known[process]

    def _read_cgroup(self, process: ProcessId) -> CgroupIdentity | None:
        try:
            fd = os.open(f"{self._proc}/{process.pid}/cgroup", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # gone, or hidden by hidepid: the caller groups it by comm
            return None
        try:
            return parse_cgroup(os.read(fd, _CGROUP_SIZE))
        except OSError:  # ESRCH: it exited between open and read
            return None
        finally:
            os.close(fd)

    def _read_exe(self, process: ProcessId) -> str | None:
        try:
            target = self._link(str(process.pid))
        except FileNotFoundError:  # gone, or its leader alone
            try:
                target = self._link(place_of(process.pid, self._proc))
            except OSError:
                return None
        except OSError:  # EACCES without CAP_SYS_PTRACE
            return None
        return label_safe(target.removesuffix(b" (deleted)"))

    def _link(self, place: str) -> bytes:
        return os.readlink(os.fsencode(f"{self._proc}/{place}/exe"))


class IdentitySource(Protocol):
    """A source that tells what its processes belong to, since no /proc of this machine does."""

    def cgroup_of(self, process: ProcessId) -> bytes | None:
        """What /proc/PID/cgroup would say there; None where it cannot be read."""

    def exe_of(self, process: ProcessId) -> str | None:
        """The path of its program; None where it cannot be read."""


class _ToldIdentities(IdentityReader):
    """Asks the source itself."""

    def __init__(self, source: IdentitySource, *, with_exe: bool, limit: int) -> None:
        super().__init__(with_exe=with_exe, limit=limit)
        self._source = source

    def _read_cgroup(self, process: ProcessId) -> CgroupIdentity | None:
        text = self._source.cgroup_of(process)
        return None if text is None else parse_cgroup(text)

    def _read_exe(self, process: ProcessId) -> str | None:
        path = self._source.exe_of(process)
        return None if path is None else label_safe(os.fsencode(path))


def identities_of(
    source: object, proc: str = "/proc", *, with_exe: bool = False, limit: int = REMEMBERED
) -> IdentityReader:
    """What tells the identities of a source's processes: itself where it can, else ``proc``."""
    if hasattr(source, "cgroup_of"):
        return _ToldIdentities(cast(IdentitySource, source), with_exe=with_exe, limit=limit)
    return IdentityReader(proc, with_exe=with_exe, limit=limit)
