# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Processes that are not what they seem: numbers used again, other namespaces, set ids."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import other_users
from tests.e2e.daemons import VMAD, Daemon, wait_for
from tests.live.targets import Target, start_time_of
from tests.siege.hostile import APART, apart, reborn
from tests.siege.test_faults import QUICK

EVIDENCES = [pytest.param("kernel", marks=pytest.mark.bpf), "procfs"]
#: a user and a group that nobody has
USER = "54321"
AS_USER = ("setpriv", "--reuid", USER, "--regid", USER, "--clear-groups")
REBIRTHS, VMAS = 2_000, 400


@pytest.mark.root
@pytest.mark.parametrize("evidence", EVIDENCES)
def test_who_gets_a_number_last_is_told_for_what_it_is(tmp_path: Path, evidence: str) -> None:
    config = QUICK.replace("budget", f"evidence: {evidence}, budget")
    with (
        Daemon(tmp_path, config).ready() as daemon,
        reborn(REBIRTHS, VMAS) as (pid, parent),
    ):
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"last\n"

        def told() -> dict[str, Any] | None:
            started = start_time_of(pid)
            for one in daemon.json("/api/v1/scan")["processes"]:
                if (one["pid"], one["start_time"]) == (pid, started):
                    return dict(one)
            return None

        last = wait_for("the last one of that number", told)
        assert daemon.stop() == 0
    assert 24 <= last["map_count"] < VMAS / 2
    assert last["high_water"] < VMAS / 2
    assert "Traceback" not in daemon.log


@pytest.mark.root
@pytest.mark.mounts
@pytest.mark.parametrize("evidence", EVIDENCES)
@pytest.mark.parametrize("user", [(), ("--user", "--map-root-user")], ids=["root", "user"])
def test_processes_in_other_namespaces_are_told_like_any_other(
    evidence: str, user: tuple[str, ...]
) -> None:
    with apart(*APART, *user) as pid:
        started = start_time_of(pid)
        scanned = subprocess.run(
            [VMAD, "scan", "--all", "--evidence", evidence, "--format", "json"],
            capture_output=True,
            check=True,
        )
        explained = subprocess.run(
            [VMAD, "explain", str(pid), "--evidence", evidence, "--format", "json"],
            capture_output=True,
            check=True,
        )
    (one,) = (each for each in json.loads(scanned.stdout)["processes"] if each["pid"] == pid)
    itself = json.loads(explained.stdout)
    assert one["start_time"] == itself["start_time"] == started
    assert one["map_count"] == itself["map_count"] > 300


def ask_probe(request: dict[str, Any], *prefix: str) -> subprocess.CompletedProcess[str]:
    """The program that stops other processes."""
    return subprocess.run(
        [*prefix, other_users.python(), "-m", "vmad.probe"],
        input=json.dumps(request) + "\n",
        env=os.environ | {"PYTHONPATH": str(other_users.packages())},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def is_left_alone(pid: int) -> bool:
    """Whether it is neither traced nor stopped."""
    status = Path(f"/proc/{pid}/status").read_text()
    return "TracerPid:\t0\n" in status and "\nState:\tS" in status


@pytest.mark.traced
def test_probe_does_not_touch_who_has_the_number_by_now() -> None:
    with Target() as target:
        made = target.build("dontunmap")
        request = {"pid": made.pid, "boundaries": [made.boundary], "max_stop": 0.05}
        other = ask_probe(request | {"started": target.start_time - 1})
        assert is_left_alone(made.pid)
        same = ask_probe(request | {"started": target.start_time})
    assert other.returncode == 3
    assert "merged" not in other.stdout
    assert same.returncode == 0
    assert "merged" in same.stdout


@pytest.mark.root
@pytest.mark.traced
def test_probe_gives_nobody_a_hold_on_a_program_with_a_set_id(tmp_path: Path) -> None:
    other_users.open_to_everybody(tmp_path)
    program = tmp_path / "sleep"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    os.chown(program, 0, 0)
    program.chmod(0o4755)
    with subprocess.Popen([*AS_USER, program, "1000"]) as process:
        try:
            wait_for("its exec", lambda: _users(process.pid) == [int(USER), 0, 0, 0])
            asked = ask_probe({"pid": process.pid, "boundaries": [], "max_stop": 0.05}, *AS_USER)
            rebuilt = subprocess.run(
                [*AS_USER, other_users.vmad_for_all(), "explain", str(process.pid)],
                capture_output=True,
                text=True,
                check=False,
            )
            assert is_left_alone(process.pid)
        finally:
            process.kill()
    assert asked.returncode == rebuilt.returncode == 3
    assert "CAP_SYS_PTRACE" in asked.stdout
    assert "Traceback" not in asked.stderr + rebuilt.stderr


def _users(pid: int) -> list[int]:
    """Real, effective, saved and that of the file system."""
    text = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith("Uid:"))
    return [int(word) for word in line.split()[1:]]


@pytest.mark.root
@pytest.mark.mounts
@pytest.mark.traced
def test_probe_of_a_process_in_a_container_leaves_it_as_it_was() -> None:
    with apart(*APART, "--user", "--map-root-user") as pid:
        before = Path(f"/proc/{pid}/maps").read_text()
        asked = subprocess.run(
            [sys.executable, "-m", "vmad", "probe", str(pid), "--all", "--yes"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert is_left_alone(pid)
        assert Path(f"/proc/{pid}/maps").read_text() == before
    assert asked.returncode in (0, 1)
    assert "Traceback" not in asked.stderr
