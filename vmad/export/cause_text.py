# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One cause of many VMAs for a person: what it is, where it repeats."""

from __future__ import annotations

from vmad.export.quantities import count, counted, percent
from vmad.export.repeat_text import repeat_line
from vmad.export.style import Style
from vmad.model.kinds import KIND_TEXT
from vmad.model.verdict import Verdict
from vmad.rules.catalogue import reason
from vmad.rules.composition import COMPOSITIONS
from vmad.scan.explain import Cause, Explanation, repeats_of
from vmad.scan.page_sample import PageSample

#: repeating runs shown for one cause
REPEATS_SHOWN = 3
#: further reasons of the same pairs
REASONS_SHOWN = 3
_INDENT = "     "


def cause_lines(
    number: int,
    cause: Cause,
    explanation: Explanation,
    style: Style,
    sample: PageSample | None,
) -> list[str]:
    """The paragraph of one cause, numbered."""
    share = percent(cause.vmas / len(explanation.table.rows))
    title = style.bold(cause_title(cause))
    lines = [f"  {number}. {title}: {counted(cause.vmas, 'VMA')} ({share})"]
    lines += style.wrapped(cause_sentence(cause), _INDENT)
    repeats = repeats_of(cause, explanation.repeats)
    shown = [repeat for repeat, vmas in repeats if vmas * 20 >= cause.vmas][:REPEATS_SHOWN]
    for repeat in shown:
        lines += style.wrapped(repeat_line(repeat), _INDENT + "  ", _INDENT + "* ")
    further = [also for also in cause.also if also[1] * 20 >= cause.vmas][:REASONS_SHOWN]
    if further:
        lines.append(f"{_INDENT}Further reasons of the same pairs:")
        for name, pairs in further:
            text = f"{name} {count(pairs)}: {reason(name).sentence}"
            lines += style.wrapped(text, _INDENT + "  ", _INDENT + "* ")
    patched = merged_when_patched(cause)
    lines += [f"{_INDENT}{patched}"] if patched else []
    return lines + (style.wrapped(_pages(sample), _INDENT) if sample is not None else [])


def cause_title(cause: Cause) -> str:
    """("pairs kept apart by vm_pgoff")."""
    if cause.kind is not None:
        return f"{KIND_TEXT[cause.kind]}, with no pair below"
    if cause.verdict is Verdict.MERGEABLE:
        return f"pairs that would merge ({cause.reason})"
    if cause.verdict is Verdict.UNKNOWN:
        return f"pairs left undecided ({cause.reason})"
    return f"pairs kept apart by {cause.reason}"


def cause_sentence(cause: Cause) -> str:
    """What it means; empty where there is nothing to say."""
    if cause.reason is not None:
        return reason(cause.reason).sentence
    return COMPOSITIONS[cause.kind].sentence if cause.kind is not None else ""


def merged_when_patched(cause: Cause) -> str:
    """What the patched kernel does with these pairs; empty where they are not blocked."""
    if cause.verdict is not Verdict.BLOCKED:
        return ""
    which = "none" if not cause.relaxed else count(cause.relaxed)
    if cause.relaxed == cause.vmas:
        which = "all"
    return f"The patched kernel merges {which} of these pairs."


def _pages(sample: PageSample) -> str:
    looked = f"of {counted(sample.pairs, 'pair')}"
    if sample.pairs < sample.of_pairs:
        looked += f" taken evenly from all {count(sample.of_pairs)}"
    if sample.too_large:
        looked += f", without {counted(sample.too_large, 'very large VMA')}"
    share = None if sample.present is None or not sample.pages else sample.present / sample.pages
    return (
        f"Pages {looked}: {count(sample.present)} present ({percent(share)} of the address space), "
        f"{count(sample.swapped)} swapped, {count(sample.shared)} shared with another process."
    )
