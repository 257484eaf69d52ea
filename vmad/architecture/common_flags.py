# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Flags above bit 31 of vm_flags that every 64-bit architecture has at the same place."""

from __future__ import annotations


def common_flags(release: tuple[int, int]) -> dict[str, int]:
    """Raw masks on a kernel release (major, minor), by code (include/linux/mm.h)."""
    masks: dict[str, int] = {}
    if release >= (5, 13):
        # 6.6 made room for x86's shadow stacks (38), 6.13 for arm64's (41)
        masks["ui"] = 1 << (41 if release >= (6, 13) else 38 if release >= (6, 6) else 37)
    if release >= (6, 11):
        masks["dp"] = 1 << 40
    if release >= (6, 10):
        masks["sl"] = 1 << (42 if release >= (6, 16) else 63)
    if release >= (7, 0):
        masks["ur"] = 1 << 43
    return masks
