# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A restart forgets nothing that matters, and a daemon keeps no right that it does without."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.e2e.daemons import Daemon
from tests.e2e.test_service import QUICK
from tests.live.targets import Target
from tests.other_users import as_nobody, open_to_everybody

MARK = "vmad_group_memory_map_areas_highwater"
GROWTH = "vmad_group_memory_map_areas_growth_per_second"
GROUP = "comm/vmad-victim"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_marks_and_growth_outlive_a_restart(
    tmp_path: Path, victim: Target, number: signal.Signals
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    environment = {"STATE_DIRECTORY": str(state)}
    config = f"{QUICK}  full_every: 1\n"
    made = victim.build("guard_pages", pairs=3_000)
    with Daemon(tmp_path, config, environment=environment).ready() as daemon:
        mark = daemon.wait_for_value(MARK, lambda count: count > 3_000, group=GROUP)
        daemon.wait_for_value(GROWTH, lambda _: True, group=GROUP)
        victim.run(f"checked(libc.munmap({made.start}, STRIDE), 'munmap')")
        daemon.wait_for_value(
            "vmad_group_memory_map_areas_max", lambda count: count < 3_000, group=GROUP
        )
        daemon.stop(number)

    with Daemon(tmp_path, "scan: {interval: 1h}\n", environment=environment).ready() as daemon:
        assert daemon.value(MARK, group=GROUP) == mark
        # the first scan of a history without past would know no growth
        assert daemon.value(GROWTH, group=GROUP) is not None


def test_a_damaged_state_is_set_aside_and_the_daemon_starts(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    environment = {"STATE_DIRECTORY": str(state)}
    with Daemon(tmp_path, QUICK, environment=environment).ready() as daemon:
        daemon.stop()
    first = (state / "history").read_bytes().partition(b"\n")[0]
    (state / "history").write_bytes(first + b"\nPK\x03\x04 and no more")

    with Daemon(tmp_path, QUICK, environment=environment).ready() as daemon:
        daemon.logged(r"is damaged, starting afresh \(kept as history.damaged\): not an array")
        daemon.stop()
    assert {path.name for path in state.iterdir()} == {
        "history",
        "history.damaged",
        "marks",
        "timeline",
    }


def test_without_a_state_directory_nothing_is_written(tmp_path: Path, victim: Target) -> None:
    with Daemon(tmp_path, QUICK, environment={"STATE_DIRECTORY": ""}).ready() as daemon:
        daemon.stop()

    assert {path.name for path in tmp_path.iterdir()} == {"vmad.yml"}


def _capabilities(daemon: Daemon) -> set[int]:
    """What any of its threads could still use."""
    threads = Path(f"/proc/{daemon.process.pid}/task").iterdir()
    lines = [line for one in threads for line in (one / "status").read_text().splitlines()]
    sets = ("CapPrm:", "CapEff:", "CapInh:", "CapAmb:")
    return {int(line.split()[1], 16) for line in lines if line.startswith(sets)}


@pytest.mark.bpf
def test_no_thread_keeps_a_capability_and_scans_go_on(tmp_path: Path, victim: Target) -> None:
    open_to_everybody(tmp_path)
    with Daemon(tmp_path, QUICK, prefix=as_nobody("bpf", "perfmon")).ready() as daemon:
        daemon.logged("capabilities from here on: none")
        assert _capabilities(daemon) == {0}

        victim.build("guard_pages", pairs=1_000)
        daemon.wait_for_value(
            "vmad_group_memory_map_areas_max", lambda count: count > 1_000, group=GROUP
        )
        assert daemon.json(f"/api/v1/explain/{victim.pid}")["map_count"] > 1_000
        assert daemon.value("vmad_processes_unreadable", reason="permission") == 0
        assert _capabilities(daemon) == {0}


def test_what_procfs_evidence_reads_with_is_kept(tmp_path: Path, victim: Target) -> None:
    open_to_everybody(tmp_path)
    prefix = as_nobody("sys_ptrace", "perfmon", "bpf", "chown")
    with Daemon(tmp_path, QUICK, "--evidence", "procfs", prefix=prefix).ready() as daemon:
        daemon.logged("capabilities from here on: CAP_SYS_PTRACE, CAP_PERFMON\n")
        assert daemon.value("vmad_group_processes", group=GROUP) == 1
