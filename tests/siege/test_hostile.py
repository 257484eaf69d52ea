# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Targets that mean harm: one whose mmap_lock is held for ever, names that are markup."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.daemons import VMAD, Daemon, wait_for
from tests.live.targets import Target
from tests.siege.hostile import held, named
from tests.siege.test_faults import QUICK, scans, wait_for_scans


@pytest.mark.mounts
@pytest.mark.parametrize("evidence", [pytest.param("kernel", marks=pytest.mark.bpf), "procfs"])
def test_nobody_waits_for_a_process_whose_lock_is_held(tmp_path: Path, evidence: str) -> None:
    config = QUICK.replace("budget", f"deadline: 1s, evidence: {evidence}, budget")
    with (
        held() as pid,
        Daemon(tmp_path, config).ready() as daemon,
        Target("vmad-victim") as target,
    ):
        target.build("guard_pages", pairs=100)
        # of everybody else it is told as always, scan after scan
        daemon.wait_for_value("vmad_group_processes", lambda n: n == 1, group="comm/vmad-victim")
        wait_for_scans(daemon, 2)
        assert daemon.status("/-/healthy") == 200
        assert daemon.status(f"/api/v1/explain/{target.pid}") == 200
        told = subprocess.run(
            [VMAD, "explain", str(pid), "--evidence", evidence],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert daemon.stop() == 0
    assert "Traceback" not in told.stderr + daemon.log
    if told.returncode:  # procfs waits for the lock, and says so
        assert "lock" in told.stderr


def test_names_full_of_markup_are_told_as_text(tmp_path: Path) -> None:
    with named() as target:
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
