# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Facts, kernels and rules as hypothesis strategies, and facts spelled out for table tests."""

from __future__ import annotations

from itertools import product

from hypothesis import strategies as st

from vmad.model import facts as f
from vmad.model.facts import AnonVma
from vmad.model.kernel import KernelInfo
from vmad.rules.base import Rules
from vmad.rules.relaxed import RelaxedRules
from vmad.rules.stock import StockRules

#: one release for each era and some in between
RELEASES = ("5.10.0", "5.15.0", "6.1.0", "6.12.0", "6.16.0", "6.18.35", "7.3.4")
STOCK = {release: StockRules(KernelInfo(release, page_shift=12)) for release in RELEASES}
RELAXED = {release: RelaxedRules(KernelInfo(release, page_shift=12)) for release in RELEASES}
ALL_RULES: tuple[Rules, ...] = (*STOCK.values(), *RELAXED.values())

DIFFERENCES = (f.SPECIAL, f.FILE, f.UFFD, f.NAME, f.POLICY, f.PGOFF, f.CLOSE)
UNKNOWNS = (
    f.UNKNOWN_FLAGS, f.UNKNOWN_UFFD, f.UNKNOWN_NAME, f.UNKNOWN_POLICY, f.UNKNOWN_PGOFF,
    f.UNKNOWN_AV, f.UNKNOWN_EXCLUSIVE,
)  # fmt: skip
HINTS = (f.A_FAULTED, f.B_FAULTED, f.A_PAGES_SHARED, f.B_PAGES_SHARED)

ANY_BITS = (
    *DIFFERENCES, *UNKNOWNS, *HINTS, f.AV_SAME, f.A_EXCLUSIVE, f.B_EXCLUSIVE,
    *(1 << bit for bit in (8, 9, 10, 11, *range(32, 64))),
)  # fmt: skip

#: any 64-bit value, and values in which few bits are set, as sources give them
any_facts = st.one_of(
    st.integers(0, 2**64 - 1),
    st.lists(
        st.sampled_from(ANY_BITS),
        max_size=6,
    ).map(lambda bits: sum(set(bits))),
)
any_rules = st.sampled_from(ALL_RULES)


def pair(
    a: AnonVma = AnonVma.NONE,
    b: AnonVma = AnonVma.NONE,
    *,
    same: bool = False,
    exclusive: str = "",
    also: int = 0,
) -> int:
    """Facts of a pair; ``exclusive`` names the sides that are ("", "a", "b", "ab")."""
    return (
        a << f.A_AV_SHIFT
        | b << f.B_AV_SHIFT
        | same * f.AV_SAME
        | ("a" in exclusive) * f.A_EXCLUSIVE
        | ("b" in exclusive) * f.B_EXCLUSIVE
        | also
    )


def consistent_anon_vmas() -> list[int]:
    """Every state that the two anon_vmas of a pair can be in, as facts bits."""
    states = []
    for a, b, same, ex_a, ex_b in product(AnonVma, AnonVma, (0, 1), (0, 1), (0, 1)):
        if (same and AnonVma.NONE in (a, b)) or (ex_a and a != 1) or (ex_b and b != 1):
            continue
        states.append(pair(a, b, same=bool(same), exclusive="a" * ex_a + "b" * ex_b))
    return states
