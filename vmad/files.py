# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A file that was written aside gets its name once it is whole."""

from __future__ import annotations

import os


def give_name(aside: str | os.PathLike[str], path: str | os.PathLike[str], replace: bool) -> None:
    """Rename ``aside`` to ``path``, in the same directory.

    Raises FileExistsError where the name is in use and ``replace`` is not set, OSError.
    """
    if not replace:
        # link() would do, but not every file system has it (FAT, some of FUSE's)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        os.replace(aside, path)
    except OSError:
        if not replace:
            os.unlink(path)
        raise
