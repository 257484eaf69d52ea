# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad heal PID --rebuild``: runs that only anon_vma or page offset keep apart, made one VMA."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import dataclass

from vmad.cli.terminal import Progress
from vmad.errors import EvidenceUnavailable, VmadError
from vmad.export.printable import printable
from vmad.export.quantities import count, counted, duration, size
from vmad.model.process import Evidence
from vmad.model.table import VmaTable
from vmad.probe.client import RebuildRun, rebuild
from vmad.probe.cost import PER_STOP, move_seconds, stops_of
from vmad.rules.rebuild import RebuildRules
from vmad.rules.rebuild_runs import RebuildRuns, rebuild_runs
from vmad.sources.source import Source

#: milliseconds; the process does nothing else meanwhile
DEFAULT_MAX_STOP = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """``parts``: in how many pieces each run is moved; ``seconds``: standing still, all stops."""

    found: RebuildRuns
    parts: tuple[int, ...]
    seconds: float

    @property
    def predicted(self) -> int:
        """VMAs that vanish: each run becomes one VMA, a locked one one for each stop."""
        return sum(
            max(run.vmas - (parts if run.carried.lock else 1), 0)
            for run, parts in zip(self.found.runs, self.parts, strict=True)
        )


def plan_of(table: VmaTable, source: Source, max_stop: float) -> Plan:
    """What would be done; ``max_stop`` in seconds. Empty on a kernel that cannot."""
    rules = RebuildRules(source.kernel)
    found = rebuild_runs(table, rules) if rules.possible else RebuildRuns((), {})
    each = [move_seconds(run.vmas, run.end - run.start) for run in found.runs]
    parts = tuple(stops_of(seconds, max_stop) for seconds in each)
    return Plan(found, parts, sum(each) + stops_of(sum(each), max_stop) * PER_STOP)


def run(arguments: argparse.Namespace, source: Source, progress: Progress) -> int:
    """Plan, and with --apply do it. Returns 1 when something changed, or when interrupted."""
    process = source.find(arguments.pid)
    table = source.table(process)
    if table.evidence is not Evidence.KERNEL:
        raise EvidenceUnavailable(
            f"process {arguments.pid}: without kernel evidence it cannot be said what a rebuild "
            "would join",
            "vmad doctor tells what is missing",
        )
    if not RebuildRules(source.kernel).possible:
        raise VmadError(
            f"Linux {source.kernel.release} cannot move pages between areas",
            "UFFDIO_MOVE came with 6.8",
        )
    max_stop = arguments.max_stop / 1000
    plan = plan_of(table, source, max_stop)
    if not arguments.apply or not plan.found.runs:
        return _tell_plan(arguments, table, plan, source, max_stop)
    result = RebuildRun()
    runs = [(each.start, each.end) for each in plan.found.runs]
    for result in rebuild(process, runs, max_stop=max_stop):
        moved = sum(part["moved"] for part in result.parts)
        progress.step(f"vmad: moved {size(moved)} of at most {size(plan.found.bytes)}")
    after = source.table(process).map_count
    return _tell_result(arguments, table, plan, result, after)


def _tell_plan(
    arguments: argparse.Namespace, table: VmaTable, plan: Plan, source: Source, max_stop: float
) -> int:
    found, before = plan.found, table.map_count
    leaves = None if before is None else before - plan.predicted
    if arguments.format == "json":
        print(
            json.dumps(
                {
                    "schema": "vmad.heal/1",
                    "pid": arguments.pid,
                    "rebuild": True,
                    "applied": False,
                    "map_count_before": before,
                    "max_map_count": source.max_map_count,
                    "runs": [
                        {"start": hex(run.start), "end": hex(run.end), "vmas": run.vmas}
                        for run in found.runs
                    ],
                    "predicted": plan.predicted,
                    "bytes": found.bytes,
                    "stop_seconds": plan.seconds,
                    "left_out": found.left_out,
                }
            )
        )
        return 0
    print(
        f"{printable(table.comm)} ({arguments.pid}): map_count {count(before)} of "
        f"{count(source.max_map_count)}, a rebuild would leave {count(leaves)}"
    )
    if not found.runs:
        print("Nothing to rebuild: no run is kept apart by anon_vma or page offset alone.")
        _tell_left_out(found.left_out)
        return 0
    vmas = sum(run.vmas for run in found.runs)
    into = counted(vmas - plan.predicted, "VMA")
    print(
        f"{counted(len(found.runs), 'run')} of {counted(vmas, 'VMA')} would become {into}: "
        f"{counted(plan.predicted, 'VMA')} fewer. No page is copied."
    )
    stops = stops_of(plan.seconds, max_stop)
    print(
        f"To move: {size(found.bytes)} at most. The process stands still for about "
        f"{duration(plan.seconds)} in all, in {counted(stops, 'stop')} of up to "
        f"{max_stop * 1000:g} ms (--max-stop)."
    )
    print(
        "Needs 10 VMAs below the limit and, for a moment, as much address space again as is moved "
        "at once. Pages that a living child shares or that are pinned stay, with their VMAs."
    )
    _tell_left_out(found.left_out)
    print(
        "Risk: if vmad is killed in the middle, the process finishes its step by itself; memory, "
        "registers, calls and signals stay as they are. --apply does it."
    )
    return 0


def _tell_left_out(left_out: dict[str, int]) -> None:
    for why, pairs in sorted(left_out.items(), key=lambda item: -item[1]):
        print(f"Left out: {counted(pairs, 'pair')} (a VMA {why}).")


def _tell_result(
    arguments: argparse.Namespace,
    table: VmaTable,
    plan: Plan,
    result: RebuildRun,
    after: int | None,
) -> int:
    before = table.map_count
    fewer = None if before is None or after is None else before - after
    moved = sum(part["moved"] for part in result.parts)
    stayed: Counter[str] = Counter()
    for part in result.parts:
        if part["outcome"] == "left out":
            stayed[part["why"]] += part["vmas"]
    changed = [part for part in result.parts if part["outcome"] == "changed"]
    if arguments.format == "json":
        print(
            json.dumps(
                {
                    "schema": "vmad.heal/1",
                    "pid": arguments.pid,
                    "rebuild": True,
                    "applied": True,
                    "map_count_before": before,
                    "map_count_after": after,
                    "predicted": plan.predicted,
                    "bytes_moved": moved,
                    "stops_seconds": result.stops,
                    "left_out": plan.found.left_out | dict(stayed),
                    "cancelled": result.cancelled,
                }
            )
        )
    else:
        print(f"{printable(table.comm)} ({arguments.pid})")
        stops = sorted(result.stops)
        if stops:
            median = duration(stops[len(stops) // 2])
            print(
                f"Stopped {counted(len(stops), 'time')}: median {median}, longest "
                f"{duration(stops[-1])}, {duration(sum(stops))} in all; {size(moved)} moved."
            )
        for why, vmas in stayed.most_common():
            print(f"Left out: {counted(vmas, 'VMA')} (a part {why}).")
        print(
            f"Rebuilt: map_count {count(before)} → {count(after)}, {count(fewer)} VMAs fewer "
            f"({count(plan.predicted)} predicted)."
        )
    if changed:
        raise VmadError(
            f"process {arguments.pid}: at {changed[0]['start']:#x} {changed[0]['why']}",
            "please report this",
        )
    if result.cancelled:
        print("vmad: interrupted: not all runs were rebuilt", file=sys.stderr)
        return 1
    return 0
