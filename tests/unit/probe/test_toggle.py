# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The hint in between is one that no neighbour carries, and what was there comes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vmad.model.flags import VM_DONTDUMP, VM_RAND_READ, VM_SEQ_READ
from vmad.probe.toggle import (
    MADV_DODUMP,
    MADV_DONTDUMP,
    MADV_NORMAL,
    MADV_RANDOM,
    MADV_SEQUENTIAL,
    VM_DROPPABLE,
    Toggle,
    choose_toggle,
)

HINTS = VM_SEQ_READ | VM_RAND_READ
flags = st.sampled_from((0, VM_RAND_READ, VM_SEQ_READ)).flatmap(
    lambda hint: st.sampled_from((hint, hint | VM_DONTDUMP))
)


def advised(flags: int, advice: int) -> int:
    """vm_flags after madvise (mm/madvise.c, madvise_vma_behavior)."""
    match advice:
        case 0:
            return flags & ~HINTS
        case 1:
            return flags & ~HINTS | VM_RAND_READ
        case 2:
            return flags & ~HINTS | VM_SEQ_READ
        case 16:
            return flags | VM_DONTDUMP
        case _:
            return flags & ~VM_DONTDUMP


def test_random_is_preferred_and_taken_back() -> None:
    assert choose_toggle(0, 0, 0) == Toggle(MADV_RANDOM, MADV_NORMAL)


def test_a_hint_that_a_neighbour_carries_is_not_used() -> None:
    assert choose_toggle(0, VM_RAND_READ) == Toggle(MADV_SEQUENTIAL, MADV_NORMAL)


def test_the_dump_hint_serves_when_the_read_ahead_hints_are_taken() -> None:
    assert choose_toggle(0, VM_RAND_READ, VM_SEQ_READ) == Toggle(MADV_DONTDUMP, MADV_DODUMP)


def test_without_a_free_hint_there_is_no_toggle() -> None:
    assert choose_toggle(0, VM_RAND_READ, VM_SEQ_READ | VM_DONTDUMP) is None


def test_droppable_memory_is_never_asked_by_the_dump_hint() -> None:
    """MADV_DODUMP of it is EINVAL; found by random programs (seed 2, program 371)."""
    droppable = VM_DROPPABLE | VM_DONTDUMP

    assert choose_toggle(droppable, VM_RAND_READ, VM_SEQ_READ) is None


@given(flags, st.lists(flags, max_size=2))
def test_the_toggle_changes_restores_and_equals_no_neighbour(
    mine: int, neighbours: list[int]
) -> None:
    toggle = choose_toggle(mine, *neighbours)
    if toggle is None:
        return
    between = advised(mine, toggle.away)

    assert between != mine
    assert between not in neighbours
    assert advised(between, toggle.back) == mine
