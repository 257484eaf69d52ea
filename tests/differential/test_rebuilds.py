# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the relaxed and the rebuild rules promise of runs, held against rebuilds of them.

``make fuzz-rebuilds`` does the same for a million pairs, on all cores.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.differential.executor import Executor
from tests.differential.fuzz_rebuild import ask_all
from tests.differential.program import Kind, op
from tests.differential.rebuild_trial import RebuildTrial, Rebuilt
from vmad.sources.choose import open_source

pytestmark = [pytest.mark.bpf, pytest.mark.moves]

SEED = 40
PROGRAMS = 1200
#: what mmap takes for memory that a run is made of
PLAIN = 3 | 0x32 << 8
LIVING, DEAD = 0, 1
MADV_GUARD_INSTALL = 102


@pytest.fixture(scope="module")
def trial() -> Iterator[RebuildTrial]:
    source = open_source("kernel", None)
    with Executor() as executor:
        yield RebuildTrial(executor, source)
    source.close()


def test_neither_rules_promise_more_than_a_rebuild_reaches(trial: RebuildTrial) -> None:
    """And the rebuild rules promise it to the VMA, where every page may be moved."""
    sums, told = ask_all(trial, SEED, range(PROGRAMS))
    print(dict(sums))

    assert sums["disagreements"] == 0, told
    assert sums["pairs"] > PROGRAMS / 2
    assert 0 < sums["relaxed"] <= sums["vanished"] <= sums["pairs"]
    assert sums["shared"] > 0
    assert sums["not rebuilt"] < PROGRAMS / 200, told


#: three pieces, the middle one last: it joins one of the others, and those two stay apart
APART = (
    op(Kind.MMAP, 0, 4, PLAIN),
    op(Kind.WRITE, 0, 4),
    op(Kind.MMAP, 8, 4, PLAIN),
    op(Kind.WRITE, 8, 4),
    op(Kind.MMAP, 4, 4, PLAIN),
    op(Kind.WRITE, 4, 1),
)


def test_pieces_written_to_out_of_order_become_one(trial: RebuildTrial) -> None:
    answer = trial.ask(APART)
    assert answer == Rebuilt(relaxed=1, rebuild=1, vanished=1, shared=0, guarded=0)


def test_a_child_that_lives_keeps_them_apart(trial: RebuildTrial) -> None:
    answer = trial.ask((*APART, op(Kind.FORK, arg=LIVING)))
    assert answer == Rebuilt(relaxed=0, rebuild=1, vanished=0, shared=1, guarded=0)


def test_a_child_that_has_ended_does_not(trial: RebuildTrial) -> None:
    answer = trial.ask((*APART, op(Kind.FORK, arg=DEAD)))
    assert answer == Rebuilt(relaxed=1, rebuild=1, vanished=1, shared=0, guarded=0)


def test_a_guard_region_beside_pages_of_an_ended_child_ends_nobody(trial: RebuildTrial) -> None:
    """pagemap shows it as swapped out: a write to have such a page back would be SIGSEGV."""
    guard = op(Kind.MADVISE, 9, 1, MADV_GUARD_INSTALL)
    answer = trial.ask((*APART, guard, op(Kind.FORK, arg=DEAD)))
    known = os.uname().release.split(".")[:2]
    guards = tuple(map(int, known)) >= (6, 13)
    left = Rebuilt(relaxed=1, rebuild=1, vanished=0, shared=0, guarded=1)
    assert answer == (left if guards else Rebuilt(1, 1, 1, 0, 0))


def test_bytes_that_change_are_noticed(trial: RebuildTrial) -> None:
    """The comparison itself: a write in place of the rebuild."""
    trial.executor.hold(APART)
    outcome = trial.executor.go_on((op(Kind.WRITE, 0, 1),))
    assert outcome.ops >> 31 == 1
