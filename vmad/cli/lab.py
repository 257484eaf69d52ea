# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The command line of the lab, ``vmad lab``: kernels, guests, the matrix, comparisons."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from vmad.architecture.known import ARCHITECTURES
from vmad.lab.built.command import add_options as add_build_options
from vmad.lab.built.command import run as run_build
from vmad.lab.cache import default_cache
from vmad.lab.compare.command import add_options as add_compare_options
from vmad.lab.compare.command import run as run_compare
from vmad.lab.errors import LabError
from vmad.lab.foreign.compiled import compiled
from vmad.lab.foreign.root import root_of
from vmad.lab.guest.live import GUEST_PORT, free_port, raw_terminal, serve_command, shell_command
from vmad.lab.guest.machine import Machine, bytes_of
from vmad.lab.kernels.catalogue import catalogue
from vmad.lab.kernels.debian import newest_of_each_series
from vmad.lab.kernels.store import built_here, fetched, is_fetched
from vmad.lab.machines import architecture_named, this_machine
from vmad.lab.matrix.command import add_options as add_matrix_options
from vmad.lab.matrix.command import run as run_matrix
from vmad.lab.run import DEFAULT_TIMEOUT, run_streaming

DONE, FAILED = 0, 1


def add_parser(subparsers: Any) -> None:
    """Hook ``lab`` and its commands into the main program's parser."""
    lab = subparsers.add_parser("lab", help="boot other kernels in QEMU and run things in them")
    add_commands(lab.add_subparsers(dest="lab_command", required=True, metavar="COMMAND"))


def add_commands(commands: Any) -> None:
    """Add the lab's own commands; ``run`` is set to what runs the chosen one."""
    listing = commands.add_parser("kernels", help="list the kernels that can be booted")
    listing.add_argument("--format", choices=("table", "json"), default="table")
    listing.add_argument("--refresh", action="store_true", help="ask the mirror again")
    listing.set_defaults(run=_reporting(_kernels))

    fetch = commands.add_parser("fetch", help="fetch kernels ahead of their use")
    fetch.add_argument("names", nargs="+", metavar="NAME", help="a series, a release, or newest")
    fetch.set_defaults(run=_reporting(_fetch))

    run = commands.add_parser(
        "run",
        help="run a command in a guest as if it ran here",
        usage="%(prog)s --kernel NAME [options] -- COMMAND...",
    )
    add_machine_options(run)
    run.add_argument(
        "--timeout",
        type=float,
        default=DEFAULT_TIMEOUT,
        metavar="SECONDS",
        help="kill the guest after this time, boot included (default %(default)g)",
    )
    run.add_argument(
        "--out", type=Path, metavar="DIR", help="a directory whose files come back from the guest"
    )
    run.add_argument("command", nargs="+", metavar="COMMAND")
    run.set_defaults(run=_reporting(_run))

    serve = commands.add_parser("serve", help="keep a guest running with vmad serve inside")
    add_machine_options(serve)
    serve.add_argument(
        "--port",
        type=int,
        default=0,
        help="port of this machine's loopback; default any free one, named on stderr",
    )
    serve.set_defaults(run=_reporting(_serve))

    shell = commands.add_parser("shell", help="open a shell in a guest")
    add_machine_options(shell)
    shell.set_defaults(run=_reporting(_shell))

    build = commands.add_parser(
        "build", help="build a kernel from Debian's source, with the patch series or without"
    )
    add_build_options(build)
    build.set_defaults(run=_reporting(run_build))

    matrix = commands.add_parser("matrix", help="run every check in several kernels, one boot each")
    add_matrix_options(matrix)
    matrix.set_defaults(run=_reporting(run_matrix))

    compare = commands.add_parser(
        "compare",
        help="run a workload on several kernels and write a report",
        usage="%(prog)s --kernels A,B [options] -- WORKLOAD",
    )
    add_compare_options(compare)
    compare.set_defaults(run=_reporting(run_compare))


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    """The options that describe a guest."""
    parser.add_argument("--kernel", required=True, metavar="NAME")
    parser.add_argument("--memory", default="1G", metavar="SIZE", help="default %(default)s")
    parser.add_argument("--cpus", type=int, default=Machine.cpus, help="default %(default)s")
    parser.add_argument("--swap", default="0", metavar="SIZE", help="default none")
    parser.add_argument("--numa", type=int, default=1, metavar="NODES", help="default %(default)s")
    parser.add_argument(
        "--accelerator",
        choices=("auto", "kvm", "tcg"),
        default="auto",
        help="auto tries KVM once and remembers the answer",
    )
    parser.add_argument(
        "--append",
        action="append",
        default=[],
        metavar="PARAMETER",
        help="a further parameter for the kernel's command line",
    )
    parser.add_argument(
        "--qmp",
        type=Path,
        metavar="PATH",
        help="offer QEMU's monitor protocol on this socket, for --target qemu:PATH",
    )


def machine_of(args: argparse.Namespace) -> Machine:
    """The guest that the options describe."""
    return Machine(
        memory=bytes_of(args.memory),
        cpus=args.cpus,
        swap=bytes_of(args.swap),
        numa=args.numa,
        extra_parameters=tuple(args.append),
        qmp=args.qmp.absolute() if args.qmp else None,
    ).checked()


def _kernels(args: argparse.Namespace) -> int:
    cache = default_cache()
    offers = [catalogue(cache, refresh=args.refresh)]
    for other in ARCHITECTURES:
        if other is not this_machine():
            try:
                offers.append(catalogue(cache, other, refresh=args.refresh))
            except LabError as error:  # a mirror may carry one architecture alone
                print(f"vmad lab: kernels for {other.title}: {error}", file=sys.stderr)
    rows: list[dict[str, object]] = [
        {
            "name": kernel.name,
            "release": kernel.release,
            "machine": kernel.machine,
            "patched": False,
            "package": " ".join(package.name for package in kernel.packages),
            "fetched": is_fetched(cache, kernel),
        }
        for known in offers
        for kernel in newest_of_each_series(known.kernels)
    ]
    rows += [
        {
            "name": kernel.name,
            "release": kernel.release,
            "machine": kernel.machine,
            "patched": kernel.patched,
            "package": None,
            "fetched": True,
        }
        for kernel in built_here(cache)
    ]
    if args.format == "json":
        print(json.dumps({"kernels": rows}, indent=2))
    else:
        print(f"{'NAME':<16} {'RELEASE':<36} {'MACHINE':<8} {'PATCHED':<8} FETCHED")
        for row in rows:
            patched, here = ("yes" if row[key] else "no" for key in ("patched", "fetched"))
            name, release, machine = row["name"], row["release"], row["machine"]
            print(f"{name!s:<16} {release!s:<36} {machine!s:<8} {patched:<8} {here}")
    for complaint in dict.fromkeys(said for known in offers for said in known.complaints):
        print(f"vmad lab: apt: {complaint}", file=sys.stderr)
    return DONE


def _fetch(args: argparse.Namespace) -> int:
    cache = default_cache()
    kernels = [catalogue(cache, architecture_named(name)).find(name) for name in args.names]
    for kernel in kernels:
        known = fetched(cache, kernel)
        home = known.home
        if known.architecture is not this_machine():
            root_of(cache, known.architecture)
            compiled(cache, known.architecture)
        print(f"{kernel.name} {kernel.release} {home}")
    return DONE


def _run(args: argparse.Namespace) -> int:
    ending = run_streaming(
        args.kernel,
        args.command,
        machine=machine_of(args),
        timeout=args.timeout,
        out_dir=args.out,
        stdin=_standard_input(),
        stdout=_writer(1),
        stderr=_writer(2),
        accelerator=None if args.accelerator == "auto" else args.accelerator,
    )
    return ending.status


def _serve(args: argparse.Namespace) -> int:
    port = free_port(args.port)
    machine = replace(machine_of(args), forward=((port, GUEST_PORT),))
    with tempfile.TemporaryDirectory(prefix="vmad-lab-") as directory:
        if machine.qmp is None:
            machine = replace(machine, qmp=Path(directory, "qmp"))
        print(
            f"vmad lab: http://127.0.0.1:{port}/ once it is up; Ctrl-C ends it\n"
            f"vmad lab: the same guest from outside: vmad scan --target qemu:{machine.qmp}",
            file=sys.stderr,
        )
        return _converse(args, serve_command(), machine, b"")


def _shell(args: argparse.Namespace) -> int:
    machine = machine_of(args)
    print("vmad lab: booting; exit or Ctrl-D ends the guest", file=sys.stderr)
    with raw_terminal():
        return _converse(args, shell_command(), machine, _standard_input())


def _converse(
    args: argparse.Namespace, command: list[str], machine: Machine, stdin: bytes | int
) -> int:
    ending = run_streaming(
        args.kernel,
        command,
        machine=machine,
        timeout=math.inf,
        out_dir=None,
        stdin=stdin,
        stdout=_writer(1),
        stderr=_writer(2),
        accelerator=None if args.accelerator == "auto" else args.accelerator,
    )
    return ending.status


def _standard_input() -> bytes | int:
    try:
        os.fstat(0)
    except OSError:
        return b""  # closed, as ``<&-`` does
    return 0


def _writer(descriptor: int) -> Callable[[bytes], None]:
    def write(content: bytes) -> None:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]

    return write


class _Terminated(BaseException):
    """SIGTERM arrived; unwinding ends the guest."""


def _reporting(
    command: Callable[[argparse.Namespace], int],
) -> Callable[[argparse.Namespace], int]:
    """Wrap a command so that every end of it becomes an exit status and at most a message."""

    def report(args: argparse.Namespace) -> int:
        try:
            with _sigterm_unwinds():
                return command(args)
        except LabError as error:
            print(f"vmad lab: {error}", file=sys.stderr)
            if error.console:
                print(error.console, file=sys.stderr)
            return FAILED
        except BrokenPipeError:
            # Nobody reads our output any more. Python would complain again when it flushes.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return 128 + signal.SIGPIPE
        except KeyboardInterrupt:
            return 128 + signal.SIGINT
        except _Terminated:
            return 128 + signal.SIGTERM

    return report


@contextlib.contextmanager
def _sigterm_unwinds() -> Iterator[None]:
    def unwind(_number: int, _frame: FrameType | None) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
