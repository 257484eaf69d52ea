# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The page's section on bursts: groups that were near the limit not long ago, and are not now."""

from __future__ import annotations

from vmad.scan.snapshot import GroupStats, HostSnapshot
from vmad.web.markup import Column, Html, Table, moment, name, number, section, share

#: what VmadBurst tells of as a burst: a mark above, a count below
FROM = 0.9
TO = 0.8
#: bursts shown, the last one first
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


def bursts_section(host: HostSnapshot) -> Html:
    """Nothing where there was none."""
    limit = host.max_map_count
    if not limit:
        return Html("")
    bursts = sorted(
        (group for group in host.groups if _burst(group, limit)),
        key=lambda group: -(group.high_water_at or 0.0),
    )
    if not bursts:
        return Html("")
    return section(
        "Bursts",
        "Counts are sampled every second: these came near the limit, and have ended or given "
        "their VMAs back since. Look at that time in their logs for failures.",
        _BURSTS.html(
            (
                name(group.name),
                number(group.high_water),
                share((group.high_water or 0) / limit),
                moment(group.high_water_at or 0.0),
                number(group.map_count_max),
                number(group.processes),
            )
            for group in bursts[:SHOWN]
        ),
    )


def _burst(group: GroupStats, limit: int) -> bool:
    now = group.map_count_max or 0
    return (
        group.high_water_at is not None
        and (group.high_water or 0) > FROM * limit
        and now < TO * limit
    )
