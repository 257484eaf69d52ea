# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Processes that are hard on whoever reads them, each there while its ``with`` block lasts."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import other_users
from tests.live.targets import Target
from tests.siege.programs import HERE, compiled

#: at most 15 bytes of a comm; as much as a control group's name may have
COMM = '<b>&"\\\x1b[31m{}'
CGROUP = '<img src=x onerror="alert(1)">&\\\x1b[2J\'; {a="b"} \u202e'
#: everything that can be another namespace but that of the user
APART = (
    *("unshare", "--fork", "--kill-child", "--pid", "--mount-proc", "--mount", "--uts", "--ipc"),
    *("--net", "--time", "--boottime", "1000000", "--cgroup"),
)


@contextmanager
def held() -> Iterator[int]:
    """The pid of a process whose mmap_lock is held, with a writer that waits for it."""
    with (
        tempfile.TemporaryDirectory() as folder,
        compiled("held") as program,
        subprocess.Popen(
            ["unshare", "--mount", sys.executable, HERE / "holder.py", folder, program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as holder,
    ):
        assert holder.stdout is not None
        yield int(holder.stdout.readline())


@contextmanager
def in_a_control_group(pid: int, name: str) -> Iterator[None]:
    """A child of the first hierarchy that is mounted here and takes a process."""
    for place in ("systemd", "unified", "memory", "."):
        group = Path("/sys/fs/cgroup") / place / name
        try:
            group.mkdir()
        except OSError:
            continue
        home = group.parent / "cgroup.procs"
        try:
            (group / "cgroup.procs").write_text(str(pid))
            yield
            home.write_text(str(pid))
        finally:
            group.rmdir()
        return
    raise AssertionError("no control group can be made in /sys/fs/cgroup")


@contextmanager
def named() -> Iterator[Target]:
    """At the top of every list, under names that are markup and escapes."""
    with Target() as target, in_a_control_group(target.pid, CGROUP):
        target.run(f"open('/proc/self/comm', 'wb').write({COMM.encode()!r})")
        target.build("guard_pages", pairs=20_000)
        yield target


@contextmanager
def reborn(times: int, vmas: int) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A number that so many processes have, one after the other, and the parent of them all, which
    says "last" at the last and ends that one when it is told something.
    """
    with (
        compiled("reborn") as program,
        subprocess.Popen(
            [program, str(times), str(vmas)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as parent,
    ):
        try:
            assert parent.stdout is not None
            yield int(parent.stdout.readline()), parent
        finally:
            parent.kill()


@contextmanager
def apart(*prefix: str) -> Iterator[int]:
    """The pid, outside, of a process in namespaces of its own with 300 areas that alternate."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from tests.live import layouts as l\n"
        "l.LAYOUTS['guard_pages'](l.BASE, pairs=150); print(flush=True)\n"
        "import time; time.sleep(1000)"
    )
    root = str(Path(__file__).parents[2])
    command = [*prefix, other_users.python(), "-c", code, root]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": ":".join(sys.path)}
    ) as parent:
        try:
            assert parent.stdout is not None
            assert parent.stdout.readline() == b"\n"
            children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
            yield int(children[0]) if children else parent.pid
        finally:
            parent.kill()
