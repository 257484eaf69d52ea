# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which vm.max_map_count to set for a process of some size, and what that costs."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: kernel memory of a VMA, bytes: its vm_area_struct (152 to 256 by release and configuration) …
BYTES_PER_STRUCT = 200
#: … and its share of a maple node (256 bytes hold up to 16 ranges, about half of them in use)
BYTES_MAPLE_SHARE = 32
#: and, once written to, its own anon_vma (104) and anon_vma_chain (64), if it shares none
BYTES_ANON_VMA = 168

ROUND_TO = 10_000
#: above this an ELF core needs the extended segment count (PN_XNUM), which some tools cannot read
ELF_SEGMENTS = 65_535
#: largest value in use: the sysctl is a signed int, less the margin of MAPCOUNT_ELF_CORE_MARGIN
LARGEST = 2**31 - 1 - 5


@dataclass(frozen=True, slots=True)
class SysctlAdvice:
    """A recommended vm.max_map_count. ``kernel_bytes`` is what a process that fills it costs."""

    value: int
    raise_it: bool  #: False: the present limit already leaves that head-room
    kernel_bytes: int
    kernel_bytes_written: int  #: the same if every VMA has an anon_vma of its own
    long_core_files: bool  #: a full process dumps a core that some tools cannot read
    text: str


def sysctl_advice(map_count: int, limit: int, headroom: float = 1.5) -> SysctlAdvice:
    """The limit that leaves ``headroom`` times ``map_count`` (the highest seen).

    ``headroom`` is at least 1 (ValueError). Rounded up to 10,000; never below the present limit,
    and never within 65,531 to 65,535, where a core file's segments overflow 16 bits only just
    (include/linux/mm.h, DEFAULT_MAX_MAP_COUNT).
    """
    if headroom < 1:
        raise ValueError(f"head-room {headroom} is less than what is used")
    wanted = math.ceil(map_count * headroom / ROUND_TO) * ROUND_TO
    value = max(wanted, limit)
    if ELF_SEGMENTS - 5 < value <= ELF_SEGMENTS:
        value = math.ceil(ELF_SEGMENTS / ROUND_TO) * ROUND_TO
    value = max(limit, min(value, LARGEST))
    cost = value * (BYTES_PER_STRUCT + BYTES_MAPLE_SHARE)
    written = cost + value * BYTES_ANON_VMA
    raise_it = value > limit
    long_core = value > ELF_SEGMENTS
    if not raise_it:
        text = f"The present limit of {limit:,} leaves enough room above {map_count:,}."
        return SysctlAdvice(value, raise_it, cost, written, long_core, text)
    text = (
        f"Set vm.max_map_count to {value:,}: {headroom:g} times {map_count:,}, rounded up."
        f" A process with {value:,} VMAs takes {_mebibytes(cost)} of kernel memory"
        f" ({_mebibytes(written)} if each is written to on its own)."
    )
    if long_core:
        text += " Its core file would have more than 65,535 segments, which some tools cannot read."
    return SysctlAdvice(value, raise_it, cost, written, long_core, text)


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
