# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Ways of colouring the picture: by what keeps VMAs apart, by kind, by what changed.

Each has entries: what a colour stands for, how many VMAs have it, what it means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vmad.export.cause_text import cause_sentence, cause_title, merged_when_patched
from vmad.export.picture import palette
from vmad.export.picture.palette import Colours
from vmad.export.picture.varints import Numbers
from vmad.model.kinds import KIND_TEXT, Kind
from vmad.scan.explain import Cause, Explanation


@dataclass(frozen=True, slots=True)
class Entry:
    """One colour of a legend. ``apart``: it is pairs that stay apart."""

    title: str
    vmas: int
    colours: Colours
    sentence: str = ""
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Mode:
    """One way of colouring; ``of_row[i]`` is row i's index into ``entries``."""

    key: str
    title: str
    entries: tuple[Entry, ...]
    of_row: Numbers


def by_cause(explanation: Explanation) -> Mode:
    """What keeps each VMA from its lower neighbour, as :mod:`vmad.scan.explain` counts causes."""
    of_row = np.zeros(len(explanation.table.rows), np.int64)
    for index, cause in enumerate(explanation.causes):
        of_row[cause.rows] = index
    entries = tuple(_entry(cause) for cause in explanation.causes)
    return Mode("why", "what keeps them apart", entries, of_row)


def _entry(cause: Cause) -> Entry:
    if cause.reason is not None:
        colours = palette.of_reason(cause.reason)
    else:
        colours = palette.ALONE[cause.kind or Kind.ANON_WRITABLE]
    sentences = (cause_sentence(cause), merged_when_patched(cause))
    return Entry(
        cause_title(cause),
        cause.vmas,
        colours,
        " ".join(filter(None, sentences)),
        cause.reason is not None,
    )


def by_kind(kinds: Numbers) -> Mode:
    """What each VMA is."""
    counts = np.bincount(kinds, minlength=len(Kind)).tolist()
    shown = sorted((kind for kind in Kind if counts[kind]), key=lambda kind: -counts[kind])
    place = np.zeros(len(Kind), np.int64)
    place[[int(kind) for kind in shown]] = np.arange(len(shown))
    entries = tuple(Entry(KIND_TEXT[kind], counts[kind], palette.KINDS[kind]) for kind in shown)
    return Mode("kind", "kind", entries, place[kinds])


def by_change(change: Numbers, sentences: Sequence[str]) -> Mode:
    """What changed; ``change`` is each row's index into :data:`palette.CHANGES`."""
    counts = np.bincount(change, minlength=len(palette.CHANGES)).tolist()
    entries = tuple(
        Entry(name, count, colours, sentence)
        for (name, colours), count, sentence in zip(
            palette.CHANGES.items(), counts, sentences, strict=True
        )
    )
    return Mode("change", "what changed", entries, change)
