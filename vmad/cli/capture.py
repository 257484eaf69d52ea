# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad capture``: records what the sources see into one file, to be judged anywhere."""

from __future__ import annotations

import argparse
import sys

from vmad.cli.options import add_source_options, pid, source_of
from vmad.cli.terminal import Progress
from vmad.export.printable import printable
from vmad.export.quantities import counted
from vmad.sources.capture_writer import CaptureWriter
from vmad.sources.recording import record
from vmad.sources.redaction import Redaction

EXIT_UNREADABLE = 3


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "capture",
        help="record what the sources see, to be judged elsewhere",
        description="Record the VMAs of every process, or of those named, with the facts of "
        "their pairs. scan and explain read the file with --from FILE. Names, paths and the host's "
        "name are replaced by hashes; addresses and sizes are kept.",
    )
    parser.add_argument("pids", nargs="*", type=pid, metavar="PID", help="only these processes")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="the file to write")
    parser.add_argument("--names", action="store_true", help="keep names, paths and the host name")
    parser.add_argument("--force", action="store_true", help="overwrite FILE")
    add_source_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the capture. Returns 0, or 3 when a process that was asked for is missing."""
    redaction = None if arguments.names else Redaction()
    with (
        source_of(arguments) as source,
        CaptureWriter(arguments.output, redaction, arguments.force) as writer,
        Progress("vmad: recording") as progress,
    ):
        recorded = record(
            source,
            writer,
            set(arguments.pids) or None,
            lambda done, total: progress.step(f"vmad: recording {done} of {total} processes"),
        )
    many = counted(recorded.processes, "process", "processes")
    text = f"{printable(arguments.output)}: {many}, {counted(recorded.vmas, 'VMA')}"
    if recorded.unreadable:
        text += f", {len(recorded.unreadable):,} could not be read"
    print(text, file=sys.stderr)
    if arguments.pids:
        for missed in recorded.unreadable:
            print(f"vmad: process {missed.id.pid}: {printable(missed.detail)}", file=sys.stderr)
    return EXIT_UNREADABLE if arguments.pids and recorded.unreadable else 0
