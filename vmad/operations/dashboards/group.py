# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One group of processes: its count against limit and high-water mark, its growth, its reasons."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from vmad.operations.dashboards.frame import choice, dashboard
from vmad.operations.dashboards.host import WHERE
from vmad.operations.dashboards.looks import (
    BYTES,
    PER_SECOND,
    RATIO,
    RATIO_STEPS,
    REASON,
    REASON_URL,
    RED,
    SECONDS,
    SOON_STEPS,
    VMAS,
    Column,
)
from vmad.operations.dashboards.panels import FULL, HALF, THIRD, Query, dashed, graph, number, rows
from vmad.operations.dashboards.recoverable import NEED_NOT_BE, by_kernel

_GROUP = f'{{{WHERE}, group="$group"}}'
_AREAS = "vmad_group_memory_map_areas"


def _pairs(rules: str) -> str:
    return (
        f'sum by (verdict, reason) (vmad_group_pairs{{{WHERE}, group="$group", rules="{rules}"}})'
    )


def group() -> Dashboard:
    """uid vmad-group."""
    about = "A systemd unit, container or command: how near, how fast, made of what, and why."
    made = dashboard("vmad-group", "vmad / Group", about)
    for variable in (
        # a group whose processes have all ended has a mark, and no ratio any more
        choice("job", f"{_AREAS}_highwater", several=True),
        choice("instance", f'{_AREAS}_highwater{{job=~"$job"}}'),
        choice("group", f"{_AREAS}_highwater{{{WHERE}}}"),
    ):
        made = made.with_variable(variable)
    recoverable = f'vmad_group_recoverable_areas{{{WHERE}, group="$group", rules="%s"}}'
    made = (
        made.with_panel(number("Of the limit", "The worst process of the last two minutes.",
                               f"vmad_group_limit_ratio{_GROUP}", RATIO, steps=RATIO_STEPS))
        .with_panel(number("Reached in", "At the growth of the last minute; – while none grows.",
                           f"vmad_group_seconds_to_limit{_GROUP}", SECONDS, steps=SOON_STEPS,
                           base=RED))
        .with_panel(number("High-water",
                           "Highest count of any process that runs, or has ended within a day "
                           "(scan.keep_marks).", f"{_AREAS}_highwater{_GROUP}", VMAS))
        .with_panel(number("Processes", "With an address space.",
                           f"vmad_group_processes{_GROUP}", VMAS))
        .with_panel(number("Latent", "VMAs that `vmad heal` can merge now.",
                           recoverable % "stock", VMAS))
        .with_panel(number("On the patched kernel", "VMAs that would vanish there.",
                           recoverable % "relaxed", VMAS))
        .with_panel(number("Last up there",
                           "Since a process last had nine tenths of the mark or more.",
                           f"time() - {_AREAS}_highwater_timestamp_seconds{_GROUP}", SECONDS,
                           span=THIRD))
        .with_panel(number("Grown in a day", "VMAs of the worst process.",
                           f"{_AREAS}_max{_GROUP} - {_AREAS}_max{_GROUP} offset 1d", VMAS,
                           span=THIRD))
        .with_panel(number("Kernel memory", "Of all its VMAs, at least; it is never swapped.",
                           f"vmad_group_vma_kernel_bytes{_GROUP}", BYTES, span=THIRD))
    )  # fmt: skip
    return _why(_how_near(made))


def _how_near(made: Dashboard) -> Dashboard:
    limit = f"vmad_memory_map_areas_limit{{{WHERE}}}"
    return (
        made.with_row(Row("How near, how fast"))
        .with_panel(
            dashed(
                graph("Worst process against the limit",
                      "The high-water mark is sampled every second: it shows bursts that are "
                      "shorter than a scrape.",
                      [Query(f"{_AREAS}_max{_GROUP}", "worst process"),
                       Query(f"{_AREAS}_highwater{_GROUP}", "high-water"),
                       Query(limit, "limit")], VMAS),
                "limit", RED,
            )
        )
        .with_panel(
            graph("Growth", "VMAs per second; a slow ratchet stays above 0 for days.",
                  [Query(f"{_AREAS}_growth_per_second{_GROUP}", "growth")], PER_SECOND,
                  from_zero=False)
        )
        .with_panel(
            graph("Failures at the limit",
                  "System calls that were refused because of vm.max_map_count, while memory was "
                  "free. No line: nobody counts (see vmad doctor).",
                  [Query(f"increase(vmad_limit_failures_total{_GROUP}[$__rate_interval])",
                         "{{call}}: {{error}}")], VMAS)
        )
        .with_panel(
            graph("All VMAs by kind", "All processes of the group together.",
                  [Query(f"vmad_group_areas{_GROUP}", "{{kind}}")], VMAS, stacked=True)
        )
        .with_panel(
            graph("Address space", "VMAs that grow while it does not: memory is cut into pieces.",
                  [Query(f"vmad_group_address_space_bytes{_GROUP}", "address space")], BYTES)
        )
        .with_panel(
            dashed(
                graph("Kernel memory of its VMAs",
                      "Against thresholds.kernel_memory of the host's vmad.",
                      [Query(f"vmad_group_vma_kernel_bytes{_GROUP}", "kernel memory"),
                       Query(f"vmad_threshold_vma_kernel_bytes{{{WHERE}}}", "too much")], BYTES),
                "too much", RED,
            )
        )
        .with_panel(
            dashed(
                graph("Worst process against what is too many anyhow",
                      "thresholds.areas of the host's vmad, wherever the limit is.",
                      [Query(f"{_AREAS}_max{_GROUP}", "worst process"),
                       Query(f"vmad_threshold_memory_map_areas{{{WHERE}}}", "too many")], VMAS),
                "too many", RED,
            )
        )
        .with_panel(
            dashed(
                graph("Growth in a day",
                      "Of the worst process, against thresholds.areas_per_day.",
                      [Query(f"{_AREAS}_max{_GROUP} - {_AREAS}_max{_GROUP} offset 1d", "growth"),
                       Query(f"vmad_threshold_memory_map_areas_per_day{{{WHERE}}}", "too much")],
                      VMAS, from_zero=False),
                "too much", RED,
            )
        )
        .with_panel(
            graph("Number of processes", "Tells growth in numbers from growth of one process.",
                  [Query(f"vmad_group_processes{_GROUP}", "processes")], VMAS)
        )
    )  # fmt: skip


def _why(made: Dashboard) -> Dashboard:
    pairs = f'vmad_group_pairs{{{WHERE}, group="$group", rules="stock"}}'
    top = f"vmad_top_process_%s{_GROUP}"
    return (
        made.with_row(Row("Why"))
        .with_panel(
            graph("Pairs by reason",
                  "Under the rules of this kernel; latent ones would merge. A click leads to what "
                  "the reason means.",
                  [Query(pairs, "{{verdict}}: {{reason}}")], VMAS, stacked=True, url=REASON_URL)
        )
        .with_panel(
            graph("VMAs that need not be", NEED_NOT_BE,
                  [*by_kernel("vmad_group_recoverable_areas", _GROUP),
                   Query(f"{_AREAS}{_GROUP}", "all VMAs")], VMAS)
        )
        .with_panel(
            rows("Pairs by reason, now", "A click on a reason leads to what to do about it.",
                 {"stock": _pairs("stock"), "relaxed": _pairs("relaxed")},
                 {"verdict": Column("verdict", width=110), "reason": REASON,
                  "stock": Column("stock", VMAS), "relaxed": Column("patched", VMAS)},
                 sort="stock", span=HALF)
        )
        .with_panel(
            rows("Its processes among the host's worst", "For `vmad explain PID`.",
                 {"areas": top % "memory_map_areas",
                  "growth": top % "memory_map_areas_growth_per_second",
                  "relaxed": f'vmad_top_process_recoverable_areas{{{WHERE}, group="$group", '
                             'rules="relaxed"}'},
                 {"pid": Column("pid", width=90), "comm": Column("command"),
                  "areas": Column("VMAs", VMAS),
                  "growth": Column("growth", PER_SECOND, decimals=2),
                  "relaxed": Column("gone on the patched kernel", VMAS)},
                 sort="VMAs", span=FULL - HALF)
        )
    )  # fmt: skip
