# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What was, as JSON: schema vmad.history/1. A slot without a number is null."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from vmad.export.printable import utf8
from vmad.timeline.rings import MISSING, Series
from vmad.timeline.selection import Selection
from vmad.timeline.timeline import COUNT, FAILURES, OF_HOST, Timeline

SCHEMA = "vmad.history/1"


def numbers(series: Series | None) -> list[int | None]:
    """(3, MISSING) -> [3, None]; nothing is remembered: []."""
    if series is None:
        return []
    return [None if value == MISSING else value for value in series.values.tolist()]


def history_pieces(timeline: Timeline, selection: Selection, now: float) -> Iterator[str]:
    """The last ``selection.span`` seconds up to ``now`` (Unix seconds), in pieces.

    All series have the same slots: number n is of ``step`` seconds from ``start`` + n * ``step``.
    """
    span = selection.span
    whose = timeline.slots(span, now)
    head: dict[str, Any] = {
        "schema": SCHEMA,
        "start": whose.start,
        "step": whose.step,
        "slots": len(whose.values),
        "memory_bytes": timeline.nbytes,
        "host": {name: numbers(timeline.of_host(name, span, now)) for name in OF_HOST},
    }
    yield f'{json.dumps(head)[:-1]}, "groups": ['
    yield from _items(_groups(timeline, selection, now))
    yield '], "processes": ['
    yield from _items(_processes(timeline, selection, now))
    yield "]}\n"


def _groups(timeline: Timeline, selection: Selection, now: float) -> Iterator[dict[str, Any]]:
    if selection.pid is not None:
        return
    names: Sequence[str] = timeline.group_names() if selection.group is None else (selection.group,)
    for name in names:
        counts = timeline.of_group(name, selection.span, now, COUNT)
        failures = timeline.of_group(name, selection.span, now, FAILURES)
        if counts is None or failures is None:
            continue
        document: dict[str, Any] = {"group": utf8(name), COUNT: numbers(counts)}
        if len(failures.known):
            document[FAILURES] = numbers(failures)
        if len(counts.known) or len(failures.known) or selection.group is not None:
            yield document


def _processes(timeline: Timeline, selection: Selection, now: float) -> Iterator[dict[str, Any]]:
    for process, series in timeline.followed(selection.span, now):
        if selection.pid not in (None, process.pid) or selection.group not in (None, process.group):
            continue
        if len(series.known):
            yield {
                "pid": process.pid,
                "start_time": process.start_time,
                "comm": utf8(process.comm),
                "group": utf8(process.group),
                COUNT: numbers(series),
            }


def _items(things: Iterator[dict[str, Any]]) -> Iterator[str]:
    between = ""
    for document in things:
        yield between + json.dumps(document)
        between = ", "
