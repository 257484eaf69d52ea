# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Gives up the rights that only starting up needs: loading BPF programs, and all else not in use.

From 5.18 on (c8644cd0efe7) whoever holds the descriptors of loaded programs may go on using them
without CAP_BPF and CAP_PERFMON; before, with kernel.unprivileged_bpf_disabled set, each bpf(2)
wants the right. Distributions backport, so it is tried rather than looked up: capabilities belong
to a thread, and a thread that has given them up tells whether reading still works.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterable

from vmad.errors import VmadError
from vmad.model.process import Evidence, ProcessId
from vmad.sources.rights import CAPABILITIES, effective_capabilities
from vmad.sources.source import Source

#: granted by a drop-in for what goes on all the time: reading others' files of /proc, a receive
#: buffer for process events that is made anew after a loss, a guest's socket that is another user's
LASTING = frozenset(("CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH", "CAP_NET_ADMIN", "CAP_DAC_OVERRIDE"))
#: from 6.16 on it opens others' maps, which is what procfs evidence reads
_PROCFS = LASTING | {"CAP_PERFMON"}

_VERSION_3 = 0x20080522
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4

_libc = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def give_up_all_but(kept: Iterable[str]) -> None:
    """This thread, and those that it starts, keep of their capabilities only these; for good.

    capabilities(7): effective, permitted, inheritable and ambient sets. Raises OSError.
    """
    mask = sum(1 << CAPABILITIES.index(name) for name in kept)
    header, sets = _Header(_VERSION_3, 0), (_Sets * 2)()
    _checked(_libc.capget(ctypes.byref(header), sets))
    for half, bits in zip(sets, (mask & 0xFFFF_FFFF, mask >> 32), strict=True):
        half.permitted &= bits
        half.effective &= bits
        half.inheritable = 0
    _checked(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
    _checked(_libc.capset(ctypes.byref(header), sets))


def _checked(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def give_up_after_start(
    source: Source, patience: float, also: Callable[[], None] = lambda: None
) -> tuple[str, ...]:
    """Drop what ``source`` does without; returns the capabilities that are still there.

    For the main thread, before it starts others. ``patience``: seconds that a trial may take;
    ``also`` is tried in it, and raises a VmadError when it wants a right.
    """
    kept = LASTING if source.evidence is Evidence.KERNEL else _PROCFS
    if not _works(lambda: _try_without(source, kept, also), patience):
        kept = kept | {"CAP_BPF", "CAP_PERFMON", "CAP_SYS_ADMIN"}
    give_up_all_but(kept)
    return effective_capabilities()


def _works(trial: Callable[[], None], patience: float) -> bool:
    succeeded = threading.Event()

    def run() -> None:
        try:
            trial()
        except (VmadError, OSError):
            return
        succeeded.set()

    thread = threading.Thread(target=run, name="vmad-rights", daemon=True)
    thread.start()
    thread.join(patience)
    return succeeded.is_set()


def _try_without(source: Source, kept: Iterable[str], also: Callable[[], None]) -> None:
    """Everything that the source is asked for later, of this very process."""
    give_up_all_but(kept)
    also()
    census = source.census()
    ours = census[census["pid"] == os.getpid()]
    # in a PID namespace of its own it knows itself by another number: ask for the first that is
    who = ours[0] if len(ours) else census[0]
    process = ProcessId(int(who["pid"]), int(who["start_time"]))
    list(source.summarise([process]))
    source.table(process)
    source.load_all(process)
