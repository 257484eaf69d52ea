# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Numbers as a person reads them: counts, shares, sizes, times."""

from __future__ import annotations

UNKNOWN = "–"


def count(number: int | None) -> str:
    """(60012) -> "60,012"; None -> "–"."""
    return UNKNOWN if number is None else f"{number:,}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """(1, "pair") -> "1 pair"; (2, "pair") -> "2 pairs"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def percent(share: float | None) -> str:
    """(0.916) -> "91.6 %"; never 0 % of something nor 100 % of less than all."""
    if share is None:
        return UNKNOWN
    if 0 < share < 0.001:
        return "<0.1 %"
    if 0.999 < share < 1:
        return "99.9 %"
    return f"{share * 100:.1f} %"


def size(number: int) -> str:
    """(8192) -> "8 KiB". Bytes."""
    value = float(number)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if value < 1024 or unit == "PiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if value == int(value) or value >= 100 else f"{value:.1f} {unit}"


def duration(seconds: float) -> str:
    """(7260.0) -> "2 h 1 min". Seconds."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min {int(seconds % 60)} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} days {hours % 24} h"
