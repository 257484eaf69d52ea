# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Metrics of the whole host."""

from __future__ import annotations

from vmad.export.metrics.metric import Metric, Section, by_kind, by_label, that_occur
from vmad.model.process import Unread
from vmad.scan.snapshot import HostSnapshot


def _met(host: HostSnapshot) -> int:
    # one whose newest read failed is in both: what is known of it is older
    unread = {process.id for process in host.unreadable if process.why is not Unread.GONE}
    return len(unread.union(process.id for process in host.processes))


HOST: Section[HostSnapshot] = Section(
    "Host",
    "The whole host; these few series are enough for a fleet.",
    (),
    (
        Metric("vmad_memory_map_areas_limit", "gauge", (), "VMAs",
               lambda host: host.max_map_count,
               "The most VMAs that one process may have (sysctl vm.max_map_count).",
               "Raise it with `sysctl -w vm.max_map_count=N` when the reasons show a workload "
               "that needs its VMAs."),
        Metric("vmad_threshold_memory_map_areas", "gauge", (), "VMAs",
               lambda host: host.thresholds.areas or None,
               "VMAs of one process that are too many however high the limit is "
               "(thresholds.areas); absent when that is 0.",
               "VmadManyAreas compares vmad_group_memory_map_areas_max with it."),
        Metric("vmad_threshold_memory_map_areas_per_day", "gauge", (), "VMAs",
               lambda host: host.thresholds.areas_per_day or None,
               "Growth of one process in a day that is too much (thresholds.areas_per_day); absent "
               "when that is 0.",
               "VmadGrowsForDays compares the growth of vmad_group_memory_map_areas_max with it."),
        Metric("vmad_threshold_vma_kernel_bytes", "gauge", (), "bytes",
               lambda host: host.thresholds.kernel_memory or None,
               "Kernel memory of a group's VMAs that is too much (thresholds.kernel_memory); "
               "absent when that is 0.",
               "VmadKernelMemory compares vmad_group_vma_kernel_bytes with it."),
        Metric("vmad_host_worst_limit_ratio", "gauge", (), "ratio",
               lambda host: host.worst_ratio,
               "The highest vmad_group_limit_ratio: VMA count of the host's worst process, of the "
               "last two minutes, divided by the limit.",
               "One series per host for a fleet-wide alert."),
        Metric("vmad_host_processes", "gauge", (), "processes",
               _met,
               "Processes with an address space that the scan met, read or not.",
               "Compare with vmad_processes_read for the coverage."),
        Metric("vmad_host_areas", "gauge", ("kind",), "VMAs",
               lambda host: by_kind(host.kinds),
               "VMAs of the host by kind.",
               "The kernel keeps some 200 bytes for each (slab vm_area_struct)."),
        Metric("vmad_host_pairs", "gauge", ("rules", "verdict", "reason"), "pairs",
               lambda host: that_occur(host.pairs),
               "Adjacent private anonymous VMA pairs of the host by rules, verdict and decisive "
               "reason; only combinations that occur.",
               "Compares kernels and releases of a workload over a fleet."),
        Metric("vmad_host_recoverable_areas", "gauge", ("rules",), "VMAs",
               lambda host: by_label(host.recoverable),
               "VMAs of the host that would vanish if every mergeable pair merged; absent where "
               "the evidence leaves pairs undecided. rebuild: if every run were rebuilt on this "
               "kernel.",
               "rules=\"relaxed\" minus rules=\"stock\" is what the patched kernel would gain "
               "on this host."),
        Metric("vmad_kernel_merge_attempts_total", "counter", ("outcome", "reason"), "attempts",
               lambda host: (host.merge_attempts or {}).items(),
               "Attempts of the kernel to merge two anonymous VMAs, by outcome (merged, refused) "
               "and reason. Of the patched kernel since boot, still while its sysctl "
               "vm.anon_vma_merge is 0; of a stock kernel since vmad started, where "
               "scan.merge_attempts is bpf; else absent.",
               "rate() by reason: what merges thanks to the series, what stays refused and why "
               "(docs/patched-kernel.md names the reasons)."),
    ),
)  # fmt: skip
