# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The program ``vmad``: finds the command, runs it, turns its errors into one line and a status.

A command is a module of this package with ``add_parser(subparsers)``. It adds a parser of its
name and sets the default ``run`` (or ``func``): a function of the parsed arguments that returns
the exit status (None means 0). Only the module of the command in use is imported, so that
``vmad --help`` costs no more than argparse.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Callable, Sequence

from vmad import __version__
from vmad.cli.parser import Help, Parser
from vmad.errors import BadConfig, VmadError
from vmad.export.printable import printable

#: command -> (module, one line of help), in the order of ``vmad --help``
COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("vmad.cli.serve", "watch this host: metrics, a page and JSON over HTTP"),
    "scan": ("vmad.cli.scan", "who is near the limit, and what their VMAs are lost to"),
    "explain": ("vmad.cli.explain", "why one process has so many VMAs, and what to change"),
    "top": ("vmad.cli.top", "a live view of who is nearest to the limit"),
    "map": ("vmad.cli.map", "the picture of an address space, as one file for a browser"),
    "blame": ("vmad.cli.blame", "which code made the VMAs of one process"),
    "capture": ("vmad.cli.capture", "record what the sources see, to be judged elsewhere"),
    "doctor": ("vmad.cli.doctor", "which evidence can be had here, and what is missing"),
    "check-config": ("vmad.cli.check_config", "check a configuration file"),
    "probe": ("vmad.cli.probe", "make the kernel try to merge the pairs of one process"),
    "heal": ("vmad.cli.heal", "merge what the kernel would merge at its next attempt"),
    "selfcheck": ("vmad.cli.selfcheck", "check the rules against this kernel with real pairs"),
    "lab": ("vmad.cli.lab", "build kernels, boot them, compare workloads on them"),
}

#: these start other people's programs, which inherit the environment
_STARTS_OTHERS = ("blame", "lab")

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130  #: 128 + SIGINT, as a shell shows it
EXIT_BROKEN_PIPE = 141  #: 128 + SIGPIPE

#: what a write to a full disk ends with: no space, quota, file size limit, broken device
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

Run = Callable[[argparse.Namespace], int | None]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (argparse itself exits with 2 on bad usage)."""
    words = list(sys.argv[1:] if argv is None else argv)
    _prepare_streams()
    _spare_threads(words)
    try:
        arguments = build_parser(words).parse_args(words)
        run: Run = arguments.run if hasattr(arguments, "run") else arguments.func
        status = run(arguments)
        sys.stdout.flush()
    except VmadError as error:
        _complain(error)
        return error.exit_status
    except BrokenPipeError:
        _silence_stdout()
        return EXIT_BROKEN_PIPE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        _silence_stdout()
        _complain(VmadError(f"cannot write the answer: {error.strerror}"))
        return EXIT_FAILED
    return status or 0


def build_parser(words: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The parser; of all commands only the one that ``words`` name has its options."""
    parser = Parser(
        prog="vmad",
        description="Who is near vm.max_map_count, how fast, why, and what to change.",
        epilog="vmad COMMAND --help tells a command's options.",
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="version", version=f"vmad {__version__}")
    subparsers = parser.add_subparsers(
        # with its name given argparse lays out no usage, for which it would ask the terminal
        prog="vmad",
        metavar="COMMAND",
        required=True,
    )
    chosen = next((word for word in words if not word.startswith("-")), None)
    for name, (module, text) in COMMANDS.items():
        if name != chosen:
            subparsers.add_parser(name, help=text, add_help=False)
            continue
        try:
            command = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not module.startswith(error.name):
                raise VmadError(
                    f"{name}: the Python package {error.name!r} is missing",
                    "install vmad with its dependencies (make setup)",
                ) from error
            raise VmadError(f"{name}: not in this version ({__version__})") from error
        command.add_parser(subparsers)
    return parser


def _spare_threads(words: Sequence[str]) -> None:
    """Numpy's linear algebra, unused here, would start a thread for each core: a fifth of what
    importing numpy takes.
    """
    if not any(word in _STARTS_OTHERS for word in words[:1]):
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


class _Help(Help):
    """argparse forgets the indent of subcommands when it makes room for their names."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=20)
        self._action_max_length = 4 + max(map(len, COMMANDS))


def _prepare_streams() -> None:
    # closed by the caller (vmad scan >&-): write to nowhere instead of failing at the first word
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # a name that the locale cannot show is escaped instead of ending the program
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _complain(error: VmadError) -> None:
    # a configuration may have several mistakes, one line each; else a newline is part of a name
    lines = str(error).split("\n") if isinstance(error, BadConfig) else [str(error)]
    for line in lines:
        print(f"vmad: {printable(line)}", file=sys.stderr)


def _silence_stdout() -> None:
    # else the interpreter's own flush at exit would complain a second time
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
