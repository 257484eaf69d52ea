# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad map PID``: the picture of an address space, as one file for a browser or a report."""

from __future__ import annotations

import argparse
import os
import sys

from vmad.cli.options import (
    add_kernel_option,
    add_source_options,
    is_here,
    judged_as,
    pid,
    source_of,
)
from vmad.cli.terminal import Progress
from vmad.errors import ProcessGone, UsageError, VmadError
from vmad.export.explain_text import Context, explain_text
from vmad.export.picture.document import map_document
from vmad.export.picture.picture import picture_of
from vmad.export.printable import printable
from vmad.export.quantities import counted
from vmad.export.style import Style
from vmad.scan.explain import Explanation, explain
from vmad.scan.host_limits import HostLimits
from vmad.sources.host_limits import limit_origin_of
from vmad.sources.names import named_or_not


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "map",
        help="the picture of an address space",
        description="Draw every VMA of one process: what it is, and what keeps it apart from its "
        "neighbour. FILE is one page for a browser and needs nothing else, or, where its name ends "
        "in .svg, a drawing for a report. Exit status 3 when the process is gone or may not be "
        "read.",
    )
    parser.add_argument("pid", type=pid, metavar="PID")
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="the file to write: .html or .svg"
    )
    parser.add_argument("--force", action="store_true", help="overwrite FILE")
    add_source_options(parser)
    add_kernel_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read one process and write its picture."""
    form = _form(arguments.output)
    with source_of(arguments) as source, Progress(f"vmad: reading {arguments.pid}") as progress:
        process = source.find(arguments.pid)
        table = source.table(process)
        if arguments.capture is None and not len(table.rows):
            raise ProcessGone(f"process {arguments.pid} is gone: it has no VMA left")
        here = is_here(arguments)
        if here and not table.paths:
            table = named_or_not(table)
        progress.step(f"vmad: drawing {arguments.pid}")
        explanation = explain(
            table,
            source.kernel,
            source.max_map_count,
            judged_as(source, arguments.kernel),
        )
        limits = HostLimits(source.vma_cost, limit_origin_of(source) if here else None)
        text = _drawn(explanation, limits, form)
    _write(arguments.output, text, arguments.force)
    vmas = counted(len(explanation.table.rows), "VMA")
    print(f"{printable(arguments.output)}: {vmas}", file=sys.stderr)
    return 0


def _form(path: str) -> str:
    form = os.path.splitext(path)[1].lower()
    if form not in (".html", ".htm"):
        raise UsageError(f"{printable(path)}: what is it to be?", "name it .html")
    return form


def _drawn(explanation: Explanation, limits: HostLimits, form: str) -> str:
    table = explanation.table
    vmas = counted(len(table.rows), "VMA")
    title = f"{printable(table.comm)} (pid {table.id.pid}): {vmas}"
    lines = explain_text(explanation, Style(), Context(advise=True, limits=limits))
    return map_document(picture_of(explanation), title, lines)


def _write(path: str, text: str, force: bool) -> None:
    # addresses and names of files are nobody else's business
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    try:
        with open(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise UsageError(f"{printable(path)} exists", "--force overwrites it") from error
    except OSError as error:
        raise VmadError(f"{printable(path)}: {error.strerror}") from error
