# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What leaves VMAs apart in real programs is rebuilt as predicted, and they go on as before."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.rebuild.programs import programs, run

pytestmark = [pytest.mark.bpf, pytest.mark.moves]

SECONDS, MAX_STOP = 1, 500
ALONE = [
    "CPython: 1,500 bytearrays grown in turn",
    "glibc: 200 vectors grown by realloc",
    "2,000 pieces of a reserve, committed at random",
]


@pytest.mark.parametrize("name", ALONE)
def test_a_program_reaches_what_was_predicted_and_goes_on(name: str, tmp_path: Path) -> None:
    command, more = programs(tmp_path)[name]
    result = run(command, more, SECONDS, MAX_STOP)
    print(result)

    assert result.wrong == 0
    assert result.rounds > 0
    assert result.reached == result.predicted > 50
