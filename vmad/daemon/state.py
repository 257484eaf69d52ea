# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a restart must not forget: the high-water mark and the growth of every process that runs.

A file in the service's state directory ($STATE_DIRECTORY, systemd.exec(5)), written after full
scans and at the end, read once at the start. It is worth something on the same boot alone, since
processes are known by when they started, and monotonic time goes on.
"""

from __future__ import annotations

import io
import logging
import os
from pathlib import Path

import numpy as np

from vmad.scan.inheritance import INHERITED, Inherited

log = logging.getLogger("vmad")

NAME = "history"
_FIRST_LINE = "vmad.history/1 "
#: bytes: a million processes are less
_LARGEST = 1 << 28


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
        self._path = path
        self._boot = boot
        self._complained = False

    def read(self) -> Inherited | None:
        """What was written last on this boot; None without, or when it makes no sense."""
        try:
            with self._path.open("rb") as file:
                text = file.read(_LARGEST)
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("state %s cannot be read: %s", self._path, error.strerror)
            return None
        first, _, rest = text.partition(b"\n")
        if first != self._first_line():
            log.info("state %s is of another boot or version: starting afresh", self._path)
            return None
        try:
            rows = np.load(io.BytesIO(rest), allow_pickle=False)
        except (ValueError, EOFError) as error:
            log.warning("state %s is damaged, starting afresh: %s", self._path, error)
            return None
        if rows.dtype != INHERITED or rows.ndim != 1:
            log.info("state %s is of another version: starting afresh", self._path)
            return None
        found: Inherited = rows
        return found

    def write(self, inherited: Inherited) -> None:
        """Replace it in one step. Not synced: after a crash of the machine it is worth nothing."""
        text = io.BytesIO()
        text.write(self._first_line() + b"\n")
        np.save(text, inherited, allow_pickle=False)
        partial = self._path.with_name(f"{NAME}.new")
        try:
            partial.write_bytes(text.getvalue())
            partial.replace(self._path)
        except OSError as error:
            if not self._complained:
                log.warning("state %s cannot be written: %s", self._path, error.strerror)
            self._complained = True
        else:
            self._complained = False

    def _first_line(self) -> bytes:
        return f"{_FIRST_LINE}{self._boot}".encode()
