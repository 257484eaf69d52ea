# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which VMAs a rebuild would join, and why the others are left out."""

from __future__ import annotations

import numpy as np
import pytest

from vmad.model import facts as f
from vmad.model.kernel import KernelInfo
from vmad.model.kinds import Kind
from vmad.model.process import Evidence, ProcessId
from vmad.model.table import VMA_ROW, VmaTable
from vmad.rules.carried import Carried, carried
from vmad.rules.rebuild import RebuildRules
from vmad.rules.rebuild_runs import RebuildRuns, rebuild_runs

PAGE = 4096
KERNEL = KernelInfo("6.12.0", page_shift=12)
#: rd wr mr mw me ac
PLAIN = 0x100073
GUARDED, REGISTERED, LOCKED, ON_FAULT = PLAIN | 1 << 11, PLAIN | 1 << 9, 1 << 13, 1 << 19
DONT_DUMP, NO_RESERVE, SEALED = 1 << 26, 1 << 21, 1 << 42
DIFFER = f.PGOFF | 1 << f.A_AV_SHIFT | 1 << f.B_AV_SHIFT


def runs(*vmas: dict[str, int], kernel: KernelInfo = KERNEL) -> RebuildRuns:
    """VMAs of a page each, in a row; ``facts`` of the pair with the one below."""
    rows = np.zeros(len(vmas), VMA_ROW)
    for number, vma in enumerate(vmas):
        row = {"flags": PLAIN, "facts": DIFFER, "kind": Kind.ANON_WRITABLE, "pair": number > 0}
        row |= {"start": (16 + number) * PAGE, "end": (17 + number) * PAGE} | vma
        for name, value in row.items():
            rows[number][name] = value
    table = VmaTable(ProcessId(1, 2), "x", Evidence.KERNEL, len(vmas), rows)
    return rebuild_runs(table, RebuildRules(kernel))


def spans(found: RebuildRuns) -> list[tuple[int, int]]:
    return [(run.start // PAGE - 16, run.end // PAGE - 16) for run in found.runs]


def test_a_row_kept_apart_by_offset_and_anon_vma_is_one_run() -> None:
    found = runs({}, {}, {})
    assert (spans(found), found.saved, found.bytes, found.left_out) == ([(0, 3)], 2, 3 * PAGE, {})
    assert found.runs[0].starts == (16 * PAGE, 17 * PAGE, 18 * PAGE)


def test_what_differs_in_more_ends_a_run() -> None:
    found = runs({}, {}, {"facts": f.POLICY | DIFFER}, {})
    assert (spans(found), found.left_out) == ([(0, 2), (2, 4)], {})


def test_a_single_vma_is_no_run() -> None:
    assert spans(runs({}, {"pair": 0}, {"facts": f.FILE})) == []


@pytest.mark.parametrize(
    ("vma", "why"),
    [
        ({"flags": GUARDED}, "has guard regions, which do not move"),
        ({"flags": REGISTERED}, "is registered with a userfaultfd"),
        ({"flags": PLAIN & ~2}, "may not be written to"),
        ({"flags": PLAIN & ~0x100000}, "is not accounted, which a fresh area would be"),
        ({"kind": Kind.HEAP}, "is the heap"),
        ({"kind": Kind.STACK}, "is the stack"),
        ({"file": 3}, "is a private mapping of a file (/dev/zero)"),
    ],
)
def test_a_vma_that_cannot_go_along_is_left_out_with_both_its_pairs(
    vma: dict[str, int], why: str
) -> None:
    found = runs({}, {}, vma, {}, {})
    assert (spans(found), found.left_out) == ([(0, 2), (3, 5)], {why: 2})


def test_flags_become_the_calls_that_set_them() -> None:
    assert carried(PLAIN, 0) == Carried(3, 0, (), 0)
    assert carried(PLAIN | 4 | DONT_DUMP | LOCKED, 0) == Carried(7, 0, (16,), 1)
    assert carried(PLAIN & ~0x100000 | NO_RESERVE | LOCKED | ON_FAULT, 0) == Carried(
        3, 0x4000, (), 2
    )
    assert carried(PLAIN | SEALED, 0) == f"has flags that cannot be carried over ({SEALED:#x})"


@pytest.mark.parametrize(("release", "bit"), [("6.8.0", 33), ("6.11.9", 33), ("6.12.0", 37)])
def test_what_arm_gives_to_all_memory_unasked_is_carried_by_itself(release: str, bit: int) -> None:
    """VM_MTE_ALLOWED, on a processor with tags; not the tags themselves, the bit beside it."""
    arm = KernelInfo(release, "aarch64", page_shift=12)
    allowed = {"flags": PLAIN | 1 << bit}
    assert spans(runs(allowed, allowed, kernel=arm)) == [(0, 2)]
    tagged = {"flags": PLAIN | 1 << bit | 1 << bit - 1}
    why = f"has flags that cannot be carried over ({1 << bit - 1:#x})"
    assert runs(tagged, tagged, kernel=arm).left_out == {why: 1}
    # on x86-64 the same bits are others
    why = f"has flags that cannot be carried over ({1 << bit:#x})"
    assert runs(allowed, allowed, kernel=KernelInfo(release, page_shift=12)).left_out == {why: 1}
