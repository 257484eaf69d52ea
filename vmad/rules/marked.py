# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""From how many VMAs on a process leaves a mark on its group when it ends."""

from __future__ import annotations

#: fewer VMAs hurt nobody, and a group's name costs a look at /proc
LEAST = 1024
#: the same as a share of a limit that is set very low
LEAST_SHARE = 1 / 16


def marked_from(limit: int | None) -> int:
    """The least count that is marked, under this vm.max_map_count (None unknown)."""
    return LEAST if limit is None else min(LEAST, max(int(limit * LEAST_SHARE), 1))
