# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a target feels: its own mmap+munmap while it is scanned, and how long its lock is held."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench.children import TARGET, CannotMeasure, Children, Large
from bench.figures import Asked, Figure
from bench.lock_holds import lock_trace
from bench.plan import Plan
from bench.ratios import Spread, paired, spread
from bench.subject import scanner
from vmad.model.process import ProcessId
from vmad.sources.choose import open_source
from vmad.sources.source import Source

Result = dict[str, float]

#: microseconds between two mmap+munmap: none, and what a busy server might make
_PAUSES = (0, 200)

_NAME = "vmad-bench"

_HELD = (
    "Trace events of the kernel (mmap_lock:*, sched:sched_switch) during scans of the target, back "
    "to back, while it maps and unmaps every 20 µs: the longest time from an acquisition of its "
    "mmap_lock by a thread of vmad to the release, time off the core included."
)


_GIVES_WAY = (
    "This walk holds on for as long as nobody waits, and gives way to the first who does "
    "(mmap_lock_is_contended, kernel/bpf/task_iter.c)."
)


def measure(plan: Plan) -> list[Figure]:
    """The target runs on one core, the scanner on another where there is one."""
    cores = os.sched_getaffinity(0)
    # what the trace knows vmad's threads by: those that start from here on inherit it
    Path("/proc/self/comm").write_text(_NAME, "ascii")
    with Children() as children:
        try:
            os.sched_setaffinity(0, {max(cores)})
            target = children.large(plan.large_vmas)
            os.sched_setaffinity(0, {min(cores)})
            with scanner("kernel") as subject:
                figures = _latencies(plan, target, subject.source)
                figures.append(_longest_hold(plan, target, subject.source))
            with _older_walk() as source:
                hold = _longest_hold(plan, target, source)
                figures.append(_information(hold, "task_vma", "the older BPF walk", _GIVES_WAY))
            with scanner("procfs") as subject:
                hold = _longest_hold(plan, target, subject.source)
                figures.append(_information(hold, "procfs", "procfs evidence"))
        finally:
            os.sched_setaffinity(0, cores)
    return figures


@contextmanager
def _older_walk() -> Iterator[Source]:
    """The walk for kernels before 6.10, which this kernel still has."""
    os.environ["VMAD_WALK"] = "task_vma"
    try:
        source = open_source("kernel", None)
    finally:
        del os.environ["VMAD_WALK"]
    try:
        yield source
    finally:
        source.close()


def _process_id(source: Source, pid: int) -> ProcessId:
    for row in source.census()[["pid", "start_time"]].tolist():
        if row[0] == pid:
            return ProcessId(*row)
    raise CannotMeasure(f"process {pid} is gone")


def _while(
    target: Large, seconds: float, pause: int, work: Callable[[], object]
) -> tuple[Result, int]:
    """What the target measures while ``work`` is done again and again, and how often it was."""
    target.begin(seconds, pause)
    end, times = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        work()
        times += 1
    return target.result(), times


def _latencies(plan: Plan, target: Large, source: Source) -> list[Figure]:
    process = _process_id(source, target.pid)
    rounds: dict[int, list[tuple[Result, Result, int]]] = {pause: [] for pause in _PAUSES}
    show = plan.step("latency")
    for done in range(plan.latency_rounds):
        show(done)
        for pause, results in rounds.items():
            idle, _ = _while(target, plan.latency_seconds, pause, lambda: time.sleep(0.01))
            scanned, scans = _while(
                target, plan.latency_seconds, pause, lambda: list(source.summarise([process]))
            )
            results.append((idle, scanned, scans))
    return [_latency_figure(plan, pause, results) for pause, results in rounds.items()]


def _latency_figure(plan: Plan, pause: int, rounds: list[tuple[Result, Result, int]]) -> Figure:
    idle, scanned = [one for one, _, _ in rounds], [one for _, one, _ in rounds]

    def median(results: list[Result], name: str) -> float:
        return spread([result[name] for result in results]).median

    def ratio(name: str) -> Spread:
        return paired([one[name] for one in scanned], [one[name] for one in idle])

    title = (
        f"mean latency of mmap+munmap in a process of {plan.large_vmas:,} VMAs, "
        "scanned back to back, against idle"
    )
    if pause:
        title = f"the same, {pause} µs of rest between two mmap+munmap"
    return Figure(
        f"latency-{pause}us" if pause else "latency",
        title,
        "",
        None if pause else Asked("<=", 1.05),
        ratio("mean"),
        f"A C program times each mmap+munmap of one page, for {plan.latency_seconds:g} s idle and "
        f"as long while vmad walks it (only it) again and again, {len(rounds)} times in turn; "
        "each on a core of its own. Operations in which the kernel gave the core to another "
        "process are left out, and are in the ratio_with_preempted.",
        extra={
            "idle_mean_ns": median(idle, "mean"),
            "scanned_mean_ns": median(scanned, "mean"),
            "idle_p99_ns": median(idle, "p99"),
            "scanned_p99_ns": median(scanned, "p99"),
            "ratio_of_medians": ratio("p50").median,
            "ratio_of_p99": ratio("p99").median,
            "ratio_with_preempted": ratio("mean_all").median,
            "scans_per_second": sum(scans for _, _, scans in rounds)
            / plan.latency_seconds
            / len(rounds),
        },
    )


def _longest_hold(plan: Plan, target: Large, source: Source) -> Figure:
    process = _process_id(source, target.pid)
    list(source.summarise([process]))  # the reading threads of procfs start with the first read
    title = "longest single hold of the target's mmap_lock by a scan"
    method = _HELD
    asked = Asked("<", 1.0)
    try:
        with lock_trace((_NAME, TARGET)) as trace:
            with trace.running():
                _, scans = _while(
                    target, plan.traced_seconds, 20, lambda: list(source.summarise([process]))
                )
            found = trace.holds()
    except CannotMeasure as error:
        return Figure("hold", title, "ms", asked, None, method, note=f"{error}.")
    # thread numbers are those of the initial namespace; nobody but the target locks so often to
    # write, some 10,000 times a second
    writers = Counter(hold.tid for hold in found if hold.write).most_common(1)
    theirs = writers[0][0] if writers else 0
    by_target = [hold for hold in found if hold.tid == theirs and hold.write]
    locks = {hold.mm for hold in by_target}
    ours = [hold for hold in found if hold.tid != theirs and hold.mm in locks]
    note = ""
    if not by_target:
        return Figure(
            "hold", title, "ms", asked, None, method, note="The trace saw no lock at all."
        )
    if not ours:
        note = (
            "The trace shows no acquisition of it by vmad at all, while it shows the target's own: "
            "the walk takes no lock, or one VMA's at a time (CONFIG_PER_VMA_LOCK) and no address "
            "space's."
        )
    longest = max((hold.seconds for hold in ours), default=0.0) * 1e3
    return Figure(
        "hold",
        title,
        "ms",
        asked,
        spread([longest]),
        method,
        note,
        extra={
            "walk": source.health().walk,
            "scans": scans,
            "holds": len(ours),
            "longest_on_the_core_ms": max(
                ((hold.seconds - hold.switched_off) * 1e3 for hold in ours), default=0.0
            ),
            "median_hold_ms": spread([hold.seconds * 1e3 for hold in ours] or [0.0]).median,
            "holds_of_the_target_itself": len(by_target),
        },
    )


def _information(figure: Figure, name: str, what: str, note: str = "") -> Figure:
    title, note = f"the same, {what}", figure.note or note
    return replace(figure, name=f"hold-{name}", title=title, asked=None, note=note)
