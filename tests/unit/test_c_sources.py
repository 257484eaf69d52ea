# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The C of tests, workloads and examples has nothing that GCC would warn of."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    source
    for room in ("tests", "vmad/lab", "examples", "bench")
    for source in (ROOT / room).rglob("*.c")
)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: str(source.relative_to(ROOT)))
def test_gcc_warns_of_nothing(source: Path) -> None:
    flags = ["-Wall", "-Wextra", "-O2", "-pthread", f"-I{ROOT / 'examples' / 'rebuild'}"]
    checked = subprocess.run(
        ["gcc", *flags, "-fsyntax-only", source], capture_output=True, text=True, check=False
    )

    assert (checked.returncode, checked.stderr) == (0, "")
