# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Every row of the table of what fails at the limit, on every kernel, at a lowered limit.

VMAD_TEST_KERNELS names other kernels than these.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.live.limit_walk import OFFSETS, answers, asked, compiled, expected, rows_of
from vmad.lab.run import run_in_guest
from vmad.model.kernel import parse_release

SERIES = os.environ.get("VMAD_TEST_KERNELS", "5.10 6.1 6.12 6.18 newest").split()
AT_A_LOWERED_LIMIT = """
uname -r
echo 400 >/proc/sys/vm/max_map_count
exec "$@"
"""


@pytest.mark.parametrize("series", SERIES)
def test_every_call_fails_from_the_count_in_the_table(series: str, tmp_path: Path) -> None:
    every = asked(rows_of((99,)), OFFSETS)
    program = str(compiled(tmp_path))
    done = run_in_guest(series, ["sh", "-c", AT_A_LOWERED_LIMIT, "sh", program, *every])

    assert (done.status, done.stderr) == (0, b"")
    release, _, rest = done.stdout.decode().partition("\n")
    rows = rows_of(parse_release(release))
    found = {key: error for key, error in answers(rest).items() if key[0] in rows}
    assert found == expected(rows, OFFSETS)
