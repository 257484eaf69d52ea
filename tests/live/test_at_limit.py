# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What fails at the limit that this host has: the last count at which a call works and the next."""

from __future__ import annotations

import subprocess
from pathlib import Path

from limit_walk import answers, compiled, expected, rows_of

from vmad.model.kernel import running_kernel


def test_calls_fail_from_the_count_in_the_table_and_not_one_before(tmp_path: Path) -> None:
    rows = rows_of(running_kernel().version)
    both = {
        row: (1,) if fails is None else (fails.offset - 1, fails.offset)
        for row, fails in rows.items()
    }
    asked = [f"{row}:{offset}" for row, offsets in both.items() for offset in offsets]
    command = [compiled(tmp_path), *asked]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (ran.returncode, ran.stderr) == (0, "")
    wanted: dict[tuple[str, int], str] = {}
    for row, offsets in both.items():
        wanted |= expected({row: rows[row]}, offsets)
    assert answers(ran.stdout) == wanted
