# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One program on trial: what the evidences say of its pairs, and what the kernel then does."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from tests.differential.cures import cure
from tests.differential.executor import Executor, Outcome, Variant
from tests.differential.program import ARENA, ARENA_PAGES, PAGE, Kind, Op, Program, listing
from vmad.model.facts import AnonVma
from vmad.model.process import ProcessId
from vmad.model.table import VmaTable
from vmad.model.verdict import Direction, Judgement, Verdict
from vmad.probe.toggle import choose_toggle
from vmad.rules.relaxed import RelaxedRules
from vmad.rules.stock import StockRules
from vmad.sources.source import Source

_ARENA_END = ARENA + ARENA_PAGES * PAGE
_COLUMNS = ["start", "end", "flags", "pgoff", "chain", "facts", "pair"]
MREMAP_DONTUNMAP = 4
LOWER_JOINED_ELSEWHERE = 1
_SETTLED = 0  #: no error
#: vm.anon_vma_merge with every part of the series on (docs/patched-kernel.md)
ALL_ON = 7

Rules = StockRules | RelaxedRules


@dataclass(frozen=True, slots=True)
class Switch:
    """What a patched kernel may do: while a program runs, and while its pairs are tried."""

    program: int
    attempt: int

    def before(self, program: Program) -> Program:
        """The program with the switch set first."""
        return (Op(Kind.SWITCH, self.program), *program)

    def tail(self, tail: Program) -> Program:
        """The attempt with the switch set first."""
        return (Op(Kind.SWITCH, self.attempt), *tail)


@dataclass(frozen=True, slots=True)
class Side:
    """One VMA of a pair: bytes [start, end), raw flags, page offset, an AnonVma."""

    start: int
    end: int
    flags: int
    pgoff: int
    chain: int

    @property
    def fields(self) -> tuple[int, int, int, int, int]:
        """As cures take it."""
        return self.start, self.end, self.flags, self.pgoff, self.chain


@dataclass(frozen=True, slots=True)
class PairOnTrial:
    """A pair, the judgement by one evidence, and the toggle of the side that is to be operated."""

    a: Side
    b: Side
    facts: int
    judgement: Judgement
    operate_on_a: bool
    tail: Program | None  #: None: every hint is taken by a neighbour


@dataclass(frozen=True, slots=True)
class Disagreement:
    """The kernel did otherwise than a verdict said."""

    program: Program
    pair: PairOnTrial
    evidence: str
    merged: bool

    def __str__(self) -> str:
        side = "A" if self.pair.operate_on_a else "B"
        said = self.pair.judgement
        return (
            f"{self.evidence} evidence said {said.verdict.value} {said.reasons} {said.direction}, "
            f"the kernel {'merged' if self.merged else 'did not merge'} (operation on {side})\n"
            f"A {self.pair.a}\nB {self.pair.b}\nfacts {self.pair.facts:#x}\n"
            + listing(self.program)
        )


@dataclass(frozen=True, slots=True)
class Answered:
    """A pair and the kernel's own answer."""

    pair: PairOnTrial
    merged: bool


class NotReproduced(Exception):
    """Two runs of a program ended differently: its pairs say nothing."""


def start_time(pid: int) -> int:
    """Field 22 of /proc/PID/stat, clock ticks since boot."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        text = file.read()
    return int(text[text.rindex(b")") + 2 :].split(None, 20)[19])


def pairs_of(table: VmaTable, rules: Rules, choose_a: int) -> list[PairOnTrial]:
    """The pairs in the arena; bit i of ``choose_a`` says whether pair i is operated on in A."""
    rows = table.rows
    first = int(np.searchsorted(rows["start"], ARENA - PAGE * ARENA_PAGES))
    last = int(np.searchsorted(rows["start"], _ARENA_END + PAGE * ARENA_PAGES))
    vmas = rows[first:last][_COLUMNS].tolist()
    found: list[PairOnTrial] = []
    for index in range(1, len(vmas)):
        facts, is_pair = vmas[index][5:]
        if not is_pair:
            continue
        a, b = Side(*vmas[index - 1][:5]), Side(*vmas[index][:5])
        judgement = rules.judge(facts)
        # an operation on A joins it to its lower neighbour rather than to B when both would have
        # it and their anon_vmas differ (vma_merge: "only merge left")
        below = found[-1] if found and found[-1].b == a else None
        taken = below is not None and below.judgement.verdict is Verdict.MERGEABLE
        on_a = bool(choose_a >> len(found) & 1) and not taken
        tail = toggle_tail(vmas, index - on_a)
        found.append(PairOnTrial(a, b, facts, judgement, on_a, tail))
    return found


def toggle_tail(vmas: list[tuple[int, ...]], index: int) -> Program | None:
    """The two madvise calls that make the kernel look at both neighbours of one VMA."""
    start, end, flags = vmas[index][:3]
    neighbours = []
    if index and vmas[index - 1][1] == start:
        neighbours.append(vmas[index - 1][2])
    if index + 1 < len(vmas) and vmas[index + 1][0] == end:
        neighbours.append(vmas[index + 1][2])
    toggle = choose_toggle(flags, *neighbours)
    if toggle is None:
        return None
    return tuple(Op(Kind.MADVISE, advice, start, end - start) for advice in toggle)


def expected_merge(pair: PairOnTrial) -> bool | None:
    """Whether the operation merges by the verdict; None when the verdict leaves it open."""
    if pair.judgement.verdict is Verdict.UNKNOWN:
        return None
    if pair.judgement.verdict is Verdict.BLOCKED:
        return False
    wanted = Direction.A if pair.operate_on_a else Direction.B
    return pair.judgement.direction in (Direction.EITHER, wanted)


class Trial:
    """An executor and the sources that are held against it.

    With a ``switch`` the kernel is a patched one. The relaxed rules are asked when the attempts are
    made with all of the series on.
    """

    def __init__(
        self,
        executor: Executor,
        source: Source,
        procfs: Source | None = None,
        switch: Switch | None = None,
    ) -> None:
        self.executor, self.source, self.procfs = executor, source, procfs
        self.switch = switch
        self.rules: Rules = StockRules(source.kernel)
        if switch is not None and switch.attempt & ALL_ON == ALL_ON:
            self.rules = RelaxedRules(source.kernel)
        self.procfs_pairs = self.procfs_unknown = 0
        self.not_tried = 0
        #: decisive reason -> pairs that merged once it was removed
        self.cured: Counter[str] = Counter()

    def answers(self, program: Program, choose_a: int = 0) -> list[Answered]:
        """Ask the kernel about every pair, each in a fresh run. Raises NotReproduced."""
        held = self.executor.hold(self._base(program))
        if not held.pid:
            return []
        process = ProcessId(held.pid, start_time(held.pid))
        pairs = pairs_of(self.source.table(process), self.rules, choose_a)
        by_procfs = self._by_procfs(process) if pairs and self.procfs is not None else {}
        tried = [pair for pair in pairs if pair.tail is not None]
        self.not_tried += len(pairs) - len(tried)
        if not tried:
            return []
        variants = [Variant(pair.tail or (), pair.b.start, pair.a.start) for pair in tried]
        outcomes = self._run(program, variants)
        answered = [
            Answered(pair, self._merged(pair, outcome, held.hash))
            for pair, outcome in zip(tried, outcomes, strict=True)
        ]
        for answer in answered:
            self._check(program, answer, answer.pair, self.source.evidence)
            judged = by_procfs.get(answer.pair.b.start)
            if judged is not None:
                self.procfs_pairs += 1
                self.procfs_unknown += judged.verdict is Verdict.UNKNOWN
                pair = answer.pair
                same = PairOnTrial(pair.a, pair.b, pair.facts, judged, pair.operate_on_a, pair.tail)
                self._check(program, answer, same, "procfs")
        return answered

    def cure_pairs(self, program: Program, answered: list[Answered]) -> None:
        """Remove the reason of each blocked pair that has a single one, and see it merge.

        Raises Disagrees when one still does not merge; calls that the kernel refuses prove
        nothing.
        """
        cases = []
        for each in answered:
            pair = each.pair
            removal = (
                None
                if each.merged or self._one_sided(pair)
                else cure(pair.judgement.reasons, pair.facts, pair.a.fields, pair.b.fields)
            )
            if removal:
                size = pair.b.end - pair.b.start
                start = _where_after(removal, pair)
                # every other removal makes the kernel try by itself; a toggle of what has merged
                # already would split it
                toggle = choose_toggle(pair.b.flags, pair.a.flags) if _only_moves(removal) else None
                retry = tuple(Op(Kind.MADVISE, advice, start, size) for advice in toggle or ())
                cases.append((pair, Variant(removal + retry, start, pair.a.start)))
        outcomes = self._run(program, [variant for _, variant in cases]) if cases else []
        for (pair, variant), outcome in zip(cases, outcomes, strict=True):
            if not outcome.pid or outcome.error:
                continue
            if outcome.after == LOWER_JOINED_ELSEWHERE:
                continue  # the lower VMA went to its other neighbour, which the kernel asks first
            if outcome.after & 1:
                raise Disagrees(
                    Disagreement(program + variant.tail, pair, "removal of the reason:", False)
                )
            self.cured[pair.judgement.decisive] += 1

    def _one_sided(self, pair: PairOnTrial) -> bool:
        """Whether it merges from one side only, up to 6.15: which one a removal operates on last is
        nobody's choice.
        """
        unfaulted = [side.chain == AnonVma.NONE for side in (pair.a, pair.b)]
        return not self.rules.era.symmetric_anon_vma and unfaulted[0] != unfaulted[1]

    def _base(self, program: Program) -> Program:
        return program if self.switch is None else self.switch.before(program)

    def _run(self, program: Program, variants: list[Variant]) -> list[Outcome]:
        if self.switch is not None:
            variants = [each._replace(tail=self.switch.tail(each.tail)) for each in variants]
        return self.executor.run(self._base(program), variants)

    def _by_procfs(self, process: ProcessId) -> dict[int, Judgement]:
        assert self.procfs is not None
        rows = self.procfs.table(process).rows
        rows = rows[rows["pair"] == 1]
        return {
            start: self.rules.judge(facts) for start, facts in rows[["start", "facts"]].tolist()
        }

    @staticmethod
    def _merged(pair: PairOnTrial, outcome: Outcome, expected_hash: int) -> bool:
        if not outcome.pid or outcome.hash != expected_hash or not outcome.before:
            raise NotReproduced(f"{pair}: {outcome}")
        if outcome.error != _SETTLED:
            raise NotReproduced(f"the toggle failed with errno {outcome.error}: {pair}")
        return not outcome.after & 1

    @staticmethod
    def _check(program: Program, answer: Answered, pair: PairOnTrial, evidence: str) -> None:
        expected = expected_merge(pair)
        if expected is not None and expected != answer.merged:
            raise Disagrees(Disagreement(program, pair, evidence, answer.merged))


def _only_moves(removal: Program) -> bool:
    """Whether the removal empties VMAs by MREMAP_DONTUNMAP, which tries no merge."""
    return removal[0].kind == Kind.MREMAP and bool(removal[0].arg & MREMAP_DONTUNMAP)


def _where_after(removal: Program, pair: PairOnTrial) -> int:
    """Where the upper VMA begins when the removal has swapped the two."""
    swapped = removal[-1].kind == Kind.MREMAP and len(removal) == 3
    return removal[-1].to if swapped else pair.b.start


class Disagrees(AssertionError):
    """Carries the disagreement."""

    def __init__(self, disagreement: Disagreement) -> None:
        super().__init__(str(disagreement))
        self.disagreement = disagreement
