# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""For a process far from vm.max_map_count: that it is not this limit, and which it may be."""

from __future__ import annotations

from typing import Any

from vmad.export.printable import printable, utf8
from vmad.export.quantities import count, counted, size
from vmad.export.style import Style
from vmad.rules.other_limits import OVERCOMMIT, Bound

#: named in the first line; the rest is below it
NAMED_FIRST = 3


def not_this_limit(bounds: tuple[Bound, ...] | None) -> str:
    """The end of the first line."""
    text = "if its calls fail, it is not this limit"
    if bounds is None:  # a capture, a guest
        return text
    named = [bound for bound in bounds if bound.in_force]
    if not named:
        large = "".join(
            f"; one request beyond memory and swap ({size(bound.limit)}) fails, too"
            for bound in bounds
            if bound.name == OVERCOMMIT and bound.limit is not None
        )
        return f"{text}, and no other one is near{large}"
    first = ", ".join(f"{bound.name} ({_used(bound)})" for bound in named[:NAMED_FIRST])
    more = len(named) - NAMED_FIRST
    return f"{text} but maybe {first}" + (f" or {counted(more, 'other')}" if more > 0 else "")


def other_limits_lines(bounds: tuple[Bound, ...] | None, style: Style) -> list[str]:
    """What is in force, with whose it is, how its failure looks and what raises it."""
    lines: list[str] = []
    for bound in bounds or ():
        if bound.in_force:
            hits = f", hit {counted(bound.hits, 'time')}" if bound.hits else ""
            text = (
                f"{_used(bound)} ({printable(bound.where)}{hits}). Fail: {bound.fails}."
                f" To change: {printable(bound.change)}."
            )
            lines += style.wrapped(text, "    ", f"  {style.bold(bound.name)}: ")
    if lines:
        lines.insert(0, style.bold("What else may stop it"))
    return [*lines, ""] if lines else []


def bound_object(bound: Bound) -> dict[str, Any]:
    """As JSON."""
    return {
        "name": bound.name,
        "unit": bound.unit,
        "used": bound.used,
        "limit": bound.limit,
        "in_force": bound.in_force,
        "exempt": bound.exempt,
        "hits": bound.hits,
        "where": utf8(bound.where),
        "fails": bound.fails,
        "change": utf8(bound.change),
    }


def _used(bound: Bound) -> str:
    shown = size if bound.unit == "bytes" else count
    limit = "unlimited" if bound.limit is None else shown(bound.limit)
    unit = "" if bound.unit == "bytes" else f" {bound.unit}"
    return f"{limit}{unit}" if bound.used is None else f"{shown(bound.used)} of {limit}{unit}"
