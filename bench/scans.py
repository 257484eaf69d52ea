# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Scans of a host with one large process, against reading the text of maps, and psutil."""

from __future__ import annotations

import contextlib
import importlib.metadata
import subprocess
import time
from collections.abc import Callable

from bench.children import Children
from bench.figures import Asked, Figure
from bench.measure import Cost, cost_of, cost_ratio, in_turn, milliseconds
from bench.plan import Plan
from bench.ratios import spread
from bench.subject import scanner
from vmad.scan.scanner import Scanner

_CAT = "cat /proc/[0-9]*/maps >/dev/null"


def cat_maps() -> None:
    """The counterpart: the text of everybody's maps, read and thrown away."""
    subprocess.run(_CAT, shell=True, check=False, stderr=subprocess.DEVNULL)


def psutil_version() -> str | None:
    """None where psutil is not installed."""
    try:
        return importlib.metadata.version("psutil")
    except importlib.metadata.PackageNotFoundError:
        return None


def read_with_psutil() -> int:
    """memory_maps() of every process, as it is by default; returns the number of entries."""
    import psutil  # type: ignore[import-untyped]  # noqa: PLC0415  only the extra "bench" has it

    entries = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            entries += len(process.memory_maps())
    return entries


def _scan(subject: Scanner, full: bool) -> Callable[[], Cost]:
    return lambda: cost_of(lambda: subject.scan(full))


def _samples(subject: Scanner, plan: Plan) -> list[Cost]:
    costs = []
    for _ in range(plan.samples):
        time.sleep(plan.sample_pause)
        costs.append(cost_of(subject.samples.take))
    return costs


def measure(plan: Plan) -> list[Figure]:
    """All of them, in one run."""
    with Children() as children, scanner("kernel") as exact, scanner("procfs") as text:
        large = children.large(plan.large_vmas)
        children.small(plan.small_processes)
        costs = in_turn(
            {
                "full": _scan(exact, full=True),
                "cat": lambda: cost_of(cat_maps),
                "procfs": _scan(text, full=True),
                "steady": _scan(exact, full=False),
                "procfs steady": _scan(text, full=False),
            },
            plan.rounds,
            plan.step("scans"),
        )
        seen = exact.scan(True)
        host = {"processes": len(seen.processes), "vmas": sum(seen.kinds)}
        samples = _samples(exact, plan)
        back_to_back = cost_of(exact.samples.take, times=20)
        by_psutil = None
        if psutil_version() is not None:
            by_psutil = in_turn(
                {"psutil": lambda: cost_of(read_with_psutil), "full": _scan(exact, full=True)},
                plan.slow_rounds,
                plan.step("psutil"),
            )
        children.end([large.process])
        children.large(plan.large_vmas, touched=True)
        touched = in_turn(
            {"full": _scan(exact, full=True), "cat": lambda: cost_of(cat_maps)},
            plan.rounds,
            plan.step("scans, pages written"),
        )
    cat = milliseconds(costs["cat"], "cat")
    full = cost_ratio(costs["full"], costs["cat"])
    by_text = cost_ratio(costs["procfs"], costs["cat"])
    steady = cost_ratio(costs["steady"], costs["cat"])
    steady_text = cost_ratio(costs["procfs steady"], costs["cat"])
    written = cost_ratio(touched["full"], touched["cat"])
    sample = spread([cost.cpu for cost in samples])
    against_cat = f"against `{_CAT}`"
    return [
        Figure(
            "full-exact",
            f"full exact scan {against_cat}",
            "",
            Asked("<=", 0.5),
            full.judged,
            f"A host with one process of {plan.large_vmas:,} VMAs (every other page without write "
            f"access) and {plan.small_processes} sleeping ones. A scan walks and judges every pair "
            "of every process and adds it all up.",
            extra={**host, "wall_ratio": full.wall.median, "cpu_ratio": full.cpu.median}
            | milliseconds(costs["full"], "scan")
            | cat,
        ),
        Figure(
            "full-exact-written",
            "the same, each page of the large process written",
            "",
            Asked("<=", 0.6),
            written.judged,
            "The large process has written to its pages: each VMA has an anon_vma to look at.",
            extra={"wall_ratio": written.wall.median, "cpu_ratio": written.cpu.median}
            | milliseconds(touched["full"], "scan"),
        ),
        Figure(
            "full-procfs",
            f"full scan with procfs evidence {against_cat}",
            "",
            Asked("<=", 1.15),
            by_text.judged,
            "The same host in the same rounds. With procfs evidence vmad reads the same text.",
            extra={"wall_ratio": by_text.wall.median, "cpu_ratio": by_text.cpu.median}
            | milliseconds(costs["procfs"], "scan"),
        ),
        Figure(
            "steady",
            f"steady scan, nothing having changed, {against_cat}",
            "",
            Asked("<=", 0.02),
            steady.judged,
            "The same host in the same rounds; only the benchmark itself has changed in between.",
            extra={"wall_ratio": steady.wall.median, "cpu_ratio": steady.cpu.median}
            | milliseconds(costs["steady"], "scan"),
        ),
        Figure(
            "steady-procfs",
            "steady scan with procfs evidence",
            "",
            None,
            steady_text.judged,
            "procfs shows neither map_count nor mm_lock_seq: what keeps its size is not read again "
            "before the next full scan, but every process's stat is.",
            extra=milliseconds(costs["procfs steady"], "scan"),
        ),
        Figure(
            "sample",
            f"CPU of sampling every second, {plan.small_processes} processes",
            "% of a core",
            Asked("<", 0.1),
            sample.scaled(100),
            f"CPU time of one sample, {plan.samples} of them {plan.sample_pause:g} s apart, as the "
            "daemon takes them: its code and the kernel's structures have left the caches since.",
            extra={
                "sample_cpu_us": sample.median * 1e6,
                "back_to_back_cpu_us": back_to_back.cpu * 1e6,
                "processes": host["processes"],
            },
        ),
        _psutil_figure(by_psutil),
    ]


def _psutil_figure(costs: dict[str, list[Cost]] | None) -> Figure:
    title = "psutil's memory_maps() of every process, in full exact scans"
    asked = Asked(">=", 50)
    method = (
        "The same host: psutil's CPU or wall time (whichever favours psutil) over that of a full "
        f"exact scan. psutil {psutil_version()} reads smaps, which the kernel writes: so the "
        "figure moves with the kernel and with what else the machine does, not with psutil alone."
    )
    if costs is None:
        missing = "psutil is not installed: it comes with the extra `bench`."
        return Figure("psutil", title, "", asked, None, method, missing)
    ratio = cost_ratio(costs["psutil"], costs["full"])
    return Figure(
        "psutil",
        title,
        "",
        asked,
        min(ratio.wall, ratio.cpu, key=lambda each: each.median),
        method,
        extra={"wall_ratio": ratio.wall.median, "cpu_ratio": ratio.cpu.median}
        | milliseconds(costs["psutil"], "psutil"),
    )
