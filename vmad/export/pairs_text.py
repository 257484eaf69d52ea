# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The pairs of one process, one line each, for the person who asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vmad.export.legend import flag_lines, legend, reason_lines
from vmad.export.quantities import count, counted, size
from vmad.export.style import Style
from vmad.export.text_table import aligned
from vmad.model.flags import canonical, canonical_codes, high_masks
from vmad.model.table import perms_text
from vmad.model.verdict import Direction, Judgement, Verdict
from vmad.scan.explain import Explanation

if TYPE_CHECKING:
    from vmad.export.explain_json import PairPages

_DIRECTION: dict[Direction, str] = {
    Direction.EITHER: "",
    Direction.A: "by an operation on the lower side",
    Direction.B: "by an operation on the upper side",
}


def pairs_text(
    explanation: Explanation, style: Style, limit: int | None, pages: PairPages | None = None
) -> list[str]:
    """Lines; ``limit`` bounds the number of pairs, None lists all."""
    pairs, rows = explanation.pairs, explanation.table.rows
    shown = len(pairs) if limit is None else min(limit, len(pairs))
    kernel = explanation.kernel
    masks = high_masks(kernel.version[:2], kernel.machine)
    codes = canonical_codes(kernel.machine)
    reasons: set[str] = set()
    flags: set[str] = set()
    header = ["BOUNDARY", "LOWER", "SIZE", "UPPER", "SIZE", "STOCK", "PATCHED", "DETAIL"]
    listed = [header]
    for row, number in zip(pairs.upper[:shown].tolist(), pairs.case[:shown].tolist(), strict=True):
        a, b, case = rows[row - 1], rows[row], pairs.cases[number]
        differ: list[str] = []
        if explanation.table.has_flags:
            differ = _flags(int(a["flags"]), int(b["flags"]), masks, codes)
        detail = [f"upper {' '.join(differ)}"] if differ else []
        flags.update(code[1:] for code in differ)
        reasons.update(case.stock.reasons, case.relaxed.reasons)
        of_pair = (pages or {}).get(int(b["start"]))
        if of_pair is not None:
            detail.append(_pages(of_pair))
        listed.append(
            [
                f"0x{int(b['start']):x}",
                perms_text(int(a["perms"])),
                size(int(a["end"] - a["start"])),
                perms_text(int(b["perms"])),
                size(int(b["end"] - b["start"])),
                _verdict(case.stock),
                _verdict(case.relaxed),
                "; ".join(part for part in detail if part),
            ]
        )
    lines = aligned(listed, "llrlrlll")
    lines[0] = style.bold(lines[0])
    if shown < len(pairs):
        lines.append(style.dim(f"{counted(len(pairs) - shown, 'more pair')}: --limit N"))
    if pages:
        lines.append("Pages: present/swapped/shared of the lower and of the upper VMA.")
    lines += legend("What the reasons mean:", reason_lines(reasons, style), style)
    title = "What the flags mean, of the upper VMA and not of the lower (+) or the other way (-):"
    return style.fitted(lines + legend(title, flag_lines(flags, style), style))


def _verdict(judgement: Judgement) -> str:
    if judgement.verdict is Verdict.MERGEABLE:
        how = _DIRECTION[judgement.direction] if judgement.direction is not None else ""
        return f"mergeable {how}".rstrip()
    return f"{judgement.verdict.value}: {', '.join(judgement.reasons)}"


def _flags(a: int, b: int, masks: Mapping[str, int], names: Mapping[int, str]) -> list[str]:
    """("+hg", "-ac"): the flags that the upper VMA has more and fewer than the lower."""
    lower, upper = canonical(a, masks), canonical(b, masks)
    return [
        f"{'+' if upper >> bit & 1 else '-'}{code}"
        for bit, code in sorted(names.items())
        if (lower ^ upper) >> bit & 1
    ]


def _pages(pages: Mapping[str, Mapping[str, int | None]]) -> str:
    """("pages 12/0/1 and 3/0/0"): present, swapped, shared on the lower and the upper side."""
    sides = [
        "/".join(count(pages[side][name]) for name in ("present", "swapped", "shared"))
        for side in ("a", "b")
    ]
    return f"pages {sides[0]} and {sides[1]}"
