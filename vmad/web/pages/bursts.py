# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The page's section on bursts: groups that were near the limit not long ago, and are not now."""

from __future__ import annotations

from vmad.scan.bursts import bursts_of
from vmad.scan.snapshot import HostSnapshot
from vmad.web.pages.history import group_link
from vmad.web.pages.markup import Column, Html, Table, moment, number, section, share

#: bursts shown
SHOWN = 10

_BURSTS = Table(
    "Bursts, the last one first",
    (
        Column("Group"),
        Column("High-water", "number"),
        Column("Of the limit", "number"),
        Column("Last up there", "number"),
        Column("Worst process now", "number"),
        Column("Processes now", "number"),
    ),
)


def bursts_section(host: HostSnapshot, query: str = "") -> Html:
    """Nothing where there was none."""
    limit, bursts = host.max_map_count, bursts_of(host.groups, host.max_map_count)
    if not bursts or not limit:
        return Html("")
    return section(
        "Bursts",
        "Counts are sampled every second: these came near the limit, and have ended or given "
        "their VMAs back since. Look at that time in their logs for failures.",
        _BURSTS.html(
            (
                group_link(burst.group, query),
                number(burst.high_water),
                share(burst.high_water / limit),
                moment(burst.at),
                number(burst.map_count_max),
                number(burst.processes),
            )
            for burst in bursts[:SHOWN]
        ),
    )
