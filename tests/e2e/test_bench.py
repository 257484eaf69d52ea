# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The benchmark runs: a smoke run of one part, whose figures mean nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("part", "figures"),
    [
        ("latency", 5),
        pytest.param("watching", 8, marks=pytest.mark.bpf),
        pytest.param("sampling", 2, marks=pytest.mark.bpf),
        ("by-hand", 2),
    ],
)
def test_a_quick_run_measures_every_figure_of_a_part(part: str, figures: int) -> None:
    results = ROOT / "bench" / "results.json"
    before = results.read_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "bench.run", "--quick", "--only", part],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("| figure | asked | reached | ok |")
    found = json.loads((ROOT / "bench" / "out" / "results.json").read_text("utf-8"))
    assert found["schema"] == "vmad.bench/1"
    assert [figure["reached"] is not None for figure in found["figures"]] == [True] * figures
    assert results.read_bytes() == before
