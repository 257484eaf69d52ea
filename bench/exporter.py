# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a quiet interval costs: the daemon with its defaults, against a scrape of the peer."""

from __future__ import annotations

import time

from bench.children import Children
from bench.daemon import EXPORTER, start_exporter, start_vmad
from bench.figures import Asked, Figure
from bench.measure import cpu_seconds_of
from bench.plan import Plan
from bench.ratios import paired, spread


def measure(plan: Plan) -> list[Figure]:
    """Two figures; takes ``plan.intervals`` intervals of the daemon."""
    config = f"scan: {{interval: {plan.interval:g}s, events: false}}\n"
    ours: list[float] = []
    theirs: list[float] = []
    answered: list[float] = []
    with Children() as children:
        children.large(plan.large_vmas)
        children.small(plan.small_processes)
        exporter = start_exporter(children)
        vmad = start_vmad(children, config)
        exporter.get("metrics")
        vmad.get("metrics")
        full = vmad.scans("full")
        show = plan.step(f"intervals of {plan.interval:g} s")
        next_at = time.monotonic()
        for done in range(plan.intervals):
            show(done)
            before, next_at = cpu_seconds_of(vmad.pid), next_at + plan.interval
            time.sleep(max(next_at - time.monotonic(), 0))
            quiet = cpu_seconds_of(vmad.pid)
            vmad.get("metrics")
            ours.append(cpu_seconds_of(vmad.pid) - before)
            answered.append(ours[-1] - (quiet - before))
            before = cpu_seconds_of(exporter.pid)
            exporter.get("metrics")
            theirs.append(cpu_seconds_of(exporter.pid) - before)
        full = vmad.scans("full") - full
        rss = vmad.rss() / 2**20
    ratio = paired(theirs, ours)
    mean = sum(theirs) / sum(ours)
    return [
        Figure(
            "exporter",
            f"a scrape of Debian's {EXPORTER}, in intervals of vmad",
            "",
            Asked(">=", 40),
            ratio,
            f"CPU time of one scrape of the exporter (defaults, and the example configuration of "
            f"its package: every process) over all that `vmad serve` spends in one interval of "
            f"{plan.interval:g} s: the samples, the scan, one scrape. "
            f"{plan.intervals} intervals, both looked at once in each, on the host of the first "
            "figure. The median is an interval without a full scan; behind it, with_full is the "
            "mean, in which the full scan of every tenth interval has its share. The defaults but "
            "for process events, which are off: those of the whole machine would come, and where "
            "nothing starts or ends they cost nothing.",
            extra={
                "with_full": mean,
                "vmad_interval_cpu_ms": spread(ours).median * 1e3,
                "vmad_mean_cpu_ms": sum(ours) / len(ours) * 1e3,
                "vmad_scrape_cpu_ms": spread(answered).median * 1e3,
                "full_scans": full,
                "exporter_scrape_cpu_ms": spread(theirs).median * 1e3,
            },
        ),
        Figure(
            "rss",
            f"RSS of the daemon, {plan.small_processes} processes",
            "MiB",
            Asked("<=", 40),
            spread([rss]),
            "VmRSS at the end of the line above, libraries that others use, too, included.",
        ),
    ]
