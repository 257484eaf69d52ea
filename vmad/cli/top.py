# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad top``: a live view of who is nearest to the limit."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from typing import TYPE_CHECKING

from vmad.cli.daemon import DEFAULT_ADDRESS, NoDaemon, failed_at_limit
from vmad.cli.options import (
    add_source_options,
    address,
    fallback_note,
    is_here,
    seconds,
    source_of,
)
from vmad.cli.terminal import Progress
from vmad.errors import UsageError, VmadError
from vmad.export.printable import printable
from vmad.model.failures import FailureTally
from vmad.sources.source import Source

if TYPE_CHECKING:
    from vmad.top.failing import FailingHere

DEFAULT_INTERVAL = 10.0
#: the first Textual that draws as is needed here
OLDEST = (2, 1)


class NoTextual(VmadError):
    """Textual, which draws the view, is missing or too old."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "top",
        help="a live view of who is nearest to the limit",
        description="Counts every process every second and shows who is nearest to the limit, how "
        "fast it grows and what its VMAs are lost to; Enter looks into a process. The key ? tells "
        "all keys. Needs Textual (pip install 'vmad-inspector[top]').",
    )
    add_source_options(parser)
    parser.add_argument(
        "--interval",
        type=seconds,
        default=DEFAULT_INTERVAL,
        metavar="SECONDS",
        help="between two looks at what VMAs are lost to (default 10); counts are a second old",
    )
    parser.add_argument(
        "--daemon",
        type=address,
        metavar="HOST:PORT",
        help="where the daemon of this host answers, which knows what has failed at the limit "
        f"(default {DEFAULT_ADDRESS}, if one answers there)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show it until it is ended."""
    _needs_textual()
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("top needs a terminal", "`vmad scan` writes to a pipe")
    if arguments.daemon and not is_here(arguments):
        raise UsageError("--daemon is about processes of this host")
    if not os.environ.get("NO_COLOR"):
        # Textual takes an empty one for a wish, too (no-color.org: "when not an empty string")
        os.environ.pop("NO_COLOR", None)
    from vmad.top.view import Top  # noqa: PLC0415  Textual
    from vmad.top.watching import Watching  # noqa: PLC0415

    with source_of(arguments) as source:
        note = fallback_note(arguments, source)
        with Progress("vmad: reading"):
            watching = Watching(
                source,
                _machine(arguments, source),
                interval=arguments.interval,
                live=arguments.capture is None,
                failing=_failing(arguments, source),
                notes=() if note is None else (note.removesuffix("."),),
            )
            first = watching.step()
        Top(watching, first).run()
    return 0


def _needs_textual() -> None:
    remedy = "pip install 'vmad-inspector[top]'; in a checkout: make setup"
    try:
        import textual  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise NoTextual("top: the Python package 'textual' is missing", remedy) from error
    version = tuple(int(part) for part in textual.__version__.split(".")[:2])
    if version < OLDEST:
        least = ".".join(map(str, OLDEST))
        raise NoTextual(f"top: Textual is {textual.__version__}, {least} is needed", remedy)


def _machine(arguments: argparse.Namespace, source: Source) -> str:
    if arguments.capture is not None:
        return printable(arguments.capture)
    return printable(source.hostname or arguments.target or socket.gethostname())


def _failing(arguments: argparse.Namespace, source: Source) -> FailingHere | None:
    if not is_here(arguments):
        return None
    from vmad.model.process import Evidence  # noqa: PLC0415
    from vmad.top.failing import FailingHere  # noqa: PLC0415

    def asked() -> FailureTally | None:
        try:
            return failed_at_limit(arguments.daemon or DEFAULT_ADDRESS)
        except NoDaemon:
            if arguments.daemon:
                raise
            return None

    return FailingHere(source.kernel, asked, own=source.evidence is Evidence.KERNEL)
