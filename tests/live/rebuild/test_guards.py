# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What decision 0018 rests on: to a program a guard region is not what a page without access is."""

from __future__ import annotations

import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("guards.c")
#: without access; a guard region (6.13)
SEEN = [
    "ACCERR, EFAULT, emptied ACCERR, in a child closed, made writable open",
    "MAPERR, EFAULT, emptied MAPERR, in a child closed, made writable MAPERR",
]


def test_a_guard_region_stays_closed_when_it_is_made_writable(tmp_path: Path) -> None:
    binary = tmp_path / "guards"
    flags = ("-O1", "-Wall", "-Wextra", "-Werror")
    subprocess.run(["gcc", *flags, "-o", binary, SOURCE], check=True)
    said = subprocess.run([binary], check=True, capture_output=True, text=True).stdout.splitlines()
    assert said in (SEEN, ["no guard regions: Invalid argument"])
