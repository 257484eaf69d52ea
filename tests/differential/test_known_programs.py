# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Programs that once told something that the random ones had to learn, by name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.differential.executor import Executor, Variant
from tests.differential.generator import (
    ANON,
    FIXED,
    MAYMOVE,
    MREMAP_FIXED,
    PRIVATE,
    R,
    W,
)
from tests.differential.program import PAGE, Kind, Op, at, op
from tests.differential.trial import Trial, expected_merge
from vmad.sources.choose import open_source

pytestmark = pytest.mark.bpf

RANDOM, NORMAL, DONTUNMAP = 1, 0, 4
RW = R | W | (PRIVATE | FIXED | ANON) << 8


@pytest.fixture
def trial() -> Iterator[Trial]:
    kernel = open_source("kernel", None)
    with Executor() as executor:
        yield Trial(executor, kernel)
    kernel.close()


def faulted_apart_around_an_unfaulted() -> tuple[Op, ...]:
    """[0, 4) and [8, 12) with an anon_vma each, [4, 8) without: alike, and never tried."""
    moved = at(40)
    return (
        op(Kind.MMAP, 0, 12, RW),
        op(Kind.MADVISE, 4, 4, RANDOM),
        op(Kind.WRITE, 0, 4),
        op(Kind.WRITE, 4, 4),
        op(Kind.WRITE, 8, 4),
        op(Kind.MADVISE, 4, 4, NORMAL),
        Op(
            Kind.MREMAP, MAYMOVE | MREMAP_FIXED | DONTUNMAP, at(4), 4 * PAGE, moved, 4 * PAGE
        ),
    )  # fmt: skip


def test_between_two_anon_vmas_the_kernel_joins_the_lower(trial: Trial) -> None:
    """Both pairs are mergeable, one merge happens: an operation in the middle joins the left."""
    program = faulted_apart_around_an_unfaulted()
    toggle = tuple(op(Kind.MADVISE, 4, 4, advice) for advice in (RANDOM, NORMAL))
    lower, upper = trial.executor.run(
        program, [Variant(toggle, at(4), at(0)), Variant(toggle, at(8), at(4))]
    )

    assert (lower.before, lower.after & 1) == (1, 0)
    assert (upper.before, upper.after & 1) == (1, 1)


def test_of_two_mergeable_pairs_each_merges_alone(trial: Trial) -> None:
    answered = trial.answers(faulted_apart_around_an_unfaulted(), choose_a=0b11)

    assert [each.merged for each in answered] == [expected_merge(each.pair) for each in answered]
    if trial.rules.era.symmetric_anon_vma:
        assert [each.merged for each in answered] == [True, True]
