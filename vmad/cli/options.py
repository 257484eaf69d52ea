# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Options that several commands share, and the source that they ask for."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from vmad.errors import UsageError
from vmad.model.evidence import CHOICES

if TYPE_CHECKING:
    from vmad.model.kernel import KernelInfo
    from vmad.sources.guest.source import GuestSource
    from vmad.sources.source import Source

#: seconds that a walk may wait for a process's mmap_lock
DEADLINE = 5.0
#: pid_max is at most 4 Mi on 64-bit kernels (proc(5)); C's int bounds what can be meant
LARGEST_PID = 0x7FFF_FFFF


def pid(text: str) -> int:
    """A process id as an argument."""
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:11]) <= LARGEST_PID):
        raise argparse.ArgumentTypeError(f"{text!r} is not a process id")
    return int(text)


def positive(text: str) -> int:
    """A positive whole number as an argument."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def seconds(text: str) -> float:
    """Seconds as an argument: more than none, at most a day."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds up to 86400")
    return value


def address(text: str) -> str:
    """HOST:PORT as an argument."""
    host, _, port = text.rpartition(":")
    if not (host and port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 1 << 16):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return text


def release(text: str) -> str:
    """A kernel release as an argument."""
    from vmad.model.kernel import parse_release  # noqa: PLC0415  --help needs no regexps

    try:
        parse_release(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a kernel release such as 6.1 or 6.12.9"
        ) from error
    return text


def target(text: str) -> str:
    """qemu:PATH as an argument; the path alone is kept."""
    kind, _, path = text.partition(":")
    if kind != "qemu" or not path or "\0" in path:
        raise argparse.ArgumentTypeError(f"{text!r} is not qemu:PATH, PATH being a QMP socket")
    return path


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """--evidence, --from, --target and what goes with it."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--evidence",
        choices=CHOICES,
        default="auto",
        help="how to learn the facts: kernel (BPF, exact), procfs (only what /proc shows), "
        "auto: the best that works here (default)",
    )
    group.add_argument("--from", dest="capture", metavar="FILE", help="read a capture instead")
    add_target_options(parser, group)


def add_target_options(parser: argparse.ArgumentParser, group: Any = None) -> None:
    """--target, into ``group`` where one is given, --types and --consistent."""
    (group or parser).add_argument(
        "--target",
        type=target,
        metavar="qemu:PATH",
        help="read the QEMU guest whose QMP socket is at PATH, from outside, instead of this host",
    )
    parser.add_argument(
        "--types",
        metavar="FILE",
        help="with --target, for a guest's kernel that has no BTF: its vmlinux, or a file of BTF",
    )
    parser.add_argument(
        "--consistent",
        action="store_true",
        help="with --target: stop the guest while a process is read, and say for how long",
    )


def add_kernel_option(parser: argparse.ArgumentParser) -> None:
    """--kernel RELEASE."""
    parser.add_argument(
        "--kernel",
        type=release,
        metavar="RELEASE",
        help="judge by the rules of this release (6.1, 6.12.9), not by those of the kernel "
        "that was read",
    )


def add_format_option(parser: argparse.ArgumentParser) -> None:
    """--format table|json."""
    parser.add_argument(
        "--format", choices=("table", "json"), default="table", help="default: table, for people"
    )


def judged_as(source: Source, named: str | None) -> KernelInfo:
    """The kernel whose rules apply: the one that was read, or an unpatched one of that release."""
    from vmad.model.kernel import KernelInfo  # noqa: PLC0415  see release()

    read = source.kernel
    if named is None:
        return read
    return KernelInfo(named, read.machine, page_shift=read.page_shift)


def is_here(arguments: Any) -> bool:
    """Whether the processes that are asked for run on this machine."""
    return arguments.capture is None and getattr(arguments, "target", None) is None


@contextmanager
def source_of(arguments: Any) -> Iterator[Source]:
    """The source that --evidence, --from or --target names, closed afterwards.

    Raises EvidenceUnavailable, CannotRead, BadCapture, TargetUnavailable, UsageError.
    """
    # numpy, BPF, QMP: not for --help
    path = getattr(arguments, "target", None)
    if path is not None:
        from vmad.sources.guest.source import GuestSource  # noqa: PLC0415

        guest = GuestSource(path, types=arguments.types, consistent=arguments.consistent)
        try:
            with closing(guest):
                yield guest
        finally:
            _tell_of_guest(guest)
        return
    with closing(_opened(arguments)) as source:
        yield source


def _opened(arguments: Any) -> Source:
    for option in ("types", "consistent"):
        if getattr(arguments, option, None):
            raise UsageError(f"--{option} goes with --target", "give --target qemu:PATH")
    from vmad.sources.choose import open_source  # noqa: PLC0415  as above

    source = open_source(arguments.evidence, arguments.capture)
    if arguments.capture is not None:
        return source
    from vmad.sources.deadline import bounded  # noqa: PLC0415  as above

    return bounded(source, DEADLINE)


def _tell_of_guest(guest: GuestSource) -> None:
    """On stderr, that a guest stood still, and how long it did so for us."""
    status = guest.status
    if status != "running":
        print(f"vmad: the guest is {status}: it was read as it stands", file=sys.stderr)
    stops = guest.stops
    if stops is None or not stops.count:
        return
    longest, in_all = stops.longest * 1e3, stops.seconds * 1e3
    times = f"once, for {longest:.1f} ms"
    if stops.count > 1:
        times = f"{stops.count:,} times, {longest:.1f} ms at most, {in_all:.1f} ms in all"
    print(f"vmad: the guest was stopped {times}", file=sys.stderr)


def fallback_note(arguments: Any, source: Source) -> str | None:
    """Why a source that was chosen by itself is not the best one; None when it is."""
    from vmad.model.process import Evidence  # noqa: PLC0415  as above
    from vmad.sources.choose import why_not_kernel  # noqa: PLC0415
    from vmad.sources.procfs.hidden import hidden_processes  # noqa: PLC0415

    if source.evidence is Evidence.KERNEL or arguments.capture:
        return None
    hidden = hidden_processes()
    if hidden is not None:
        return f"Some are missing: {hidden}."
    if arguments.evidence != "auto":
        return None
    why = why_not_kernel()
    return None if why is None else f"Kernel evidence cannot be had here: {why}."
