# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One host: its groups, its worst processes, what its VMAs are, and how vmad does there."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from vmad.operations.dashboards.frame import choice, dashboard
from vmad.operations.dashboards.looks import (
    BYTES,
    GROUP,
    PER_SECOND,
    RATIO,
    RATIO_STEPS,
    REASON_URL,
    RED,
    SECONDS,
    SOON_STEPS,
    VMAS,
    Column,
)
from vmad.operations.dashboards.panels import HALF, THIRD, Query, dashed, graph, number, rows
from vmad.operations.dashboards.recoverable import NEED_NOT_BE, by_kernel

WHERE = 'job=~"$job", instance="$instance"'
_HOST = f"{{{WHERE}}}"
_MARKED_AT = f"vmad_group_memory_map_areas_highwater_timestamp_seconds{_HOST}"


def host() -> Dashboard:
    """uid vmad-host."""
    about = "The processes of one host against vm.max_map_count, and vmad itself there."
    made = (
        dashboard("vmad-host", "vmad / Host", about)
        .with_variable(choice("job", "vmad_memory_map_areas_limit", several=True))
        .with_variable(
            choice("instance", 'vmad_memory_map_areas_limit{job=~"$job"}')
        )
        .with_panel(number("Of the limit", "The worst process of the last two minutes.",
                           f"vmad_host_worst_limit_ratio{_HOST}", RATIO, steps=RATIO_STEPS))
        .with_panel(number("Reached in", "At the growth of the last minute; – while none grows.",
                           f"min(vmad_group_seconds_to_limit{_HOST})", SECONDS, steps=SOON_STEPS,
                           base=RED))
        .with_panel(number("Limit", "vm.max_map_count.", f"vmad_memory_map_areas_limit{_HOST}",
                           VMAS))
        .with_panel(number("VMAs", "Of all processes.", f"sum(vmad_host_areas{_HOST})", VMAS))
        .with_panel(number("Scan age", "Of everything on this page.",
                           f"time() - vmad_scan_last_success_timestamp_seconds{_HOST}", SECONDS,
                           steps=((300, RED),)))
        .with_panel(number("Evidence", "kernel: exact. procfs: pairs may be unknown.",
                           f"vmad_evidence_info{_HOST}", VMAS, legend="{{evidence}} {{walk}}"))
    )  # fmt: skip
    return _itself(_over_time(_what(_who(made))))


def _who(made: Dashboard) -> Dashboard:
    top = f"vmad_top_process_%s{_HOST}"
    return (
        made.with_row(Row("Who"))
        .with_panel(
            rows(
                "Groups",
                "Each group's worst process counts against the limit; a click leads to the group.",
                {
                    "ratio": f"vmad_group_limit_ratio{_HOST}",
                    "max": f"vmad_group_memory_map_areas_max{_HOST}",
                    "highwater": f"vmad_group_memory_map_areas_highwater{_HOST}",
                    "ago": f"time() - {_MARKED_AT}",
                    "growth": f"vmad_group_memory_map_areas_growth_per_second{_HOST}",
                    "seconds": f"vmad_group_seconds_to_limit{_HOST}",
                    "processes": f"vmad_group_processes{_HOST}",
                    "areas": f"vmad_group_memory_map_areas{_HOST}",
                    "memory": f"vmad_group_vma_kernel_bytes{_HOST}",
                },
                {
                    "group": GROUP,
                    "ratio": Column("of the limit", RATIO, RATIO_STEPS, gauge=True, decimals=1),
                    "max": Column("worst process", VMAS),
                    "highwater": Column("high-water", VMAS),
                    "ago": Column("last up there", SECONDS),
                    "growth": Column("growth", PER_SECOND, decimals=2),
                    "seconds": Column("limit reached in", SECONDS, SOON_STEPS),
                    "processes": Column("processes", VMAS),
                    "areas": Column("all VMAs", VMAS),
                    "memory": Column("kernel memory", BYTES),
                    "instance": Column("host"),
                },
                sort="of the limit",
                height=11,
            )
        )
        .with_panel(
            rows(
                "Processes nearest to the limit",
                "For `vmad explain PID`.",
                {
                    "areas": top % "memory_map_areas",
                    "highwater": top % "memory_map_areas_highwater",
                    "growth": top % "memory_map_areas_growth_per_second",
                    "seconds": top % "seconds_to_limit",
                },
                {
                    "pid": Column("pid", width=90),
                    "comm": Column("command"),
                    "group": GROUP,
                    "areas": Column("VMAs", VMAS),
                    "highwater": Column("high-water", VMAS),
                    "growth": Column("growth", PER_SECOND, decimals=2),
                    "seconds": Column("limit reached in", SECONDS, SOON_STEPS),
                    "instance": Column("host"),
                },
                sort="VMAs",
                span=HALF,
            )
        )
        .with_panel(
            graph(
                "Failures at the limit, by group",
                "System calls that were refused because of vm.max_map_count, while memory was "
                "free. No line: nobody counts (see vmad doctor).",
                [
                    Query(
                        "topk(10, sum by (group) "
                        f"(increase(vmad_limit_failures_total{_HOST}[$__rate_interval])))",
                        "{{group}}",
                    )
                ],
                VMAS,
            )
        )
        .with_panel(
            graph(
                "The ten groups nearest to the limit",
                "The worst process of each.",
                [Query(f"topk(10, vmad_group_limit_ratio{_HOST})", "{{group}}")],
                RATIO,
                steps=RATIO_STEPS[1:],
            )
        )
    )


def _what(made: Dashboard) -> Dashboard:
    blocked = f'vmad_host_pairs{{{WHERE}, rules="stock", verdict!="mergeable"}}'
    return (
        made.with_row(Row("What and why"))
        .with_panel(
            graph("VMAs by kind", "All processes together.",
                  [Query(f"vmad_host_areas{_HOST}", "{{kind}}")], VMAS, stacked=True, span=THIRD)
        )
        .with_panel(
            graph("Kernel memory of VMAs", "The ten groups whose VMAs take most of it.",
                  [Query(f"topk(10, vmad_group_vma_kernel_bytes{_HOST})", "{{group}}")], BYTES,
                  span=THIRD)
        )
        .with_panel(
            graph("Pairs kept apart, by reason",
                  "Adjacent anonymous pairs that this kernel does not merge, or that this "
                  "evidence cannot decide. A click leads to what the reason means.",
                  [Query(f"topk(10, sum by (reason) ({blocked}))", "{{reason}}")], VMAS,
                  stacked=True, span=THIRD, url=REASON_URL)
        )
        .with_panel(
            graph("VMAs that need not be", NEED_NOT_BE,
                  by_kernel("vmad_host_recoverable_areas", _HOST), VMAS, span=THIRD)
        )
    )  # fmt: skip


def _over_time(made: Dashboard) -> Dashboard:
    areas = f"vmad_host_areas{_HOST}"
    marks = f"vmad_group_memory_map_areas_highwater{_HOST}"
    stock = f'vmad_host_pairs{{{WHERE}, rules="stock"}}'
    failed = f"increase(vmad_limit_failures_total{_HOST}[$__rate_interval])"
    rebuilt = f'vmad_group_recoverable_areas{{{WHERE}, rules="rebuild"}}'
    return (
        made.with_row(Row("The address space over time"))
        .with_panel(
            graph("Composition by kind", "The share of each kind among all VMAs of the host.",
                  [Query(f"sum by (kind) ({areas}) / scalar(sum({areas}))", "{{kind}}")],
                  RATIO, stacked=True)
        )
        .with_panel(
            graph("Composition by reason",
                  "The share of each decisive reason among all adjacent anonymous pairs; a click "
                  "leads to what the reason means.",
                  [Query(f"sum by (reason) ({stock}) / scalar(sum({stock}))", "{{reason}}")],
                  RATIO, stacked=True, url=REASON_URL)
        )
        .with_panel(
            graph("Failures at the limit, by call",
                  "System calls that were refused because of vm.max_map_count. No line: nobody "
                  "counts (see vmad doctor).",
                  [Query(f"sum by (call, error) ({failed})", "{{call}}: {{error}}")], VMAS,
                  span=THIRD)
        )
        .with_panel(
            dashed(
                graph("Bursts",
                      "The high-water marks of the ten highest groups: a step up that the worst "
                      "process of the group (table Groups) is far below is a burst.",
                      [Query(f"topk(10, {marks})", "{{group}}"),
                       Query(f"vmad_memory_map_areas_limit{_HOST}", "limit")], VMAS, span=THIRD),
                "limit", RED,
            )
        )
        .with_panel(
            graph("Rebuild gains, by group",
                  "VMAs that `vmad heal PID --rebuild` would join in each group, no page copied.",
                  [Query(f"topk(10, {rebuilt})", "{{group}}")], VMAS, span=THIRD)
        )
    )  # fmt: skip


def _itself(made: Dashboard) -> Dashboard:
    rate = f"rate(vmad_%s{_HOST}[$__rate_interval])"
    interval = f"vmad_scan_interval_seconds{_HOST}"
    return (
        made.with_row(Row("vmad itself"))
        .with_panel(
            dashed(
                graph("CPU", "Of one core, against the budget (scan.budget).",
                      [Query(rate % "cpu_seconds_total", "used"),
                       Query(f"vmad_cpu_budget_ratio{_HOST}", "budget")], RATIO, span=THIRD),
                "budget", "orange",
            )
        )
        .with_panel(
            graph("Scans", "How long one takes, and how far they are apart.",
                  [Query(f"vmad_scan_duration_seconds{_HOST}", "duration"),
                   Query(interval, "interval, {{kind}}")], SECONDS, span=THIRD)
        )
        .with_panel(
            graph("VMAs looked at", "And those not looked at again, since nothing had changed.",
                  [Query(rate % "areas_walked_total", "walked"),
                   Query(rate % "areas_skipped_total", "skipped")], PER_SECOND, span=THIRD)
        )
        .with_panel(
            graph("Processes not read", "By why, in the last scan.",
                  [Query(f"vmad_processes_unreadable{_HOST}", "{{reason}}")], VMAS,
                  stacked=True, span=THIRD)
        )
        .with_panel(
            graph("Process events", "Overruns are losses; each is healed by a scan.",
                  [Query(rate % "events_total", "events"),
                   Query(rate % "event_overruns_total", "overruns")], PER_SECOND, span=THIRD)
        )
        .with_panel(
            rows("Sources", "What can be had here; `vmad doctor` says what is missing.",
                 {"up": f"vmad_source_up{_HOST}"},
                 {"source": Column("source"), "up": Column("works", steps=((1, "green"),))},
                 sort="source", descending=False, span=THIRD)
        )
    )  # fmt: skip
