# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One program on trial by rebuild: what two rules promise of its runs, and what the kernel gives.

A stock kernel cannot be asked what the patched one would merge, pair by pair. But rebuilding a
run lifts the same two conditions, so it shows how far the relaxed rules may promise at most, and
exactly what the rebuild rules must.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tests.differential.executor import Executor
from tests.differential.program import ARENA, ARENA_PAGES, PAGE, Kind, Op, Program, listing
from tests.differential.trial import start_time
from vmad.model.process import ProcessId
from vmad.model.table import VmaTable
from vmad.model.verdict import Verdict
from vmad.rules.carried import Carried, carried
from vmad.rules.rebuild import RebuildRules
from vmad.rules.relaxed import RelaxedRules
from vmad.rules.runs import recoverable
from vmad.sources.source import Source

#: of executor.c
_PARTS, _LATE = 1 << 12, 1 << 13


@dataclass(frozen=True, slots=True)
class Run:
    """VMAs that a rebuild would join; ``rows`` of the table."""

    start: int
    end: int
    vmas: int
    carried: Carried
    rows: slice

    @property
    def op(self) -> Op:
        """What makes the executor rebuild it: at once, or (but locked ones) in two pieces, or in
        as many as a deadline that has passed makes of it; undoing all for a refused page, or not.
        """
        advice = sum(1 << number for number in self.carried.advice)
        size, place = self.end - self.start, self.start // PAGE
        how = self.carried.protection | self.carried.lock << 8 | (_PARTS if self.vmas % 2 else 0)
        if place % 3 == 1 and not self.carried.lock:
            how |= (self.vmas // 2) << 16
        if place % 3 == 2 and not self.carried.lock:
            how |= _PARTS | _LATE
        return Op(Kind.REBUILD, how, self.start, size, advice, self.carried.mapping)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """VMAs of all runs of a program that would vanish by each rules, and that did.

    ``shared``: VMAs that were left out for a page that somebody else holds; ``guarded``: for a
    guard region, which takes no part in a move.
    """

    relaxed: int
    rebuild: int
    vanished: int
    shared: int
    guarded: int


class NotRebuilt(Exception):
    """The process died, or something else than a page was refused."""


class RebuildDisagrees(AssertionError):
    """A promise that the kernel did not keep, or bytes that changed."""

    def __init__(self, program: Program, what: str) -> None:
        super().__init__(f"{what}\n{listing(program)}")


def runs_of(table: VmaTable, rules: RebuildRules) -> list[Run]:
    """The runs of the arena that can be rebuilt: writable, and with flags that can be carried."""
    rows = table.rows
    first = int(np.searchsorted(rows["start"], ARENA - PAGE * ARENA_PAGES))
    last = int(np.searchsorted(rows["start"], ARENA + 3 * PAGE * ARENA_PAGES))
    found = []
    begin = first
    for index in range(first + 1, last + 1):
        if index < last and rows["pair"][index]:
            judgement = rules.judge(int(rows["facts"][index]))
            if judgement.verdict is Verdict.MERGEABLE:
                continue
        flags = carried(int(rows["flags"][begin]), rules.unasked)
        # private mappings of /dev/zero are anonymous to the kernel, but have a file
        if index - begin > 1 and isinstance(flags, Carried) and not rows["file"][begin]:
            start, end = int(rows["start"][begin]), int(rows["end"][index - 1])
            found.append(Run(start, end, index - begin, flags, slice(begin, index)))
        begin = index
    return found


class RebuildTrial:
    """An executor, and the rules that are held against what it reaches."""

    def __init__(self, executor: Executor, source: Source) -> None:
        self.executor, self.source = executor, source
        self.rules = RebuildRules(source.kernel)
        self.relaxed = RelaxedRules(source.kernel)

    def ask(self, program: Program) -> Rebuilt | None:
        """Rebuild every run that a program leaves, in its process.

        None without a run. Raises NotRebuilt, RebuildDisagrees.
        """
        if any(op.kind == Kind.HOME_NODE for op in program):
            return None  # no call tells which node that is, so a rebuild loses it
        held = self.executor.hold(program)
        if not held.pid:
            return None
        table = self.source.table(ProcessId(held.pid, start_time(held.pid)))
        runs = runs_of(table, self.rules)
        if not runs:
            return None
        promised = [self._relaxed(table, run) for run in runs]
        outcome = self.executor.go_on(tuple(run.op for run in runs))
        if not outcome.pid or outcome.error:
            raise NotRebuilt(f"{outcome}")
        answer = Rebuilt(
            sum(promised),
            sum(run.vmas - 1 for run in runs),
            outcome.before - outcome.after,
            outcome.ops & 0xFFFF,
            outcome.ops >> 16 & 0x7FFF,
        )
        if outcome.ops >> 31:
            raise RebuildDisagrees(program, f"bytes changed: {answer}")
        # the patched kernel lets an exclusive VMA join a shared one, whose pages stay; a rebuild
        # has to move both, and leaves the shared one out
        beside_left_out = 2 * (answer.shared + answer.guarded)
        if answer.relaxed > answer.vanished + beside_left_out:
            raise RebuildDisagrees(program, f"the relaxed rules promise more: {answer}")
        if not answer.shared | answer.guarded and answer.vanished != answer.rebuild:
            raise RebuildDisagrees(program, f"the rebuild rules promise otherwise: {answer}")
        return answer

    def _relaxed(self, table: VmaTable, run: Run) -> int:
        rows = table.rows[run.rows].copy()
        rows["pair"][0] = 0
        part = replace(table, rows=rows)
        return recoverable(part, self.relaxed) or 0
