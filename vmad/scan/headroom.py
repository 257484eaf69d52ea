# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What fails first near vm.max_map_count: the table of the kernel for one limit, for a person."""

from __future__ import annotations

from dataclasses import dataclass

from vmad.model.kernel import KernelInfo
from vmad.rules.at_limit import CALLS, calls_at_limit


@dataclass(frozen=True, slots=True)
class Threshold:
    """``operation`` fails with ``error`` once the process has ``fails_from`` VMAs or more."""

    operation: str
    fails_from: int
    error: str


def thresholds(kernel: KernelInfo, limit: int) -> tuple[Threshold, ...]:
    """What fails at which map_count, soonest first; calls that fail alike are in one."""
    groups: dict[tuple[int, str, str], list[str]] = {}
    for name, fails in calls_at_limit(kernel.version).items():
        call = CALLS[name]
        if fails is not None and call.shown:
            groups.setdefault((fails.offset, call.of, fails.error), []).append(call.name)
    return tuple(
        Threshold(f"{_listed(names)} {of}".rstrip(), limit + offset, error)
        for (offset, of, error), names in sorted(groups.items(), key=lambda item: item[0][0])
    )


def _listed(names: list[str]) -> str:
    *rest, last = names
    return f"{', '.join(rest)} and {last}" if rest else last
