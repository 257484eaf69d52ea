# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Runs that are rebuilt piece by piece end as one VMA (bench/moves.c join).

Without vmad: what examples/rebuild/core.h does by itself.
"""

from __future__ import annotations

import mmap
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[3] / "bench" / "moves.c"

pytestmark = pytest.mark.moves

#: pages of two huge ones, each what a table of 8-byte entries leads to
TWO = 2 * mmap.PAGESIZE // 8


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    binary = tmp_path_factory.mktemp("pieces") / "moves"
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", binary, SOURCE], check=True)
    return binary


@pytest.mark.parametrize(
    "how",
    [
        "16 8 4", "16 8 1", "50 16 7", f"8 {TWO} 2 huge", "16 8 4 forked", f"8 {TWO} 2 huge forked",
        "17 8 17 late", f"8 {TWO} 8 huge late",
    ],
)  # fmt: skip
def test_each_piece_joins_those_before(program: Path, how: str) -> None:
    """So many VMAs, of so many pages, so many at a time: before, afterwards, wrong pages."""
    said = subprocess.run(
        [program, "join", *how.split()], check=True, capture_output=True, text=True
    ).stdout
    assert said.split() == [how.split(maxsplit=1)[0], "1", "0"]
