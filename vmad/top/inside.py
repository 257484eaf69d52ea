# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One process as lines: its count and past, its address space, its causes, what to change."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from vmad.export.cause_text import cause_sentence, cause_title, merged_when_patched
from vmad.export.picture.modes import by_cause
from vmad.export.printable import printable
from vmad.export.quantities import UNKNOWN, count, counted, percent
from vmad.scan.explain import Explanation
from vmad.top.columns import look_of, time_text
from vmad.top.picture import picture, symbols
from vmad.top.row import Row
from vmad.top.sparkline import known_part, sparkline
from vmad.top.text import BLANK, Line, Look, Part, line, padded, screenful

KEYS = "Esc back   arrows scroll   Space pause   ? help"
_INDENT = " " * 6
#: kinds with less than this share of the VMAs are one line; a reason has its sentence always
MINOR = 0.05


@dataclass(frozen=True, slots=True)
class Inside:
    """What was read of a process: ``explanation``, or ``problem`` in a line."""

    explanation: Explanation | None = None
    problem: str | None = None


def inside(
    row: Row | None, looked_into: Inside | None, first: int, width: int, height: int
) -> list[Line]:
    """The whole screen, ``first`` being the line that is shown first below the head."""
    lines = [*_head(row, width), *_body(looked_into, width, height)]
    if row is None:
        lines.insert(0, line("The process is gone; this is the last that was seen.", Look.WARNING))
    page = height - 1
    first = min(first, max(len(lines) - page, 0))
    shown = screenful(lines[first:], width, page)
    more = len(lines) - first - page
    below = f"   {more} lines below" if more > 0 else ""
    return [*shown, *screenful([line(KEYS + below, Look.DIM)], width, 1)]


def _head(row: Row | None, width: int) -> Iterator[Line]:
    if row is None:
        return
    of = "" if row.limit is None else f" of {count(row.limit)}"
    text = f"{count(row.map_count)}{of} VMAs ({percent(row.ratio)})"
    yield Part(f"{row.comm} (pid {row.id.pid})  ", Look.BOLD), Part(text, _bold(row))
    rate = UNKNOWN if row.rate is None else f"{row.rate:+,.3g}/s"
    told = [
        f"growth {rate}",
        f"highest {count(row.high_water)}",
        f"at the limit in {time_text(row.seconds_to_limit)}" if row.seconds_to_limit else "",
        "at the limit now" if row.at_limit else "",
        "" if row.failures is None else counted(row.failures, "failed call"),
        f"group {row.group}" if row.group else "",
    ]
    yield from map(line, _flowing(list(filter(None, told)), width))
    past = known_part(row.past)
    if len(past) > 1:
        drawn = sparkline(past, min(len(past), width - 12)).lstrip()
        yield Part(f"last {len(past)} s  ", Look.DIM), Part(drawn)
    yield BLANK


def _flowing(told: list[str], width: int) -> list[str]:
    """Side by side, as many in a line as there is room for."""
    lines = [""]
    for text in told:
        joined = f"{lines[-1]}   {text}" if lines[-1] else text
        if len(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(text)
    return lines


def _bold(row: Row) -> Look:
    look = look_of(row)
    return Look.BOLD if look is Look.PLAIN else look


def _body(looked_into: Inside | None, width: int, height: int) -> Iterator[Line]:
    if looked_into is None:
        yield line("Its address space is being read …", Look.DIM)
        return
    if looked_into.explanation is None:
        for text in textwrap.wrap(looked_into.problem or "", width):
            yield line(text, Look.WARNING)
        return
    explanation = looked_into.explanation
    yield line("Address space", Look.HEADING)
    yield from picture(explanation, width, max(height // 4, 5))
    yield BLANK
    yield from _causes(explanation, width)
    yield from _advice(explanation, width)


def _causes(explanation: Explanation, width: int) -> Iterator[Line]:
    total = len(explanation.table.rows)
    yield line("Why", Look.HEADING)
    entries = by_cause(explanation).entries
    for mark, cause, entry in zip(symbols(explanation), explanation.causes, entries, strict=True):
        share = f"{padded(count(cause.vmas), 9, 'r')} {padded(percent(cause.vmas / total), 7, 'r')}"
        ground = entry.colours.dark
        title = Part(cause_title(cause), Look.BOLD)
        yield Part("  "), Part(mark, ground=ground), Part(f" {share}  "), title
        if cause.kind is not None and cause.vmas < MINOR * total:
            continue
        text = " ".join(filter(None, (cause_sentence(cause), merged_when_patched(cause))))
        for sentence in textwrap.wrap(text, min(width - len(_INDENT), 100)):
            yield line(_INDENT + sentence)
    yield BLANK


def _advice(explanation: Explanation, width: int) -> Iterator[Line]:
    yield line("What to change", Look.HEADING)
    best = explanation.selection.best
    if not best:
        yield line("  Nothing: no pattern that can be changed stands out.")
    for chosen in best:
        advice = chosen.advice
        whom = advice.whom if advice.programs else advice.whose.value
        wrapped = textwrap.wrap(printable(f"{whom}: {advice.text}"), min(width - 4, 100))
        yield from (line(f"  {'-' if not n else ' '} {text}") for n, text in enumerate(wrapped))
    pid = explanation.table.id.pid
    yield line(
        f"  vmad explain {pid} tells all of it, vmad map {pid} -o map.html draws it", Look.DIM
    )
