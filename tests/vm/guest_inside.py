# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Runs in a guest: makes every layout that its kernel can, records what is seen from inside, waits.

    python3 -m tests.vm.guest_inside DIRECTORY

The record is DIRECTORY/inside.vmad, with the evidence that can be had. Then "ready" is printed,
with the pids that stand still from now on.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.live.targets import LayoutRefused, Target
from vmad.architecture.known import needed

#: VMAs of the large process, one that takes several levels of the tree
LARGE = 20_000

#: made in one process one after another; what forks comes later, in a process each
PLAIN = (
    "access_differs", "guard_pages", "moved_beside_unfaulted", "moved_beside_faulted",
    "halves_swapped", "faulted_apart", "hole_filled", "hint_differs", "hint_differs_written",
    "read_faulted", "hugepage_hint", "noreserve", "mempolicy", "uffd", "uffd_two", "dontunmap",
    "emptied", "named", "dev_zero", "shared", "memfd", "one", "hole_between",
)  # fmt: skip
FORKED = (
    "uffd_forked", "mlock_forked", "fork_child_fresh", "faulted_apart_forked", "memory_merge",
)  # fmt: skip
#: each goes on as its fork child, so these make a line of ancestors
CHILDREN = (
    "child_inherits_a", "child_writes_both", "child_fresh_below", "child_moves_inherited",
    "child_policies_alike", "child_policies_static", "child_policies_local",
)  # fmt: skip


def build(target: Target, layout: str, **arguments: object) -> int | None:
    """The pid that has the layout; None where this kernel refuses it."""
    try:
        return target.build(layout, **arguments).pid
    except LayoutRefused as error:
        print(f"{layout}: {error}", file=sys.stderr)
        return None


#: goes on in a second thread when the first has ended: exit(2) ends one thread
WITHOUT_LEADER = """
import ctypes, sys, threading
threading.Thread(target=threading.Event().wait).start()
ctypes.CDLL(None).syscall(int(sys.argv[1]), 0)
"""


def process_without_leader() -> subprocess.Popen[bytes]:
    """A process whose first thread has exited, while its address space goes on."""
    call = needed(os.uname().machine, "exit").calls.exit
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", WITHOUT_LEADER, str(call)])
    while ") Z " not in Path(f"/proc/{process.pid}/stat").read_text():
        os.sched_yield()
    return process


def main() -> None:
    out = Path(sys.argv[1])
    with ExitStack() as stack:
        plain, forked, children, large = (stack.enter_context(Target()) for _ in range(4))
        pids: set[int | None] = {target.pid for target in (plain, forked, children, large)}
        for layout in PLAIN:
            pids.add(build(plain, layout))
        build(plain, "named", a="same", b="same")
        build(plain, "named", a="x" * 79, b="x" * 78 + "y")
        build(plain, "file", path="/tmp/mapped")
        build(plain, "file", path="/tmp/deleted", deleted=True)
        build(plain, "file", path="/dev/shm/shared memory")
        for layout in FORKED:
            pids.add(build(forked, layout))
        children.run("import tests.live.kernel_targets")
        for layout in CHILDREN:
            pids.add(build(children, layout))
        build(large, "guard_pages", pairs=LARGE // 2)
        pids.add(process_without_leader().pid)
        words = [sys.executable, "-m", "vmad", "capture", "--names", "-o", str(out / "inside.vmad")]
        with suppress(FileNotFoundError):
            os.unlink(out / "inside.vmad")
        subprocess.run(words, check=True)
        print("ready", json.dumps(sorted(pid for pid in pids if pid)), flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
