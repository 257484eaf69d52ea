# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a stock kernel counts, written down for the patched one to be held against."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.differential.executor import Executor
from tests.differential.fuzz_switch import (
    OFF,
    More,
    compare,
    counts_of,
    program_of,
    record,
    recorded,
)
from tests.differential.program import Kind

SEED = 5


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("counts") / "stock.json"
    with Executor() as executor:
        record(executor, SEED, 3, file, ["NAME"])
    return file


def test_what_is_written_down_is_counted_again_on_the_same_kernel(file: Path) -> None:
    found = recorded(file, SEED)
    assert sorted(found.counts) == [0, 1, 2]
    with Executor() as executor:
        for number, counts in found.counts.items():
            program = program_of(SEED, number, found.without)
            assert counts == list(counts_of(executor, program, OFF))
            more, sums = compare(executor, program, counts, (OFF,))
            assert more == []
            assert (sums["steps"], sums["saved"]) == (len(program), 0)


def test_one_vma_more_than_was_written_down_is_told_with_its_step(file: Path) -> None:
    without, known = recorded(file, SEED)
    program, counts = program_of(SEED, 0, without), known[0]
    errno, vmas = counts[4]
    counts[4] = (errno, vmas - 1)
    with Executor() as executor:
        more, _ = compare(executor, program, counts, (OFF,))
    assert more == [More(OFF, 4, vmas - 1, vmas)]


def test_counts_of_another_seed_are_refused(file: Path) -> None:
    with pytest.raises(SystemExit, match=f"is of seed {SEED}; give --seed {SEED}"):
        recorded(file, SEED + 1)


def test_kinds_that_are_left_out_are_left_out_and_nothing_else() -> None:
    whole = [program_of(SEED, number) for number in range(60)]
    named = [each for program in whole for each in program if each.kind == Kind.NAME]
    rest = [program_of(SEED, number, ["NAME"]) for number in range(60)]
    assert named
    assert rest == [tuple(each for each in program if each not in named) for program in whole]
