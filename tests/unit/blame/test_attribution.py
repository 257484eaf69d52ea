# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Who made which VMA, from what BPF recorded: cases by hand."""

from __future__ import annotations

import numpy as np
import pytest

from vmad.blame.attribution import CARRIED, GROWN, Attribution, Origin, attribute
from vmad.sources.bpf.blame import (
    BOUNDARY,
    BOUNDARY_KEY,
    EventKind,
    ProcessEvent,
    Recorded,
)
from vmad.sources.bpf.calls import CALLS

PARENT, CHILD = 10, 11
MMAP, MREMAP = CALLS.index("mmap"), CALLS.index("mremap")


def recorded(
    *rows: tuple[int, int, int, int], since: dict[int, tuple[int, int]] | None = None
) -> Recorded:
    """Rows of (tgid, address, stack, sequence); ``since``: tgid -> (sequence, parent)."""
    keys = np.array([(address, tgid) for tgid, address, _, _ in rows], BOUNDARY_KEY)
    makers = np.array(
        [(stack, sequence, sequence * 10, MMAP, 0) for *_, stack, sequence in rows], BOUNDARY
    )
    processes = {
        tgid: (first, parent, tgid) for tgid, (first, parent) in (since or {PARENT: (0, 0)}).items()
    }
    return Recorded(keys, makers, processes)


def attributed(
    starts: list[int],
    what: Recorded,
    *events: ProcessEvent,
    tgid: int = PARENT,
    by_kernel: tuple[int, ...] = (),
    current: bool = True,
    growing: list[int] | None = None,
) -> Attribution:
    marks = np.array([start in by_kernel for start in starts])
    return attribute(
        np.array(starts, np.uint64),
        marks,
        tgid,
        what,
        events,
        current=current,
        growing=None if growing is None else np.array(growing, np.uint64),
    )


def test_a_vma_is_the_call_s_that_made_its_boundary() -> None:
    told = attributed([0x1000, 0x3000], recorded((PARENT, 0x3000, 7, 1), (PARENT, 0x5000, 8, 2)))

    assert told.origin.tolist() == [Origin.BEFORE, Origin.RECORDED]
    assert told.stack.tolist() == [0, 7]
    assert told.call.tolist() == [-1, MMAP]


def test_boundaries_of_other_processes_at_the_same_address_are_not_its_own() -> None:
    told = attributed([0x1000], recorded((CHILD, 0x1000, 7, 1)))

    assert told.origin.tolist() == [Origin.BEFORE]


def test_a_child_has_its_parent_s_boundaries_up_to_the_fork() -> None:
    what = recorded(
        (PARENT, 0x1000, 7, 1),
        (PARENT, 0x2000, 8, 5),  # after the fork
        (CHILD, 0x3000, 9, 6),
        since={PARENT: (0, 0), CHILD: (4, PARENT)},
    )

    told = attributed([0x1000, 0x2000, 0x3000], what, tgid=CHILD)

    assert told.origin.tolist() == [Origin.INHERITED, Origin.BEFORE, Origin.RECORDED]
    assert told.stack.tolist() == [7, 0, 9]


def test_after_an_exec_nothing_older_counts_and_the_kernel_made_the_rest() -> None:
    executed = ProcessEvent(EventKind.EXEC, PARENT, 4, (0, 0, 0, 0, 0))
    what = recorded((PARENT, 0x1000, 7, 1), (PARENT, 0x2000, 8, 5), since={PARENT: (4, 0)})

    told = attributed([0x1000, 0x2000], what, executed)

    assert told.origin.tolist() == [Origin.KERNEL, Origin.RECORDED]


@pytest.mark.parametrize("older", [True, False])
def test_what_begins_inside_of_several_moved_vmas_is_the_move_s_in_doubt(older: bool) -> None:
    move = ProcessEvent(EventKind.MOVE, PARENT, 4, (0x9000, 0x3000, 0x1000, 0x3000, 5))
    what = recorded((PARENT, 0x1000, 7, 5), (PARENT, 0x2000, 8, 2 if older else 6))

    told = attributed([0x1000, 0x2000, 0x4000], what, move)

    assert told.stack.tolist() == [7, 5 if older else 8, 0]
    assert told.call[1] == (MREMAP if older else MMAP)
    assert told.doubt.tolist() == [0, CARRIED if older else 0, 0]
    assert told.origin[2] == Origin.BEFORE


def test_vmas_read_before_the_end_may_have_been_forgotten_since() -> None:
    executed = ProcessEvent(EventKind.EXEC, PARENT, 1, (0, 0, 0, 0, 0))
    what = recorded((PARENT, 0x2000, 8, 5), since={PARENT: (1, 0)})

    told = attributed([0x1000, 0x2000, 0x3000], what, executed, by_kernel=(0x1000,), current=False)

    assert told.origin.tolist() == [Origin.KERNEL, Origin.RECORDED, Origin.FORGOTTEN]


def test_a_stack_that_grew_is_of_whoever_made_the_place_it_grew_from_in_doubt() -> None:
    what = recorded((PARENT, 0x3000, 7, 1), (PARENT, 0x5000, 8, 2))

    told = attributed([0x1000, 0x4000, 0x8000], what, growing=[0x4000, 0, 0x9000])

    assert told.origin.tolist() == [Origin.RECORDED, Origin.BEFORE, Origin.BEFORE]
    assert told.stack.tolist() == [7, 0, 0]
    assert told.doubt.tolist() == [GROWN, 0, GROWN]


def test_the_main_stack_is_the_kernel_s_and_in_no_doubt() -> None:
    what = recorded((PARENT, 0x3000, 7, 1))

    told = attributed([0x1000], what, by_kernel=(0x1000,), growing=[0x4000])

    assert told.origin.tolist() == [Origin.BEFORE]
    assert told.doubt.tolist() == [0]
