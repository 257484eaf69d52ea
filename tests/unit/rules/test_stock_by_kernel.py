# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What five booted kernels did with pairs, row by row, is what the stock rules say.

Each row was made by one program as PID 1 on Debian cloud kernels 5.10.0-32, 6.1.192, 6.12.117 and
7.3.4 and on 6.18.44: two adjacent private anonymous VMAs, then an operation on one of them that
leaves the flags equal; the kernel merged them (1) or not (2).
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.unit.rules.strategies import pair
from vmad.model import facts as f
from vmad.model.facts import AnonVma
from vmad.model.flags import ACCOUNT
from vmad.model.kernel import KernelInfo
from vmad.model.verdict import Direction, Judgement, Verdict
from vmad.rules.stock import StockRules

KERNELS = ("5.10.0", "6.1.192", "6.12.117", "6.18.44", "7.3.4")
NONE, SINGULAR, CHAIN = AnonVma
A, B, EITHER = Direction.A, Direction.B, Direction.EITHER
AC, NR, NH = ((1 << bit) << f.FLAGS_SHIFT for bit in (20, 21, 30))
assert ACCOUNT == 1 << 20


@dataclass(frozen=True)
class Row:
    """``facts`` of the pair, on one kernel or per kernel; what the kernels do, in order.

    An expectation is a Direction (mergeable by an operation on that side) or the reasons.
    """

    case: str
    facts: int | tuple[int, ...]
    expected: tuple[Direction | tuple[str, ...], ...]


def everywhere(case: str, facts: int, expected: Direction | tuple[str, ...]) -> Row:
    return Row(case, facts, (expected,) * 5)


FAULTED_UNFAULTED = pair(SINGULAR, NONE, exclusive="a")
UNFAULTED_FAULTED = pair(NONE, SINGULAR, exclusive="b")
BOTH_DIFFERENT = pair(SINGULAR, SINGULAR, exclusive="ab")
ONE_OBJECT = pair(SINGULAR, SINGULAR, same=True, exclusive="ab")

ROWS = (
    # op on B merges everywhere, op on A only from 6.16 on
    Row("A faulted, B unfaulted", FAULTED_UNFAULTED, (B, B, B, EITHER, EITHER)),
    Row("A unfaulted, B faulted", UNFAULTED_FAULTED, (A, A, A, EITHER, EITHER)),
    everywhere("both faulted, different anon_vmas", BOTH_DIFFERENT, ("anon_vma_differs",)),
    everywhere(
        "faulted, moved beside faulted",
        BOTH_DIFFERENT | f.PGOFF,
        ("anon_vma_differs", "vm_pgoff"),
    ),
    everywhere("faulted, moved beside unfaulted", FAULTED_UNFAULTED | f.PGOFF, ("vm_pgoff",)),
    Row(
        "unfaulted, moved beside faulted (its offset is reset)",
        FAULTED_UNFAULTED,
        (B, B, B, EITHER, EITHER),
    ),
    everywhere(
        "faulted, MADV_DONTNEED, moved beside faulted",
        BOTH_DIFFERENT | f.PGOFF,
        ("anon_vma_differs", "vm_pgoff"),
    ),
    everywhere("half moved away and back", ONE_OBJECT, EITHER),
    everywhere("both halves moved, in order, to a new place", ONE_OBJECT, EITHER),
    everywhere(
        "fork child: fresh mmap beside an inherited faulted VMA",
        pair(CHAIN, NONE),
        ("anon_vma_chain_not_singular",),
    ),
    everywhere(
        "fork child: fresh mmap below an inherited faulted VMA",
        pair(NONE, CHAIN),
        ("anon_vma_chain_not_singular",),
    ),
    everywhere(
        "fork child: inherited VMA split and rejoined", pair(CHAIN, CHAIN, same=True), EITHER
    ),
    Row(
        "parent with a living child: fresh mmap beside its faulted VMA",
        pair(SINGULAR, NONE),
        (B, B, B, EITHER, EITHER),
    ),
    Row(
        "never-written rw made PROT_NONE beside fresh PROT_NONE (6.12 drops VM_ACCOUNT)",
        (AC, AC, 0, 0, 0),
        (("vm_flags:ac",), ("vm_flags:ac",), EITHER, EITHER, EITHER),
    ),
    everywhere(
        "written rw made PROT_NONE beside fresh PROT_NONE",
        FAULTED_UNFAULTED | AC,
        ("vm_flags:ac",),
    ),
    everywhere("MAP_NORESERVE beside normal", NR | AC, ("vm_flags:nr", "vm_flags:ac")),
    everywhere("MADV_HUGEPAGE, MADV_NOHUGEPAGE beside neither", NH, ("vm_flags:nh",)),
    Row(
        "mremap grows a faulted VMA up to an unfaulted one",
        FAULTED_UNFAULTED,
        (B, B, B, EITHER, EITHER),
    ),
    Row(
        "MAP_STACK beside plain (VM_NOHUGEPAGE since between 6.6 and 6.12)",
        (0, 0, NH, NH, NH),
        (EITHER, EITHER, *(("vm_flags:nh",),) * 3),
    ),
    everywhere("neighbours under PR_SET_MEMORY_MERGE, equal but separate", 0, EITHER),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.case)
@pytest.mark.parametrize("kernel", KERNELS)
def test_stock_says_what_the_kernel_did(kernel: str, row: Row) -> None:
    number = KERNELS.index(kernel)
    facts = row.facts if isinstance(row.facts, int) else row.facts[number]
    expected = row.expected[number]

    judgement = StockRules(KernelInfo(kernel, page_shift=12)).judge(facts)

    if isinstance(expected, Direction):
        assert judgement == Judgement(Verdict.MERGEABLE, (), expected)
    else:
        assert judgement == Judgement(Verdict.BLOCKED, expected, None)
