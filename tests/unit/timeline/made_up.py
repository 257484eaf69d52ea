# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A day that is made up: a group that climbs to the limit and fails there, a restart of vmad, a
stretched interval, and groups that do what groups do.
"""

from __future__ import annotations

import math

import numpy as np

from vmad.scan.snapshot import HostSnapshot
from vmad.timeline.rings import MISSING
from vmad.timeline.timeline import Remembered, Timeline

LIMIT = 65_530


def lively(host: HostSnapshot, now: float) -> Timeline:
    """Up to ``now`` (Unix seconds), of the groups and top processes of ``host``."""
    timeline = Timeline()
    names = tuple(group.name for group in host.groups)
    ends = np.array([group.map_count_max or 0 for group in host.groups], np.int32)
    top = tuple(Remembered(*one.id, one.comm, one.group) for one in host.top)
    highest = np.array([one.map_count or 0 for one in host.top], np.int32)
    timeline.put_host(now - 80_000, starts=1)
    times = [*np.arange(now - 80_000, now - 7_200, 150), *np.arange(now - 7_200, now, 7.5), now]
    for at in times:
        ago = now - at
        if 4_000 < ago < 4_900:  # vmad was not running
            continue
        if 3_990 < ago <= 4_000:
            timeline.put_host(at, starts=1)
        waves = 1 + 0.1 * np.sin(np.arange(len(names)) + ago / 900)
        counts = np.minimum(ends * waves * (1 - 0.3 * min(ago / 7200, 1)), LIMIT + 1)
        if 1_200 < ago < 1_700:  # the first one comes to the limit, and is started again
            counts[0] = LIMIT + 1
            timeline.put_failures(at, {names[0]: 3 + int(ago) % 40})
        elif 1_100 < ago <= 1_200:
            counts[0] = MISSING
        elif ago <= 1_100:
            counts[0] = ends[0] * math.sqrt(1 - ago / 1_101)
        timeline.put_groups(at, names, counts.astype(np.int32))
        timeline.put_processes(at, top, (highest * waves[0]).astype(np.int32))
        pause = 100 if not 2_600 < ago < 3_100 else 240
        timeline.put_host(
            at, count=int(counts.max()), limit=LIMIT, pause_percent=pause, areas=90_000, scan_ms=9
        )
    return timeline
