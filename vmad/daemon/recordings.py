# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The page of the last recording: whole for whom may see everything, without names for others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from vmad.blame.last import LARGEST, NAME
from vmad.blame.redacted import redacted
from vmad.daemon.kept_file import opened_unfollowed
from vmad.errors import BadCapture
from vmad.export.blame_flame import flame_html
from vmad.export.blame_json import blamed_of
from vmad.sources.redaction import Redaction


class _Made(NamedTuple):
    of: tuple[int, int, int]  #: inode, bytes, nanoseconds of the last change
    whole: bool
    page: bytes


class Recordings:
    """The one that lies in ``directory``. For one thread at a time."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME
        self._made: _Made | None = None

    def page(self, whole: bool) -> bytes | None:
        """Its flame graph, HTML in UTF-8; None where there is none, or none that makes sense."""
        try:
            with open(self._path, "rb", opener=opened_unfollowed) as file:
                status = os.fstat(file.fileno())
                of = status.st_ino, status.st_size, status.st_mtime_ns
                made = self._made
                if made is not None and (made.of, made.whole) == (of, whole):
                    return made.page
                if status.st_size > LARGEST:
                    return None
                blamed = blamed_of(file.read(LARGEST).decode("utf-8"), NAME)
        except (OSError, UnicodeDecodeError, BadCapture):
            return None
        if not whole:
            blamed = redacted(blamed, Redaction())
        page = "".join(flame_html(blamed)).encode()
        self._made = _Made(of, whole, page)
        return page
