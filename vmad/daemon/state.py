# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a restart must not forget: the high-water mark and the growth of every process that runs.

A file in the service's state directory ($STATE_DIRECTORY, systemd.exec(5)), written after full
scans and at the end, read once at the start. It is worth something on the same boot alone, since
processes are known by when they started, and monotonic time goes on.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from vmad.daemon.kept_file import KeptFile
from vmad.scan.inheritance import INHERITED, Inherited
from vmad.sources.npy import pack_array, unpack_array

log = logging.getLogger("vmad")

NAME = "history"
_FIRST_LINE = "vmad.history/1 "
#: bytes: a million processes are less
_LARGEST = 1 << 28
#: mm->map_count is an int
_LARGEST_COUNT = (1 << 31) - 1


def state_file(proc: str = "/proc") -> StateFile | None:
    """The file in $STATE_DIRECTORY; None where nobody gave us a directory."""
    directory = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return StateFile(Path(directory) / NAME, boot_id(proc)) if directory else None


def boot_id(proc: str = "/proc") -> str:
    """random(4): another one at each boot. Empty where it cannot be read."""
    try:
        return Path(f"{proc}/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


class StateFile:
    """One file. A state that cannot be read or written costs what was learned, no more."""

    def __init__(self, path: Path, boot: str) -> None:
        self._file = KeptFile(path, _LARGEST)
        self._boot = boot

    def read(self) -> Inherited | None:
        """What was written last on this boot; None without, or when it makes no sense."""
        text = self._file.read()
        if text is None:
            return None
        first, _, rest = text.partition(b"\n")
        if first != self._first_line():
            log.info("state %s is of another boot or version: starting afresh", self._file.path)
            return None
        try:
            rows: Inherited = unpack_array(rest, INHERITED)
            _check(rows)
        except ValueError as error:
            self._file.set_aside(error)
            return None
        return rows

    def write(self, inherited: Inherited) -> None:
        """Replace it in one step."""
        self._file.write(self._first_line() + b"\n" + pack_array(inherited))

    @property
    def name(self) -> str:
        """Of the file."""
        return self._file.path.name

    @property
    def why_not(self) -> str | None:
        """Why it could not be written last; None when it could."""
        return self._file.why_not

    def _first_line(self) -> bytes:
        return f"{_FIRST_LINE}{self._boot}".encode()


def _check(rows: Inherited) -> None:
    """Raises ValueError unless a history could have left the rows; its counts are an int."""
    counts = rows["anchor_count"]
    if not (
        (rows["pid"] > 0).all()
        and ((rows["high_water"] >= -1) & (rows["high_water"] <= _LARGEST_COUNT)).all()
        and ((counts >= -1) & (counts <= _LARGEST_COUNT)).all()
    ):
        raise ValueError("it says of a process what cannot be")
