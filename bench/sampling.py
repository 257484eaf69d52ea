# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the samples of every second cost, against the least that a Python program can do then."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from bench.children import CannotMeasure, Children, built
from bench.figures import Asked, Figure
from bench.measure import Cost, cost_of
from bench.plan import Plan
from bench.ratios import Spread, paired, spread
from bench.subject import scanner
from vmad.scan.scanner import Scanner


def _read_loadavg() -> None:
    Path("/proc/loadavg").read_text("ascii")


def _apart(works: dict[str, Callable[[], object]], plan: Plan) -> dict[str, list[Cost]]:
    """Each work in turn, a pause before each: its code and data have left the caches by then."""
    costs: dict[str, list[Cost]] = {name: [] for name in works}
    for _ in range(plan.samples):
        for name, work in works.items():
            time.sleep(plan.sample_pause)
            costs[name].append(cost_of(work))
    return costs


def _cpu(costs: list[Cost]) -> list[float]:
    return [cost.cpu for cost in costs]


def measure(plan: Plan) -> list[Figure]:
    """Two figures."""
    with Children() as children, scanner("kernel") as subject:
        children.small(plan.small_processes)
        few = len(subject.scan(True).processes)
        costs = _apart({"sample": subject.samples.take, "loadavg": _read_loadavg}, plan)
        sample, loadavg = _cpu(costs["sample"]), _cpu(costs["loadavg"])
        against = Figure(
            "sample-loadavg",
            f"a sample of {plan.small_processes} processes, against reading /proc/loadavg",
            "",
            Asked("<=", 3.0),
            paired(sample, loadavg),
            f"CPU time of one sample and of reading that file by pathlib, in turn, "
            f"{plan.sample_pause:g} s between any two, {plan.samples} times.",
            extra={
                "sample_cpu_us": spread(sample).median * 1e6,
                "loadavg_cpu_us": spread(loadavg).median * 1e6,
            },
        )
        return [against, _many(children, subject, sample, few, plan)]


def _many(
    children: Children, subject: Scanner, few_costs: list[float], few: int, plan: Plan
) -> Figure:
    title = f"a sample of {plan.many_processes:,} processes, per process, against one of few"
    method = (
        f"The median CPU time of a sample with {plan.many_processes:,} sleeping processes more "
        "over that of the line above, each by its number of processes. (32,000 together with the "
        "rest of a host are more than the usual kernel.pid_max.)"
    )
    program = built("many.c", "vmad-many")
    many = children.start(
        [str(program), str(plan.many_processes)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert many.stdout is not None
    if many.stdout.readline() != b"ready\n":
        error = CannotMeasure(
            f"no {plan.many_processes:,} processes", "see kernel.pid_max, pids.max"
        )
        return Figure("sample-many", title, "", Asked("<=", 1.0), None, method, f"{error}.")
    number = len(subject.scan(True).processes)
    costs = _apart({"sample": subject.samples.take}, plan)["sample"]
    few_each = spread(few_costs).median / few
    each: Spread = spread(_cpu(costs)).scaled(1 / number / few_each)
    return Figure(
        "sample-many",
        title,
        "",
        Asked("<=", 1.0),
        each,
        method,
        extra={
            "processes": number,
            "sample_cpu_us": spread(_cpu(costs)).median * 1e6,
            "per_process_ns": spread(_cpu(costs)).median / number * 1e9,
            "few_per_process_ns": few_each * 1e9,
        },
    )
