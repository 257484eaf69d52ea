# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A 32-bit program on a 64-bit kernel: read exactly, and not stopped."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.small_program import AREA, PAGE, PIECES, written

pytestmark = pytest.mark.compat


@pytest.fixture
def pid(tmp_path: Path) -> Iterator[int]:
    with subprocess.Popen([written(tmp_path / "small")]) as process:
        while "S (sleeping)" not in Path(f"/proc/{process.pid}/status").read_text():
            assert process.poll() is None
        yield process.pid
        process.kill()


def vmad(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vmad", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("evidence", [pytest.param("kernel", marks=pytest.mark.bpf), "procfs"])
def test_read_as_any_other(pid: int, evidence: str) -> None:
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    ran = vmad("explain", pid, "--evidence", evidence, "--pairs", "--format", "json")
    assert ran.stdout, ran.stderr
    document: dict[str, Any] = json.loads(ran.stdout)

    # what the kernel adds for every process of the machine is no VMA of one
    assert document["map_count"] == len([line for line in lines if not line.endswith("[vsyscall]")])
    found = {int(pair["boundary"], 16): pair["stock"] for pair in document["pairs"]}
    for boundary in range(AREA + PAGE, AREA + PIECES * PAGE, PAGE):
        assert found[boundary]["verdict"] == "blocked"
        assert found[boundary]["reasons"][0] == "vm_flags:access"


@pytest.mark.traced
def test_not_stopped(pid: int) -> None:
    ran = vmad("probe", pid, "--boundary", hex(AREA + PAGE))
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.count("\n") == 1
    assert "is a 32-bit program; only 64-bit ones are probed" in ran.stderr
