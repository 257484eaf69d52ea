# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A host with a million VMAs: memory of the daemon, and whether a VMA costs more there."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench.children import CannotMeasure, Children
from bench.daemon import Daemon, start_vmad
from bench.figures import Asked, Figure
from bench.measure import cost_of
from bench.plan import Plan
from bench.ratios import Spread, spread, worse
from bench.subject import scanner
from vmad.scan.scanner import Scanner

_CONFIG = "scan: {interval: 1s, full_every: 1, budget: 100%}\n"
_MIB = 1 << 20


@dataclass
class _PerVma:
    """Seconds per VMA of full scans of one host."""

    wall: list[float]
    cpu: list[float]
    vmas: int = 0


def _scans(subject: Scanner, rounds: int, into: _PerVma) -> None:
    subject.scan(True)
    for _ in range(rounds):
        cost = cost_of(lambda: subject.scan(True))
        into.vmas = sum(subject.scan(False).kinds)
        into.wall.append(cost.wall / into.vmas)
        into.cpu.append(cost.cpu / into.vmas)


def measure(plan: Plan) -> list[Figure]:
    """Two figures."""
    small, million = _PerVma([], []), _PerVma([], [])
    step = plan.step("a million VMAs")
    with Children() as children, scanner("kernel") as subject:
        children.large(plan.large_vmas)
        children.small(plan.small_processes)
        _scans(subject, plan.million_rounds, small)
        step(0)
        many = children.several_large(plan.million_processes, plan.million_vmas_each)
        _scans(subject, plan.million_rounds, million)
        step(1)
        rss, scanned = _peak_of_daemon(children)
        children.end([each.process for each in many])
        _scans(subject, plan.million_rounds, small)
    wall, cpu = _relative(million.wall, small.wall), _relative(million.cpu, small.cpu)
    what = f"{plan.million_processes} processes of {plan.million_vmas_each:,} VMAs"
    return [
        Figure(
            "million-rss",
            "peak RSS of the daemon, 1,000,000 VMAs on the host",
            "MiB",
            Asked("<", 150),
            rss,
            f"VmHWM of `vmad serve` beside {what} and the host of the first figure, after full "
            "scans back to back, and requests of the metrics, the page and the JSON.",
            extra={"full_scans": scanned, "vmas": million.vmas},
        ),
        Figure(
            "million-per-vma",
            "full exact scan per VMA, against the host of the first figure",
            "",
            Asked("<=", 1.2),
            worse(wall, cpu),
            f"The host of the first figure, then {what} beside it, then without them again: "
            "seconds per VMA of each full scan, over the median of those of the smaller host.",
            extra={
                "vmas": million.vmas,
                "cpu_ns_per_vma": spread(million.cpu).median * 1e9,
                "first_line_cpu_ns_per_vma": spread(small.cpu).median * 1e9,
                "wall_ratio": wall.median,
                "cpu_ratio": cpu.median,
            },
        ),
    ]


def _relative(values: list[float], to: list[float]) -> Spread:
    return spread(values).scaled(1 / spread(to).median)


def _peak_of_daemon(children: Children) -> tuple[Spread, int]:
    vmad = start_vmad(children, _CONFIG)
    for path in ("metrics", "", "api/v1/scan"):
        vmad.get(path)
    wait_for_scans(vmad, 4)
    for path in ("metrics", "", "api/v1/scan"):
        vmad.get(path)
    peak = vmad.peak_rss() / _MIB
    scans = vmad.scans("full")
    children.end([vmad.process])
    return spread([peak]), scans


def wait_for_scans(vmad: Daemon, wanted: int) -> None:
    """Until it has made so many full ones. Raises CannotMeasure."""
    end = time.monotonic() + 120
    while vmad.scans("full") < wanted:
        if time.monotonic() > end:
            raise CannotMeasure("vmad serve does not come to full scans", "see bench/out/vmad.log")
        time.sleep(0.5)
