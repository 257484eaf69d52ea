# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Raising the limit: for what neither kernel nor option makes fewer."""

from __future__ import annotations

from vmad.advice.pattern import Pattern as P
from vmad.advice.record import Advice, Documented, Whose

RAISE_LIMIT = Advice(
    name="raise-limit",
    text="Raise vm.max_map_count with head-room, to 1.5 times the highest count seen. Where the "
    "count stands at the limit the need is unknown: take 262,144, then 1,048,576. A VMA costs "
    "some 220 bytes of kernel memory, 390 when it is written to on its own, and some tools cannot "
    "read a core file of more than 65,535 segments.",
    whose=Whose.OPERATOR,
    patterns=tuple(set(P) - {P.LATENT, P.UNDECIDED}),
    proof=Documented(0.01),
    cost="Kernel memory for each VMA that is made.",
    check="`vmad explain PID` shows the new limit.",
    source="Documentation/admin-guide/sysctl/vm.rst; include/linux/mm.h, DEFAULT_MAX_MAP_COUNT",
)

PIECES = (RAISE_LIMIT,)
