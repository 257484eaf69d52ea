# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Targets that mean harm: one whose mmap_lock is held for ever, names that are markup."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.daemons import VMAD, Daemon, wait_for
from tests.live.targets import Target
from tests.siege.programs import HERE, compiled
from tests.siege.test_faults import QUICK, scans, wait_for_scans

#: at most 15 bytes of a comm; as much as a control group's name may have
COMM = '<b>&"\\\x1b[31m{}'
CGROUP = '<img src=x onerror="alert(1)">&\\\x1b[2J\'; {a="b"} \u202e'


@pytest.fixture
def held(tmp_path: Path) -> Iterator[int]:
    """The pid of a process whose mmap_lock is held, with a writer that waits for it."""
    with (
        compiled("held") as program,
        subprocess.Popen(
            ["unshare", "--mount", sys.executable, HERE / "holder.py", tmp_path, program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as holder,
    ):
        assert holder.stdout is not None
        yield int(holder.stdout.readline())


@pytest.mark.mounts
@pytest.mark.parametrize("evidence", [pytest.param("kernel", marks=pytest.mark.bpf), "procfs"])
def test_nobody_waits_for_a_process_whose_lock_is_held(
    tmp_path: Path, held: int, evidence: str
) -> None:
    config = QUICK.replace("budget", f"deadline: 1s, evidence: {evidence}, budget")
    with Daemon(tmp_path, config).ready() as daemon, Target("vmad-victim") as target:
        target.build("guard_pages", pairs=100)
        # of everybody else it is told as always, scan after scan
        daemon.wait_for_value("vmad_group_processes", lambda n: n == 1, group="comm/vmad-victim")
        wait_for_scans(daemon, 2)
        assert daemon.status("/-/healthy") == 200
        assert daemon.status(f"/api/v1/explain/{target.pid}") == 200
        told = subprocess.run(
            [VMAD, "explain", str(held), "--evidence", evidence],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert daemon.stop() == 0
    assert "Traceback" not in told.stderr + daemon.log
    if told.returncode:  # procfs waits for the lock, and says so
        assert "lock" in told.stderr


@contextlib.contextmanager
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
    pytest.fail("no control group can be made in /sys/fs/cgroup")


def test_names_full_of_markup_are_told_as_text(tmp_path: Path) -> None:
    with (
        Target() as target,
        in_a_control_group(target.pid, CGROUP),
    ):
        target.run(f"open('/proc/self/comm', 'wb').write({COMM.encode()!r})")
        target.build("guard_pages", pairs=20_000)  # at the top of every list
        with Daemon(tmp_path, QUICK).ready() as daemon:
            before = scans(daemon)
            wait_for("a scan", lambda: scans(daemon) > before)
            page = daemon.get("/").decode()
            scan = json.loads(daemon.get("/api/v1/scan"))
            metrics = daemon.get("/metrics")
        text = subprocess.run([VMAD, "scan"], capture_output=True, text=True, check=True).stdout
    assert any(one["pid"] == target.pid for one in scan["processes"])
    for harm in ("<b>", "<img", "\x1b", "\u202e"):
        assert harm not in page
    assert not set("\x1b\u202e") & set(text)
    promtool = shutil.which("promtool")
    assert promtool, "promtool is not in PATH"
    judged = subprocess.run(
        [promtool, "check", "metrics"], input=metrics, capture_output=True, check=False
    )
    assert judged.stdout + judged.stderr == b""
    assert os.fsencode("<b>") in metrics or b"img src" in metrics
    # for who reads them in a terminal
    assert b"\x1b" not in metrics
    assert "\u202e".encode() not in metrics
