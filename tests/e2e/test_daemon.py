# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The daemon as a user has it: started, scraped, and right about a child that nears the limit."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemons import VMAD, Daemon, wait_for
from tests.live.targets import Target
from vmad.model.kinds import KIND_NAMES

GROUP = "victims"
CONFIG = """\
scan:
  interval: 1s
  sample_interval: 100ms
  budget: 50%
  evidence: {evidence}
groups:
  - match:
      comm: vmad-victim
    name: victims
"""
EVIDENCES = [pytest.param("kernel", marks=pytest.mark.bpf), "procfs"]


def explained(pid: int, evidence: str) -> dict[str, Any]:
    ran = subprocess.run(
        [VMAD, "explain", str(pid), "--evidence", evidence, "--format", "json"],
        capture_output=True,
        check=True,
    )
    thing: dict[str, Any] = json.loads(ran.stdout)
    return thing


def pairs_of(daemon: Daemon, metric: str, **labels: str) -> dict[str, Counter[tuple[str, str]]]:
    """Pairs by rules, then by (verdict, reason)."""
    found: dict[str, Counter[tuple[str, str]]] = {"stock": Counter(), "relaxed": Counter()}
    for (name, of), value in daemon.series().items():
        those = dict(of)
        if name == metric and labels.items() <= those.items():
            found[those["rules"]][those["verdict"], those["reason"]] += int(value)
    return found


@pytest.mark.parametrize("evidence", EVIDENCES)
def test_child_is_followed_towards_the_limit(
    tmp_path: Path, victim: Target, lowered_limit: int, evidence: str
) -> None:
    victim.build("faulted_apart")
    with Daemon(tmp_path, CONFIG.format(evidence=evidence)).ready() as daemon:
        assert daemon.value("vmad_memory_map_areas_limit") == lowered_limit
        assert daemon.value("vmad_group_processes", group=GROUP) == 1

        victim.build("guard_pages", pairs=5_000)
        count = daemon.wait_for_value(
            "vmad_group_memory_map_areas_max", lambda count: count > 10_000, group=GROUP
        )
        assert count < 10_500
        rate = daemon.wait_for_value(
            "vmad_group_memory_map_areas_growth_per_second", lambda rate: rate > 0, group=GROUP
        )
        seconds = daemon.wait_for_value(
            "vmad_group_seconds_to_limit", lambda seconds: seconds > 0, group=GROUP
        )
        assert seconds < lowered_limit
        assert rate < 10_500

        ratio = daemon.value("vmad_group_limit_ratio", group=GROUP)
        assert ratio == pytest.approx(count / lowered_limit)
        assert (daemon.value("vmad_host_worst_limit_ratio") or 0) >= count / lowered_limit


@pytest.mark.parametrize("evidence", EVIDENCES)
def test_pairs_by_reason_add_up_to_the_number_of_pairs(
    tmp_path: Path, victim: Target, evidence: str
) -> None:
    victim.build("guard_pages", pairs=300)
    victim.build("faulted_apart")
    with Daemon(tmp_path, CONFIG.format(evidence=evidence)).ready() as daemon:
        explanation = explained(victim.pid, evidence)
        of_group = pairs_of(daemon, "vmad_group_pairs", group=GROUP)
        kinds = [daemon.value("vmad_group_areas", group=GROUP, kind=k) for k in KIND_NAMES.values()]

        for rules in ("stock", "relaxed"):
            expected = Counter(
                (pair[rules]["verdict"], (pair[rules]["reasons"] or [None])[0])
                for pair in explanation["pairs"]
            )
            assert of_group[rules].total() == expected.total() == len(explanation["pairs"])
            blocked = {key: n for key, n in expected.items() if key[0] == "blocked"}
            if evidence == "procfs":
                # glibc 2.41's getrandom: droppable, which smaps (explain) shows and maps does not
                blocked.pop(("blocked", "vm_flags:dp"), None)
            assert {k: n for k, n in of_group[rules].items() if k[0] == "blocked"} == blocked
        assert sum(one or 0 for one in kinds) == explanation["map_count"]

        host = pairs_of(daemon, "vmad_host_pairs")
        assert host["stock"].total() == host["relaxed"].total() >= len(explanation["pairs"])


@pytest.mark.bpf
def test_patched_kernel_would_recover_what_was_faulted_apart(
    tmp_path: Path, victim: Target
) -> None:
    victim.build("faulted_apart")
    with Daemon(tmp_path, CONFIG.format(evidence="kernel")).ready() as daemon:
        pairs = pairs_of(daemon, "vmad_group_pairs", group=GROUP)
        recoverable = {
            rules: daemon.value("vmad_group_recoverable_areas", group=GROUP, rules=rules)
            for rules in ("stock", "relaxed", "rebuild")
        }

    assert pairs["stock"]["blocked", "anon_vma_differs"] >= 1
    assert recoverable == explained(victim.pid, "kernel")["recoverable"]
    assert (recoverable["relaxed"] or 0) >= 1


def test_procfs_says_what_it_cannot_know(tmp_path: Path, victim: Target) -> None:
    victim.build("faulted_apart")
    with Daemon(tmp_path, CONFIG.format(evidence="procfs")).ready() as daemon:
        pairs = pairs_of(daemon, "vmad_group_pairs", group=GROUP)
        assert any(verdict == "unknown" for verdict, _ in pairs["stock"])
        assert daemon.value("vmad_group_recoverable_areas", group=GROUP, rules="stock") is None
        assert daemon.value("vmad_evidence_info", evidence="procfs", walk="maps") == 1


@pytest.mark.bpf
def test_burst_between_two_scans_is_seen_by_the_samples(tmp_path: Path, victim: Target) -> None:
    """No scan meets it: the next is due in an hour, or when a person asks for one."""
    config = CONFIG.format(evidence="kernel").replace("interval: 1s", "interval: 1h", 1)
    with Daemon(tmp_path, config).ready() as daemon:
        burst = "burst = mapped(0x7e0000000000, 8000 * PAGE)\n"
        burst += "for i in range(0, 8000, 2): protect(0x7e0000000000 + i * PAGE, PAGE, NONE)"
        victim.run(burst)
        before = daemon.value("vmad_samples_total") or 0
        daemon.wait_for_value("vmad_samples_total", lambda samples: samples >= before + 2)
        victim.run("libc.munmap(0x7e0000000000, 8000 * PAGE)")
        assert daemon.value("vmad_scans_total", kind="full") == 1

        daemon.reload()
        high = daemon.wait_for_value(
            "vmad_group_memory_map_areas_highwater", lambda high: high > 8_000, group=GROUP
        )
        now = daemon.value("vmad_group_memory_map_areas_max", group=GROUP)
        assert now is not None
        assert now < 1_000 < high


@pytest.mark.bpf
def test_page_and_json_show_the_child(tmp_path: Path, victim: Target) -> None:
    victim.build("guard_pages", pairs=2_000)
    with Daemon(tmp_path, CONFIG.format(evidence="kernel")).ready() as daemon:
        page = daemon.get("/").decode()
        scan = daemon.json("/api/v1/scan")
        by_http = daemon.json(f"/api/v1/explain/{victim.pid}")

        assert "victims" in page
        assert "vm_flags:access" in page or "access" in page
        (process,) = [one for one in scan["processes"] if one["pid"] == victim.pid]
        assert process["group"] == GROUP
        assert scan["schema"] == "vmad.scan/1"
        by_hand = explained(victim.pid, "kernel")
        # addresses, and a process's other limits, are for those who may look into it:
        # tests/e2e/test_threats.py
        private = ("pairs", "other_limits")
        assert by_http == {key: value for key, value in by_hand.items() if key not in private}
        assert process["map_count"] == by_http["map_count"]
        assert daemon.status("/api/v1/explain/4194304") == 404


@pytest.mark.bpf
def test_process_that_is_hidden_or_unreadable_is_counted_somewhere(
    tmp_path: Path, victim: Target
) -> None:
    """Every process of /proc with an address space is read, or reported."""
    with Daemon(tmp_path, CONFIG.format(evidence="kernel")).ready() as daemon:
        scan = daemon.json("/api/v1/scan")
        met = {one["pid"] for one in scan["processes"] + scan["unreadable"]}

    assert {1, victim.pid, daemon.process.pid} <= met


@pytest.mark.parametrize("evidence", EVIDENCES)
def test_promtool_has_nothing_to_say_about_the_live_output(tmp_path: Path, evidence: str) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is not in PATH; it is in Debian's package prometheus"
    with Daemon(tmp_path, CONFIG.format(evidence=evidence)).ready() as daemon:
        daemon.wait_for_value("vmad_event_source_up", lambda up: up == 1)
        daemon.wait_for_value("vmad_scans_total", lambda scans: scans > 1, kind="incremental")
        checked = subprocess.run(
            [promtool, "check", "metrics"],
            input=daemon.get("/metrics"),
            capture_output=True,
            check=False,
        )

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


@pytest.mark.bpf
def test_new_children_appear_and_dead_ones_go(tmp_path: Path) -> None:
    with Daemon(tmp_path, CONFIG.format(evidence="kernel")).ready() as daemon:
        with Target("vmad-victim"), Target("vmad-victim"):
            daemon.wait_for_value("vmad_group_processes", lambda number: number == 2, group=GROUP)
        wait_for(
            "the group to go", lambda: daemon.value("vmad_group_processes", group=GROUP) is None
        )


def test_clients_leave_scanning_the_descriptors_that_it_needs(tmp_path: Path) -> None:
    config = "scan: {interval: 1s, budget: 50%, evidence: procfs}\n"
    prefix = ["prlimit", "--nofile=32:32"]
    with Daemon(tmp_path, config, prefix=prefix).ready() as daemon:
        daemon.logged("only 32 file descriptors are allowed")
        host, _, port = daemon.address.rpartition(":")
        idle = [socket.create_connection((host, int(port))) for _ in range(30)]
        scans = daemon.value("vmad_scans_total", kind="incremental") or 0
        daemon.wait_for_value("vmad_scans_total", lambda now: now > scans + 2, kind="incremental")
        for one in idle:
            one.close()
        assert "Too many open files" not in daemon.log
