# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Real pairs by kernel evidence: exact facts, verdict and reasons, and the kernel as the judge."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.kernel_pairs import CASES, MERGED, Case, built, facts_at
from tests.live.kernel_walks import KERNEL, WALKS
from tests.live.targets import Made, Target, start_time_of
from tests.live.zygote import ForkedTarget
from vmad.model import facts as f
from vmad.model.flags import CANONICAL_CODES
from vmad.model.process import ProcessId
from vmad.model.verdict import Direction, Verdict
from vmad.rules.relaxed import RelaxedRules
from vmad.rules.stock import StockRules
from vmad.sources.bpf.source import BpfSource
from vmad.sources.procfs.source import ProcfsSource

pytestmark = pytest.mark.bpf

LOW = 0xFFFF_FFFF
STOCK, RELAXED = StockRules(KERNEL), RelaxedRules(KERNEL)
HINTS = {"rr": 1, "sr": 2}  # MADV_RANDOM, MADV_SEQUENTIAL


def codes(facts: int) -> set[str]:
    return {code for bit, code in CANONICAL_CODES.items() if f.flags_differing(facts) >> bit & 1}


def identity(made: Made) -> ProcessId:
    return ProcessId(made.pid, start_time_of(made.pid))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_facts_and_verdicts_of_a_real_pair(
    kernel_sources: dict[str, BpfSource], case: Case
) -> None:
    with ForkedTarget() as target:
        made = built(target, case)
        if made is None:
            return
        found = {
            walk: facts_at(source, identity(made), made.boundary)
            for walk, source in kernel_sources.items()
        }
        smaps = facts_at(ProcfsSource(), identity(made), made.boundary)
    (facts,) = set(found.values())
    assert codes(facts) - {"sd"} == set(case.flags.split())
    # VM_LOCKONFAULT had no name in smaps before 6.6, VM_MTE_ALLOWED never has one
    shown = codes(facts) - {"mt_allowed"}
    assert shown == {"lf" if code == "??" else code for code in codes(smaps)}
    assert facts & LOW == case.facts
    for rules, reasons in (
        (STOCK, case.stock),
        (RELAXED, case.stock if case.relaxed is None else case.relaxed),
    ):
        judgement = rules.judge(facts)
        assert judgement.reasons == reasons
        assert judgement.verdict is (Verdict.BLOCKED if reasons else Verdict.MERGEABLE)


@pytest.mark.parametrize("case", MERGED, ids=str)
def test_what_merges_at_once_leaves_no_pair(
    kernel_sources: dict[str, BpfSource], case: Case
) -> None:
    with ForkedTarget() as target:
        made = built(target, case)
        assert made is not None
        rows = kernel_sources[WALKS[0]].table(identity(made)).rows
    (row,) = rows[(rows["start"] <= made.boundary) & (rows["end"] > made.boundary)]
    assert (row["start"], row["end"]) == (made.start, made.end)


def is_one(made: Made) -> bool:
    """Whether A and B are one VMA, as maps shows it."""
    lines = Path(f"/proc/{made.pid}/maps").read_text().splitlines()
    return not any(line.startswith(f"{made.boundary:08x}-") for line in lines)


def toggle(target: Target, source: BpfSource, made: Made, side: str) -> None:
    """Set a hint that neither side has on one whole VMA, and take it back."""
    start, size = (
        (made.start, made.boundary - made.start)
        if side == "a"
        else (made.boundary, made.end - made.boundary)
    )
    table = source.table(identity(made))
    flags = {int(row["start"]): int(row["flags"]) for row in table.rows}
    both = flags[made.start] | flags[made.boundary]
    random, sequential = both >> 16 & 1, both >> 15 & 1
    assert not (random and sequential)
    there = HINTS["sr" if random else "rr"]
    mine = flags[start]
    back = HINTS["rr"] if mine >> 16 & 1 else HINTS["sr"] if mine >> 15 & 1 else 0
    target.run(f"advise({start}, {size}, {there}); advise({start}, {size}, {back})")


@pytest.mark.parametrize("first", ["a", "b"])
@pytest.mark.parametrize("case", [case for case in CASES if case.listens], ids=str)
def test_the_kernel_merges_what_the_stock_rules_call_mergeable(
    kernel_sources: dict[str, BpfSource], case: Case, first: str
) -> None:
    source = kernel_sources[WALKS[0]]
    with ForkedTarget() as target:
        made = built(target, case)
        if made is None:
            return
        judgement = STOCK.judge(facts_at(source, identity(made), made.boundary))
        for side in (first, "b" if first == "a" else "a"):
            assert not is_one(made)
            toggle(target, source, made, side)
            merges = judgement.verdict is Verdict.MERGEABLE and judgement.direction in (
                Direction.EITHER,
                Direction(side),
            )
            assert is_one(made) == merges
            if merges:
                return
