# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Groups that were near the limit not long ago, and are not now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vmad.scan.snapshot import GroupStats

#: what VmadBurst tells of as a burst: a mark above, no count as high as this now
FROM = 0.9
TO = 0.8


@dataclass(frozen=True, slots=True)
class Burst:
    """``high_water`` VMAs that a process of ``group`` had, ``at`` (Unix seconds) or near it last.

    ``map_count_max`` is that of the group's worst process now, None where none runs or is known.
    """

    group: str
    high_water: int
    at: float
    map_count_max: int | None
    processes: int


def bursts_of(groups: Iterable[GroupStats], limit: int | None) -> list[Burst]:
    """The last one first; none where the limit is unknown."""
    if not limit:
        return []
    bursts = [
        Burst(
            group.name, group.high_water, group.high_water_at, group.map_count_max, group.processes
        )
        for group in groups
        if group.high_water is not None
        and group.high_water_at is not None
        and group.high_water > FROM * limit
        and (group.map_count_max or 0) < TO * limit
    ]
    return sorted(bursts, key=lambda burst: -burst.at)
