# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The recording rules: a few series per host, for a fleet whose every series is too many."""

from __future__ import annotations

from vmad.operations.rules import HOST, Recording, RuleGroup

FLEET = RuleGroup(
    "vmad-fleet",
    "What a fleet keeps of each host: all that a global Prometheus has to hold.",
    (
        Recording(
            "instance:vmad_limit_ratio:max",
            "vmad_host_worst_limit_ratio",
            1,
            "VMAs of the host's worst process, divided by the limit.",
        ),
        Recording(
            "instance:vmad_limit_ratio:top3",
            f"topk by ({HOST}) (3, vmad_group_limit_ratio)",
            3,
            "The three groups that are nearest to the limit.",
        ),
        Recording(
            "instance:vmad_highwater_ratio:max",
            f"max by ({HOST}) (vmad_group_memory_map_areas_highwater)"
            f" / on ({HOST}) vmad_memory_map_areas_limit",
            1,
            "The highest mark of any group, divided by the limit.",
        ),
        Recording(
            "instance:vmad_seconds_to_limit:min",
            f"min by ({HOST}) (vmad_group_seconds_to_limit)",
            1,
            "Seconds until the first process is at the limit; absent while none grows.",
        ),
        Recording(
            "instance:vmad_memory_map_areas_limit:max",
            "vmad_memory_map_areas_limit",
            1,
            "vm.max_map_count.",
        ),
        Recording(
            "instance:vmad_areas:sum",
            f"sum by ({HOST}) (vmad_host_areas)",
            1,
            "All VMAs of the host.",
        ),
        Recording(
            "instance:vmad_areas_growth_per_second:sum",
            f"sum by ({HOST}) (vmad_group_memory_map_areas_growth_per_second)",
            1,
            "Growth of all VMAs of the host.",
        ),
        Recording(
            "instance:vmad_recoverable_areas:sum",
            'vmad_host_recoverable_areas{rules!="rebuild"}',
            2,
            "VMAs that would vanish if all merged that may, by the rules of both kernels.",
        ),
        Recording(
            "instance:vmad_blocked_pairs:top5",
            f"topk by ({HOST}) (5, sum by ({HOST}, reason)"
            ' (vmad_host_pairs{rules="stock", verdict="blocked"}))',
            5,
            "The five reasons that keep most pairs apart on this kernel.",
        ),
        Recording(
            "instance:vmad_unreadable:ratio",
            f'sum by ({HOST}) (vmad_processes_unreadable{{reason!="gone"}})'
            f" / on ({HOST}) vmad_host_processes",
            1,
            "Share of the processes that vmad cannot read.",
        ),
        Recording(
            "instance:vmad_scan_age_seconds:max",
            "time() - vmad_scan_last_success_timestamp_seconds",
            1,
            "Age of the last complete scan.",
        ),
        Recording(
            "instance:vmad_cpu:rate5m",
            "rate(vmad_cpu_seconds_total[5m])",
            1,
            "vmad's own share of one core.",
        ),
        Recording(
            "instance:vmad_kernel_info:max",
            f"max by ({HOST}, release, patched) (vmad_kernel_info)",
            1,
            "The kernel, and whether it carries the anon_vma series.",
        ),
    ),
)

#: series that a fleet keeps of each host, at most
SERIES_PER_HOST = sum(rule.at_most for rule in FLEET.rules if isinstance(rule, Recording))
