# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad probe PID``: make the kernel try to merge, and hold the verdicts against what it does."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from vmad.cli.options import add_format_option, pid, source_of
from vmad.cli.probe_options import (
    MUCH,
    add_stop_option,
    address,
    expected_stop,
    run_probe,
    stop_text,
)
from vmad.cli.terminal import Progress, style_of
from vmad.errors import VmadError
from vmad.export.legend import legend, reason_lines
from vmad.export.printable import printable
from vmad.export.quantities import counted, duration
from vmad.model.evidence import CHOICES
from vmad.model.table import VmaTable
from vmad.probe.client import ProbeRun
from vmad.rules.stock import StockRules

SHOWN = 50


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "probe",
        help="make the kernel try to merge the pairs of one process",
        description="Stop a process, set a hint on one VMA and take it back, and see whether the "
        "kernel merged the pair. A mergeable pair is merged by that; nothing else changes. One "
        "boundary of a small process is a stop of about a millisecond. Many are asked in stops of "
        "half of --max-stop each, about 0.1 ms a boundary with kernel evidence: 60,000 boundaries "
        "are six seconds in 240 stops. With procfs evidence each boundary takes 0.02 ms more for "
        "each VMA of the process. Exit status 1 when the kernel does otherwise than the "
        "verdict said, or when a boundary could not be asked about.",
    )
    parser.add_argument("pid", type=pid, metavar="PID")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--boundary", type=address, metavar="ADDR", help="only the pair whose upper VMA begins here"
    )
    which.add_argument("--all", action="store_true", help="every pair (default)")
    parser.add_argument(
        "--evidence", choices=CHOICES, default="auto",
        help="what the verdicts rest on and what is compared before and after",
    )  # fmt: skip
    parser.add_argument(
        "--yes", action="store_true",
        help=f"do not ask at a terminal before stops of more than {MUCH:g} s in all",
    )  # fmt: skip
    add_stop_option(parser)
    add_format_option(parser)
    parser.set_defaults(run=run, capture=None)


def run(arguments: argparse.Namespace) -> int:
    """Ask, compare, print. Returns 1 on any disagreement, change or refusal of the one asked."""
    with source_of(arguments) as source:
        with Progress(f"vmad: reading {arguments.pid}"):
            process = source.find(arguments.pid)
            table = source.table(process)
            rules = StockRules(source.kernel)
            upper = table.rows[table.rows["pair"] == 1]
            verdicts = {
                start: rules.judge(facts) for start, facts in upper[["start", "facts"]].tolist()
            }
        evidence = source.evidence.value
        asked = [arguments.boundary] if arguments.boundary is not None else sorted(verdicts)
        if not _wanted(arguments, table, len(asked)):
            return 1
        result = ProbeRun(evidence)
        with Progress(f"vmad: asking {arguments.pid}") as progress:
            if asked:
                result = run_probe(
                    process, asked, progress,
                    max_stop=arguments.max_stop / 1000, evidence=evidence,
                )  # fmt: skip
            after = source.table(process).map_count
    for answer in result.answers:
        _compare(answer, verdicts.get(int(answer["boundary"], 16)))
    if arguments.format == "json":
        print(json.dumps(_document(arguments.pid, table.map_count, after, result)))
    else:
        print("\n".join(_text(table.comm, arguments.pid, table.map_count, after, result)))
    changed = [answer for answer in result.answers if answer["outcome"] == "changed"]
    if changed:
        raise VmadError(
            f"process {arguments.pid}: something else than a merge changed at "
            f"{changed[0]['boundary']}: {changed[0]['why']}",
            "please report this",
        )
    refused = (
        arguments.boundary is not None
        and result.answers[:1]
        and (result.answers[0]["outcome"] == "refused")
    )
    wrong = any(answer["agrees"] is False for answer in result.answers)
    return 1 if wrong or refused else 0


def _wanted(arguments: argparse.Namespace, table: VmaTable, boundaries: int) -> bool:
    """Say how long the process will stand still where that is long; a person is asked."""
    still = expected_stop(boundaries, table.map_count, table.evidence)
    if still <= MUCH:
        return True
    print(
        f"vmad: {printable(table.comm)} ({arguments.pid}) will stand still for about "
        f"{duration(still)} in all, up to {arguments.max_stop:g} ms at a time: "
        f"{counted(boundaries, 'boundary', 'boundaries')} to ask about",
        file=sys.stderr,
    )
    if arguments.yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    print("vmad: go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    print("vmad: nothing was asked, the process was not stopped", file=sys.stderr)
    return False


def _compare(answer: dict[str, Any], judgement: Any) -> None:
    """Set "agrees": None where there is nothing to compare."""
    if not answer["verdict"] and judgement is not None and not answer["earlier"]:
        answer["verdict"] = judgement.verdict.value
        answer["reasons"] = list(judgement.reasons)
    expected = {"mergeable": "merged", "blocked": "apart"}.get(answer["verdict"])
    known = expected is not None and answer["outcome"] in ("merged", "apart")
    answer["agrees"] = answer["outcome"] == expected if known else None


def _document(
    pid: int, before: int | None, after: int | None, result: ProbeRun
) -> dict[str, object]:
    return {
        "schema": "vmad.probe/1",
        "pid": pid,
        "evidence": result.evidence,
        "map_count_before": before,
        "map_count_after": after,
        "stops_seconds": result.stops,
        "threads": result.threads,
        "cancelled": result.cancelled,
        "answers": result.answers,
    }


def _text(
    comm: str, pid: int, before: int | None, after: int | None, result: ProbeRun
) -> list[str]:
    lines = [f"{printable(comm)} ({pid}), {result.evidence} evidence"]
    if not result.answers:
        return [*lines, "No two of its VMAs are a pair: there is nothing to ask."]
    lines.append(f"{'boundary':18} {'verdict':10} {'kernel':8} reasons")
    told = sorted(result.answers, key=lambda answer: answer["agrees"] is not False)
    for answer in told[:SHOWN]:
        note = ", ".join(answer["reasons"])
        if answer["outcome"] in ("refused", "changed"):
            note = answer["why"]
        elif answer["earlier"]:
            note = "merged along with an earlier one"
        if answer["agrees"] is False:
            note += "  DISAGREES"
        lines.append(
            f"{answer['boundary']:18} {answer['verdict'] or '-':10} {answer['outcome']:8} {note}"
        )
    shown = {name for answer in told[:SHOWN] for name in answer["reasons"]}
    style = style_of(sys.stdout)
    lines += legend("What the reasons mean:", reason_lines(shown, style), style)
    if len(told) > SHOWN:
        lines.append(f"… and {len(told) - SHOWN:,} more (--format json has all)")
    count = {
        name: sum(answer["outcome"] == name for answer in result.answers)
        for name in ("merged", "apart", "refused")
    }
    wrong = sum(answer["agrees"] is False for answer in result.answers)
    lines += [
        stop_text(result),
        f"{len(result.answers):,} asked: {count['merged']:,} merged, {count['apart']:,} stayed "
        f"apart, {count['refused']:,} refused; {wrong:,} against the verdict. "
        f"map_count {before:,} → {after:,}.",
    ]
    if result.cancelled:
        print("vmad: interrupted: not all boundaries were asked about", file=sys.stderr)
    return lines
