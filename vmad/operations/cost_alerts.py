# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The alerts on VMAs that harm although the limit is far: their number, growth and kernel memory.

What is too much is configured where vmad runs (thresholds) and exported from there, so that one
rule serves hosts of all sizes. A threshold that is switched off has no series, and its alert none.
"""

from __future__ import annotations

from vmad.operations.rules import GROUP, HOST, Alert, Condition, RuleGroup

_AREAS = "vmad_group_memory_map_areas_max"
_TOO_MUCH = f"> on ({HOST}) group_left ()"
#: an hour is near enough for a growth of days, and a day of scrapes would be read otherwise; the
#: two do not touch, since both ends of a range belong to it (before Prometheus 3)
_THE_LAST_DAY, _THE_DAY_BEFORE = "[23h:1h]", "[1d:1h] offset 1d"

COST = RuleGroup(
    "vmad-cost",
    "VMAs that harm although vm.max_map_count is far. Each is about one group on one host.",
    (
        Alert(
            "VmadManyAreas",
            "warning",
            (Condition(_AREAS, _TOO_MUCH, "vmad_threshold_memory_map_areas"),),
            "15m",
            "A process of {{ $labels.group }} on {{ $labels.instance }} has "
            "{{ $value | humanize }} VMAs",
            "That is more than thresholds.areas of the host's vmad allows, wherever the limit is: "
            "fork, exit and core dumps take their time by the number of VMAs, and each takes "
            "kernel memory.",
        ),
        Alert(
            "VmadGrowsForDays",
            "warning",
            (
                Condition(
                    f"{_AREAS} - {_AREAS} offset 1d",
                    _TOO_MUCH,
                    "vmad_threshold_memory_map_areas_per_day",
                ),
                # the lowest of a day above the highest of the day before: no wave of a day's load
                Condition(
                    f"min_over_time({_AREAS}{_THE_LAST_DAY})",
                    f"> on ({GROUP})",
                    f"max_over_time({_AREAS}{_THE_DAY_BEFORE})",
                ),
            ),
            "1h",
            "{{ $labels.group }} on {{ $labels.instance }} has grown by {{ $value | humanize }} "
            "VMAs in a day, for the second day",
            "Its worst process had more VMAs all day long than at any time of the day before: it "
            "does not give back what it maps. The limit may be far; kernel memory is used up "
            "before.",
        ),
        Alert(
            "VmadKernelMemory",
            "warning",
            (
                Condition(
                    "vmad_group_vma_kernel_bytes", _TOO_MUCH, "vmad_threshold_vma_kernel_bytes"
                ),
            ),
            "15m",
            "The VMAs of {{ $labels.group }} on {{ $labels.instance }} take "
            "{{ $value | humanize1024 }}B of kernel memory",
            "That is more than thresholds.kernel_memory of the host's vmad allows. It cannot be "
            "swapped, and counts against the group's memory limit.",
        ),
    ),
)
