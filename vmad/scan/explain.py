# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What one address space is made of and why its VMAs stay apart: pure analysis of a VmaTable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vmad.advice.atlas import KnownRow, resembles
from vmad.advice.patterns import Patterned, find_patterns
from vmad.advice.recognise import recognise
from vmad.advice.select import Selection, select
from vmad.advice.situation import Situation
from vmad.model.kernel import KernelInfo
from vmad.model.kinds import KIND_COUNT, Kind
from vmad.model.program import Recognised, Traits
from vmad.model.table import VmaTable
from vmad.model.verdict import Recoverable, Verdict
from vmad.rules.judged_pairs import JudgedPairs, judge_pairs
from vmad.rules.kernel_rules import KernelRules
from vmad.scan.repeats import Indices, Repeat, find_repeats

#: VMAs that no pair accounts for are counted under their kind; these have a name in maps
NAMED_KINDS = (Kind.FILE, Kind.FILE_DELETED, Kind.SHARED_MEMORY)

#: names that must make up a quarter of all named VMAs to be worth naming
OUTSTANDING = 5


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a number of VMAs exist.

    Either pairs with one decisive reason (``reason`` and ``verdict`` by the stock rules are set;
    each pair stands for its upper VMA) or VMAs that form no pair with the one below (``kind`` is
    set). ``relaxed`` counts those of the pairs that are mergeable by the relaxed rules. ``rows``
    are the table's rows that it accounts for; causes never overlap and add up to all VMAs.
    ``also`` counts the pairs that have a further reason, which would remain without this one.
    """

    reason: str | None
    verdict: Verdict | None
    kind: Kind | None
    vmas: int
    relaxed: int
    rows: Indices
    also: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class NameCount:
    """A name of maps and how many VMAs have it."""

    name: str
    kind: Kind
    vmas: int


@dataclass(frozen=True)
class Explanation:
    """Everything that is known of one process, decided and added up."""

    table: VmaTable
    kernel: KernelInfo  #: the one that the facts come from
    judged_as: KernelInfo  #: the one whose stock rules were asked
    max_map_count: int | None
    kinds: tuple[int, ...]
    pairs: JudgedPairs
    causes: tuple[Cause, ...]  #: the one with most VMAs first
    names: tuple[NameCount, ...]  #: files and named memory mapped most often, most often first
    repeats: tuple[Repeat, ...]
    recoverable: Recoverable
    patterns: Patterned
    programs: tuple[Recognised, ...]  #: what its files and areas give away
    traits: Traits | None  #: what was read of it beside the table
    selection: Selection  #: what to change
    like: KnownRow | None  #: the row of the atlas that it resembles

    @property
    def map_count(self) -> int | None:
        """The kernel's count of VMAs."""
        return self.table.map_count

    @property
    def ratio(self) -> float | None:
        """map_count by limit."""
        if self.map_count is None or not self.max_map_count:
            return None
        return self.map_count / self.max_map_count


def explain(
    table: VmaTable,
    kernel: KernelInfo,
    max_map_count: int | None,
    judged_as: KernelInfo | None = None,
    *,
    traits: Traits | None = None,
) -> Explanation:
    """Analyse one address space by the rules of ``judged_as`` (the kernel's own by default).

    ``traits`` are what the files of the process say, where they could be read.
    """
    rules = judged_as or kernel
    by = KernelRules.of(rules)
    pairs = judge_pairs(table, by.stock, by.relaxed)
    recovers = by.recoverable_of(table)
    threads = None if traits is None else traits.threads
    patterns = find_patterns(table, pairs, threads, kernel.page_shift)
    programs = recognise(table.paths.values(), traits)
    situation = Situation(
        patterns.counts, programs, rules.version, recovers, len(table.rows), threads
    )
    return Explanation(
        table,
        kernel,
        rules,
        max_map_count,
        tuple(np.bincount(table.rows["kind"], minlength=KIND_COUNT).tolist()),
        pairs,
        find_causes(table, pairs),
        count_names(table),
        find_repeats(table, pairs),
        recovers,
        patterns,
        programs,
        traits,
        select(situation),
        resembles(situation),
    )


def find_causes(table: VmaTable, pairs: JudgedPairs) -> tuple[Cause, ...]:
    """Every VMA under exactly one cause."""
    causes = []
    counts = pairs.counts()
    of_reason: dict[tuple[Verdict, str], list[int]] = {}
    for number, case in enumerate(pairs.cases):
        of_reason.setdefault((case.stock.verdict, case.stock.decisive), []).append(number)
    for (verdict, reason), cases in of_reason.items():
        among = np.isin(pairs.case, cases)
        merge = [n for n in cases if pairs.cases[n].relaxed.verdict is Verdict.MERGEABLE]
        relaxed = int(np.count_nonzero(np.isin(pairs.case, merge)))
        rows = pairs.upper[among]
        also: Counter[str] = Counter()
        for number in cases:
            also.update(dict.fromkeys(pairs.cases[number].stock.reasons[1:], counts[number]))
        further = tuple(also.most_common())
        causes.append(Cause(reason, verdict, None, len(rows), relaxed, rows, further))
    single = table.rows["pair"] == 0
    for kind in Kind:
        rows = np.flatnonzero(single & (table.rows["kind"] == kind))
        if len(rows):
            causes.append(Cause(None, None, kind, len(rows), 0, rows))
    return tuple(sorted(causes, key=lambda cause: -cause.vmas))


def count_names(table: VmaTable) -> tuple[NameCount, ...]:
    """Names of files, shared memory and named anonymous memory by how many VMAs have them.

    Where no few names stand out (a file per segment, a memfd per buffer), what they have in
    common is counted: "/data/segments/*".
    """
    kinds = table.rows["kind"].tolist()
    names = [
        (name, kinds[row])
        for row, name in table.paths.items()
        if kinds[row] in NAMED_KINDS or name.startswith("[anon:")
    ]
    counts = Counter(names)
    if sum(number for _, number in counts.most_common(OUTSTANDING)) * 4 < len(names):
        counts = Counter((directory_of(name), kind) for name, kind in names)
    return tuple(
        NameCount(name, Kind(kind), vmas)
        for (name, kind), vmas in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )


def directory_of(name: str) -> str:
    """("/data/a.dvd (deleted)") -> "/data/* (deleted)"; what is in no directory stays."""
    if name.startswith("[anon"):
        return f"{name.partition(':')[0]}:*]"
    deleted = " (deleted)" if name.endswith(" (deleted)") else ""
    for separator in ("/", ":"):
        above, separator_there, _ = name.removesuffix(deleted).rpartition(separator)
        if separator_there and above:
            return f"{above}{separator_there}*{deleted}"
    return name


def main_causes(causes: tuple[Cause, ...], at_most: int = 3) -> tuple[Cause, ...]:
    """The two or three causes that make up most of the VMAs; none below a twentieth of them."""
    total = sum(cause.vmas for cause in causes)
    return tuple(cause for cause in causes[:at_most] if cause.vmas * 20 >= total)


def repeats_of(cause: Cause, repeats: tuple[Repeat, ...]) -> tuple[tuple[Repeat, int], ...]:
    """The repeating runs that a cause's VMAs lie in, with how many of them; most first."""
    shares = [
        (repeat, int(np.count_nonzero(np.isin(cause.rows, repeat.rows, assume_unique=True))))
        for repeat in repeats
    ]
    return tuple(sorted((share for share in shares if share[1]), key=lambda share: -share[1]))


def cause_counts(causes: tuple[Cause, ...]) -> Mapping[str, int]:
    """VMAs by reason or kind, for machines."""
    return {
        cause.reason or (cause.kind.name.lower() if cause.kind is not None else ""): cause.vmas
        for cause in causes
    }
