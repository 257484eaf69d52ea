# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The lab's cache directory: where it is, who may write to it now, and never half a file in it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vmad.lab.errors import LabError


@dataclass(frozen=True)
class Cache:
    """The rooms of one cache directory. Everything in it can be deleted and made again."""

    root: Path

    @property
    def kernels(self) -> Path:
        """One directory per unpacked Debian kernel, named after its release."""
        return self.root / "kernels"

    @property
    def built(self) -> Path:
        """One directory per kernel built here, named as ``--kernel`` names it."""
        return self.root / "built"

    @property
    def apt(self) -> Path:
        """The private apt's state."""
        return self.root / "apt"

    @contextlib.contextmanager
    def locked(self, name: str = "lock") -> Iterator[None]:
        """Hold the cache for writing; another lab waits here until this one is done.

        What takes minutes holds a lock of its own, by ``name``, so that others need not wait for
        it. The kernel drops a lock with its process, so that a killed lab blocks nobody.
        """
        with no_space_explained(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.root / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            # Closing would not do while a child forked in between still has the descriptor.
            fcntl.flock(lock, fcntl.LOCK_UN)
            os.close(lock)


def default_cache() -> Cache:
    """``$XDG_CACHE_HOME/vmad/lab``, or ``~/.cache/vmad/lab`` (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The specification: a relative path there is invalid and to be ignored.
    home = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    return Cache(home / "vmad" / "lab")


@contextlib.contextmanager
def no_space_explained(where: Path) -> Iterator[None]:
    """Turn a failed write below ``where`` into a ``LabError`` that names the place."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise LabError(
                f"no space left below {where}",
                "free some (a kernel takes about 150 MB) or point XDG_CACHE_HOME elsewhere",
            ) from error
        raise LabError(
            f"cannot write below {where}: {error.strerror or error}",
            "make it writable or point XDG_CACHE_HOME elsewhere",
        ) from error


def write_whole(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path`` in one step: a reader sees the old file or the new one."""
    with no_space_explained(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as temporary:
                temporary.write(content)
                temporary.flush()
                os.fsync(temporary.fileno())
                os.fchmod(temporary.fileno(), 0o644)
            os.rename(name, path)
        except BaseException:
            os.unlink(name)
            raise


@contextlib.contextmanager
def directory_made_whole(path: Path) -> Iterator[Path]:
    """Yield an empty directory that becomes ``path`` on success and vanishes on failure."""
    with no_space_explained(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield work
        with no_space_explained(path.parent):
            if path.exists():
                # rename(2) replaces only an empty directory; move the old one out of the way.
                work.chmod(0o755)
                old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
                os.rename(path, old / "old")
                os.rename(work, path)
                shutil.rmtree(old)
            else:
                work.chmod(0o755)
                os.rename(work, path)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """The SHA256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
