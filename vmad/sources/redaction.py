# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Names out of a capture: what identifies a machine goes, what tells VMAs apart stays.

A redacted name is a keyed hash under a key that is drawn for one capture and never stored: equal
names stay equal within the capture, and nobody can try names against it. Names that the kernel
itself gives ("[heap]", "[vdso]", "/dev/zero") tell nothing and stay.
"""

from __future__ import annotations

import hashlib
import re
import secrets

_DELETED = " (deleted)"
#: fs/proc/task_mmu.c and arch_vma_name(): names in brackets that the kernel makes up itself
_KERNEL_NAME = re.compile(r"\[[a-z_]+(:\d+)?\]|//anon|/dev/zero|/SYSV[0-9a-f]{8}|anon_inode:.*")
_GIVEN_NAME = re.compile(r"\[(anon|anon_shmem):(.*)\]", re.DOTALL)
_MEMFD = "/memfd:"


class Redaction:
    """Replaces names by hashes, the same name by the same hash.

    ``key`` is drawn at random unless given (tests give one).
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._key = secrets.token_bytes(32) if key is None else key

    def path(self, path: str) -> str:
        """What maps prints in its last column, redacted; the kind of thing it names is kept."""
        deleted = path.endswith(_DELETED)
        name = path.removesuffix(_DELETED)
        given = _GIVEN_NAME.fullmatch(name)
        if given is not None:
            return f"[{given[1]}:{self._hash(given[2])}]"
        if _KERNEL_NAME.fullmatch(name) is not None:
            return path
        if name.startswith(_MEMFD):
            name = _MEMFD + self._hash(name.removeprefix(_MEMFD))
        else:
            name = f"file:{self._hash(name)}"
        return name + _DELETED * deleted

    def comm(self, comm: str) -> str:
        """The name of a process; at most 15 characters, as the kernel keeps them."""
        return f"comm:{self._hash(comm)}"

    def function(self, name: str) -> str:
        """The name of a function."""
        return f"function:{self._hash(name)}"

    def _hash(self, name: str) -> str:
        text = name.encode("utf-8", "surrogateescape")
        return hashlib.blake2s(text, key=self._key, digest_size=4).hexdigest()
