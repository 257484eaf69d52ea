# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad doctor``: which evidence can be had here, what is missing, and what would give it."""

from __future__ import annotations

import argparse
import json
import sys
import time

from vmad.cli.daemon import DEFAULT_ADDRESS, NoDaemon, daemon_itself
from vmad.cli.options import add_format_option, address, target
from vmad.cli.terminal import Progress, style_of
from vmad.errors import UsageError

EXIT_BLIND = 1


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "doctor",
        help="which evidence can be had here, and what is missing",
        description="Tries every source on this host for a moment and says what each sees and "
        "costs, and which right or setting is missing. Exit status 0 when some evidence works "
        "for every process, else 1; with --daemon, 0 when it answers and has scanned.",
    )
    parser.add_argument(
        "--target",
        type=target,
        metavar="qemu:PATH",
        help="examine the QEMU guest whose QMP socket is at PATH instead",
    )
    parser.add_argument(
        "--daemon",
        nargs="?",
        type=address,
        const=DEFAULT_ADDRESS,
        metavar="HOST:PORT",
        help="ask a running daemon how it does and what it does without "
        f"(default {DEFAULT_ADDRESS})",
    )
    parser.add_argument("--types", metavar="FILE", help="with --target: see vmad scan --help")
    add_format_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Examine and print."""
    if arguments.daemon is not None:
        if arguments.target is not None or arguments.types is not None:
            raise UsageError(
                "--daemon asks a daemon of this host", "leave --target and --types out"
            )
        return _ask_daemon(arguments.daemon, as_json=arguments.format == "json")
    # numpy, BPF, QMP: not for --help
    from vmad.doctor.examine import examine  # noqa: PLC0415
    from vmad.doctor.guest import examine_guest  # noqa: PLC0415
    from vmad.export.doctor_text import doctor_object, doctor_text  # noqa: PLC0415

    with Progress("vmad: trying") as progress:

        def step(what: str) -> None:
            progress.step(f"vmad: trying {what}")

        if arguments.target is not None:
            report = examine_guest(arguments.target, arguments.types, step)
        elif arguments.types is not None:
            raise UsageError("--types goes with --target", "give --target qemu:PATH")
        else:
            report = examine(step)
    if arguments.format == "json":
        json.dump(doctor_object(report), sys.stdout)
        print()
    else:
        print("\n".join(doctor_text(report, style_of(sys.stdout))))
    return 0 if report.conclusion.everybody else EXIT_BLIND


def _ask_daemon(address: str, *, as_json: bool) -> int:
    from vmad.export.daemon_text import daemon_text  # noqa: PLC0415

    daemon = daemon_itself(address)
    try:
        lines = list(daemon_text(daemon, address, time.time(), style_of(sys.stdout)))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NoDaemon(f"{address} does not answer as a vmad daemon does") from error
    if as_json:
        json.dump(daemon, sys.stdout)
        print()
    else:
        print("\n".join(lines))
    return 0 if daemon["last_scan_at"] is not None else EXIT_BLIND
