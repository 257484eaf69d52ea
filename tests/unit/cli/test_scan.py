# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""vmad scan: the one nearest to the limit first; JSON by the contract."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from tests.unit.capture.recorded import TablesSource
from tests.unit.cli.running import vmad
from tests.unit.explain.tables import alternating, table_of
from vmad.export.scan_text import scan_text
from vmad.export.style import Style
from vmad.model.kinds import Kind
from vmad.model.process import ProcessId, Unread, Unreadable
from vmad.scan.once import scan_once


def test_the_first_line_says_who_is_nearest_to_the_limit(host: Path) -> None:
    first = vmad("scan", "--from", host).out.splitlines()[0]

    assert first == (
        "3 processes with 149 VMAs; nearest to the limit: "
        "redis-server (pid 100) with 96 of 65,530 (0.1 %)"
    )


def test_the_table_has_one_line_per_process_and_the_hosts_sums(host: Path) -> None:
    out = vmad("scan", "--from", host).out

    (line,) = [line for line in out.splitlines() if line.lstrip().startswith("100 ")]
    assert line.split()[1:4] == ["redis-server", "96", "0.1"]
    assert "vm_flags:access 60" in line
    assert "Could not be read: 1 process (gone 1)" in out


def test_top_bounds_the_table_and_all_does_not(host: Path) -> None:
    assert "2 more processes: --all" in vmad("scan", "--from", host, "--top", "1").out
    assert "more process" not in vmad("scan", "--from", host, "--all").out


def test_json_keeps_the_contract(host: Path) -> None:
    ran = vmad("scan", "--from", host, "--format", "json")
    scan = json.loads(ran.out)

    assert (ran.status, ran.err) == (0, "")
    assert (scan["schema"], scan["evidence"]) == ("vmad.scan/1", "kernel")
    assert scan["took_seconds"] > 0
    assert scan["kernel"] == {
        "release": "6.1.0-56-amd64", "machine": "x86_64", "patched": False
    }  # fmt: skip
    assert [process["pid"] for process in scan["processes"]] == [100, 200, 300]
    first = scan["processes"][0]
    assert first["pairs"]["stock"] == {
        "mergeable": {"latent": 5},
        "blocked": {"vm_flags:access": 60, "anon_vma_differs": 30},
        "unknown": {},
    }
    assert first["pairs"]["relaxed"]["mergeable"] == {"latent": 35}
    assert set(first["kinds"]) == {kind.name.lower() for kind in Kind}
    assert sum(first["kinds"].values()) == first["map_count"] == 96
    assert set(first["recoverable"]) == {"stock", "relaxed", "rebuild"}
    (gone,) = scan["unreadable"]
    assert (gone["pid"], gone["why"]) == (999, "gone")


def test_pids_restrict_the_scan(host: Path) -> None:
    scan = json.loads(vmad("scan", 200, "--from", host, "--format", "json").out)

    assert [process["pid"] for process in scan["processes"]] == [200]
    assert scan["unreadable"] == []


def test_a_pid_that_is_not_there_is_told_and_ends_with_3(host: Path) -> None:
    ran = vmad("scan", 200, 4000, "--from", host, "--format", "json")

    assert ran.status == 3
    (missing,) = json.loads(ran.out)["unreadable"]
    assert (missing["pid"], missing["why"]) == (4000, "gone")


def test_another_kernels_rules_can_be_asked_for(host: Path) -> None:
    scan = json.loads(vmad("scan", "--from", host, "--kernel", "6.16", "--format", "json").out)

    assert scan["kernel"]["release"] == "6.1.0-56-amd64"
    assert scan["kernel"]["judged_as"] == "6.16"


def test_hostile_names_cannot_steer_the_terminal(host: Path) -> None:
    out = vmad("scan", "--from", host).out

    assert r"\x1b[31mred\x0a" in out
    assert all(char.isprintable() for char in out.replace("\n", ""))


def test_json_of_hostile_names_is_valid_utf_8(host: Path) -> None:
    scan = json.loads(vmad("scan", "--from", host, "--format", "json").out)

    scan["processes"][2]["comm"].encode("utf-8")


def test_a_user_who_may_not_read_most_processes_is_told_so_first() -> None:
    scan = replace(
        scan_once(TablesSource([table_of(alternating(10), pid=1, mm=1)])),
        unreadable=tuple(
            Unreadable(ProcessId(pid, 1), "", Unread.PERMISSION, "needs CAP_SYS_PTRACE")
            for pid in (2, 3)
        ),
    )
    lines = scan_text(scan, Style(), None)
    nothing = scan_text(replace(scan, processes=()), Style(), None)
    few = scan_text(replace(scan, unreadable=scan.unreadable[:1]), Style(), None)

    assert lines[:2] == ["2 of 3 processes may not be read: needs CAP_SYS_PTRACE.", "The rest:"]
    assert lines[2].startswith("1 process with 11 VMAs")
    assert nothing[:2] == ["2 of 2 processes may not be read: needs CAP_SYS_PTRACE.", ""]
    assert few[0].startswith("1 process with 11 VMAs")
