# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad lab compare``: the same workload on several kernels, and a report."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from vmad.lab.cache import write_whole
from vmad.lab.compare.comparison import compare
from vmad.lab.compare.report import html
from vmad.lab.errors import LabError
from vmad.lab.guest.machine import Machine, bytes_of
from vmad.lab.workloads.shipped import WORKLOADS


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``vmad lab compare``."""
    parser.add_argument(
        "--kernels",
        required=True,
        metavar="A,B",
        help="kernels to compare; NAME@N sets vm.anon_vma_merge",
    )
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="runs of each kernel")
    parser.add_argument(
        "--seconds",
        type=int,
        default=60,
        metavar="N",
        help="of work, on two cores without KVM, about (default %(default)s)",
    )
    parser.add_argument("--memory", default=None, metavar="SIZE", help="default: the workload's")
    parser.add_argument("--cpus", type=int, default=Machine.cpus, help="default %(default)s")
    parser.add_argument(
        "--out",
        type=Path,
        default=None,
        metavar="NAME",
        help="writes NAME.html and NAME.json (default vmad-compare-WORKLOAD)",
    )
    names = "; ".join(f"{name}: {workload.summary}" for name, workload in WORKLOADS.items())
    parser.add_argument("workload", nargs="+", metavar="WORKLOAD", help=f"a command, or {names}")


def run(args: argparse.Namespace) -> int:
    """Compare, and write the report."""
    if args.repeat < 1 or args.seconds < 1:
        raise LabError("--repeat and --seconds must be 1 or more", "give larger numbers")
    comparison = compare(
        [name for name in args.kernels.replace(",", " ").split() if name],
        args.workload,
        seconds=args.seconds,
        repeat=args.repeat,
        memory=bytes_of(args.memory) if args.memory else None,
        cpus=args.cpus,
        told=lambda line: print(f"vmad lab: {line}", file=sys.stderr, flush=True),
    )
    out = args.out or Path(f"vmad-compare-{Path(args.workload[0]).name}")
    page, data = out.with_name(f"{out.name}.html"), out.with_name(f"{out.name}.json")
    write_whole(data, (json.dumps(comparison.as_dict()) + "\n").encode())
    write_whole(page, html(comparison).encode())
    print(f"{page}\n{data}")
    return 0
