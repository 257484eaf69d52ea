# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad explain PID``: how near, how fast, made of what, why, and what to change."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from vmad.advice.recognise import TellingSymbols
from vmad.cli.daemon import DEFAULT_ADDRESS, NoDaemon, failed_at_limit, watched
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
    seconds,
    source_of,
)
from vmad.cli.pages import pair_pages, sampled_pages
from vmad.cli.terminal import Progress, style_of
from vmad.errors import CannotRead, ProcessGone, UsageError
from vmad.export.explain_text import Context, explain_text
from vmad.export.pairs_text import pairs_text
from vmad.export.printable import printable
from vmad.model.failures import LimitFailure
from vmad.model.process import ProcessId, Unread, Unreadable
from vmad.rules.other_limits import other_bounds
from vmad.scan.explain import Explanation, explain
from vmad.scan.growth import Growth
from vmad.scan.host_limits import HostLimits
from vmad.scan.page_sample import PageSample
from vmad.sources.host_limits import limit_origin_of
from vmad.sources.identity import IdentityReader
from vmad.sources.names import named_or_not
from vmad.sources.other_limits import read_other_use
from vmad.sources.source import Source
from vmad.sources.traits import read_traits

if TYPE_CHECKING:
    from vmad.export.explain_json import PairPages

DEFAULT_LIMIT = 50


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "explain",
        help="why one process has so many VMAs, and what to change",
        description="Say of one process how near it is to the limit, what its VMAs are, why "
        "they stay apart and what to change. Exit status 3 when it is gone or may not be read.",
    )
    parser.add_argument("pid", type=pid, metavar="PID")
    add_source_options(parser)
    add_kernel_option(parser)
    add_format_option(parser)
    parser.add_argument(
        "--advice", action="store_true", help="say what to change even far from the limit"
    )
    parser.add_argument("--pairs", action="store_true", help="list the pairs too")
    parser.add_argument(
        "--limit",
        type=positive,
        default=DEFAULT_LIMIT,
        metavar="N",
        help=f"list at most N pairs (default {DEFAULT_LIMIT}; JSON always has all)",
    )
    parser.add_argument(
        "--pages",
        action="store_true",
        help="say of each pair how many pages are present, swapped and shared (reads pagemap)",
    )
    parser.add_argument(
        "--watch", type=seconds, metavar="SECONDS", help="count twice, this far apart: how fast"
    )
    parser.add_argument(
        "--daemon",
        nargs="?",
        type=address,
        const=DEFAULT_ADDRESS,
        metavar="HOST:PORT",
        help=f"ask a running daemon how fast it grows (default {DEFAULT_ADDRESS})",
    )
    parser.set_defaults(run=run)


@dataclass(slots=True)
class _Answer:
    """What was read and judged, and what is said beside it."""

    explanation: Explanation
    growth: Growth | None
    limits: HostLimits
    pages: PairPages | None
    notes: list[str | None]


def run(arguments: argparse.Namespace) -> int:
    """Read one process and print."""
    here, as_json = is_here(arguments), arguments.format == "json"
    _refuse_contradictions(arguments, here)
    context = Context(advise=arguments.advice)
    with source_of(arguments) as source, Progress(f"vmad: reading {arguments.pid}") as progress:
        answer = _read(arguments, source, progress)
        if not as_json:
            context = _context(arguments, source, answer)
    if as_json:
        # the text needs none of what it imports
        from vmad.export.explain_json import explain_json  # noqa: PLC0415

        sys.stdout.writelines(
            explain_json(answer.explanation, answer.pages, answer.growth, answer.limits)
        )
        return 0
    style = style_of(sys.stdout)
    lines = explain_text(answer.explanation, style, context)
    lines += [printable(note) for note in answer.notes if note is not None]
    if arguments.pairs or arguments.pages:
        shown = pairs_text(answer.explanation, style, arguments.limit, answer.pages)
        lines = [*lines, "", *shown]
    sys.stdout.writelines(chain.from_iterable((line, "\n") for line in lines))
    return 0


def _refuse_contradictions(arguments: argparse.Namespace, here: bool) -> None:
    live = arguments.capture is None
    if not live and (arguments.watch or arguments.pages or arguments.daemon):
        raise UsageError("--watch, --daemon and --pages need the process itself, not a capture")
    if not here and (arguments.pages or arguments.daemon):
        raise UsageError("--daemon and --pages are about processes of this host")


def _read(arguments: argparse.Namespace, source: Source, progress: Progress) -> _Answer:
    """What both formats tell. Raises ProcessGone, CannotRead."""
    as_json = arguments.format == "json"
    process = source.find(arguments.pid)
    growth = _watch(source, process, arguments.watch) if arguments.watch else None
    table = source.table(process)
    if arguments.capture is None and not len(table.rows):
        raise ProcessGone(f"process {arguments.pid} is gone: it has no VMA left")
    if source.here and not table.paths:
        table = named_or_not(table)
    progress.step(f"vmad: judging {arguments.pid}")
    kernel = judged_as(source, arguments.kernel)
    explanation = explain(
        table,
        source.kernel,
        source.max_map_count,
        kernel,
        traits=read_traits(table, TellingSymbols()) if source.here else None,
    )
    notes = [fallback_note(arguments, source)]
    progress.step(f"vmad: reading the pages of {arguments.pid}")
    pages = None
    if arguments.pages:
        pages = pair_pages(explanation, None if as_json else arguments.limit)
    limits = HostLimits(source.vma_cost)
    if source.here:
        limits = HostLimits(
            limits.cost,
            limit_origin_of(source),
            other_bounds(read_other_use(process.pid)),
            *_failures_of(process, arguments.daemon or DEFAULT_ADDRESS),
        )
    return _Answer(explanation, growth, limits, pages, notes)


def _context(arguments: argparse.Namespace, source: Source, answer: _Answer) -> Context:
    """What only a person is told; what of it cannot be had goes into the answer's notes."""
    explanation, table = answer.explanation, answer.explanation.table
    seen = identity = None
    samples: dict[str, PageSample] = {}
    if arguments.daemon:
        try:
            seen = watched(table.id, arguments.daemon)
        except NoDaemon as error:
            answer.notes.append(f"{error}.")
    if arguments.capture is None:
        identity = IdentityReader(source, with_exe=True).identity(table.id, table.comm)
    if source.here:
        try:
            samples = sampled_pages(explanation)
        except (CannotRead, ProcessGone) as error:
            # nobody asked for pages: the rest of the answer stands without them
            answer.notes.append(f"Pages were not read: {error}.")
    return Context(answer.growth, seen, samples, identity, arguments.advice, answer.limits)


def _failures_of(
    process: ProcessId, address: str
) -> tuple[tuple[LimitFailure, ...] | None, float | None]:
    """Its calls that failed at the limit (None where no daemon counts them, or not all), and since
    when they are watched (None: not at this moment).
    """
    try:
        tally = failed_at_limit(address)
    except NoDaemon:
        return None, None
    return tally.of(process), tally.watched_since


def _watch(source: Source, process: ProcessId, pause: float) -> Growth | None:
    """Two counts of one process; None when it could not be counted."""
    before, began = _map_count(source, process), time.monotonic()
    time.sleep(pause)
    after, took = _map_count(source, process), time.monotonic() - began
    if before is None or after is None:
        return None
    return Growth(took, before, after)


def _map_count(source: Source, process: ProcessId) -> int | None:
    census = source.census()
    rows = census[(census["pid"] == process.pid) & (census["start_time"] == process.start_time)]
    if len(rows) and int(rows["map_count"][0]) >= 0:
        return int(rows["map_count"][0])
    # without BPF only a walk can count; this one reads less than table()
    (summary,) = source.summarise([process])
    if isinstance(summary, Unreadable):
        raise (ProcessGone if summary.why is Unread.GONE else CannotRead)(summary.detail)
    return summary.map_count
