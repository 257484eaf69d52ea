# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which advice is right for a process: the best one to three, and why not the others. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from vmad.advice.catalogue import ADVICE
from vmad.advice.conditions import gain, recovers_little
from vmad.advice.pattern import Pattern
from vmad.advice.record import Advice, Whose
from vmad.advice.situation import PatternCount, Situation
from vmad.model.program import Program, Recognised

#: pieces of advice in all
SHOWN = 3
#: patterns with less than this share of the VMAs get none
WORTH = 0.05
#: VMAs: any program has so many of some pattern
FEW = 16
#: patterns with nothing to change: all processes have them
NO_CHANGE = frozenset({Pattern.LIBRARIES, Pattern.ORDINARY})
#: every process has one: what is for them is for any program
_LIBCS = frozenset({Program.GLIBC, Program.MUSL})
RAISE_LIMIT = ADVICE["raise-limit"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A record for a pattern of the process, and why: words after "because"."""

    advice: Advice
    pattern: PatternCount
    why: str


@dataclass(frozen=True, slots=True)
class NotChosen:
    """A record that is not among the best, and why: words after "because"."""

    advice: Advice
    why: str


@dataclass(frozen=True, slots=True)
class Selection:
    """``best`` first things first, three at most; ``others`` are all that fit less or not."""

    best: tuple[Chosen, ...]
    others: tuple[NotChosen, ...]


def select(situation: Situation) -> Selection:
    """The best advice for the process, and of every other record why it is not among it.

    The pattern with most VMAs comes first; for each pattern what the operator of a program
    can set comes before what is for any, and what takes more VMAs away before what takes fewer;
    where that is the same, what an operator can do at once.
    """
    main = main_patterns(situation)
    ranked = [_ranked(situation, pattern) for pattern in main]
    fitting = {piece.advice.name for piece in chain.from_iterable(ranked)}
    # two or three for the pattern with most VMAs, one for the next, until there are enough
    first, rest = ranked[:1], ranked[1:]
    turns = [*(ranking[: SHOWN - 1] for ranking in first), *(ranking[:1] for ranking in rest)]
    turns += first
    best: list[Chosen] = []
    for piece in chain.from_iterable(turns):
        if len(best) < SHOWN and piece.advice.name not in {chosen.advice.name for chosen in best}:
            best.append(piece)
    best.sort(key=lambda piece: main.index(piece.pattern))
    shown = {piece.advice.name for piece in best}
    others = [
        NotChosen(record, _why_not(situation, record, record.name in fitting))
        for record in ADVICE.values()
        if record.name not in shown
    ]
    return Selection(tuple(best), tuple(others))


def main_patterns(situation: Situation) -> list[PatternCount]:
    """Those that are worth a change, the one with most VMAs first."""
    total = situation.vmas or sum(pattern.vmas for pattern in situation.patterns)
    worth = [
        pattern
        for pattern in situation.patterns
        if pattern.pattern not in NO_CHANGE
        and pattern.vmas >= total * WORTH
        and pattern.vmas >= FEW
    ]
    return sorted(worth, key=lambda pattern: -pattern.vmas)


def _ranked(situation: Situation, pattern: PatternCount) -> list[Chosen]:
    """What fits this pattern, best first; raising the limit has a place of its own."""
    chosen = [
        Chosen(record, pattern, _why(situation, record, pattern))
        for record in ADVICE.values()
        if record is not RAISE_LIMIT and mismatch(situation, record, pattern) is None
    ]
    return sorted(chosen, key=lambda piece: _order(situation, piece))


def _order(situation: Situation, chosen: Chosen) -> tuple[int, float, bool, float]:
    """Of what is the same to a tenth, an operator's comes first: nobody waits."""
    advice, share = chosen.advice, chosen.advice.proof.share
    if advice.recovers is not None:
        share = min(share, (gain(situation, advice.recovers) or 0) / chosen.pattern.vmas)
    return _tier(advice), -round(share, 1), advice.whose is not Whose.OPERATOR, -share


def _tier(record: Advice) -> int:
    """What a program's own operator can set, then what is for programs or libc, then the rest."""
    if not record.programs:
        return 2
    return 0 if record.whose is Whose.OPERATOR and not set(record.programs) <= _LIBCS else 1


def mismatch(situation: Situation, record: Advice, pattern: PatternCount) -> str | None:
    """Why the record is not for this pattern in this process, as words; None where it is."""
    if pattern.pattern not in record.patterns:
        return "it is for another pattern"
    if record.reasons and not set(record.reasons) & set(pattern.reasons):
        return f"no pair has the reason {record.reasons[0]}"
    runs = [program for program in situation.programs if program.program in record.programs]
    if record.programs and not runs:
        return f"{record.whom} was not recognised"
    if runs and not any(_in_range(run, record) for run in runs):
        return f"{runs[0]} is outside of the versions that it is for"
    against = [program for program in situation.programs if program.program in record.without]
    if against:
        return f"{against[0]} does this itself"
    return next(_failing(situation, record, pattern), None)


def _failing(situation: Situation, record: Advice, pattern: PatternCount) -> Iterator[str]:
    if record.recovers is not None:
        why = recovers_little(situation, pattern, record.recovers)
        if why is not None:
            yield why
    for test in record.tests:
        why = test(situation, pattern)
        if why is not None:
            yield why


def _in_range(program: Recognised, record: Advice) -> bool:
    """Whether the record is for its version; one that is not known may be any."""
    version = program.version
    if version is None:
        return True
    late = record.since is None or version >= record.since
    # 3 is until (3,): a version that is known less exactly than the bound is below it
    early = record.until is None or version < record.until
    return late and early


def _why(situation: Situation, record: Advice, pattern: PatternCount) -> str:
    share = pattern.vmas / max(situation.vmas, pattern.vmas)
    text = f"{pattern.vmas:,} VMAs ({share:.0%}) are of that pattern"
    runs = [program for program in situation.programs if program.program in record.programs]
    if runs:
        text += f", and it runs {runs[0]}"
        unknown = runs[0].version is None and (record.since or record.until)
        text += " of a version that is not known" if unknown else ""
    return text


def _why_not(situation: Situation, record: Advice, fits: bool) -> str:
    if record is RAISE_LIMIT:
        return "the limit has a paragraph of its own"
    if fits:
        return "others come first"
    present = [pattern for pattern in situation.patterns if pattern.pattern in record.patterns]
    if not present:
        return "nothing here has that pattern"
    worth = main_patterns(situation)
    for pattern in present:
        why = mismatch(situation, record, pattern)
        if why is not None and pattern in worth:
            return why
    if not any(pattern in worth for pattern in present):
        return "that pattern is a small part of the VMAs"
    return mismatch(situation, record, present[0]) or "others come first"
