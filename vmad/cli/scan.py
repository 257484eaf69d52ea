# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad scan``: every process once, the one nearest to the limit first."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from vmad.cli.daemon import DEFAULT_ADDRESS, NoDaemon, bursts_over, failed_at_limit
from vmad.cli.options import (
    add_format_option,
    add_kernel_option,
    add_source_options,
    address,
    fallback_note,
    is_here,
    judged_as,
    pid,
    positive,
    source_of,
)
from vmad.cli.terminal import Progress, style_of
from vmad.errors import UsageError
from vmad.export.printable import printable
from vmad.scan.once import HostScan, scan_once
from vmad.scan.phases import Phase
from vmad.sources.host_limits import limit_origin_of

if TYPE_CHECKING:
    from vmad.model.failures import FailureTally
    from vmad.rules.limit_origin import LimitOrigin
    from vmad.rules.vma_cost import VmaCost
    from vmad.scan.bursts import Burst

EXIT_UNREADABLE = 3
DEFAULT_TOP = 15


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "scan",
        help="who is near the limit, and what their VMAs are lost to",
        description="Read every process once and judge all its pairs of neighbouring VMAs. "
        "Exit status 3 when a process that was named, or every process, could not be read.",
    )
    parser.add_argument("pids", nargs="*", type=pid, metavar="PID", help="only these processes")
    add_source_options(parser)
    add_kernel_option(parser)
    add_format_option(parser)
    parser.add_argument(
        "--daemon",
        type=address,
        metavar="HOST:PORT",
        help="where the daemon of this host answers, which knows what has failed at the limit "
        "and what came near it for a time "
        f"(default {DEFAULT_ADDRESS}, if one answers there)",
    )
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "--top",
        type=positive,
        default=DEFAULT_TOP,
        metavar="N",
        help=f"list the N processes nearest to the limit (default {DEFAULT_TOP})",
    )
    shown.add_argument("--all", action="store_true", help="list every process")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Scan once and print. Returns 0, or 3 when a named process, or every one, was unreadable."""
    with source_of(arguments) as source, Progress("vmad: reading") as progress:
        scan = scan_once(
            source,
            judged_as(source, arguments.kernel),
            arguments.pids or None,
            lambda done, total: progress.step(f"vmad: reading {done} of {total} processes"),
        )
        origin, cost = limit_origin_of(source), source.vma_cost
        notes = [fallback_note(arguments, source)]
    failures: FailureTally | None = None
    bursts: list[Burst] | None = None
    if is_here(arguments):
        daemon = arguments.daemon or DEFAULT_ADDRESS
        try:
            bursts = bursts_over(daemon)
            failures = failed_at_limit(daemon)
        except NoDaemon as error:
            notes.append(f"{error}." if arguments.daemon else None)
    elif arguments.daemon:
        raise UsageError("--daemon is about processes of this host")
    if arguments.format == "json":
        _print_json(scan, origin, cost, failures, bursts)
    else:
        top = None if arguments.all or arguments.pids else arguments.top
        lines = _text_lines(scan, top, origin, failures, bursts)
        print("\n".join([*lines, *(printable(note) for note in notes if note is not None)]))
    blind = scan.unreadable and (arguments.pids or not scan.processes)
    return EXIT_UNREADABLE if blind else 0


# each of both imports what it renders by, and nothing of the other's


def _print_json(
    scan: HostScan,
    origin: LimitOrigin | None,
    cost: VmaCost | None,
    failures: FailureTally | None,
    bursts: list[Burst] | None,
) -> None:
    from vmad.export.scan_json import phases_object, scan_document  # noqa: PLC0415

    known: dict[str, Any] = {}
    if failures is not None:
        from vmad.export.failures_json import failures_object  # noqa: PLC0415

        known["limit_failures"] = failures_object(failures)
    if bursts is not None:
        from vmad.export.bursts_json import bursts_list  # noqa: PLC0415

        known["bursts"] = bursts_list(bursts)
    began = time.perf_counter()
    document = scan_document(
        evidence=scan.evidence,
        kernel=scan.kernel,
        judged_as=scan.judged_as,
        max_map_count=scan.max_map_count,
        took_seconds=scan.took_seconds,
        processes=scan.processes,
        unreadable=scan.unreadable,
        origin=origin,
        cost=cost,
        phases=scan.phases,
    )
    document |= known
    document["phases"] |= phases_object({Phase.RENDER: time.perf_counter() - began})
    # dumps is the C encoder, dump is not
    print(json.dumps(document))


def _text_lines(
    scan: HostScan,
    top: int | None,
    origin: LimitOrigin | None,
    failures: FailureTally | None,
    bursts: list[Burst] | None,
) -> list[str]:
    from vmad.export.scan_text import scan_text  # noqa: PLC0415

    style = style_of(sys.stdout)
    lines = scan_text(scan, style, top)
    if origin is not None:
        limit = f"vm.max_map_count is {scan.max_map_count:,}: {printable(origin.text)}."
        lines += style.wrapped(limit, "")
    if failures is not None:
        from vmad.export.failures_text import failures_text  # noqa: PLC0415

        lines += ["", *failures_text(failures, style)]
    if bursts:
        from vmad.export.bursts_text import bursts_text  # noqa: PLC0415

        lines += ["", *bursts_text(bursts, style)]
    return lines
