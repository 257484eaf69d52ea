# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Stock against patched: what the anon_vma series is worth, and what it did where it runs."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from vmad.operations.dashboards.frame import dashboard, hosts
from vmad.operations.dashboards.looks import (
    GROUP,
    INSTANCE,
    RATIO,
    REASON,
    VMAS,
    Column,
)
from vmad.operations.dashboards.panels import HALF, Query, graph, number, rows

_WHERE = 'job=~"$job", instance=~"$instance"'


def _pairs(rules: str) -> str:
    return f'sum by (reason) (vmad_host_pairs{{{_WHERE}, rules="{rules}", verdict="blocked"}})'


def _recoverable(rules: str) -> str:
    return f'sum(instance:vmad_recoverable_areas:sum{{{_WHERE}, rules="{rules}"}})'


def kernels() -> Dashboard:
    """uid vmad-kernels."""
    about = (
        "What the patched kernel (VMAs merge although one was moved or each was faulted on its "
        "own) would gain on this fleet today, and how hosts with it compare to those without."
    )
    total = f"sum(instance:vmad_areas:sum{{{_WHERE}}})"
    by_kernel = (
        "sum by (release, patched) (%s * on (job, instance) group_left (release, patched) "
        f"instance:vmad_kernel_info:max{{{_WHERE}}})"
    )
    made = dashboard("vmad-kernels", "vmad / Stock against patched", about, since="now-24h")
    for variable in hosts("instance:vmad_kernel_info:max"):
        made = made.with_variable(variable)
    made = (
        made.with_panel(number("All VMAs", "Of all processes of all hosts.", total, VMAS))
        .with_panel(number("Latent", "VMAs that this kernel merges when they are next touched.",
                           _recoverable("stock"), VMAS))
        .with_panel(number("Patched", "VMAs that would vanish on the patched kernel.",
                           _recoverable("relaxed"), VMAS))
        .with_panel(number("Gain", "VMAs that only the patched kernel merges.",
                           f"{_recoverable('relaxed')} - {_recoverable('stock')}", VMAS))
        .with_panel(number("Gain, share", "Of all VMAs.",
                           f"({_recoverable('relaxed')} - {_recoverable('stock')}) / {total}",
                           RATIO))
        .with_panel(number("Releases", "Different releases.",
                           f"count(count by (release) (instance:vmad_kernel_info:max{{{_WHERE}}}))",
                           VMAS))
        .with_row(Row("What it would gain"))
    )  # fmt: skip
    gain = (
        f'vmad_group_recoverable_areas{{{_WHERE}, rules="relaxed"}} - ignoring (rules) '
        f'vmad_group_recoverable_areas{{{_WHERE}, rules="stock"}}'
    )
    made = made.with_panel(
        rows("Groups that gain most", "VMAs that only the patched kernel merges.",
             {"gain": f"topk(25, {gain})"},
             {"instance": INSTANCE, "group": GROUP, "gain": Column("gain", VMAS)},
             sort="gain", span=HALF)
    ).with_panel(
        rows("Reasons", "Pairs that each kernel keeps apart, by decisive reason.",
             {"stock": _pairs("stock"), "relaxed": _pairs("relaxed")},
             {"reason": REASON, "stock": Column("stock", VMAS),
              "relaxed": Column("patched", VMAS)},
             sort="stock", span=HALF)
    ).with_panel(
        graph("Verdicts", "Every adjacent anonymous pair, as either kernel sees it.",
              [Query(f"sum by (rules, verdict) (vmad_host_pairs{{{_WHERE}}})",
                     "{{rules}}: {{verdict}}")], VMAS)
    ).with_panel(
        graph("VMAs that need not be", "Over time, under either rules.",
              [Query(f"sum by (rules) (instance:vmad_recoverable_areas:sum{{{_WHERE}}})",
                     "{{rules}}")], VMAS)
    )  # fmt: skip
    areas = f"instance:vmad_areas:sum{{{_WHERE}}}"
    latent = f'instance:vmad_recoverable_areas:sum{{{_WHERE}, rules="stock"}}'
    return (
        made.with_row(Row("What it did"))
        .with_panel(
            graph("VMAs per host, by kernel", "The mean of the hosts that run it.",
                  [Query(f"{by_kernel % areas} / sum by (release, patched) "
                         f"(instance:vmad_kernel_info:max{{{_WHERE}}})",
                         "{{release}} patched={{patched}}")], VMAS)
        )
        .with_panel(
            rows("Kernels", "Hosts, their VMAs, and what each kernel leaves unmerged.",
                 {"hosts": "sum by (release, patched) "
                           f"(instance:vmad_kernel_info:max{{{_WHERE}}})",
                  "areas": by_kernel % areas, "latent": by_kernel % latent},
                 {"release": Column("release"), "patched": Column("patched", width=90),
                  "hosts": Column("hosts", VMAS), "areas": Column("VMAs", VMAS),
                  "latent": Column("latent", VMAS)},
                 sort="hosts", span=HALF)
        )
    )  # fmt: skip
