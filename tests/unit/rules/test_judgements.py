# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Verdicts are total, never guessed, and what relaxes is exactly what the series lifts."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.rules.strategies import (
    ALL_RULES,
    HINTS,
    RELAXED,
    STOCK,
    UNKNOWNS,
    any_facts,
    any_rules,
    consistent_anon_vmas,
    pair,
)
from vmad.model import facts as f
from vmad.model.facts import AnonVma
from vmad.model.flags import CANONICAL_CODES
from vmad.model.verdict import Direction, Verdict
from vmad.rules.base import Rules

NONE, SINGULAR, CHAIN = AnonVma
stock, relaxed = STOCK["6.1.0"], RELAXED["6.1.0"]

AV_BITS = f.AV_SAME | f.A_EXCLUSIVE | f.B_EXCLUSIVE | 0xF << f.A_AV_SHIFT
#: what each unseen condition might turn out to be; for the flags one of each sort
COMPLETIONS = {
    f.UNKNOWN_FLAGS: (0, f.SPECIAL, (1 << 29) << f.FLAGS_SHIFT),
    f.UNKNOWN_UFFD: (0, f.UFFD),
    f.UNKNOWN_NAME: (0, f.NAME),
    f.UNKNOWN_POLICY: (0, f.POLICY),
    f.UNKNOWN_PGOFF: (0, f.PGOFF),
}


def completions(facts: int) -> set[int]:
    """Every facts value that ``facts`` might be if all had been seen."""
    seen = facts & ~sum(UNKNOWNS)
    if facts & f.UNKNOWN_AV:
        states = [seen & ~AV_BITS | state for state in consistent_anon_vmas()]
    elif facts & f.UNKNOWN_EXCLUSIVE:
        free = [
            bit
            for bit, state in (
                (f.A_EXCLUSIVE, f.a_anon_vma(facts)), (f.B_EXCLUSIVE, f.b_anon_vma(facts)),
            )
            if state is SINGULAR
        ]  # fmt: skip
        states = [
            seen | sum(bit for bit, on in zip(free, choice, strict=True) if on and not seen & bit)
            for choice in product((0, 1), repeat=len(free))
        ]
    else:
        states = [seen]
    for unknown, outcomes in COMPLETIONS.items():
        if facts & unknown:
            states = [state | outcome for state in states for outcome in outcomes]
    return set(states)


@given(any_facts, any_rules)
def test_every_facts_value_has_a_verdict(facts: int, rules: Rules) -> None:
    judgement = rules.judge(facts)

    assert (judgement.verdict is Verdict.MERGEABLE) == (judgement.direction is not None)
    assert (judgement.verdict is Verdict.MERGEABLE) == (not judgement.reasons)
    assert len(set(judgement.reasons)) == len(judgement.reasons)
    assert all(
        name.endswith("_unknown") == (judgement.verdict is Verdict.UNKNOWN)
        for name in judgement.reasons
    )
    assert rules.judge(facts) is judgement


@given(
    st.sampled_from(consistent_anon_vmas()),
    st.sets(st.sampled_from((f.SPECIAL, f.FILE, f.UFFD, f.NAME, f.POLICY, f.PGOFF)), max_size=2),
    st.sets(st.sampled_from(UNKNOWNS)),
    any_rules,
)
def test_unknown_means_that_what_was_not_seen_decides(
    state: int, differing: set[int], unseen: set[int], rules: Rules
) -> None:
    facts = state | sum(differing) | sum(unseen)
    possible = {rules.judge(value).verdict for value in completions(facts)}
    expected = possible.pop() if len(possible) == 1 else Verdict.UNKNOWN

    assert rules.judge(facts).verdict is expected


@pytest.mark.parametrize("rules", [stock, relaxed, STOCK["7.3.4"], RELAXED["7.3.4"]])
def test_every_state_of_the_anon_vmas_is_judged_by_what_it_might_be(rules: Rules) -> None:
    unseen_sets = product(
        (0, f.UNKNOWN_AV), (0, f.UNKNOWN_EXCLUSIVE), (0, f.UNKNOWN_PGOFF), (0, f.UNKNOWN_FLAGS)
    )
    for state, differing, unseen in product(
        consistent_anon_vmas(), (0, f.PGOFF, f.FILE), map(sum, unseen_sets)
    ):
        facts = state | differing | unseen
        possible = {rules.judge(value).verdict for value in completions(facts)}
        expected = possible.pop() if len(possible) == 1 else Verdict.UNKNOWN

        assert rules.judge(facts).verdict is expected, hex(facts)


@given(st.sampled_from(consistent_anon_vmas()), st.sampled_from(HINTS), any_rules)
def test_what_pagemap_hints_decides_nothing(state: int, hint: int, rules: Rules) -> None:
    assert rules.judge(state | hint) == rules.judge(state)
    assert rules.judge(f.MAPS_UNKNOWN | hint) == rules.judge(f.MAPS_UNKNOWN)


def test_maps_alone_leaves_the_anon_vma_open_first() -> None:
    assert stock.judge(f.MAPS_UNKNOWN | f.UNKNOWN_NAME).reasons == (
        "anon_vma_unknown",
        "vm_flags_unknown",
        "vm_pgoff_unknown",
        "vm_userfaultfd_ctx_unknown",
        "mempolicy_unknown",
        "anon_vma_name_unknown",
    )


def test_access_seen_in_maps_blocks_although_all_else_is_unknown() -> None:
    judgement = stock.judge(f.MAPS_UNKNOWN | 2 << f.FLAGS_SHIFT)

    assert (judgement.verdict, judgement.reasons) == (Verdict.BLOCKED, ("vm_flags:access",))


def test_reasons_come_in_the_agreed_order() -> None:
    everything = (
        f.SPECIAL | f.FILE | f.UFFD | f.NAME | f.POLICY | f.PGOFF | f.CLOSE
        | pair(SINGULAR, SINGULAR, exclusive="b")
        | 0xFFFF_FFFF << f.FLAGS_SHIFT
    )  # fmt: skip
    access_and_ac_and_sd = {"rd", "wr", "ex", "ac", "sd"}
    flags = [
        f"vm_flags:{code}"
        for _, code in sorted(CANONICAL_CODES.items())
        if code not in access_and_ac_and_sd
    ]

    assert stock.judge(everything).reasons == (
        "VM_SPECIAL", "vm_flags:access", *flags, "vm_flags:ac", "mempolicy", "vm_file",
        "vm_ops_close", "vm_userfaultfd_ctx", "anon_vma_name", "anon_vma_differs", "vm_pgoff",
    )  # fmt: skip
    assert relaxed.judge(everything).reasons == stock.judge(everything).reasons[:-2]


@pytest.mark.parametrize("bit", range(32))
def test_any_flag_blocks_but_the_ignored_ones(bit: int) -> None:
    code = CANONICAL_CODES[bit]
    expected = {"rd": "access", "wr": "access", "ex": "access"}.get(code, code)

    judgement = stock.judge((1 << bit) << f.FLAGS_SHIFT)

    assert judgement.reasons == (() if code == "sd" else (f"vm_flags:{expected}",))


def test_userfaultfd_registered_for_write_protection_gives_both_reasons() -> None:
    uw = (1 << 12) << f.FLAGS_SHIFT

    assert stock.judge(f.UFFD | uw).reasons == ("vm_flags:uw", "vm_userfaultfd_ctx")


@pytest.mark.parametrize(
    ("facts", "reasons"),
    [
        (pair(SINGULAR, SINGULAR, exclusive="a"), ("anon_vma_differs",)),
        (pair(SINGULAR, SINGULAR), ("anon_vma_shared",)),
        (pair(CHAIN, CHAIN), ("anon_vma_shared",)),
        (pair(SINGULAR, SINGULAR, same=True, exclusive="ab", also=f.PGOFF), ("vm_pgoff",)),
        (pair(CHAIN, CHAIN, same=True, also=f.PGOFF), ("vm_pgoff_shared",)),
        (pair(SINGULAR, SINGULAR, also=f.UNKNOWN_EXCLUSIVE), ("anon_vma_differs",)),
        (pair(CHAIN, CHAIN, also=f.UNKNOWN_EXCLUSIVE), ("anon_vma_shared",)),
        (pair(SINGULAR, NONE, also=f.PGOFF | f.UNKNOWN_EXCLUSIVE), ("vm_pgoff",)),
        (pair(also=f.UNKNOWN_AV | f.PGOFF), ("vm_pgoff",)),
        (pair(NONE, CHAIN, also=f.PGOFF), ("anon_vma_chain_not_singular", "vm_pgoff_shared")),
    ],
)
def test_sharing_is_named_only_when_it_was_seen(facts: int, reasons: tuple[str, ...]) -> None:
    assert stock.judge(facts).reasons == reasons


@given(any_facts, st.sampled_from(sorted(STOCK)))
def test_relaxed_blocks_nothing_that_stock_merges(facts: int, release: str) -> None:
    on_stock, on_relaxed = STOCK[release].judge(facts), RELAXED[release].judge(facts)

    if on_stock.verdict is Verdict.MERGEABLE:
        assert on_relaxed == on_stock
    if on_relaxed.verdict is Verdict.BLOCKED:
        assert on_stock.verdict is Verdict.BLOCKED
        assert set(on_relaxed.reasons) <= set(on_stock.reasons)
        assert on_relaxed.reasons == tuple(
            name for name in on_stock.reasons if name in on_relaxed.reasons
        )


@pytest.mark.parametrize("exclusive", ["a", "b", "ab"])
@pytest.mark.parametrize("also", [0, f.PGOFF])
def test_relaxed_merges_different_anon_vmas_when_one_is_exclusive(
    exclusive: str, also: int
) -> None:
    judgement = relaxed.judge(pair(SINGULAR, SINGULAR, exclusive=exclusive, also=also))

    assert (judgement.verdict, judgement.direction) == (Verdict.MERGEABLE, Direction.EITHER)


def test_relaxed_mends_a_page_offset_from_either_side() -> None:
    moved_beside_unfaulted = pair(SINGULAR, NONE, exclusive="a", also=f.PGOFF)

    assert relaxed.judge(moved_beside_unfaulted).direction is Direction.EITHER
    # without having seen the offset only what stock would do is sure
    unseen = pair(SINGULAR, NONE, exclusive="a", also=f.UNKNOWN_PGOFF)
    assert relaxed.judge(unseen).direction is Direction.B


def test_relaxed_takes_no_exclusive_vma_into_a_fork_childs() -> None:
    facts = pair(SINGULAR, CHAIN, exclusive="a", also=f.PGOFF)

    assert relaxed.judge(facts) == stock.judge(facts)
    assert relaxed.judge(facts).reasons == ("anon_vma_shared", "vm_pgoff_shared")


@pytest.mark.parametrize("also", [0, f.UNKNOWN_EXCLUSIVE])
@pytest.mark.parametrize("sides", [(SINGULAR, NONE), (NONE, SINGULAR), (NONE, NONE)])
def test_relaxed_lets_what_was_never_written_to_take_any_offset(
    sides: tuple[AnonVma, AnonVma], also: int
) -> None:
    judgement = relaxed.judge(pair(*sides, also=f.PGOFF | also))

    assert (judgement.verdict, judgement.direction) == (Verdict.MERGEABLE, Direction.EITHER)
    assert stock.judge(pair(*sides, also=f.PGOFF | also)).reasons == ("vm_pgoff",)


@pytest.mark.parametrize(
    "facts",
    [pair(NONE, NONE, exclusive="ab"), pair(NONE, SINGULAR, exclusive="a")],
)
def test_relaxed_leaves_the_page_offset_of_a_file_alone(facts: int) -> None:
    moved = facts | f.PGOFF

    assert relaxed.judge(moved) == stock.judge(moved)
    assert relaxed.judge(moved).reasons == ("vm_pgoff_shared",)
    # and what continues merges as ever
    assert relaxed.judge(facts) == stock.judge(facts)
    assert relaxed.judge(facts).verdict is Verdict.MERGEABLE


@pytest.mark.parametrize(
    "facts",
    [
        pair(SINGULAR, SINGULAR), pair(CHAIN, CHAIN), pair(CHAIN, NONE), pair(NONE, CHAIN),
        pair(CHAIN, CHAIN, same=True, also=f.PGOFF), pair(CHAIN, NONE, also=f.PGOFF),
    ],
)  # fmt: skip
def test_relaxed_keeps_what_no_exclusive_side_lifts(facts: int) -> None:
    assert relaxed.judge(facts).verdict is Verdict.BLOCKED
    assert relaxed.judge(facts) == stock.judge(facts)


def test_relaxed_does_not_know_without_the_exclusivity() -> None:
    different = pair(SINGULAR, SINGULAR, also=f.UNKNOWN_EXCLUSIVE)

    assert relaxed.judge(different).reasons == ("anon_vma_exclusive_unknown",)
    moved = pair(SINGULAR, SINGULAR, same=True, also=f.UNKNOWN_EXCLUSIVE | f.UNKNOWN_PGOFF)
    assert relaxed.judge(moved).reasons == ("anon_vma_exclusive_unknown", "vm_pgoff_unknown")
    assert relaxed.judge(pair(also=f.UNKNOWN_EXCLUSIVE)).verdict is Verdict.MERGEABLE


@pytest.mark.parametrize(
    "facts",
    [
        pair(NONE, SINGULAR, same=True),
        pair(CHAIN, NONE, exclusive="a"),
        pair(SINGULAR, CHAIN, exclusive="b"),
        3 << f.A_AV_SHIFT,
        3 << f.B_AV_SHIFT,
    ],
)
@pytest.mark.parametrize(
    "rules", ALL_RULES, ids=lambda rules: f"{rules.name}-{rules.kernel.release}"
)
def test_anon_vmas_that_contradict_themselves_decide_nothing(facts: int, rules: Rules) -> None:
    assert rules.judge(facts).reasons == ("anon_vma_unknown",)
