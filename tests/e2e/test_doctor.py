# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad doctor`` under real rights says what the kernel then really allows."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from tests.e2e.daemons import VMAD
from tests.other_users import as_nobody, vmad_for_all
from vmad.model.kernel import running_kernel


def doctor(*prefix: str) -> tuple[int, dict[str, Any], dict[str, dict[str, Any]]]:
    """(exit status, report, findings by name)"""
    ran = subprocess.run(
        [*prefix, vmad_for_all() if prefix else VMAD, "doctor", "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr == ""
    report: dict[str, Any] = json.loads(ran.stdout)
    assert report["schema"] == "vmad.doctor/1"
    return ran.returncode, report, {one["name"]: one for one in report["findings"]}


@pytest.mark.bpf
def test_root_gets_exact_verdicts_and_sees_what_each_way_costs() -> None:
    status, report, findings = doctor()

    assert status == 0
    assert report["conclusion"]["text"].startswith("Kernel evidence works: exact verdicts for")
    for name in ("BPF task_vma", "BPF census", "/proc/PID/maps", "/proc/PID/smaps"):
        assert findings[name]["works"], findings[name]
        assert findings[name]["cost"]["here"] > 0
    settings = {one["name"]: one["value"] for one in report["settings"]}
    assert settings["kernel"].startswith(os.uname().release)
    assert settings["libbpf"][0].isdigit()


@pytest.mark.bpf
def test_user_without_rights_is_told_which_capabilities_to_give() -> None:
    status, report, findings = doctor(*as_nobody())

    assert status == 1
    assert "for 1 of" in report["conclusion"]["text"]
    assert (
        "needs CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN (try sudo)"
        in (report["conclusion"]["text"])
    )
    assert findings["/proc/PID/maps"]["reached"] == 1
    assert "CAP_SYS_PTRACE" in findings["/proc/PID/maps"]["remedy"]
    assert "CAP_DAC_READ_SEARCH" in findings["/proc/PID/pagemap"]["remedy"]


@pytest.mark.bpf
def test_two_capabilities_are_enough_for_exact_verdicts() -> None:
    status, report, findings = doctor(*as_nobody("bpf", "perfmon"))

    assert status == 0
    assert report["conclusion"]["exact"]
    maps = findings["/proc/PID/maps"]
    if running_kernel().version >= (6, 16):
        assert maps["remedy"] is None
    else:
        assert maps["remedy"] == "needs CAP_SYS_PTRACE"


@pytest.mark.bpf
def test_one_of_the_two_is_not_enough() -> None:
    _, report, findings = doctor(*as_nobody("bpf"))

    assert not report["conclusion"]["exact"]
    assert findings["BPF census"]["remedy"] == "needs CAP_PERFMON, or CAP_SYS_ADMIN"


@pytest.mark.bpf
def test_ptrace_alone_gives_procfs_evidence_of_everybody() -> None:
    status, report, findings = doctor(*as_nobody("sys_ptrace"))

    assert (status, report["conclusion"]["exact"]) == (0, False)
    assert report["conclusion"]["text"].startswith("Only procfs evidence works, for ")
    assert findings["/proc/PID/maps"]["remedy"] is None
    assert findings["/proc/PID/pagemap"]["remedy"] == "needs CAP_DAC_READ_SEARCH"


def test_first_line_is_the_conclusion() -> None:
    ran = subprocess.run([VMAD, "doctor"], capture_output=True, text=True, check=False)

    assert ran.stdout.startswith(("Kernel evidence works", "Only procfs", "No evidence"))
    assert "vmad selfcheck" in ran.stdout
