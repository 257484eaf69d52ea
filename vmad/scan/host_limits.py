# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is known of limits beside the address space itself: of the kernel, the host, the process."""

from __future__ import annotations

from dataclasses import dataclass

from vmad.model.kernel import KernelInfo
from vmad.rules.at_limit import is_cut_off
from vmad.rules.limit import SysctlAdvice, sysctl_advice
from vmad.rules.vma_cost import VmaCost


@dataclass(frozen=True, slots=True)
class HostLimits:
    """Each is None where it cannot be told: a capture, a guest, a container, a lack of rights."""

    cost: VmaCost | None = None


def advice_on_limit(
    map_count: int | None,
    limit: int | None,
    kernel: KernelInfo,
    cost: VmaCost | None,
    high_water: int | None = None,
) -> SysctlAdvice | None:
    """Which limit to set for what was seen; None where the count or the limit is unknown.

    ``high_water`` is the highest count that a daemon saw, where one was asked.
    """
    if map_count is None or not limit:
        return None
    most = max(map_count, high_water or 0)
    return sysctl_advice(most, limit, cost, cut_off=is_cut_off(most, limit, kernel.version))
