# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What to change, for a person: patterns, programs, the best advice, and why not the rest."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from vmad.advice.pattern import TEXTS
from vmad.advice.select import Chosen, NotChosen
from vmad.export.printable import printable
from vmad.export.quantities import counted, percent
from vmad.export.style import Style
from vmad.model.program import Recognised, Traits
from vmad.scan.explain import Explanation

_INDENT = "     "
#: so many VMAs of one pattern, if they are half of a process with few, are worth a word
OUTSTANDING = 128


def advice_lines(explanation: Explanation, style: Style, *, everything: bool) -> list[str]:
    """What to change; ``everything``: also of what was not chosen, and why not."""
    best = explanation.selection.best
    lines = [style.bold("What to change")]
    if not best:
        lines.append("  Nothing: no pattern that can be changed stands out.")
    number = 0
    for pattern, group in groupby(best, key=lambda chosen: chosen.pattern):
        share = percent(pattern.vmas / len(explanation.table.rows))
        text = TEXTS[pattern.pattern]
        lines += style.wrapped(
            f"{text.title[0].upper()}{text.title[1:]}: {counted(pattern.vmas, 'VMA')} ({share}). "
            f"{text.sentence}", "  "
        )  # fmt: skip
        for chosen in group:
            number += 1
            lines += _chosen(number, chosen, style, everything)
    lines += style.wrapped(_recognised(explanation.programs, explanation.traits), "  ")
    lines += _like(explanation, style)
    return lines + (list(_others(explanation.selection.others, style)) if everything else [])


def few_lines(explanation: Explanation, style: Style) -> list[str]:
    """Of a process that needs no change; where one pattern makes up most of it, what would help."""
    best = explanation.selection.best
    text = "So few VMAs need no change"
    if best and best[0].pattern.vmas >= max(len(explanation.table.rows) / 2, OUTSTANDING):
        pattern, advice = best[0].pattern, best[0].advice
        text += (
            f". Should they become more: {counted(pattern.vmas, 'VMA')} are "
            f"{TEXTS[pattern.pattern].title}. {advice.in_short} (--advice says more)."
        )
    else:
        text += " (--advice says what could be changed)."
    return [*style.wrapped(text, "  "), *_like(explanation, style)]


def _like(explanation: Explanation, style: Style) -> list[str]:
    if explanation.like is None:
        return []
    return style.wrapped(f"In the atlas it is like {explanation.like}.", "  ")


def _chosen(number: int, chosen: Chosen, style: Style, everything: bool) -> Iterator[str]:
    advice = chosen.advice
    whom = f"{advice.whose.value}: " if not advice.programs else f"{advice.whom}: "
    yield from style.wrapped(f"{whom}{advice.text}", _INDENT, f"  {number}. ")
    proof = str(advice.proof)
    detail = f"{proof[0].upper()}{proof[1:]}. Costs: {advice.cost} Check: {advice.check}"
    yield from style.wrapped(detail, _INDENT)
    if everything:
        yield from style.wrapped(f"Shown because {chosen.why}.", _INDENT)
    yield from (style.dim(line) for line in style.wrapped(f"[{advice.source}]", _INDENT))


def _recognised(programs: tuple[Recognised, ...], traits: Traits | None) -> str:
    if not programs:
        text = "No program, runtime or allocator was recognised: advice is for any"
        if traits is not None and traits.static and not traits.symbols:
            text += "; its file is linked statically and names no function that tells"
    else:
        text = "Recognised: " + ", ".join(str(program) for program in programs)
    if traits is not None and traits.unreachable:
        text += "; its files cannot be reached, so that versions may be missing"
    return printable(f"{text}.")


def _others(others: tuple[NotChosen, ...], style: Style) -> Iterator[str]:
    yield style.bold("Not chosen")
    order = {why: place for place, why in enumerate(dict.fromkeys(other.why for other in others))}
    for why, group in groupby(
        sorted(others, key=lambda other: (other.why != "others come first", order[other.why])),
        key=lambda other: other.why,
    ):
        names = ", ".join(other.advice.name for other in group)
        yield from style.wrapped(f"{why}: {names}.", _INDENT, "  - ")
