# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The daemon counts what fails at this kernel's limit, and tells of it when the process is gone."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e.daemons import VMAD, Daemon, wait_for
from tests.e2e.test_service import QUICK
from tests.other_users import as_nobody, open_to_everybody

TOTAL = "vmad_limit_failures_total"
PROGRAM = Path(__file__).parent.parent / "live" / "failing_calls.c"
LIMIT = int(Path("/proc/sys/vm/max_map_count").read_text())

pytestmark = pytest.mark.bpf


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Under a name of its own: others on this machine may run the live tests."""
    made = tmp_path_factory.mktemp("program") / "vmad-failing"
    command = ["cc", "-O1", "-pthread", "-static", "-o", str(made), str(PROGRAM)]
    subprocess.run(command, check=True)
    return made


def run(program: Path, call: str) -> int:
    """Make the call above the limit and end; returns the pid."""
    ran = subprocess.run(
        [str(program), call, str(LIMIT + 1)], stdin=subprocess.DEVNULL, capture_output=True,
        check=True,
    )  # fmt: skip
    return int(ran.stdout.split()[0])


def test_every_failure_of_a_process_that_is_gone_is_told_everywhere(
    tmp_path: Path, program: Path
) -> None:
    open_to_everybody(tmp_path)
    config = f"{QUICK}  failures: always\n"
    prefix = as_nobody("bpf", "perfmon")
    with Daemon(tmp_path, config, prefix=prefix).ready() as daemon:
        daemon.logged("failures at the limit are counted by BPF")
        daemon.logged("capabilities from here on: none")
        assert daemon.value("vmad_source_up", source="failures") == 1
        pid = run(program, "a thousand of mmap")
        labels = {"group": "comm/vmad-failing", "call": "mmap", "error": "ENOMEM"}
        daemon.wait_for_value(TOTAL, lambda count: count == 1000, **labels)
        line = daemon.logged(rf"vmad-failing \(pid {pid}, .*\): mmap failed with ENOMEM at .*")[0]
        assert "1,000 times; vmad " in line

        run(program, "madvise_middle")
        run(program, "mmap")
        daemon.wait_for_value(TOTAL, lambda count: count == 1001, **labels)
        labels |= {"call": "madvise", "error": "EAGAIN"}
        daemon.wait_for_value(TOTAL, lambda count: count == 1, **labels)

        page = daemon.get("/").decode()
        assert "Failed at the limit" in page
        assert f'<span class="pid">{pid}</span>' in page
        for path, part in (("/api/v1/failures", None), ("/api/v1/scan", "limit_failures")):
            document = daemon.json(path)
            document = document if part is None else document[part]
            (found,) = [each for each in document["last"] if each["pid"] == pid]
            assert (found["call"], found["error"], found["count"]) == ("mmap", "ENOMEM", 1000)
            assert LIMIT < found["map_count"] == LIMIT + 1

        command = [VMAD, "scan", "--daemon", daemon.address, "1"]
        text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        assert "failed at the limit since" in text
        scan = subprocess.run([*command, "--format", "json"], capture_output=True, check=False)
        assert pid in {each["pid"] for each in json.loads(scan.stdout)["limit_failures"]["last"]}


def test_a_process_on_its_way_is_met_by_a_daemon_that_watches_on_demand(
    tmp_path: Path, program: Path
) -> None:
    with Daemon(tmp_path, f"{QUICK}  sample_interval: 100ms\n").ready() as daemon:
        command = [str(program), "mmap", str(LIMIT + 1), "wait"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            samples = daemon.value("vmad_samples_total") or 0.0
            # the sample after the one that saw it: by then its calls are watched
            daemon.wait_for_value("vmad_samples_total", lambda count: count > samples + 2)
            process.stdin.write(b".")
            process.stdin.close()
            process.wait()
        labels = {"group": "comm/vmad-failing", "call": "mmap", "error": "ENOMEM"}
        daemon.wait_for_value(TOTAL, lambda count: count == 1, **labels)


def test_a_burst_that_no_sample_saw_leaves_its_exact_mark(tmp_path: Path, program: Path) -> None:
    open_to_everybody(tmp_path)
    config = f"{QUICK}  bursts: always\n"
    with Daemon(tmp_path, config, prefix=as_nobody("bpf", "perfmon")).ready() as daemon:
        daemon.logged(r"highest counts are kept by BPF")
        subprocess.run([str(program), "up and down", str(LIMIT - 5)], input=b"", check=True)
        daemon.wait_for_value(
            "vmad_group_memory_map_areas_highwater",
            lambda count: count == LIMIT - 5,
            group="comm/vmad-failing",
        )
        assert daemon.value("vmad_source_up", source="bursts") == 1


def test_a_failure_is_a_mark_too_where_nobody_else_saw_the_burst(
    tmp_path: Path, program: Path
) -> None:
    config = f"{QUICK}  failures: always\n  bursts: off\n  sample_interval: 0s\n"
    with Daemon(tmp_path, config).ready() as daemon:
        assert daemon.value("vmad_limit_failures_watched") == 1
        run(program, "mmap")
        daemon.wait_for_value(
            "vmad_group_memory_map_areas_highwater",
            lambda count: count == LIMIT + 1,
            group="comm/vmad-failing",
        )


def test_counters_are_zero_before_anything_fails_and_absent_where_nobody_counts(
    tmp_path: Path,
) -> None:
    with Daemon(tmp_path, QUICK).ready() as daemon:
        zeros = wait_for(
            "zeros of the groups",
            lambda: [value for (name, _), value in daemon.series().items() if name == TOTAL],
        )
        assert 0 in zeros
        assert daemon.value("vmad_limit_failures_lost_total") == 0
    with Daemon(tmp_path, f"{QUICK}  failures: off\n").ready() as daemon:
        assert not [name for name, _ in daemon.series() if name.startswith("vmad_limit_failures")]
        assert daemon.status("/api/v1/failures") == 404
        assert daemon.value("vmad_source_up", source="failures") == 0
        assert "limit_failures" not in daemon.json("/api/v1/scan")
        command = [VMAD, "scan", "--daemon", daemon.address, "1"]
        text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        assert f"{daemon.address} answers 404" in text


def test_without_rights_one_line_of_the_log_says_so_and_the_rest_works(tmp_path: Path) -> None:
    open_to_everybody(tmp_path)
    with Daemon(tmp_path, QUICK, prefix=as_nobody()).ready() as daemon:
        line = daemon.logged("scan.failures: failures at the limit are not counted: .*")[0]
        assert "not permitted" in line
        assert daemon.value("vmad_source_up", source="failures") == 0
        assert daemon.value("vmad_limit_failures_lost_total") is None
