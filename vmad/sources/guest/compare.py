# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Names and memory policies compared by content, as the kernel compares them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from vmad.sources.guest.layout import Layout
from vmad.sources.guest.memory import U64, Look

Bools = npt.NDArray[np.bool_]

#: ANON_VMA_NAME_MAX_LEN (include/linux/mm.h), its NUL included
LONGEST_NAME = 80
#: MPOL_LOCAL and MPOL_MODE_FLAGS (include/uapi/linux/mempolicy.h)
MODE_LOCAL, MODE_FLAGS = 4, 1 << 15 | 1 << 14 | 1 << 13
#: MPOL_PREFERRED with the flag MPOL_F_LOCAL: "local" until 5.13
MODE_PREFERRED, FLAG_LOCAL = 1, 1 << 1


def same_names(look: Look, layout: Layout, a: U64, b: U64) -> Bools:
    """anon_vma_name_eq() of include/linux/mm_inline.h, of each two pointers."""
    place = layout.get("anon_vma_name.name")
    if place is None:
        return np.ones(len(a), bool)

    def content(address: int) -> object:
        return look.text(address + place.offset, LONGEST_NAME)

    return _same(a, b, content)


def same_policies(look: Look, layout: Layout, a: U64, b: U64) -> Bools:
    """__mpol_equal() of mm/mempolicy.c, of each two pointers."""
    if layout.get("mempolicy.mode") is None:  # no CONFIG_NUMA
        return np.ones(len(a), bool)
    return _same(a, b, lambda address: _policy(look, layout, address))


def _same(a: U64, b: U64, content: Callable[[int], object]) -> Bools:
    """Equal pointers, or two whose content is equal; a NULL equals only a NULL."""
    same: Bools = a == b
    known: dict[int, object] = {}
    for row in np.flatnonzero(~same & (a != 0) & (b != 0)).tolist():
        both = []
        for address in (int(a[row]), int(b[row])):
            if address not in known:
                known[address] = content(address)
            both.append(known[address])
        same[row] = both[0] == both[1]
    return same


def _policy(look: Look, layout: Layout, address: int) -> object:
    """What __mpol_equal() compares of a policy, as one value."""
    mode = look.one(address, layout["mempolicy.mode"])
    flags = look.one(address, layout["mempolicy.flags"])
    home = layout.get("mempolicy.home_node")

    def nodes(name: str) -> bytes | None:
        place = layout.get(name)
        return None if place is None else look.bytes(address + place.offset, place.size)

    compared: list[object] = [mode, flags, None if home is None else look.one(address, home)]
    compared.append(nodes("mempolicy.w.user_nodemask") if flags & MODE_FLAGS else None)
    single = layout.get("mempolicy.v.preferred_node")
    if single is not None and mode == MODE_PREFERRED:
        compared.append(None if flags & FLAG_LOCAL else look.one(address, single))
    elif single is not None or mode != MODE_LOCAL:
        compared.append(nodes("mempolicy.nodes") or nodes("mempolicy.v.nodes"))
    return tuple(compared)
