# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is known of limits beside the address space itself: of the kernel, the host, the process."""

from __future__ import annotations

from dataclasses import dataclass

from vmad.advice.limit import SysctlAdvice, sysctl_advice
from vmad.model.failures import LimitFailure
from vmad.model.kernel import KernelInfo
from vmad.rules.at_limit import is_cut_off
from vmad.rules.limit_origin import LimitOrigin
from vmad.rules.other_limits import Bound
from vmad.rules.vma_cost import VmaCost

#: share of the limit below which it is not why calls fail
FAR_BELOW = 0.5


@dataclass(frozen=True, slots=True)
class HostLimits:
    """Each is None where it cannot be told: a capture, a guest, a container, a lack of rights."""

    cost: VmaCost | None = None
    origin: LimitOrigin | None = None
    others: tuple[Bound, ...] | None = None  #: those in force first
    failures: tuple[LimitFailure, ...] | None = None  #: of this process, as a daemon counted them
    #: Unix seconds; what failed before is not known. None: calls are not watched at this moment
    watched_since: float | None = None


def is_far(
    ratio: float | None, limit: int | None, limits: HostLimits, high_water: int | None = None
) -> bool:
    """Whether no call can have failed because of vm.max_map_count, as far as is known."""
    if ratio is None or not limit or limits.failures:
        return False
    return max(ratio, (high_water or 0) / limit) < FAR_BELOW


def advice_on_limit(
    map_count: int | None,
    limit: int | None,
    kernel: KernelInfo,
    limits: HostLimits,
    high_water: int | None = None,
) -> SysctlAdvice | None:
    """Which limit to set for what was seen; None where the count or the limit is unknown.

    ``high_water`` is the highest count that a daemon saw, where one was asked. A failed call tells
    of a count that may have stood between two looks.
    """
    if map_count is None or not limit:
        return None
    failed = max((failure.map_count for failure in limits.failures or ()), default=0)
    most = max(map_count, high_water or 0, failed)
    cut_off = is_cut_off(most, limit, kernel.version)
    return sysctl_advice(most, limit, limits.cost, cut_off=cut_off)
