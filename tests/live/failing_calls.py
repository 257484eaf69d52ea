# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Runs failing_calls.c, and knows which of its calls fail at which count here."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.live.kernel_walks import KERNEL
from tests.live.merge_watches import may_trace
from tests.live.thread_guards import GUARD_REGIONS
from vmad.sources.maximum import read_max_map_count

SOURCE = Path(__file__).with_suffix(".c")
LIMIT = read_max_map_count() or 0

#: how the calls can be watched here, the cheaper first; 5.10's BTF does not say what a system
#: call's function is given
FEXIT = os.path.exists("/proc/sys/kernel/ftrace_enabled") and may_trace()
WAYS = ("fexit", "sys_exit") if FEXIT and KERNEL.version >= (5, 15) else ("sys_exit",)
#: how a short burst can be seen here: 6.14 made the tracepoint cheap (distributions may have taken
#: that earlier); neither way, and vmad says so
BURST_WAYS = tuple(
    way for way, there in (("lock", KERNEL.version >= (6, 14)), ("fexit", "fexit" in WAYS)) if there
)

_MADVISE = "EAGAIN" if KERNEL.version >= (5, 17) else "ENOMEM"
_MREMAP_FIXED, _DONTUNMAP = (-3, -4) if KERNEL.version >= (7, 1) else (-5, -5)

#: call of failing_calls.c -> (VMAs above the limit from which on it fails, the call that fails, its
#: error); as measured on the booted kernels, apart from vmad's own table
AT_LIMIT: dict[str, tuple[int, str, str]] = {
    "mmap": (1, "mmap", "ENOMEM"),
    "mmap_inside": (0, "mmap", "ENOMEM"),
    "munmap_middle": (0, "munmap", "ENOMEM"),
    "mprotect_middle": (-1, "mprotect", "ENOMEM"),
    "mprotect_end": (0, "mprotect", "ENOMEM"),
    "pkey_mprotect_middle": (-1, "pkey_mprotect", "ENOMEM"),
    "mremap_move": (-3, "mremap", "ENOMEM"),
    "mremap_fixed": (_MREMAP_FIXED, "mremap", "ENOMEM"),
    "mremap_dontunmap": (_DONTUNMAP, "mremap", "ENOMEM"),
    "brk": (1, "brk", "ENOMEM"),
    "madvise_middle": (-1, "madvise", _MADVISE),
    "mlock_middle": (-1, "mlock", "ENOMEM"),
    "mlock2_middle": (-1, "mlock2", "ENOMEM"),
    "munlock_middle": (-1, "munlock", "ENOMEM"),
    "mbind_middle": (-1, "mbind", "ENOMEM"),
    "shmat": (1, "shmat", "ENOMEM"),
    "io_setup": (1, "io_setup", "ENOMEM"),
    # the mprotect around the guard page, where there is one
    "pthread_create": (1, "mmap", "ENOMEM") if GUARD_REGIONS else (-1, "mprotect", "ENOMEM"),
}
if KERNEL.version >= (5, 17):
    AT_LIMIT["home_node_middle"] = (-1, "set_mempolicy_home_node", "ENOMEM")
if KERNEL.version >= (6, 10):
    AT_LIMIT["mseal_middle"] = (-1, "mseal", "ENOMEM")
if KERNEL.version >= (7, 1):
    AT_LIMIT["mremap_shrink"] = (-3, "mremap", "ENOMEM")

#: what fails with ENOMEM, or does not move, however few VMAs there are
OF_OTHER_CAUSES = (
    "mmap of too much",
    "mmap beyond RLIMIT_AS",
    "brk beyond RLIMIT_DATA",
    "mprotect of a hole",
    "munlock of a hole",
    "madvise of a hole",
)


@dataclass(frozen=True, slots=True)
class Called:
    """What became of a call: ``number`` is its errno, 0 where it succeeded."""

    pid: int
    number: int


def compiled(place: Path) -> Path:
    """The program, linked statically: it also runs in other machines' root."""
    made = place / "failing_calls"
    flags = ["-O1", "-Wall", "-pthread", "-static"]
    subprocess.run(["cc", *flags, "-o", str(made), str(SOURCE)], check=True)
    return made


@contextmanager
def calling(program: Path, call: str, vmas: int = 0) -> Iterator[Called]:
    """A process that has made the call with so many VMAs; it lives until the end of the block."""
    command = [str(program), call, str(vmas)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = process.stdout.readline().split()
        assert len(said) == 2, f"{call} with {vmas} VMAs"
        yield Called(int(said[0]), int(said[1]))
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait() == 0
