# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad heal PID``: merge what the kernel would merge at its next attempt, for good."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass

from vmad.cli import heal_rebuild
from vmad.cli.heal_rebuild import DEFAULT_MAX_STOP as REBUILD_MAX_STOP
from vmad.cli.options import add_format_option, pid, source_of
from vmad.cli.probe_options import (
    DEFAULT_MAX_STOP,
    add_stop_option,
    expected_stop,
    run_probe,
    stop_text,
)
from vmad.cli.terminal import Progress
from vmad.errors import VmadError
from vmad.export.printable import printable
from vmad.export.quantities import count, counted, duration
from vmad.model.evidence import CHOICES
from vmad.model.process import Evidence
from vmad.model.table import VmaTable
from vmad.model.verdict import Verdict
from vmad.probe.client import ProbeRun
from vmad.rules.rebuild import RebuildRules
from vmad.rules.rebuild_runs import rebuild_runs
from vmad.rules.runs import recoverable
from vmad.rules.stock import StockRules
from vmad.sources.source import Source


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "heal",
        help="merge what the kernel would merge at its next attempt",
        description="Merge the latent pairs of a process: set a hint on one VMA and take it "
        "back, in stops of bounded length. With --rebuild also what the kernel would not merge "
        "by itself: runs that only anon_vma or page offset keep apart become one VMA, their pages "
        "moved and not copied (Linux 6.8 and later). Relief without a restart for a process near "
        "vm.max_map_count. Without --apply it only says what it would do.",
    )
    parser.add_argument("pid", type=pid, metavar="PID")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="only say what it would do (default)")
    how.add_argument("--apply", action="store_true", help="do it")
    parser.add_argument(
        "--rebuild", action="store_true",
        help="join runs that only anon_vma or page offset keep apart (docs/rebuild.md)",
    )  # fmt: skip
    parser.add_argument(
        "--evidence", choices=CHOICES, default="auto",
        help="how the latent pairs are found; by procfs only candidates are known",
    )  # fmt: skip
    add_stop_option(parser, f"{DEFAULT_MAX_STOP:.0f} ms, {REBUILD_MAX_STOP:.0f} with --rebuild")
    add_format_option(parser)
    parser.set_defaults(run=run, capture=None)


@dataclass(frozen=True, slots=True)
class Plan:
    """What can be gained. ``predicted`` is None where the evidence leaves it open."""

    boundaries: list[int]
    predicted: int | None
    map_count: int | None
    certain: bool
    stop: float  #: seconds that the process would stand still, all stops together
    rebuild: int  #: VMAs that a rebuild would save


def run(arguments: argparse.Namespace) -> int:
    """Plan, and with --apply do it. Returns 1 when the count did not drop as predicted."""
    with source_of(arguments) as source, Progress(f"vmad: reading {arguments.pid}") as progress:
        if arguments.rebuild:
            arguments.max_stop = arguments.max_stop or REBUILD_MAX_STOP
            return heal_rebuild.run(arguments, source, progress)
        arguments.max_stop = arguments.max_stop or DEFAULT_MAX_STOP
        process = source.find(arguments.pid)
        table = source.table(process)
        plan = plan_of(table, source)
        limit = source.max_map_count
        if not arguments.apply or not plan.boundaries:
            return _tell_plan(arguments, table.comm, plan, limit)
        result = run_probe(
            process, plan.boundaries, progress,
            max_stop=arguments.max_stop / 1000, evidence=source.evidence.value,
            latent_only=plan.certain, room_needed=0,
        )  # fmt: skip
        after = source.table(process).map_count
    return _tell_result(arguments, table.comm, plan, result, after)


def plan_of(table: VmaTable, source: Source) -> Plan:
    """What would be done."""
    rules, rebuild = StockRules(source.kernel), RebuildRules(source.kernel)
    certain = table.evidence is Evidence.KERNEL
    wanted = Verdict.MERGEABLE if certain else Verdict.UNKNOWN
    upper = table.rows[table.rows["pair"] == 1][["start", "facts"]].tolist()
    boundaries = [start for start, facts in upper if rules.judge(facts).verdict is wanted]
    stop = expected_stop(len(boundaries), table.map_count, table.evidence)
    saved = rebuild_runs(table, rebuild).saved if certain and rebuild.possible else 0
    return Plan(
        boundaries,
        recoverable(table, rules),
        table.map_count,
        certain,
        stop,
        saved,
    )


def _tell_plan(arguments: argparse.Namespace, comm: str, plan: Plan, limit: int | None) -> int:
    if arguments.format == "json":
        print(
            json.dumps(
                {
                    "schema": "vmad.heal/1",
                    "pid": arguments.pid,
                    "applied": False,
                    "map_count_before": plan.map_count,
                    "max_map_count": limit,
                    "latent_pairs": len(plan.boundaries),
                    "predicted": plan.predicted,
                    "rebuild_saves": plan.rebuild,
                }
            )
        )
        return 0
    print(
        f"{printable(comm)} ({arguments.pid}): map_count {count(plan.map_count)} of {count(limit)}"
    )
    if not plan.boundaries:
        print("Nothing to heal: no pair of it would merge.")
        _tell_rebuild(arguments, plan)
        return 0
    if not plan.certain:
        print(
            f"{len(plan.boundaries):,} pairs might merge: without kernel evidence it cannot be "
            "said how many would (vmad doctor tells what is missing)."
        )
    print(
        f"Risk: the process stands still for about {duration(plan.stop)} in all, up to "
        f"{arguments.max_stop:g} ms at a time; each VMA has another read-ahead hint for "
        "about a microsecond, which nothing but reclaim looks at. Memory, registers, system "
        "calls and signals stay as they are."
    )
    gain = "an unknown number of VMAs" if plan.predicted is None else counted(plan.predicted, "VMA")
    pairs = counted(len(plan.boundaries), "latent pair")
    print(f"Would merge {pairs} and gain {gain}; --apply does.")
    _tell_rebuild(arguments, plan)
    return 0


def _tell_rebuild(arguments: argparse.Namespace, plan: Plan) -> None:
    if plan.rebuild > len(plan.boundaries):
        vmas = counted(plan.rebuild, "VMA")
        print(f"A rebuild could join more, {vmas} in all: vmad heal {arguments.pid} --rebuild")


def _tell_result(
    arguments: argparse.Namespace, comm: str, plan: Plan, result: ProbeRun, after: int | None
) -> int:
    before = plan.map_count
    gained = None if before is None or after is None else before - after
    changed = [answer for answer in result.answers if answer["outcome"] == "changed"]
    merged = sum(answer["outcome"] == "merged" for answer in result.answers)
    if arguments.format == "json":
        print(
            json.dumps(
                {
                    "schema": "vmad.heal/1",
                    "pid": arguments.pid,
                    "applied": True,
                    "map_count_before": before,
                    "map_count_after": after,
                    "latent_pairs": len(plan.boundaries),
                    "predicted": plan.predicted,
                    "merged": merged,
                    "stops_seconds": result.stops,
                    "cancelled": result.cancelled,
                }
            )
        )
    else:
        print(f"{printable(comm)} ({arguments.pid})")
        print(stop_text(result))
        predicted = "" if plan.predicted is None else f" ({plan.predicted:,} predicted)"
        print(f"Healed: map_count {before:,} → {after:,}, {gained or 0:,} VMAs fewer{predicted}.")
    if changed:
        raise VmadError(
            f"process {arguments.pid}: something else than a merge changed at "
            f"{changed[0]['boundary']}: {changed[0]['why']}",
            "please report this",
        )
    if result.cancelled:
        print("vmad: interrupted: not all pairs were merged", file=sys.stderr)
        return 1
    return 0 if plan.predicted is None or gained == plan.predicted else 1
