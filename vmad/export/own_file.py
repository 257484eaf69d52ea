# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A file that a person asked for, wherever that is: whatever somebody else laid there is no way to
another file, and does not get to read what is written.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from vmad.files import give_name


def write_own(path: str, parts: Iterable[str | bytes], *, replace: bool, mode: int) -> None:
    """Write a file of our own making, in one step; ``mode`` as for open(2).

    Raises FileExistsError where there is one and ``replace`` is not set, OSError.
    """
    refuse_what_is_no_file(path)
    place = Path(path)
    if not replace and place.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    aside = place.with_name(f".{place.name[:200]}.{secrets.token_hex(6)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(aside, flags, mode), "wb") as file:
            for part in parts:
                file.write(part if isinstance(part, bytes) else part.encode())
        give_name(aside, place, replace)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def refuse_what_is_no_file(path: str) -> None:
    """Raises OSError where something stands in the way that is no file."""
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise OSError(errno.EINVAL, "exists and is not a file")
