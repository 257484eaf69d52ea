# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The catalogue is closed: it has every reason that any rules give, each with what to change."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given

from tests.unit.rules.strategies import ALL_RULES, RELAXED, STOCK, any_facts, any_rules, pair
from vmad.advice.catalogue import for_kind, for_reason
from vmad.architecture.known import ARCHITECTURES
from vmad.model import facts as f
from vmad.model.facts import AnonVma
from vmad.model.flags import canonical_codes
from vmad.model.kernel import KernelInfo
from vmad.model.kinds import Kind
from vmad.model.verdict import Verdict
from vmad.rules.base import Rules
from vmad.rules.catalogue import CATALOGUE, reason
from vmad.rules.composition import COMPOSITIONS
from vmad.rules.stock import StockRules

ROOT = Path(__file__).parents[3]
ORDER = {name: place for place, name in enumerate(CATALOGUE)}


@given(any_facts, any_rules)
def test_every_reason_that_rules_give_is_in_the_catalogue(facts: int, rules: Rules) -> None:
    judgement = rules.judge(facts)

    for name in (*judgement.reasons, judgement.decisive):
        assert reason(name).name == name


@given(any_facts, any_rules)
def test_reasons_come_in_the_order_of_the_catalogue(facts: int, rules: Rules) -> None:
    places = [ORDER[name] for name in rules.judge(facts).reasons]

    assert places == sorted(places)


def test_each_flag_that_can_differ_has_an_entry() -> None:
    codes = {code for arch in ARCHITECTURES for code in canonical_codes(arch.machine).values()}
    expected = {f"vm_flags:{code}" for code in codes} - {
        "vm_flags:rd", "vm_flags:wr", "vm_flags:ex",
    } | {"vm_flags:access"}  # fmt: skip

    assert {name for name in CATALOGUE if name.startswith("vm_flags:")} == expected


def test_catalogue_has_no_reason_that_nothing_gives() -> None:
    never_given = {"not_adjacent", "vm_flags:sd"}
    given_somewhere = set(never_given)
    bits = [1 << bit for bit in range(64)]
    av_pairs = [
        pair(AnonVma(a), AnonVma(b), exclusive=sides)
        for a, b in ((0, 0), (0, 1), (0, 2), (1, 1), (2, 2))
        for sides in (("", "b") if b == 1 else ("",))
    ]
    for rules in (*ALL_RULES, StockRules(KernelInfo("6.18.35", "aarch64", page_shift=12))):
        for state in av_pairs:
            for bit in bits:
                judgement = rules.judge(state | bit)
                given_somewhere |= {*judgement.reasons, judgement.decisive}

    assert given_somewhere == set(CATALOGUE)


def test_an_unknown_reason_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        reason("bad luck")


def test_the_series_lifts_what_the_catalogue_says_it_lifts() -> None:
    facts = pair(AnonVma.SINGULAR, AnonVma.SINGULAR, exclusive="a", also=f.PGOFF)
    lifted = {name for name, entry in CATALOGUE.items() if entry.lifted_by_series}

    assert RELAXED["6.1.0"].judge(facts).verdict is Verdict.MERGEABLE
    assert set(STOCK["6.1.0"].judge(facts).reasons) == lifted
    for name in lifted:
        assert "patched-kernel" in {advice.name for advice in for_reason(name)}


@pytest.mark.parametrize("name", CATALOGUE)
def test_each_reason_has_a_sentence_and_sourced_advice(name: str) -> None:
    entry = reason(name)

    assert entry.name == name
    assert entry.kernel_term
    assert entry.source
    assert entry.sentence.endswith(".")
    assert for_reason(name)


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_of_vma_has_advice(kind: Kind) -> None:
    assert COMPOSITIONS[kind].sentence.endswith(".")
    assert for_kind(kind)


def test_reasons_page_is_what_the_catalogue_gives() -> None:
    generated = subprocess.run(
        [sys.executable, "-m", "vmad.operations.reasons_page"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip

    assert (ROOT / "docs/reasons.md").read_text(encoding="utf-8") == generated
    headings = [line[4:-1] for line in generated.splitlines() if line.startswith("## `")]
    assert headings == list(CATALOGUE)
    assert all(first != second for first, second in pairwise(generated.splitlines()) if first)
