# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad map PID``: the picture of an address space, as one file for a browser or a report."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import closing
from dataclasses import dataclass

from vmad.advice.recognise import TellingSymbols
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
from vmad.export.own_file import write_own
from vmad.export.picture.change import scene_of_change
from vmad.export.picture.document import map_document
from vmad.export.picture.picture import Scene, composed, scene_of
from vmad.export.picture.svg import svg_document
from vmad.export.printable import printable
from vmad.export.quantities import counted
from vmad.export.style import Style
from vmad.model.process import ProcessId
from vmad.model.table import VmaTable
from vmad.scan.explain import Explanation, explain
from vmad.scan.host_limits import HostLimits
from vmad.sources.capture import CaptureSource
from vmad.sources.host_limits import limit_origin_of
from vmad.sources.names import named_or_not
from vmad.sources.source import Source
from vmad.sources.traits import read_traits


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
    parser.add_argument("pid", type=pid, nargs="?", metavar="PID")
    parser.add_argument(
        "--diff",
        nargs=2,
        metavar=("BEFORE", "AFTER"),
        help="what came and went between two captures of a process (PID where they have several)",
    )
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="the file to write: .html or .svg"
    )
    parser.add_argument("--force", action="store_true", help="overwrite FILE")
    add_source_options(parser)
    add_kernel_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read one process and write its picture."""
    as_svg = _is_svg(arguments.output)
    if arguments.diff is not None:
        drawn = _change(arguments)
    elif arguments.pid is None:
        raise UsageError("whose picture?", "give a PID, or --diff BEFORE AFTER")
    else:
        drawn = _one(arguments)
    _write(arguments.output, drawn.svg() if as_svg else drawn.html(), arguments.force)
    print(f"{printable(arguments.output)}: {drawn.title}", file=sys.stderr)
    return 0


def _is_svg(path: str) -> bool:
    form = os.path.splitext(path)[1].lower()
    if form not in (".html", ".htm", ".svg"):
        raise UsageError(f"{printable(path)}: what is it to be?", "name it .html or .svg")
    return form == ".svg"


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What is to be drawn, and the same in words."""

    title: str
    scene: Scene
    explanation: Explanation
    limits: HostLimits

    def html(self) -> str:
        lines = explain_text(self.explanation, Style(), Context(advise=True, limits=self.limits))
        return map_document(composed(self.explanation, self.scene), self.title, lines)

    def svg(self) -> str:
        kernel = printable(self.explanation.kernel.release)
        coloured = self.scene.modes[0].title
        note = f"Linux {kernel}; each block is a VMA, coloured by {coloured}"
        return svg_document(self.scene, self.title, note)


def _one(arguments: argparse.Namespace) -> _Drawn:
    with source_of(arguments) as source, Progress(f"vmad: reading {arguments.pid}") as progress:
        process = source.find(arguments.pid)
        table = source.table(process)
        if arguments.capture is None and not len(table.rows):
            raise ProcessGone(f"process {arguments.pid} is gone: it has no VMA left")
        here = is_here(arguments)
        if here and not table.paths:
            table = named_or_not(table)
        progress.step(f"vmad: drawing {arguments.pid}")
        explanation = _explained(source, table, arguments, here=here)
        limits = HostLimits(source.vma_cost, limit_origin_of(source) if here else None)
    title = f"{_name(explanation)}: {counted(len(table.rows), 'VMA')}"
    return _Drawn(title, scene_of(explanation), explanation, limits)


def _change(arguments: argparse.Namespace) -> _Drawn:
    """Two captures: the process that is asked for, or the only one that both have."""
    if not is_here(arguments):
        raise UsageError("--diff reads two captures, and nothing else")
    before_path, after_path = arguments.diff
    with closing(CaptureSource(before_path)) as before, closing(CaptureSource(after_path)) as after:
        process = _common(before, after, arguments.pid)
        looks = [_explained(source, source.table(process), arguments) for source in (before, after)]
        limits = HostLimits(after.vma_cost)
    counts = [counted(len(look.table.rows), "VMA") for look in looks]
    title = f"{_name(looks[1])}: {counts[0]}, then {counts[1]}"
    return _Drawn(title, scene_of_change(*looks), looks[1], limits)


def _common(before: CaptureSource, after: CaptureSource, pid: int | None) -> ProcessId:
    there = [
        {ProcessId(int(row["pid"]), int(row["start_time"])) for row in source.census()}
        for source in (before, after)
    ]
    common = sorted(process for process in there[0] & there[1] if pid in (None, process.pid))
    if not common:
        which = "no process is" if pid is None else f"process {pid} is not"
        raise UsageError(f"{which} in both captures", "capture the same process twice")
    if len(common) > 1:
        pids = ", ".join(str(process.pid) for process in common[:5])
        raise UsageError("both captures have several processes", f"give a PID: {pids}, …")
    return common[0]


def _explained(
    source: Source, table: VmaTable, arguments: argparse.Namespace, *, here: bool = False
) -> Explanation:
    return explain(
        table,
        source.kernel,
        source.max_map_count,
        judged_as(source, arguments.kernel),
        traits=read_traits(table, TellingSymbols()) if here else None,
    )


def _name(explanation: Explanation) -> str:
    table = explanation.table
    return f"{printable(table.comm)} (pid {table.id.pid})"


def _write(path: str, text: str, force: bool) -> None:
    try:
        # addresses and names of files are nobody else's business
        write_own(path, [text], replace=force, mode=0o600)
    except FileExistsError as error:
        raise UsageError(f"{printable(path)} exists", "--force overwrites it") from error
    except OSError as error:
        raise VmadError(f"{printable(path)}: {error.strerror}") from error
