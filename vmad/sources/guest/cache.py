# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Kernels that were seen before: their anchors on disk, so that attaching again costs little.

One JSON file per build, named by a hash of its banner. A file that cannot be read or written is
as good as none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from vmad.sources.guest.kernel import SYSCTLS, Anchors, anchors_from_json
from vmad.sources.guest.layout import NEEDED, OPTIONAL, SIZES

#: changes whenever what is stored changes: a kernel is then looked at anew
FORMAT = hashlib.blake2s(
    repr((1, NEEDED, OPTIONAL, SIZES, SYSCTLS)).encode(), digest_size=8
).hexdigest()
#: what reading one raises that was damaged, or written by nobody of ours
NOT_ANCHORS = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
#: kernels that are kept; the oldest go first
MOST = 64


def default_directory() -> Path:
    """systemd's CacheDirectory= where the daemon has one, else the user's cache."""
    given = os.environ.get("CACHE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given, "guests")
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home, "vmad", "guests")


class AnchorCache:
    """Anchors by the kernel's banner, in memory and in a directory."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = default_directory() if directory is None else directory
        self._known: dict[str, Anchors] | None = None

    def __iter__(self) -> Iterator[Anchors]:
        """Every kernel that is known."""
        return iter(list(self._all().values()))

    def _all(self) -> dict[str, Anchors]:
        if self._known is None:
            self._known = {}
            with contextlib.suppress(OSError):
                for path in sorted(self._directory.glob("*.json"), key=_age)[:MOST]:
                    with contextlib.suppress(OSError, *NOT_ANCHORS):
                        stored = json.loads(path.read_bytes())
                        if stored["format"] == FORMAT:
                            anchors = anchors_from_json(stored)
                            self._known[anchors.banner] = anchors
        return self._known

    def add(self, anchors: Anchors) -> None:
        """Remember a kernel."""
        self._all()[anchors.banner] = anchors
        name = hashlib.blake2s(anchors.banner.encode(), digest_size=12).hexdigest()
        text = json.dumps({"format": FORMAT, **anchors.as_json()})
        with contextlib.suppress(OSError):
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = self._directory / f"{name}.{os.getpid()}.new"
            # what lies there is of a run that was killed, or a link that somebody laid
            fresh.unlink(missing_ok=True)
            with open(fresh, "x", encoding="utf-8") as file:
                file.write(text)
            fresh.replace(self._directory / f"{name}.json")
            for old in sorted(self._directory.glob("*.json"), key=_age)[MOST:]:
                old.unlink(missing_ok=True)


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except OSError:
        return 0.0
