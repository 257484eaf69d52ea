# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Who asks, and whose addresses they may see: what /proc/PID/maps would let them read.

The kernel lets a process read another's maps (fs/proc/task_mmu.c, ptrace_may_access(), mode
PTRACE_MODE_READ_FSCREDS) when all three of the other's user and group ids are the reader's own,
it is dumpable, and it has no capability that the reader lacks; or with CAP_SYS_PTRACE. A Linux
security module may refuse more than that, which is not asked here.
"""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass

from vmad.sources.rights import CAPABILITIES

_CREDENTIALS = struct.Struct("iII")  #: struct ucred: pid, uid, gid
_SYS_PTRACE = 1 << CAPABILITIES.index("CAP_SYS_PTRACE")


@dataclass(frozen=True, slots=True)
class Viewer:
    """``trusted``: may see everything. ``uid``, ``gid``: of the process at the other end of a
    Unix socket; None where the network does not say.
    """

    trusted: bool = False
    uid: int | None = None
    gid: int | None = None

    def may_read_maps(self, pid: int, proc: str = "/proc") -> bool:
        """Whether the kernel would let this user read ``pid``'s maps; False where unknown."""
        if self.trusted:
            return True
        if self.uid is None or self.gid is None:
            return False
        # in a user namespace all ids from outside look like these
        if self.uid == _overflow("uid", proc) or self.gid == _overflow("gid", proc):
            return False
        try:
            owner = os.stat(f"{proc}/{pid}/maps")
            status = _status(pid, proc)
        except OSError:
            return False
        # root owns the files of a process that is not dumpable (fs/proc/base.c, task_dump_owner)
        return (
            (owner.st_uid, owner.st_gid) == (self.uid, self.gid)
            and {int(word) for word in status["Uid"].split()[:3]} == {self.uid}
            and {int(word) for word in status["Gid"].split()[:3]} == {self.gid}
            and int(status["CapPrm"], 16) == 0
        )


#: who comes over the network without a password
ANYBODY = Viewer()


def peer_of(client: socket.socket, proc: str = "/proc") -> Viewer:
    """Who is at the other end (SO_PEERCRED, unix(7)); :data:`ANYBODY` on a network socket."""
    if client.family != socket.AF_UNIX:
        return ANYBODY
    try:
        raw = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return ANYBODY
    pid, uid, gid = _CREDENTIALS.unpack(raw)
    return Viewer(uid == 0 and _may_trace(pid, proc), uid, gid)


def _overflow(kind: str, proc: str) -> int:
    """Documentation/admin-guide/sysctl/fs.rst, overflowuid and overflowgid."""
    try:
        with open(f"{proc}/sys/kernel/overflow{kind}", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 65534


def _may_trace(pid: int, proc: str) -> bool:
    """Whether root at the other end is root in full: in a container it often is not."""
    try:
        return bool(int(_status(pid, proc)["CapEff"], 16) & _SYS_PTRACE)
    except (OSError, KeyError, ValueError):
        return False


def _status(pid: int, proc: str) -> dict[str, str]:
    with open(f"{proc}/{pid}/status", encoding="utf-8", errors="replace") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
