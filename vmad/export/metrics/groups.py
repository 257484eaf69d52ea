# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Metrics of groups, which is where people look first."""

from __future__ import annotations

from vmad.export.metrics.metric import Metric, Section, by_kind, by_label, that_occur
from vmad.scan.snapshot import GroupStats

_GROUP = ("group",)

GROUPS: Section[GroupStats] = Section(
    "Groups",
    "A group is a systemd unit, a container, a command, or what the configuration makes of them. "
    "Their number is capped; the rest is folded into `other`. Address spaces that several "
    "processes share are counted once in sums. A group whose processes have all ended is there "
    "while it has a high-water mark: with 0 processes and no counts.",
    _GROUP,
    (
        Metric("vmad_group_processes", "gauge", _GROUP, "processes",
               lambda group: group.processes,
               "Processes in the group that have an address space.",
               "Tells growth of one process from growth in numbers."),
        Metric("vmad_group_memory_map_areas", "gauge", _GROUP, "VMAs",
               lambda group: group.map_count_sum,
               "VMAs (memory map areas) of all processes of the group together.",
               "The cost in kernel memory; the limit is per process, so do not compare it with "
               "the limit."),
        Metric("vmad_group_memory_map_areas_max", "gauge", _GROUP, "VMAs",
               lambda group: group.map_count_max,
               "VMAs of the process of the group that has the most.",
               "Compare with vmad_memory_map_areas_limit."),
        Metric("vmad_group_memory_map_areas_highwater", "gauge", _GROUP, "VMAs",
               lambda group: group.high_water,
               "Highest VMA count of any process of the group: since vmad watches it while it "
               "runs, and for scan.keep_marks (24h) after that, if it was 1,024 or more.",
               "Shows bursts that are shorter than a scrape, of processes too that are gone: the "
               "count is sampled every second. Survives a restart of vmad."),
        Metric("vmad_group_memory_map_areas_highwater_timestamp_seconds", "gauge", _GROUP,
               "Unix seconds",
               lambda group: group.high_water_at,
               "When a process of the group last had nine tenths of the high-water mark or more; "
               "absent below 1,024 VMAs, and when it is longer ago than scan.keep_marks.",
               "`time() - x` is the age of the last burst; look at that time in the group's log."),
        Metric("vmad_group_limit_ratio", "gauge", _GROUP, "ratio",
               lambda group: group.ratio,
               "VMA count of the worst process of the group, divided by the limit: the highest of "
               "the last two minutes and since the scan before, of processes too that are gone.",
               "Alert on it: above 0.8 for 5 minutes is late. vmad_group_memory_map_areas_max is "
               "the count of this moment."),
        Metric("vmad_group_memory_map_areas_growth_per_second", "gauge", _GROUP,
               "VMAs per second",
               lambda group: group.rate,
               "Growth of the group's VMA count over the last minutes; negative when it shrinks.",
               "A slow ratchet stays above 0 for days: a leak of mappings."),
        Metric("vmad_group_seconds_to_limit", "gauge", _GROUP, "seconds",
               lambda group: group.seconds_to_limit,
               "Seconds until the first process of the group reaches the limit at its present "
               "rate, 0 at the limit; absent while none grows, and where only one does that has "
               "just started or is far away.",
               "Alert when it is below the time that a person needs to act."),
        Metric("vmad_group_address_space_bytes", "gauge", _GROUP, "bytes",
               lambda group: group.size_sum,
               "Size of all address spaces of the group together, reserved memory included.",
               "VMAs that grow while it does not: memory that is there is cut into pieces."),
        Metric("vmad_group_vma_kernel_bytes", "gauge", _GROUP, "bytes",
               lambda group: group.kernel_bytes,
               "Kernel memory that the VMAs of the group take at least: their structs and their "
               "share of the tree that holds them. anon_vmas and page tables come on top.",
               "It cannot be swapped, and counts against the group's memory cgroup. Compare with "
               "vmad_threshold_vma_kernel_bytes."),
        Metric("vmad_group_areas", "gauge", ("group", "kind"), "VMAs",
               lambda group: by_kind(group.kinds),
               "VMAs of the group by kind.",
               "Many incidents are not anonymous at all: look at file_deleted and shared_memory "
               "first."),
        Metric("vmad_group_pairs", "gauge", ("group", "rules", "verdict", "reason"), "pairs",
               lambda group: that_occur(group.pairs),
               "Adjacent private anonymous VMA pairs of the group by rules (\"stock\": this "
               "kernel; \"relaxed\": the patched one), verdict and decisive reason; only "
               "combinations that occur. For one value of rules the sum is the number of pairs.",
               "The reason with the most pairs says what to change; `vmad explain PID` gives the "
               "advice. Never sum over rules: every pair is in both."),
        Metric("vmad_group_recoverable_areas", "gauge", ("group", "rules"), "VMAs",
               lambda group: by_label(group.recoverable),
               "VMAs that would vanish if every mergeable pair merged; absent where the evidence "
               "leaves pairs undecided. rebuild: if every run were rebuilt on this kernel.",
               "rules=\"relaxed\" minus rules=\"stock\" is what the patched kernel would gain for "
               "this group; rules=\"rebuild\" is what `vmad heal PID --rebuild` can."),
    ),
)  # fmt: skip
