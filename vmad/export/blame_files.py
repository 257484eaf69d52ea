# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A recording for the viewers that people have: which file's name asks for which format."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from vmad.blame.blamed import Blamed
from vmad.errors import BadCapture, UsageError, VmadError
from vmad.export.blame_flame import flame_html
from vmad.export.blame_json import blame_json, blamed_of
from vmad.export.blame_stacks import folded, speedscope
from vmad.export.own_file import refuse_what_is_no_file, write_own
from vmad.export.pprof import pprof

#: what a recording's JSON may be long
LARGEST: Final = 256 << 20

#: end of the name -> what it is for; the longer ends first
FORMATS: Final = {
    ".html": "a flame graph",
    ".speedscope.json": "speedscope",
    ".pb.gz": "pprof",
    ".folded": "flamegraph.pl, inferno",
    ".json": "--from",
}

_WRITERS: Final[dict[str, Callable[[Blamed], Iterable[str] | bytes]]] = {
    ".html": flame_html,
    ".speedscope.json": speedscope,
    ".pb.gz": pprof,
    ".folded": folded,
    ".json": blame_json,
}


def format_of(name: str) -> str:
    """The key of FORMATS that this file's name ends with. Raises UsageError."""
    for suffix in FORMATS:
        if name.endswith(suffix):
            return suffix
    raise UsageError(f"{name}: no format has this name", "end it in " + ", ".join(FORMATS))


def may_be_written(name: str) -> None:
    """Raises UsageError where no format has this name, VmadError where no such file can be made."""
    format_of(name)
    directory = Path(name).parent
    if not directory.is_dir():
        raise VmadError(f"{name}: there is no directory {directory}")
    try:
        refuse_what_is_no_file(name)
    except OSError as error:
        raise VmadError(f"{name}: {error.strerror}") from error
    if not os.access(directory, os.W_OK):
        raise VmadError(f"{name}: may not be written")


def write_file(name: str, blamed: Blamed) -> None:
    """Write the format that the name asks for. Raises UsageError, VmadError."""
    content = _WRITERS[format_of(name)](blamed)
    try:
        write_own(
            name, [content] if isinstance(content, bytes) else content, replace=True, mode=0o666
        )
    except OSError as error:
        raise VmadError(f"{name}: {error.strerror}") from error


def read_recording(name: str) -> Blamed:
    """What ``-o NAME.json`` wrote. Raises BadCapture."""
    try:
        with open(name, encoding="utf-8") as file:
            text = file.read(LARGEST + 1)
    except OSError as error:
        raise BadCapture(f"{name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadCapture(f"{name}: not a recording of vmad blame", "it is not text") from error
    if len(text) > LARGEST:
        raise BadCapture(f"{name}: larger than {LARGEST >> 20} MiB")
    return blamed_of(text, name)
