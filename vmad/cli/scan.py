# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad scan``: every process once, the one nearest to the limit first."""

from __future__ import annotations

import argparse
import json
import sys

from vmad.cli.options import (
    add_format_option,
    add_kernel_option,
    add_source_options,
    fallback_note,
    judged_as,
    pid,
    positive,
    source_of,
)
from vmad.cli.terminal import Progress, style_of
from vmad.export.printable import printable
from vmad.export.scan_json import scan_document
from vmad.export.scan_text import scan_text
from vmad.scan.once import HostScan, scan_once

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
        note = fallback_note(arguments, source)
    if arguments.format == "json":
        json.dump(_document(scan), sys.stdout)
        print()
    else:
        top = None if arguments.all or arguments.pids else arguments.top
        lines = scan_text(scan, style_of(sys.stdout), top)
        print("\n".join(lines if note is None else [*lines, printable(note)]))
    blind = scan.unreadable and (arguments.pids or not scan.processes)
    return EXIT_UNREADABLE if blind else 0


def _document(scan: HostScan) -> dict[str, object]:
    return scan_document(
        evidence=scan.evidence,
        kernel=scan.kernel,
        judged_as=scan.judged_as,
        max_map_count=scan.max_map_count,
        took_seconds=scan.took_seconds,
        processes=scan.processes,
        unreadable=scan.unreadable,
    )
