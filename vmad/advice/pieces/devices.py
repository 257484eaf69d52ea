# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Libraries that register memory with a device."""

from __future__ import annotations

from vmad.advice.pattern import Pattern as P
from vmad.advice.record import Advice, Measured, Whose

PIECES = (
    Advice(
        name="rdma-dofork",
        text="Give registered pieces back with MADV_DOFORK when they are unregistered, or leave "
        "ibv_fork_init (IBV_FORK_SAFE, RDMAV_FORK_SAFE) out where the kernel needs none "
        "(ibv_is_fork_initialized says IBV_FORK_UNNEEDED: 5.12 and later, with rdma-core 35): "
        "then no piece is marked at all.",
        whose=Whose.PROGRAMMER,
        patterns=(P.FORK_ADVISED,),
        reasons=("vm_flags:dc",),
        proof=Measured(
            10021,
            22,
            "5,000 pieces of a pool marked with MADV_DONTFORK, given back with MADV_DOFORK",
            ("dontfork-kept", "dontfork-given-back"),
        ),
        cost="Nothing, where no child uses the memory.",
        check="Pairs with `vm_flags:dc` are gone.",
        source="ibv_fork_init(3), ibv_is_fork_initialized(3); madvise(2); Mooncake #3639",
    ),
)
