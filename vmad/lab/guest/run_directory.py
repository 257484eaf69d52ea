# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The directory of one run (sockets, initramfs, swap), gone afterwards even if the lab is killed.

A killed lab cannot tidy up, so that the next one does: each directory is locked by its owner for
as long as that lives, and one that can be locked has no owner any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from vmad.lab.cache import no_space_explained

# Not in the cache: paths of sockets may have 107 bytes only (unix(7)).
_PREFIX = "vmad-lab-"


@contextlib.contextmanager
def run_directory() -> Iterator[Path]:
    """Make a directory that only this run uses; it is removed on leaving."""
    sweep(Path(tempfile.gettempdir()))
    with no_space_explained(Path(tempfile.gettempdir())):
        path, lock = _made_and_locked()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _made_and_locked() -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return path, lock
        os.close(lock)  # another lab's sweep came between the two: make another one


def sweep(place: Path) -> None:
    """Remove the directories of this user's runs whose lab has been killed."""
    for path in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # of another user, in use, or just removed
            if path.stat().st_uid != os.geteuid() or path.is_symlink():
                continue
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
            finally:
                os.close(lock)
