# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The marks of groups, kept over a restart of vmad and of the machine.

A file in the service's state directory ($STATE_DIRECTORY, systemd.exec(5)) beside the history of
processes. Groups have names that a reboot does not change, and marks have the time of day, so
that this file, unlike that one, is worth something on every boot.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vmad.daemon.kept_file import KeptFile
from vmad.scan.marks import MOST_GROUPS, MOST_STEPS, Mark

log = logging.getLogger("vmad")

NAME = "marks"
SCHEMA = "vmad.marks/1"
#: map_count is an int
MOST_VMAS = 2**31 - 1
#: bytes: a group's name is the longest part, and a path is at most 4 KiB
_LARGEST = MOST_GROUPS * ((6 << 12) + 64 * MOST_STEPS)


def marks_file() -> MarksFile | None:
    """The file in $STATE_DIRECTORY; None where nobody gave us a directory."""
    directory = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return MarksFile(Path(directory) / NAME) if directory else None


class MarksFile:
    """One JSON object: ``schema``, and ``groups``: name to a list of [count, Unix seconds].

    A file that cannot be read or written costs what was learned, no more.
    """

    def __init__(self, path: Path) -> None:
        self._file = KeptFile(path, _LARGEST)

    def read(self) -> dict[str, tuple[Mark, ...]]:
        """What was written last; nothing without, or when it makes no sense."""
        text = self._file.read()
        if text is None:
            return {}
        try:
            document = json.loads(text)
            if document["schema"] != SCHEMA:
                log.info("state %s is of another version: starting afresh", self._file.path)
                return {}
            return {
                str(group): tuple(_mark(*step) for step in steps)
                for group, steps in document["groups"].items()
            }
        except (
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            OverflowError,
            RecursionError,
        ) as error:
            self._file.set_aside(error)
            return {}

    def write(self, marks: Mapping[str, Sequence[Mark]]) -> None:
        """Replace it in one step."""
        groups = {
            group: [[step.count, round(step.at, 3)] for step in steps]
            for group, steps in marks.items()
        }
        self._file.write(json.dumps({"schema": SCHEMA, "groups": groups}).encode("ascii"))

    @property
    def name(self) -> str:
        """Of the file."""
        return self._file.path.name

    @property
    def why_not(self) -> str | None:
        """Why it could not be written last; None when it could."""
        return self._file.why_not


def _mark(count: Any, at: Any) -> Mark:
    """Raises ValueError, TypeError for what is none."""
    if not isinstance(count, int) or not 0 < count <= MOST_VMAS or not math.isfinite(at):
        raise ValueError(f"a mark of {count} at {at}")
    return Mark(count, float(at))
