# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What fails at the limit that this host has: the last count at which a call works and the next."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.live.limit_walk import answers, compiled, expected, rows_of
from vmad.model.kernel import running_kernel


def test_calls_fail_from_the_count_in_the_table_and_not_one_before(tmp_path: Path) -> None:
    rows = rows_of(running_kernel().version)
    both = {
        row: (1,) if fails is None else (fails.offset - 1, fails.offset)
        for row, fails in rows.items()
    }
    asked = [f"{row}:{offset}" for row, offsets in both.items() for offset in offsets]
    command = [str(compiled(tmp_path)), *asked]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (ran.returncode, ran.stderr) == (0, "")
    wanted: dict[tuple[str, int], str] = {}
    for row, offsets in both.items():
        wanted |= expected({row: rows[row]}, offsets)
    assert answers(ran.stdout) == wanted


FILLED = """
import mmap, sys
areas = []
try:
    while True:  # neighbours that differ, so that none merges
        areas.append(mmap.mmap(-1, mmap.PAGESIZE, prot=1 + 2 * (len(areas) % 2)))
except OSError as error:
    print(error.errno, flush=True)
sys.stdin.read()
"""


def test_a_process_at_the_limit_is_told_that_its_need_is_unknown() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "12\n"
        command = [sys.executable, "-m", "vmad", "explain", str(process.pid)]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        asked = [*command, "--format", "json"]
        found = json.loads(subprocess.run(asked, capture_output=True, check=True).stdout)
        process.communicate()

    assert "nothing to spare" in text.partition("\n")[0]
    assert "how many it needs is unknown" in " ".join(text.split())
    advice = found["limit_advice"]
    assert not advice["need_known"]
    assert advice["value"] == advice["steps"][0] > found["max_map_count"]
    now = {step["operation"]: step["error"] for step in found["fails_from"]}
    assert now["new threads"] == "EAGAIN"
