# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What VMAs are: a table of kinds, of a host or of a process."""

from __future__ import annotations

from collections.abc import Sequence

from vmad.model.kinds import KIND_TEXT, Kind
from vmad.web.pages.markup import Column, Html, Table, number, plain_bar, share, text

_COLUMNS = (Column("Kind"), Column("VMAs", "number"), Column("Share", "number"), Column("", "near"))


def kinds_table(caption: str, kinds: Sequence[int]) -> Html:
    """Those that there are, the most first. ``kinds`` are VMAs by :class:`Kind`."""
    total = sum(kinds)
    rows = (
        (
            text(KIND_TEXT[kind]),
            number(kinds[kind]),
            share(kinds[kind] / total),
            plain_bar(kinds[kind] / total),
        )
        for kind in sorted(Kind, key=lambda kind: -kinds[kind])
        if kinds[kind]
    )
    return Table(caption, _COLUMNS).html(rows)
