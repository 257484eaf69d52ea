# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The fleet: who is nearest to the limit, who will be, which reasons cost most.

Recorded series alone, so that it works on a global Prometheus that holds nothing else.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from vmad.operations.dashboards.frame import dashboard, hosts
from vmad.operations.dashboards.looks import (
    ANY_STEPS,
    DRILL,
    GROUP,
    INSTANCE,
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
from vmad.operations.dashboards.panels import HALF, Query, bars, graph, number, rows

_WHERE = 'job=~"$job", instance=~"$instance"'
_HOSTS = f"{{{_WHERE}}}"


def _count(condition: str) -> str:
    return f"count({condition}) or vector(0)"


def fleet() -> Dashboard:
    """uid vmad-fleet."""
    about = "Every host that runs vmad: who is near vm.max_map_count, who will be, and why."
    ratio, soonest = (
        f"instance:vmad_limit_ratio:max{_HOSTS}",
        f"instance:vmad_seconds_to_limit:min{_HOSTS}",
    )
    made = dashboard("vmad-fleet", "vmad / Fleet", about, since="now-24h")
    for variable in hosts("instance:vmad_limit_ratio:max"):
        made = made.with_variable(variable)
    numbers = (
        ("Hosts reporting", "Those whose last scan is known.", f"count({ratio})", ()),
        ("Above 80 %", "Hosts with a process above 80 % of its limit.", _count(f"{ratio} > 0.8"),
         ANY_STEPS),
        ("Within a day", "Hosts on which a process reaches the limit within a day at the growth "
         "of its last minute.", _count(f"{soonest} < 86400"), ANY_STEPS),
        ("Burst above 90 %", "Hosts on which a process that still runs has been above 90 %.",
         _count(f"instance:vmad_highwater_ratio:max{_HOSTS} > 0.9"), ANY_STEPS),
        ("Stale", "Hosts whose last scan is older than 5 minutes.",
         _count(f"instance:vmad_scan_age_seconds:max{_HOSTS} > 300"), ANY_STEPS),
        ("Half blind", "Hosts on which vmad cannot read a tenth of the processes.",
         _count(f"instance:vmad_unreadable:ratio{_HOSTS} > 0.1"), ANY_STEPS),
    )  # fmt: skip
    for title, text, expr, steps in numbers:
        made = made.with_panel(number(title, text, expr, VMAS, steps=steps))
    return (
        made.with_row(Row("Who"))
        .with_panel(
            rows(
                "Nearest to the limit",
                "The groups whose worst process has used most of vm.max_map_count.",
                {"ratio": f"topk(25, instance:vmad_limit_ratio:top3{_HOSTS})"},
                {
                    "instance": INSTANCE,
                    "group": GROUP,
                    "ratio": Column("of the limit", RATIO, RATIO_STEPS, gauge=True, decimals=1),
                },
                sort="of the limit",
                span=HALF,
            )
        )
        .with_panel(
            rows(
                "Alerts",
                "Firing and pending. A click leads to the runbook.",
                {"since": f'ALERTS{{alertname=~"Vmad.+", {_WHERE}}}'},
                {
                    "alertname": Column("alert", link=DRILL.alert),
                    "alertstate": Column("state", width=90),
                    "severity": Column("severity", width=90),
                    "instance": INSTANCE,
                    "group": GROUP,
                },
                sort="severity",
                descending=False,
                span=HALF,
            )
        )
        .with_panel(
            rows(
                "Hosts",
                "A host for each row, the nearest to its limit first.",
                {
                    "ratio": ratio,
                    "highwater": f"instance:vmad_highwater_ratio:max{_HOSTS}",
                    "seconds": soonest,
                    "limit": f"instance:vmad_memory_map_areas_limit:max{_HOSTS}",
                    "areas": f"instance:vmad_areas:sum{_HOSTS}",
                    "growth": f"instance:vmad_areas_growth_per_second:sum{_HOSTS}",
                    "unreadable": f"instance:vmad_unreadable:ratio{_HOSTS}",
                    "age": f"instance:vmad_scan_age_seconds:max{_HOSTS}",
                    "cpu": f"instance:vmad_cpu:rate5m{_HOSTS}",
                },
                {
                    "instance": INSTANCE,
                    "ratio": Column("of the limit", RATIO, RATIO_STEPS, gauge=True, decimals=1),
                    "highwater": Column("high-water", RATIO, RATIO_STEPS, decimals=1),
                    "seconds": Column("limit reached in", SECONDS, SOON_STEPS),
                    "limit": Column("limit", VMAS),
                    "areas": Column("VMAs", VMAS),
                    "growth": Column("growth", PER_SECOND, decimals=2),
                    "unreadable": Column("unreadable", RATIO, ((0.1, RED),), decimals=1),
                    "age": Column("scan age", SECONDS, ((300, RED),)),
                    "cpu": Column("CPU of vmad", RATIO, decimals=2),
                },
                sort="of the limit",
                height=11,
            )
        )
        .with_row(Row("When"))
        .with_panel(
            graph(
                "The ten hosts nearest to their limit",
                "The worst process of each.",
                [Query(f"topk(10, {ratio})", "{{instance}}")],
                RATIO,
                steps=RATIO_STEPS[1:],
            )
        )
        .with_panel(
            rows(
                "Reached soonest",
                "At the growth of the last minute; a start-up looks like this, too.",
                {"seconds": f"bottomk(25, {soonest})"},
                {"instance": INSTANCE, "seconds": Column("limit reached in", SECONDS, SOON_STEPS)},
                sort="limit reached in",
                descending=False,
                span=HALF,
            )
        )
        .with_row(Row("Why"))
        .with_panel(
            bars(
                "Reasons that cost most",
                "Adjacent anonymous pairs that their kernels keep apart, by decisive reason; the "
                "five largest reasons of each host. A click leads to the runbook.",
                Query(f"sort_desc(sum by (reason) (instance:vmad_blocked_pairs:top5{_HOSTS}))",
                      "{{reason}}"),
                VMAS,
                url=REASON_URL,
            )
        )
        .with_panel(
            graph(
                "VMAs that need not be",
                "What would vanish if everything merged that may: under the rules of the running "
                "kernels, and of the patched one.",
                [Query(f"sum by (rules) (instance:vmad_recoverable_areas:sum{_HOSTS})",
                       "{{rules}}"),
                 Query(f"sum(instance:vmad_areas:sum{_HOSTS})", "all VMAs")],
                VMAS,
            )
        )
    )  # fmt: skip
