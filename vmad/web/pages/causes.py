# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Why one process has so many VMAs: its causes, the one with most VMAs first."""

from __future__ import annotations

from vmad.export.cause_text import (
    REASONS_SHOWN,
    REPEATS_SHOWN,
    cause_sentence,
    cause_title,
    merged_when_patched,
)
from vmad.export.quantities import count, counted, percent
from vmad.export.repeat_text import repeat_line
from vmad.scan.explain import Cause, Explanation, main_causes, repeats_of
from vmad.web.pages.markup import Html, join, plain_bar, section, text


def causes_section(explanation: Explanation) -> Html:
    """The main causes as paragraphs; a button of each lights its VMAs up in the picture."""
    causes = main_causes(explanation.causes)
    total = len(explanation.table.rows)
    if not causes:
        return Html("")
    part = percent(sum(cause.vmas for cause in causes) / total)
    heading = "One cause makes" if len(causes) == 1 else f"{len(causes)} causes make"
    note = f"{heading} up {part} of its {count(total)} VMAs."
    listed = join(_cause(index, cause, explanation, total) for index, cause in enumerate(causes))
    leads = '<p><a href="#what-to-change">What to change</a></p>'
    return section("Why", note, Html(f'<ol class="causes">{listed}</ol>{leads}'))


def _cause(index: int, cause: Cause, explanation: Explanation, total: int) -> Html:
    share = cause.vmas / total
    parts = [
        f"<h3>{text(cause_title(cause))}: {counted(cause.vmas, 'VMA')} ({text(percent(share))})"
        f'<button type="button" class="light" data-entry="{index}" hidden>show</button></h3>',
        plain_bar(share),
    ]
    sentence = " ".join(filter(None, (cause_sentence(cause), merged_when_patched(cause))))
    parts.append(f"<p>{text(sentence)}</p>" if sentence else "")
    repeats = [
        repeat for repeat, vmas in repeats_of(cause, explanation.repeats) if vmas * 20 >= cause.vmas
    ]
    lines = "".join(f"<li>{text(repeat_line(repeat))}</li>" for repeat in repeats[:REPEATS_SHOWN])
    parts.append(f"<ul>{lines}</ul>" if lines else "")
    further = [(reason, pairs) for reason, pairs in cause.also if pairs * 20 >= cause.vmas]
    if further:
        named = ", ".join(f"{reason} {count(pairs)}" for reason, pairs in further[:REASONS_SHOWN])
        parts.append(f"<p>Further reasons of the same pairs: {text(named)}.</p>")
    return Html(f"<li>{''.join(parts)}</li>")
