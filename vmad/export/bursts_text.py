# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Bursts that are over for a person, the last one first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from vmad.export.printable import printable
from vmad.export.quantities import count, counted
from vmad.export.style import Style
from vmad.export.text_table import aligned
from vmad.scan.bursts import Burst

#: bursts that are listed
SHOWN = 10
WIDEST_NAME = 40


def bursts_text(bursts: Sequence[Burst], style: Style) -> list[str]:
    """Lines; none where there was no burst. Times are local."""
    if not bursts:
        return []
    rows = [("LAST UP THERE", "GROUP", "HIGH-WATER", "NOW", "PROCESSES")]
    rows += [
        (
            f"{datetime.fromtimestamp(burst.at):%m-%d %H:%M:%S}",
            printable(burst.group)[:WIDEST_NAME],
            count(burst.high_water),
            count(burst.map_count_max),
            count(burst.processes),
        )
        for burst in bursts[:SHOWN]
    ]
    many = counted(len(bursts), "group")
    was = "was" if len(bursts) == 1 else "were"
    return [
        style.bold(
            f"{many} {was} near the limit for a time, and {was} it no more at the last scan:"
        ),
        *aligned(rows, "llrrr"),
    ]
