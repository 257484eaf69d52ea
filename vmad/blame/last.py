# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The last recording that was made for the page of this host's daemon: one file, one at a time.

The daemon records nothing itself. Whoever has the rights to record says so on the command line,
and lays the result into the daemon's runtime directory ($RUNTIME_DIRECTORY, systemd.exec(5)),
which may belong to another user: nothing in it is followed or trusted.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vmad.errors import VmadError

PLACE = "/run/vmad"
NAME, LOCK = "blame.json", "blame.lock"
#: bytes of a recording that a page is made of
LARGEST = 32 << 20


def place() -> Path:
    """Where the daemon looks."""
    return Path(os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0] or PLACE)


def offer(directory: Path) -> bool:
    """Have the directory, so that recordings can be left there; whether there is one."""
    with suppress(OSError):
        directory.mkdir(mode=0o755, exist_ok=True)
    return directory.is_dir()


@contextmanager
def one_at_a_time(directory: Path) -> Iterator[Callable[[Iterable[str]], None]]:
    """Gives what lays a recording there. Raises VmadError without a daemon, or while another one
    is being recorded.
    """
    try:
        inside = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise VmadError(
            f"no daemon of this host shows recordings ({directory}: {error.strerror})",
            "start it as root, or leave out --page",
        ) from error
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            lock = os.open(LOCK, flags, 0o600, dir_fd=inside)
        except OSError as error:
            raise VmadError(f"{directory / LOCK}: {error.strerror}", "record as root") from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise VmadError(
                    "another recording is being made for the page", "wait for it, or stop it"
                ) from error
            yield lambda texts: _lay(inside, directory, texts)
        finally:
            os.close(lock)
    finally:
        os.close(inside)


def _lay(inside: int, directory: Path, texts: Iterable[str]) -> None:
    """Replace the last one in one step: for the directory's owner to read, and nobody else."""
    aside = f"{NAME}.new"
    owner = os.fstat(inside)
    try:
        with suppress(FileNotFoundError):
            os.unlink(aside, dir_fd=inside)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(aside, flags, 0o600, dir_fd=inside)
        with open(file, "w", encoding="utf-8") as writer:
            writer.writelines(texts)
            os.fchown(file, owner.st_uid, owner.st_gid)
        os.rename(aside, NAME, src_dir_fd=inside, dst_dir_fd=inside)
    except OSError as error:
        raise VmadError(f"{directory / NAME}: {error.strerror}") from error
