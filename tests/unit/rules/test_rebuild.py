# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The rebuild rules lift the anon_vma's and the page offset's conditions, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given

from tests.unit.rules.strategies import RELAXED, STOCK, any_facts
from vmad.model import facts as f
from vmad.model.verdict import Verdict
from vmad.rules.rebuild import RebuildRules

stock, relaxed = STOCK["6.12.0"], RELAXED["6.12.0"]
rebuild = RebuildRules(stock.kernel)

LIFTED = {
    "anon_vma_differs", "anon_vma_shared", "anon_vma_chain_not_singular", "vm_pgoff",
    "vm_pgoff_shared",
}  # fmt: skip
OPEN = {"anon_vma_unknown", "vm_pgoff_unknown"}


@given(any_facts)
def test_what_stock_blocks_for_these_reasons_only_is_joined(facts: int) -> None:
    of_stock = stock.judge(facts)
    left = tuple(r for r in of_stock.reasons if r not in LIFTED | OPEN)
    answer = rebuild.judge(facts)

    if of_stock.verdict is Verdict.MERGEABLE:
        assert answer.verdict is Verdict.MERGEABLE
    elif of_stock.verdict is Verdict.BLOCKED and left:
        assert (answer.verdict, answer.reasons) == (Verdict.BLOCKED, left)
    elif of_stock.verdict is Verdict.UNKNOWN:
        assert answer.verdict is (Verdict.UNKNOWN if left else Verdict.MERGEABLE)


@given(any_facts)
def test_it_joins_all_that_the_patched_kernel_merges(facts: int) -> None:
    if relaxed.judge(facts).verdict is Verdict.MERGEABLE:
        assert rebuild.judge(facts).verdict is Verdict.MERGEABLE


def test_anon_vmas_that_were_not_seen_leave_nothing_open() -> None:
    facts = f.UNKNOWN_AV | f.UNKNOWN_PGOFF
    assert stock.judge(facts).verdict is Verdict.UNKNOWN
    assert rebuild.judge(facts).verdict is Verdict.MERGEABLE


@pytest.mark.parametrize(("release", "possible"), [("6.1.0", False), ("6.12.0", True)])
def test_kernels_before_6_8_cannot(release: str, possible: bool) -> None:
    assert RebuildRules(STOCK[release].kernel).possible is possible
