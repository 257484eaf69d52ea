# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The catalogue of metrics: what is exported, what it means and what to do with it.

The collector makes nothing that is not listed here, and docs/metrics.md is generated from it:
``python -m vmad.export.metric_catalogue > docs/metrics.md``.

Names follow the pair that dashboards already know from Cortex and Mimir
(``process_memory_map_areas`` and ``..._limit``, Cortex pull request 3537); units and suffixes the
Prometheus guide to writing exporters. A worst ratio per group has its precedent in
process-exporter (``worst_fd_ratio``): a sum hides the one process that is about to fail.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Type = Literal["gauge", "counter", "info"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family. ``name`` is as it is scraped; ``unit`` is what its values count."""

    name: str
    type: Type
    labels: tuple[str, ...]
    unit: str
    help: str  #: one sentence
    use: str  #: what a person does with it


@dataclass(frozen=True, slots=True)
class Section:
    """Metrics that belong together, in the order in which they are exported."""

    title: str
    text: str
    metrics: tuple[Metric, ...]


_GROUP = ("group",)
_TOP = ("pid", "comm", "group")

GROUPS = Section(
    "Groups",
    "A group is a systemd unit, a container, a command, or what the configuration makes of them. "
    "Their number is capped; the rest is folded into `other`. Address spaces that several "
    "processes share are counted once in sums. A group whose processes have all ended is there "
    "while it has a high-water mark: with 0 processes and no counts.",
    (
        Metric("vmad_group_processes", "gauge", _GROUP, "processes",
               "Processes in the group that have an address space.",
               "Tells growth of one process from growth in numbers."),
        Metric("vmad_group_memory_map_areas", "gauge", _GROUP, "VMAs",
               "VMAs (memory map areas) of all processes of the group together.",
               "The cost in kernel memory; the limit is per process, so do not compare it with "
               "the limit."),
        Metric("vmad_group_memory_map_areas_max", "gauge", _GROUP, "VMAs",
               "VMAs of the process of the group that has the most.",
               "Compare with vmad_memory_map_areas_limit."),
        Metric("vmad_group_memory_map_areas_highwater", "gauge", _GROUP, "VMAs",
               "Highest VMA count of any process of the group: since vmad watches it while it "
               "runs, and for scan.keep_marks (24h) after that, if it was 1,024 or more.",
               "Shows bursts that are shorter than a scrape, of processes too that are gone: the "
               "count is sampled every second. Survives a restart of vmad."),
        Metric("vmad_group_memory_map_areas_highwater_timestamp_seconds", "gauge", _GROUP,
               "Unix seconds",
               "When a process of the group last had nine tenths of the high-water mark or more; "
               "absent below 1,024 VMAs, and when it is longer ago than scan.keep_marks.",
               "`time() - x` is the age of the last burst; look at that time in the group's log."),
        Metric("vmad_group_limit_ratio", "gauge", _GROUP, "ratio",
               "VMA count of the worst process of the group, divided by the limit: the highest of "
               "the last two minutes and since the scan before, of processes too that are gone.",
               "Alert on it: above 0.8 for 5 minutes is late. vmad_group_memory_map_areas_max is "
               "the count of this moment."),
        Metric("vmad_group_memory_map_areas_growth_per_second", "gauge", _GROUP,
               "VMAs per second",
               "Growth of the group's VMA count over the last minutes; negative when it shrinks.",
               "A slow ratchet stays above 0 for days: a leak of mappings."),
        Metric("vmad_group_seconds_to_limit", "gauge", _GROUP, "seconds",
               "Seconds until the first process of the group reaches the limit at its present "
               "rate, 0 at the limit; absent while none grows, and where only one does that has "
               "just started or is far away.",
               "Alert when it is below the time that a person needs to act."),
        Metric("vmad_group_address_space_bytes", "gauge", _GROUP, "bytes",
               "Size of all address spaces of the group together, reserved memory included.",
               "VMAs that grow while it does not: memory that is there is cut into pieces."),
        Metric("vmad_group_vma_kernel_bytes", "gauge", _GROUP, "bytes",
               "Kernel memory that the VMAs of the group take at least: their structs and their "
               "share of the tree that holds them. anon_vmas and page tables come on top.",
               "It cannot be swapped, and counts against the group's memory cgroup. Compare with "
               "vmad_threshold_vma_kernel_bytes."),
        Metric("vmad_group_areas", "gauge", ("group", "kind"), "VMAs",
               "VMAs of the group by kind.",
               "Many incidents are not anonymous at all: look at file_deleted and shared_memory "
               "first."),
        Metric("vmad_group_pairs", "gauge", ("group", "rules", "verdict", "reason"), "pairs",
               "Adjacent private anonymous VMA pairs of the group by rules (\"stock\": this "
               "kernel; \"relaxed\": the patched one), verdict and decisive reason; only "
               "combinations that occur. For one value of rules the sum is the number of pairs.",
               "The reason with the most pairs says what to change; `vmad explain PID` gives the "
               "advice. Never sum over rules: every pair is in both."),
        Metric("vmad_group_recoverable_areas", "gauge", ("group", "rules"), "VMAs",
               "VMAs that would vanish if every mergeable pair merged; absent where the evidence "
               "leaves pairs undecided. rebuild: if every run were rebuilt on this kernel.",
               "rules=\"relaxed\" minus rules=\"stock\" is what the patched kernel would gain for "
               "this group; rules=\"rebuild\" is what `vmad heal PID --rebuild` can."),
    ),
)  # fmt: skip

HOST = Section(
    "Host",
    "The whole host; these few series are enough for a fleet.",
    (
        Metric("vmad_memory_map_areas_limit", "gauge", (), "VMAs",
               "The most VMAs that one process may have (sysctl vm.max_map_count).",
               "Raise it with `sysctl -w vm.max_map_count=N` when the reasons show a workload "
               "that needs its VMAs."),
        Metric("vmad_threshold_memory_map_areas", "gauge", (), "VMAs",
               "VMAs of one process that are too many however high the limit is "
               "(thresholds.areas); absent when that is 0.",
               "VmadManyAreas compares vmad_group_memory_map_areas_max with it."),
        Metric("vmad_threshold_memory_map_areas_per_day", "gauge", (), "VMAs",
               "Growth of one process in a day that is too much (thresholds.areas_per_day); absent "
               "when that is 0.",
               "VmadGrowsForDays compares the growth of vmad_group_memory_map_areas_max with it."),
        Metric("vmad_threshold_vma_kernel_bytes", "gauge", (), "bytes",
               "Kernel memory of a group's VMAs that is too much (thresholds.kernel_memory); "
               "absent when that is 0.",
               "VmadKernelMemory compares vmad_group_vma_kernel_bytes with it."),
        Metric("vmad_host_worst_limit_ratio", "gauge", (), "ratio",
               "The highest vmad_group_limit_ratio: VMA count of the host's worst process, of the "
               "last two minutes, divided by the limit.",
               "One series per host for a fleet-wide alert."),
        Metric("vmad_host_processes", "gauge", (), "processes",
               "Processes with an address space that the scan met, read or not.",
               "Compare with vmad_processes_read for the coverage."),
        Metric("vmad_host_areas", "gauge", ("kind",), "VMAs",
               "VMAs of the host by kind.",
               "The kernel keeps some 200 bytes for each (slab vm_area_struct)."),
        Metric("vmad_host_pairs", "gauge", ("rules", "verdict", "reason"), "pairs",
               "Adjacent private anonymous VMA pairs of the host by rules, verdict and decisive "
               "reason; only combinations that occur.",
               "Compares kernels and releases of a workload over a fleet."),
        Metric("vmad_host_recoverable_areas", "gauge", ("rules",), "VMAs",
               "VMAs of the host that would vanish if every mergeable pair merged; absent where "
               "the evidence leaves pairs undecided. rebuild: if every run were rebuilt on this "
               "kernel.",
               "rules=\"relaxed\" minus rules=\"stock\" is what the patched kernel would gain "
               "on this host."),
        Metric("vmad_kernel_merge_attempts_total", "counter", ("outcome", "reason"), "attempts",
               "Attempts of the kernel to merge two anonymous VMAs, by outcome (merged, refused) "
               "and reason. Of the patched kernel since boot, still while its sysctl "
               "vm.anon_vma_merge is 0; of a stock kernel since vmad started, where "
               "scan.merge_attempts is bpf; else absent.",
               "rate() by reason: what merges thanks to the series, what stays refused and why "
               "(docs/patched-kernel.md names the reasons)."),
    ),
)  # fmt: skip

TOP = Section(
    "Top processes",
    "The few processes that are nearest to the limit, by pid. Their number is bounded, but pids "
    "come and go: leave these out of long-term storage.",
    (
        Metric("vmad_top_process_memory_map_areas", "gauge", _TOP, "VMAs",
               "VMA count of one of the processes nearest to the limit.",
               "Names the pid for `vmad explain PID`."),
        Metric("vmad_top_process_memory_map_areas_highwater", "gauge", _TOP, "VMAs",
               "Highest VMA count that the process had since vmad watches it.",
               "A value far above the count: it works in bursts."),
        Metric("vmad_top_process_memory_map_areas_growth_per_second", "gauge", _TOP,
               "VMAs per second",
               "Growth of the process's VMA count over the last minutes.",
               "Tells the process of a group that grows from those that do not."),
        Metric("vmad_top_process_seconds_to_limit", "gauge", _TOP, "seconds",
               "Seconds until the process reaches the limit at its present rate, 0 at the limit; "
               "absent while it does not grow, has just started or is far away.",
               "How long there is to restart it or to raise the limit."),
        Metric("vmad_top_process_recoverable_areas", "gauge", (*_TOP, "rules"), "VMAs",
               "VMAs of the process that would vanish if every mergeable pair merged.",
               "A large value with rules=\"relaxed\": the patched kernel heals this process; with "
               "rules=\"rebuild\": `vmad heal PID --rebuild` does."),
    ),
)  # fmt: skip

SCAN = Section(
    "This scan",
    "What the last complete scan saw, and how.",
    (
        Metric("vmad_scan_duration_seconds", "gauge", (), "seconds",
               "Wall time that reading and judging took in the last scan.",
               "Grows with the VMAs that changed; compare with vmad_scan_interval_seconds."),
        Metric("vmad_groups_folded", "gauge", (), "groups",
               "Groups beyond the cap, counted under other.",
               "Above 0: raise the cap or match groups more coarsely in the configuration."),
        Metric("vmad_scan_last_success_timestamp_seconds", "gauge", (), "Unix seconds",
               "When the last complete scan ended.",
               "`time() - x` is the age of everything above but counts and growth; alert when it "
               "is beyond a few intervals."),
        Metric("vmad_counts_last_success_timestamp_seconds", "gauge", (), "Unix seconds",
               "When the VMAs of all processes were counted last; counts, high-water marks, growth "
               "and times to the limit are of then.",
               "`time() - x` is about scan.sample_interval (1s) where the kernel counts for vmad, "
               "else the age of the last scan."),
        Metric("vmad_processes_read", "gauge", (), "processes",
               "Processes whose VMAs the last scan knows.",
               "The coverage, together with vmad_processes_unreadable."),
        Metric("vmad_processes_unreadable", "gauge", ("reason",), "processes",
               "Processes that could not be read in the last scan, by why; every reason always "
               "has a sample.",
               "permission: see `vmad doctor`; stuck or busy: the target holds its mmap_lock; "
               "changing: it maps and unmaps all the time, and its last exact reading stands."),
        Metric("vmad_evidence_info", "info", ("evidence", "walk"), "",
               "How the facts were got: kernel (BPF) or procfs, and the way of walking.",
               "procfs leaves pairs unknown; `vmad doctor` says what is missing for kernel."),
        Metric("vmad_kernel_info", "info", ("release", "patched"), "",
               "The kernel that was judged, and whether it carries the anon_vma series.",
               "Join with pairs and recoverable VMAs to compare releases."),
    ),
)  # fmt: skip

FAILURES = Section(
    "Failures at the limit",
    "Calls that failed because of vm.max_map_count, counted by BPF as they return and up to the "
    "moment of the scrape, also of processes that have ended since. Absent where they cannot be "
    "counted or scan.failures is off ([what is seen](limit-failures.md)).",
    (
        Metric("vmad_limit_failures_total", "counter", ("group", "call", "error"), "calls",
               "System calls of the group's processes that failed at the limit since vmad started, "
               "by call and error. A call that has not failed has no sample, but for mmap of "
               "every group that is shown: that is 0.",
               "Above 0: programs have been refused memory, or could not give it back. "
               "`vmad scan` and the page name the last ones."),
        Metric("vmad_limit_failures_lost_total", "counter", (), "calls",
               "Failures at the limit that are in no other sample, since more processes failed "
               "within a second or two than there was room for (1,024).",
               "Above 0: vmad_limit_failures_total is that much too low."),
    ),
)  # fmt: skip

SELF = Section(
    "vmad itself",
    "Served from the start, before the first scan is complete.",
    (
        Metric("vmad_scans_total", "counter", ("kind",), "scans",
               "Complete scans; full looks at everything, incremental at what changed.",
               "A rate of 0: scanning is stuck."),
        Metric("vmad_samples_total", "counter", (), "samples",
               "Times that the VMA counts of all processes were read.",
               "The high-water marks are as fine as its rate."),
        Metric("vmad_scan_interval_seconds", "gauge", ("kind",), "seconds",
               "Time between scans: as configured, and effective, stretched (tenfold at most) to "
               "keep the budget.",
               "effective above configured: the budget is too small for this host."),
        Metric("vmad_scan_phase_duration_seconds", "gauge", ("source", "phase"), "seconds",
               "Wall time of each phase of the last scan with each source: census (who is there), "
               "walk (reading address spaces), judge (verdicts and groups), add_up, render (making "
               "ready what is scraped); after a failure, up to it.",
               "Says where the time of vmad_scan_duration_seconds goes."),
        Metric("vmad_scan_phase_success", "gauge", ("source", "phase"), "boolean",
               "1 when the phase succeeded in the last scan with that source, 0 when it failed.",
               "walk of kernel at 0: it hung or was refused, and procfs serves meanwhile; the log "
               "names the cause."),
        Metric("vmad_guest_stops_total", "counter", (), "stops",
               "Times that a guest was stopped to be read (consistent: true); absent where it is "
               "read while it runs.",
               "Its rate is how often the guest's clients may have waited."),
        Metric("vmad_guest_stopped_seconds_total", "counter", (), "seconds",
               "Time that the guest stood still to be read, by QEMU's own clock.",
               "Its rate is the share of time that the guest loses."),
        Metric("vmad_guest_longest_stop_seconds", "gauge", (), "seconds",
               "The longest stop of the guest since vmad started.",
               "What a client of the guest waited for at most."),
        Metric("vmad_cpu_seconds_total", "counter", (), "seconds",
               "CPU time that vmad spent, all threads, in user and kernel mode.",
               "Its rate is vmad's share of one core."),
        Metric("vmad_web_cpu_seconds_total", "counter", (), "seconds",
               "The part of vmad_cpu_seconds_total that work for HTTP clients took.",
               "It has a budget of its own (web.budget): the difference is what scans, samples "
               "and events take."),
        Metric("vmad_web_requests_refused_total", "counter", ("reason",), "requests",
               "Requests that were not answered, by why: budget (put off, 503), login (a wrong "
               "password or too many of them), site (an unknown Host, or a page of another site); "
               "every reason always has a sample.",
               "budget: somebody asks for more than web.budget allows. site: add the name to "
               "web.hosts if it is right."),
        Metric("vmad_cpu_budget_ratio", "gauge", (), "ratio",
               "Share of one core that scans, samples and events may use on average.",
               "Compare with the rates of vmad_cpu_seconds_total less "
               "vmad_web_cpu_seconds_total."),
        Metric("vmad_walks_total", "counter", (), "walks",
               "Address spaces walked.",
               "Per scan: how many processes changed."),
        Metric("vmad_areas_walked_total", "counter", (), "VMAs",
               "VMAs looked at.",
               "CPU time divided by it is the price of a VMA."),
        Metric("vmad_areas_skipped_total", "counter", (), "VMAs",
               "VMAs not looked at again since their address space had not changed.",
               "High beside walked: the incremental scan pays."),
        Metric("vmad_reads_failed_total", "counter", ("reason",), "processes",
               "Processes that could not be read, by why, over all scans; every reason always "
               "has a sample.",
               "A rising permission count after an upgrade: a right was lost."),
        Metric("vmad_events_total", "counter", (), "events",
               "Process events (fork, exec, exit) received.",
               "The churn of the host."),
        Metric("vmad_event_overruns_total", "counter", (), "overruns",
               "Times that process events were lost; each is healed by a rescan.",
               "A steady rate: the host forks faster than vmad listens; results stay right."),
        Metric("vmad_event_source_up", "gauge", (), "boolean",
               "1 while process events arrive, 0 when vmad finds new processes by scanning only.",
               "0: short-lived processes may be missed between two samples."),
        Metric("vmad_event_source_resting", "gauge", (), "boolean",
               "1 while process events are left out by choice: they cost more than their part of "
               "scan.budget.",
               "1 for long: the host starts more programs than the budget can follow; "
               "`vmad doctor --daemon` says more."),
        Metric("vmad_source_up", "gauge", ("source",), "boolean",
               "1 when this evidence can be had here, 0 when it cannot.",
               "`vmad doctor` gives the reason and the remedy."),
        Metric("vmad_target_up", "gauge", ("target",), "boolean",
               "1 while a guest of the configuration's targets can be read, 0 while it cannot; "
               "absent without targets.",
               "0: the log and the page name the cause; its own series are at "
               "/metrics?target=NAME."),
        Metric("vmad_config_last_reload_successful", "gauge", (), "boolean",
               "1 when the last reload of the configuration was accepted, 0 when it was refused; "
               "absent before the first.",
               "0: `vmad check-config` names file and line; the old configuration still rules."),
        Metric("vmad_config_last_reload_success_timestamp_seconds", "gauge", (), "Unix seconds",
               "When the configuration was last reloaded with success.",
               "Shows which hosts run an old configuration."),
        Metric("vmad_state_last_write_successful", "gauge", (), "boolean",
               "1 when what a restart must not forget could be written last, 0 when not; absent "
               "without a state directory.",
               "0: the log and the page name the cause (a full disk, say); a restart now forgets "
               "bursts since the last write."),
        Metric("vmad_start_time_seconds", "gauge", (), "Unix seconds",
               "When vmad started.",
               "Its changes are restarts. High-water marks reach back further where the service "
               "keeps its state."),
        Metric("vmad_build_info", "info", ("version", "python"), "",
               "Versions of vmad and of the Python that runs it.",
               "Shows which hosts are still to be upgraded."),
    ),
)  # fmt: skip

SECTIONS = (GROUPS, HOST, TOP, SCAN, FAILURES, SELF)

CATALOGUE: tuple[Metric, ...] = tuple(metric for section in SECTIONS for metric in section.metrics)

BY_NAME: dict[str, Metric] = {metric.name: metric for metric in CATALOGUE}

_INTRODUCTION = """\
<!-- SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only -->
<!-- Generated by `python -m vmad.export.metric_catalogue`. Do not edit. -->
# Metrics

Served at `/metrics` in the Prometheus text format 0.0.4 or OpenMetrics 1.0, whichever the client
asks for. All values come from the last complete scan; a scrape never starts one. (What vmad says
of itself, and failures at the limit, are at most a second older than the scrape.)

- **Absent is not zero.** What could not be read has no sample, and its failure is counted in
  `vmad_processes_unreadable` and `vmad_reads_failed_total`.
- **VMA** here is what the kernel counts in `map_count` and other exporters call a memory map
  area; a **pair** is two adjacent private anonymous VMAs.
- Until the first scan is complete only the last sections' own series are served: *failures at the
  limit*, *vmad itself* and the usual `process_*` of prometheus_client (CPU, resident memory, open
  files).
- A guest of the configuration's `targets` has the same series, each with the label `target`, at
  `/metrics?target=NAME`: to Prometheus it is a host of its own ([guests](guests.md)). The series of
  this host have no such label.
- What each value of `reason` means: [reasons](reasons.md). `rules` is `"stock"`, this kernel,
  `"relaxed"`, the [patched kernel](patched-kernel.md), or `"rebuild"`.
- Bytes of a name that are not UTF-8 are written as `\\xNN`.
"""


def markdown() -> Iterator[str]:
    """Lines of docs/metrics.md, each without its newline."""
    yield from _INTRODUCTION.splitlines()
    for section in SECTIONS:
        yield ""
        yield f"## {section.title}"
        yield section.text
        yield ""
        yield "| metric | type | labels | unit | meaning | what to do with it |"
        yield "|---|---|---|---|---|---|"
        for metric in section.metrics:
            labels = ", ".join(f"`{label}`" for label in metric.labels)
            yield (
                f"| `{metric.name}` | {metric.type} | {labels} | {metric.unit} "
                f"| {metric.help} | {metric.use} |"
            )


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in markdown())
