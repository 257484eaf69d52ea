# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the codes in a text mean: no reason and no flag is shown without its sentence."""

from __future__ import annotations

from collections.abc import Iterable

from vmad.export.style import Style
from vmad.model.kernel_flags import KERNEL_FLAGS
from vmad.rules.catalogue import CATALOGUE

_INDENT = "  "


def reason_lines(names: Iterable[str], style: Style) -> list[str]:
    """A sentence for each reason, in the catalogue's order; nothing where there is none."""
    shown = set(names)
    return [
        line
        for name in CATALOGUE
        if name in shown
        for line in style.wrapped(f"{name}: {CATALOGUE[name].sentence}", _INDENT * 2, _INDENT)
    ]


def flag_lines(codes: Iterable[str], style: Style) -> list[str]:
    """What each flag is, by the code that smaps has for it."""
    shown = set(codes)
    return [
        line
        for flag in KERNEL_FLAGS
        if flag.sentence and flag.code in shown
        for line in style.wrapped(
            f"{flag.code} ({flag.term}): {flag.sentence}.", _INDENT * 2, _INDENT
        )
    ]


def legend(title: str, lines: list[str], style: Style) -> list[str]:
    """Under a heading, and quietly: whoever knows them passes over."""
    return [style.dim(line) for line in (title, *lines)] if lines else []
