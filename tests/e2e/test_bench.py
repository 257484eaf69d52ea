# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The benchmark runs: a smoke run of one part, whose figures mean nothing."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("part", "figures"),
    [
        ("latency", 5),
        pytest.param("watching", 8, marks=pytest.mark.bpf),
        pytest.param("sampling", 2, marks=pytest.mark.bpf),
        ("by-hand", 4),
    ],
)
def test_a_quick_run_measures_every_figure_of_a_part(part: str, figures: int) -> None:
    found = quick_run(part)

    assert [figure["reached"] is not None for figure in found] == [True] * figures


@pytest.mark.bpf
def test_a_quick_run_measures_what_blame_costs_by_each_way_that_the_kernel_has() -> None:
    found = quick_run("blaming")

    measured = [figure["name"] for figure in found if figure["reached"] is not None]
    assert len(measured) in (8, 16)
    assert "blame-sys_enter-recorded-mmap" in measured
    assert "blame-sys_enter-after-getppid" in measured


def quick_run(part: str) -> list[dict[str, Any]]:
    """The figures of a smoke run of one part, which leaves the results of whole runs alone."""
    before = committed()
    done = subprocess.run(
        [sys.executable, "-m", "bench.run", "--quick", "--only", part],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("| figure | asked | ")
    found = json.loads((ROOT / "bench" / "out" / "results.json").read_text("utf-8"))
    assert found["schema"] == "vmad.bench/1"
    assert committed() == before
    figures: list[dict[str, Any]] = found["figures"]
    return figures


def committed() -> dict[str, bytes]:
    """The results of whole runs, by kind of processor."""
    found = {file.name: file.read_bytes() for file in (ROOT / "bench" / "results").iterdir()}
    assert found
    return found
