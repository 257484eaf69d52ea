# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad blame PID``: which code made the VMAs that are there."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from vmad.blame.blamed import Blamed
from vmad.blame.last import one_at_a_time, place
from vmad.blame.recording import Recording
from vmad.blame.redacted import redacted
from vmad.blame.started import Started
from vmad.cli.options import add_format_option, positive, seconds
from vmad.cli.options import pid as pid_of
from vmad.cli.terminal import Progress, style_of
from vmad.errors import UsageError
from vmad.export.blame_files import FORMATS, may_be_written, read_recording, write_file
from vmad.export.blame_json import blame_json
from vmad.export.blame_text import FRAMES, blame_text
from vmad.sources.bpf.blame import BOUNDARIES, Recorder
from vmad.sources.choose import kernel_source, open_source
from vmad.sources.redaction import Redaction
from vmad.sources.source import Source

DEFAULT_SECONDS = 10.0
#: seconds with VMAs that never hold still, before /proc serves
PATIENCE = 0.5


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "blame",
        help="which code made the VMAs of one process",
        description="Record the calls that make, cut, move or join VMAs in one process, or in one "
        "that it starts, and say which call stacks made those that are there at the end, by the "
        "reason that keeps them apart. Nothing is recorded before and nothing after. The process "
        "pays about a microsecond for each such call, every other one a tenth of that for each "
        "system call while it lasts, nothing where the kernel allows fentry. "
        "Needs kernel 5.17, CAP_BPF and CAP_PERFMON. Exit status 3 when the process is gone.",
        usage="vmad blame [options] PID | vmad blame [options] -- COMMAND ... "
        "| vmad blame --from FILE",
    )
    parser.add_argument(
        "what", metavar="PID | -- COMMAND ...", nargs="*", help="a process, or a program to start"
    )
    parser.add_argument(
        "--seconds",
        type=seconds,
        metavar="N",
        help=f"record so long (default {DEFAULT_SECONDS:g}; a COMMAND: until it ends; "
        "Ctrl-C ends it earlier and shows what there is)",
    )
    parser.add_argument("--follow", action="store_true", help="record its children, too")
    parser.add_argument("--frames", type=positive, default=FRAMES, metavar="N",
                        help=f"callers shown of each stack (default {FRAMES})")  # fmt: skip
    parser.add_argument(
        "-o", dest="output", metavar="FILE",
        help="write it for a viewer, too, by the name's end: " + ", ".join(
            f"{suffix} ({text})" for suffix, text in FORMATS.items()),
    )  # fmt: skip
    parser.add_argument("--page", action="store_true",
                        help="leave it for the page of this host's daemon (/blame), too; one such "
                        "recording is made at a time")  # fmt: skip
    parser.add_argument("--from", dest="recording", metavar="FILE",
                        help="show a recording that -o NAME.json wrote")  # fmt: skip
    parser.add_argument(
        "--redact",
        action="store_true",
        help="hashes instead of names that tell whose code it is: of the process, of files, of "
        "functions but those of known allocators and runtimes",
    )
    add_format_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Record, or read a recording, and print."""
    if arguments.output is not None:
        may_be_written(arguments.output)  # before anything is recorded
    blamed = _for_the_page(arguments) if arguments.page else _blamed(arguments)
    if arguments.redact:
        blamed = redacted(blamed, Redaction())
    if arguments.format == "json":
        sys.stdout.writelines(blame_json(blamed))
    else:
        lines = blame_text(blamed, style_of(sys.stdout), arguments.frames)
        sys.stdout.writelines(f"{line}\n" for line in lines)
    if arguments.output is not None:
        # last, so that what was recorded is told even where the disk is full
        write_file(arguments.output, blamed)
    if arguments.output is not None and arguments.format != "json":
        print(f"vmad: wrote {arguments.output}", file=sys.stderr)
    return 0


def _for_the_page(arguments: argparse.Namespace) -> Blamed:
    """The page redacts it itself, for whom it must."""
    with one_at_a_time(place()) as lay:
        blamed = _blamed(arguments)
        lay(blame_json(blamed))
        return blamed


def _blamed(arguments: argparse.Namespace) -> Blamed:
    words = arguments.what
    if arguments.recording is not None:
        if words or arguments.seconds or arguments.follow or arguments.page:
            raise UsageError("--from shows what was recorded: nothing else can be asked for")
        return read_recording(arguments.recording)
    if not words:
        raise UsageError("whom to record?", "vmad blame PID, or vmad blame -- COMMAND ...")
    by_pid = len(words) == 1 and words[0].isascii() and words[0].isdecimal()
    if by_pid:
        _pid(words[0])
    with closing(kernel_source(patience=PATIENCE)) as source:
        limit = source.max_map_count or 0
        with Recorder(boundaries=max(BOUNDARIES, 2 * limit), follow=arguments.follow) as recorder:
            if by_pid:
                process = source.find(_pid(words[0]))
                recording = Recording(recorder, source, process, otherwise=_by_procfs)
                lasts = arguments.seconds or DEFAULT_SECONDS
                return _recorded(recording, process.pid, lasts)
            with Started(words) as started:
                process = source.find(started.pid)
                recording = Recording(
                    recorder, source, process, started.last_moment, otherwise=_by_procfs
                )
                started.go_on()
                return _recorded(recording, process.pid, arguments.seconds)


def _by_procfs() -> Source:
    return open_source("procfs", None)


def _pid(word: str) -> int:
    try:
        return pid_of(word)
    except argparse.ArgumentTypeError as error:
        raise UsageError(str(error)) from error


def _recorded(recording: Recording, number: int, lasts: float | None) -> Blamed:
    with _interrupted() as stop, Progress(f"vmad: recording {number}") as progress:
        return recording.run(lasts, progress.step, stop)


@contextmanager
def _interrupted() -> Iterator[Callable[[], bool]]:
    """Ctrl-C asks for the answer so far; a second one ends vmad."""
    asked = False

    def ask(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
