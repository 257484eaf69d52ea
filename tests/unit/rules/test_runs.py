# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Recoverable VMAs are counted over runs, since merging is not transitive."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.rules.strategies import ALL_RULES, RELAXED, STOCK, any_facts, any_rules
from vmad.model import facts as f
from vmad.model.facts import AnonVma
from vmad.model.flags import GUARD, SOFTDIRTY
from vmad.model.process import Evidence, ProcessId
from vmad.model.table import VMA_ROW, VmaTable
from vmad.model.verdict import Verdict
from vmad.rules.base import Rules
from vmad.rules.conditions import anon_vmas
from vmad.rules.relaxed import RelaxedRules
from vmad.rules.runs import hard_differences, merge_table, recoverable
from vmad.rules.stock import StockRules

NONE, SINGULAR, CHAIN = AnonVma
stock, relaxed = STOCK["6.1.0"], RELAXED["6.1.0"]


@dataclass(frozen=True)
class Vma:
    """One VMA of two pages; ``also`` are facts bits of the pair with the one before."""

    anon_vma: int = 0
    chain: AnonVma = NONE
    exclusive: bool = False
    shift: int = 0
    also: int = 0
    pair: bool = True


def own(number: int) -> Vma:
    """A faulted VMA with an anon_vma that only it has."""
    return Vma(number, SINGULAR, True)


def forked(number: int) -> Vma:
    """A faulted VMA whose anon_vma a child shares."""
    return Vma(number, SINGULAR, False)


FRESH = Vma()


def table(*vmas: Vma, page_shift: int = 12) -> VmaTable:
    """The VMAs side by side, with the facts of their pairs."""
    rows = np.zeros(len(vmas), VMA_ROW)
    size = 2 << page_shift
    for number, b in enumerate(vmas):
        start = 0x7F00_0000_0000 + number * size
        row = rows[number]
        row["start"], row["end"] = start, start + size
        row["pgoff"] = (start >> page_shift) + b.shift
        row["anon_vma"], row["chain"], row["exclusive"] = b.anon_vma, b.chain, b.exclusive
        if number and b.pair:
            a = vmas[number - 1]
            row["pair"] = 1
            row["facts"] = (
                f.facts_of_run_key(
                    a.chain | b.chain << 2 | a.exclusive << 4 | b.exclusive << 5
                    | (a.anon_vma == b.anon_vma != 0) << 6 | (a.shift != b.shift) << 7
                )
                | b.also
            )  # fmt: skip
    return VmaTable(ProcessId(1, 1), "x", Evidence.KERNEL, len(vmas), rows)


def of_pages(rules: Rules, page_shift: int) -> Rules:
    """The same rules of a kernel with pages of that size."""
    kind = StockRules if isinstance(rules, StockRules) else RelaxedRules
    return kind(replace(rules.kernel, page_shift=page_shift))


def recovered(vmas: tuple[Vma, ...] | list[Vma], rules: Rules) -> int | None:
    """What is recovered, which does not depend on the size of a page."""
    (count,) = {
        recoverable(table(*vmas, page_shift=shift), of_pages(rules, shift))
        for shift in (12, 14, 16)
    }
    return count


@pytest.mark.parametrize(
    ("vmas", "on_stock", "on_relaxed"),
    [
        ((own(1),), 0, 0),
        ((FRESH, FRESH, FRESH), 2, 2),
        ((own(1), own(1), own(1)), 2, 2),
        # both pairs would merge, but the first merge hands the fresh VMA the first's anon_vma
        ((own(1), FRESH, own(2)), 1, 2),
        ((own(1), FRESH, own(1)), 2, 2),
        ((FRESH, own(1), FRESH, own(2), FRESH), 3, 4),
        ((own(1), own(2), own(3)), 0, 2),
        ((forked(1), forked(2)), 0, 0),
        # the exclusive one is absorbed by either neighbour, but not by both
        ((forked(1), own(2), forked(3)), 0, 1),
        ((own(1), forked(2), own(3)), 0, 2),
        # after the exclusive ones are gone the outer two are neighbours with one anon_vma
        ((forked(1), own(2), forked(1)), 0, 2),
        ((forked(1), replace(own(2), shift=5), forked(1)), 0, 2),
        ((forked(1), replace(own(2), shift=5), replace(forked(1), shift=3)), 0, 1),
        ((Vma(1, CHAIN), FRESH), 0, 0),
        ((Vma(1, CHAIN), Vma(1, CHAIN)), 1, 1),
        ((own(1), Vma(2, CHAIN), FRESH), 0, 0),
        ((own(1), replace(own(1), shift=9)), 0, 1),
        ((own(1), replace(own(1), also=f.NAME)), 0, 0),
        ((own(1), replace(own(1), also=SOFTDIRTY << f.FLAGS_SHIFT)), 1, 1),
        ((own(1), replace(own(1), also=GUARD << f.FLAGS_SHIFT)), 0, 0),
        ((own(1), replace(own(1), pair=False), own(1)), 1, 1),
    ],
)
def test_recoverable_counts_what_a_run_leaves(
    vmas: tuple[Vma, ...], on_stock: int, on_relaxed: int
) -> None:
    assert recovered(vmas, stock) == on_stock
    assert recovered(vmas, relaxed) == on_relaxed


@pytest.mark.parametrize("bit", [f.SPECIAL, f.FILE, f.UFFD, f.NAME, f.POLICY, f.CLOSE, 1 << 32])
def test_any_hard_difference_ends_a_run(bit: int) -> None:
    for rules in (stock, relaxed):
        assert recovered((FRESH, replace(FRESH, also=bit), FRESH), rules) == 1


def test_recoverable_is_none_where_evidence_leaves_a_pair_undecided() -> None:
    undecided = (FRESH, replace(FRESH, also=f.MAPS_UNKNOWN), FRESH)

    assert recovered(undecided, stock) is None
    assert recovered(undecided, relaxed) is None


def test_recoverable_is_zero_where_maps_shows_every_pair_blocked() -> None:
    access = f.MAPS_UNKNOWN | 7 << f.FLAGS_SHIFT

    assert recovered((FRESH, *[replace(FRESH, also=access)] * 3), stock) == 0


def test_stock_counts_without_knowing_who_is_exclusive() -> None:
    unseen = [replace(forked(n), also=f.UNKNOWN_EXCLUSIVE) for n in (1, 1, 2)]

    assert recovered(unseen, stock) == 1
    assert recovered(unseen, relaxed) is None


def test_names_end_a_run_only_where_the_kernel_compares_them() -> None:
    named = (FRESH, replace(FRESH, also=f.NAME))

    assert recovered(named, STOCK["5.15.0"]) == 1
    assert recovered(named, STOCK["6.1.0"]) == 0


def test_the_wrong_page_size_is_not_forgiven() -> None:
    large = table(own(1), own(1), page_shift=14)

    assert recoverable(large, of_pages(stock, 14)) == 1
    assert recoverable(large, of_pages(stock, 12)) == 0


def test_an_empty_address_space_has_nothing_to_recover() -> None:
    assert recovered((), stock) == 0


def test_sixty_thousand_rows_of_one_object_leave_one() -> None:
    rows = np.zeros(60_000, VMA_ROW)
    rows["start"] = np.arange(60_000, dtype=np.uint64) << np.uint64(12)
    rows["pgoff"] = rows["start"] >> np.uint64(12)
    rows["pair"][1:] = 1

    assert recoverable(VmaTable(ProcessId(1, 1), "x", Evidence.KERNEL, 1, rows), stock) == 59_999


#: anon_vmas 0 (none) to 4: two exclusive ones, a forked one, a child's
WORLD = (FRESH, own(1), own(2), forked(3), Vma(4, CHAIN))
vmas_of_any_kind = st.lists(
    st.builds(
        replace,
        st.sampled_from(WORLD),
        shift=st.sampled_from((0, 0, 0, 7)),
        also=st.sampled_from((0, 0, 0, f.NAME, SOFTDIRTY << f.FLAGS_SHIFT)),
        pair=st.sampled_from((True, True, True, False)),
    ),
    max_size=12,
)


@given(vmas_of_any_kind, st.sampled_from(sorted(STOCK)))
def test_stock_recovers_at_most_its_latent_pairs(vmas: list[Vma], release: str) -> None:
    rows = table(*vmas)
    rules = STOCK[release]
    facts = rows.rows["facts"][rows.rows["pair"] == 1].tolist()
    latent = sum(rules.judge(value).verdict is Verdict.MERGEABLE for value in facts)

    found = recoverable(rows, rules)

    assert found is not None
    assert found <= latent
    assert (found == 0) == (latent == 0)


@given(vmas_of_any_kind, st.sampled_from(sorted(STOCK)))
def test_relaxed_recovers_at_least_what_stock_does(vmas: list[Vma], release: str) -> None:
    on_stock = recovered(vmas, STOCK[release])
    on_relaxed = recovered(vmas, RELAXED[release])

    assert on_stock is not None
    assert on_relaxed is not None
    assert on_relaxed >= on_stock


@pytest.mark.parametrize(
    "rules", ALL_RULES, ids=lambda rules: f"{rules.name}-{rules.kernel.release}"
)
def test_merge_table_merges_exactly_the_mergeable_keys(rules: Rules) -> None:
    by_key = merge_table(rules)

    assert len(by_key) == f.RUN_KEYS
    for key, keep in enumerate(by_key):
        facts = f.facts_of_run_key(key)
        mergeable = rules.judge(facts).verdict is Verdict.MERGEABLE
        assert (keep in (1, 2)) == mergeable, f"key {key:#010b}"


@pytest.mark.parametrize(
    "rules", ALL_RULES, ids=lambda rules: f"{rules.name}-{rules.kernel.release}"
)
def test_merged_run_keeps_the_state_that_survives(rules: Rules) -> None:
    for key, keep in enumerate(merge_table(rules)):
        facts = f.facts_of_run_key(key)
        avs = anon_vmas(facts)
        if not keep or avs is None:
            continue
        a_exclusive, b_exclusive = bool(facts & f.A_EXCLUSIVE), bool(facts & f.B_EXCLUSIVE)
        if avs.one_unfaulted:
            assert keep == (2 if avs.a is NONE else 1)
        elif (avs.differ or facts & f.PGOFF) and a_exclusive and not b_exclusive:
            assert keep == 2
        else:
            assert keep == 1


@given(any_facts, any_rules)
def test_hard_difference_never_ends_a_run_of_a_mergeable_pair(facts: int, rules: Rules) -> None:
    if not rules.era.anon_names:
        facts &= ~(f.NAME | f.UNKNOWN_NAME)
    (hard,) = hard_differences(np.array([facts], np.uint64), rules.era.ignored_flags)

    # what a series lifts without having seen the page offset is the one exception
    if rules.judge(facts).verdict is Verdict.MERGEABLE and not facts & f.UNKNOWN_PGOFF:
        assert not hard
    if not hard and not facts & f.UNKNOWN_EXCLUSIVE and anon_vmas(facts) is not None:
        assert (merge_table(rules)[f.run_key(facts)] != 0) == (
            rules.judge(facts).verdict is Verdict.MERGEABLE
        )
