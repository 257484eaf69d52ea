# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which vm.max_map_count to set for a process of some size, and what that costs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from vmad.rules.vma_cost import VmaCost

ROUND_TO = 10_000
#: Values to try in turn where a count cannot tell the need: what Elasticsearch has long asked for,
#: what distributions set, and on by the same factor
FIRST_STEP, STEP_FACTOR = 262_144, 4
#: above this an ELF core needs the extended segment count (PN_XNUM), which some tools cannot read
ELF_SEGMENTS = 65_535
#: largest value in use: the sysctl is a signed int, less the margin of MAPCOUNT_ELF_CORE_MARGIN
LARGEST = 2**31 - 1 - 5


@dataclass(frozen=True, slots=True)
class SysctlAdvice:
    """A recommended vm.max_map_count.

    ``need_known`` is False where the count was cut off by the limit; ``steps`` are then the values
    to try in turn, ``value`` the first of them. ``kernel_bytes`` is what a process that fills it
    costs, None where the kernel does not tell.
    """

    value: int
    raise_it: bool  #: False: the present limit already leaves that head-room
    need_known: bool
    steps: tuple[int, ...]
    kernel_bytes: int | None
    kernel_bytes_written: int | None  #: the same if every VMA has an anon_vma of its own
    long_core_files: bool  #: a full process dumps a core that some tools cannot read
    text: str


def sysctl_advice(
    map_count: int,
    limit: int,
    cost: VmaCost | None,
    headroom: float = 1.5,
    *,
    cut_off: bool = False,
) -> SysctlAdvice:
    """The limit that leaves ``headroom`` times ``map_count`` (the highest seen).

    ``headroom`` is at least 1 (ValueError). Rounded up to 10,000; never below the present limit,
    and never within 65,531 to 65,535, where a core file's segments overflow 16 bits only just
    (include/linux/mm.h, DEFAULT_MAX_MAP_COUNT). A count that was ``cut_off`` says nothing of the
    need: then the next step above the limit.
    """
    if headroom < 1:
        raise ValueError(f"head-room {headroom} is less than what is used")
    steps = tuple(islice(_steps_above(limit), 2)) if cut_off else ()
    value = steps[0] if steps else _rounded(map_count * headroom, limit)
    raise_it = value > limit
    filled = None if cost is None else value * cost.each
    written = None if cost is None or cost.written is None else value * cost.written
    long_core = value > ELF_SEGMENTS
    if not raise_it:
        text = f"The present limit of {limit:,} leaves enough room above {map_count:,}."
    else:
        if steps:
            text = (
                f"{map_count:,} VMAs are all that {limit:,} allows: how many it needs is unknown."
                f" Set vm.max_map_count to {value:,} and look again"
            )
            text += "".join(f"; if it stands there too, to {step:,}" for step in steps[1:]) + "."
        else:
            text = (
                f"Set vm.max_map_count to {value:,}: {headroom:g} times {map_count:,}, rounded up."
            )
        text += f" {_cost_text(value, filled, written)}"
        if long_core:
            text += (
                " Its core file would have more than 65,535 segments, which some tools cannot read."
            )
    return SysctlAdvice(value, raise_it, not cut_off, steps, filled, written, long_core, text)


def _rounded(room: float, limit: int) -> int:
    value = max(math.ceil(room / ROUND_TO) * ROUND_TO, limit)
    if ELF_SEGMENTS - 5 < value <= ELF_SEGMENTS:
        value = math.ceil(ELF_SEGMENTS / ROUND_TO) * ROUND_TO
    return max(limit, min(value, LARGEST))


def _steps_above(limit: int) -> Iterator[int]:
    step = FIRST_STEP
    while step <= LARGEST:
        if step > limit:
            yield step
        step *= STEP_FACTOR


def _cost_text(value: int, filled: int | None, written: int | None) -> str:
    if filled is None:
        return "What a VMA costs there in kernel memory is not known."
    text = f"A process with {value:,} VMAs takes {_mebibytes(filled)} of kernel memory"
    return (
        f"{text}."
        if written is None
        else f"{text} ({_mebibytes(written)} if each is written to on its own)."
    )


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
