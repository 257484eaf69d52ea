# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad doctor``: which evidence can be had here, what is missing, and what would give it."""

from __future__ import annotations

import argparse
import json
import sys

from vmad.cli.options import add_format_option
from vmad.cli.terminal import Progress, style_of

EXIT_BLIND = 1


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "doctor",
        help="which evidence can be had here, and what is missing",
        description="Tries every source on this host for a moment and says what each sees and "
        "costs, and which right or setting is missing. Exit status 0 when some evidence works "
        "for every process, else 1.",
    )
    add_format_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Examine and print."""
    from vmad.doctor.examine import examine  # noqa: PLC0415  numpy and BPF, not for --help
    from vmad.export.doctor_text import doctor_object, doctor_text  # noqa: PLC0415

    with Progress("vmad: trying") as progress:
        report = examine(lambda what: progress.step(f"vmad: trying {what}"))
    if arguments.format == "json":
        json.dump(doctor_object(report), sys.stdout)
        print()
    else:
        print("\n".join(doctor_text(report, style_of(sys.stdout))))
    return 0 if report.conclusion.everybody else EXIT_BLIND
