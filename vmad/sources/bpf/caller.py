# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Who made a system call, as caller.bpf.h kept it; and which calls' functions can be watched."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from vmad.architecture.known import running
from vmad.errors import EvidenceUnavailable
from vmad.model.process import ProcessId
from vmad.sources.bpf.refusals import BTF_PATH
from vmad.sources.time_namespace import boot_offset

#: struct caller of caller.bpf.h
CALLER: Final = np.dtype(
    [
        ("pid", "<i8"),
        ("start_time", "<i8"),
        ("comm", "S16"),
        ("path_used", "<u4"),
        ("unused", "<u4"),
        ("path", "V512"),
    ]
)
#: struct settings of failures.bpf.h and bursts.bpf.h
SETTINGS: Final = np.dtype(
    [
        ("ns_per_tick", "<u8"),
        ("namespace_ino", "<u4"),
        ("unused", "<u4"),
        ("boot_offset", "<i8"),
    ]
)


@dataclass(frozen=True, slots=True)
class Caller:
    """A process that may be gone. ``cgroup`` is the path in the unified hierarchy, None without."""

    process: ProcessId
    comm: str
    cgroup: bytes | None


def caller_of(who: np.void) -> Caller:
    """From a struct caller."""
    steps = who["path"].tobytes()[: int(who["path_used"])].split(b"\0")[:-1]
    return Caller(
        ProcessId(int(who["pid"]), int(who["start_time"])),
        who["comm"].decode("utf-8", "surrogateescape"),
        b"/" + b"/".join(reversed(steps)) if steps else None,
    )


def settings() -> bytes:
    """How the programs are to number processes and tell times."""
    namespace = os.stat("/proc/self/ns/pid").st_ino
    ns_per_tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return np.array((ns_per_tick, namespace, 0, boot_offset()), SETTINGS).tobytes()


def functions() -> bytes:
    """The kernel's BTF, which names its functions. Raises EvidenceUnavailable."""
    try:
        return Path(BTF_PATH).read_bytes()
    except OSError as error:
        raise EvidenceUnavailable(
            f"no {BTF_PATH}", "needs a kernel with CONFIG_DEBUG_INFO_BTF=y"
        ) from error


def watchable(calls: Collection[str]) -> frozenset[str]:
    """Those of these system calls whose functions this kernel has. Raises EvidenceUnavailable."""
    architecture = running()
    if architecture is None:
        raise EvidenceUnavailable(f"not known on {os.uname().machine}")
    entry = architecture.call_prefix
    names = functions()
    return frozenset(call for call in calls if f"\0{entry}{call}\0".encode() in names)
