# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Writes a capture: whole or not at all, readable by its owner only.

Everything goes to a nameless neighbour first and gets its name at the end, so that a full disk or
a Ctrl-C leaves nothing behind and an old capture is never half overwritten.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Self

import numpy as np

from vmad.errors import UsageError, VmadError
from vmad.files import give_name
from vmad.model.process import Unreadable
from vmad.model.table import VmaTable
from vmad.sources import capture_format as form
from vmad.sources.npy import Array, pack_array
from vmad.sources.redaction import Redaction

#: the archive's own dates are fixed: the same content gives the same bytes
_EPOCH = (1980, 1, 1, 0, 0, 0)


class CannotWrite(VmadError):
    """A file could not be written: a full disk, a right, a directory that is not there."""


class CaptureWriter:
    """Context manager: add processes, then leave; leaving by an error leaves no file.

    ``redaction`` None keeps names, paths and comms. Raises UsageError where ``path`` exists and
    ``force`` is not given, CannotWrite on any failure of the file system.
    """

    def __init__(self, path: str, redaction: Redaction | None, force: bool = False) -> None:
        self._path = Path(path)
        self._redaction = redaction
        self._force = force
        self._processes: list[dict[str, Any]] = []
        self._unreadable: list[dict[str, Any]] = []
        self._spaces: dict[int, int] = {0: 0}
        self._refuse_to_overwrite()
        try:
            descriptor, self._temporary = tempfile.mkstemp(
                prefix=f".{self._path.name}.", dir=self._path.parent
            )
        except OSError as error:
            raise self._cannot(error) from error
        self._file = os.fdopen(descriptor, "wb")
        self._archive = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED, compresslevel=1)

    def _refuse_to_overwrite(self) -> None:
        try:
            mode = os.lstat(self._path).st_mode
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._cannot(error) from error
        if not stat.S_ISREG(mode):
            raise UsageError(f"{self._path}: exists and is not a file")
        if not self._force:
            raise UsageError(f"{self._path}: exists", "--force overwrites it")

    @property
    def keeps_names(self) -> bool:
        """Whether names, paths and comms go into the file as they are."""
        return self._redaction is None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # only finish() gives the file its name; what is written here goes with the neighbour
        with contextlib.suppress(OSError):
            self._archive.close()
        try:
            self._file.close()
        except OSError as error:
            if kind is None:
                raise self._cannot(error) from error
        finally:
            Path(self._temporary).unlink(missing_ok=True)

    def add(self, table: VmaTable, lock_seq: int = -1, total_vm: int = -1) -> None:
        """Record one address space."""
        pid = table.id.pid
        if table.rows.nbytes >= form.MAX_MEMBER:
            raise CannotWrite(f"process {pid}: {len(table.rows)} VMAs are too many for a capture")
        names, name_of = self._names(table)
        process = form.CapturedProcess(
            table.id,
            table.comm if self._redaction is None else self._redaction.comm(table.comm),
            table.evidence,
            table.map_count,
            self._spaces.setdefault(table.mm, len(self._spaces)),
            lock_seq,
            total_vm,
            table.has_flags,
            table.has_anon_vma,
            bool(table.consistent),
            bool(names),
        )
        self._processes.append(form.process_object(process))
        self._member(form.rows_member(pid), pack_array(table.rows))
        if names:
            self._member(form.names_member(pid), json.dumps(names).encode("ascii"))
            self._member(form.name_of_member(pid), pack_array(name_of))

    def add_unreadable(self, process: Unreadable) -> None:
        """Record that a process was there and could not be read."""
        comm = process.comm if self._redaction is None else self._redaction.comm(process.comm)
        self._unreadable.append(
            {
                "pid": process.id.pid,
                "start_time": process.id.start_time,
                "comm": comm,
                "why": process.why.value,
                "detail": process.detail if self._redaction is None else "",
            }
        )

    def finish(self, meta: dict[str, Any]) -> None:
        """Write ``meta`` (what is not about one process) and give the file its name."""
        whole = {"schema": form.SCHEMA, **meta}
        whole |= {"processes": self._processes, "unreadable": self._unreadable}
        self._member(form.META, json.dumps(whole, indent=1).encode("ascii"))
        try:
            self._archive.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            give_name(self._temporary, self._path, self._force)
        except FileExistsError as error:
            raise UsageError(f"{self._path}: exists", "--force overwrites it") from error
        except OSError as error:
            raise self._cannot(error) from error

    def _names(self, table: VmaTable) -> tuple[list[str], Array]:
        name_of = np.full(len(table.rows), -1, form.NAME_INDEX)
        number: dict[str, int] = {}
        for row, path in table.paths.items():
            name_of[row] = number.setdefault(path, len(number))
        redaction = self._redaction
        return [path if redaction is None else redaction.path(path) for path in number], name_of

    def _member(self, name: str, content: bytes) -> None:
        entry = zipfile.ZipInfo(name, _EPOCH)
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.external_attr = 0o600 << 16
        try:
            self._archive.writestr(entry, content, compresslevel=1)
        except OSError as error:
            raise self._cannot(error) from error

    def _cannot(self, error: OSError) -> CannotWrite:
        return CannotWrite(f"{self._path}: cannot write: {error.strerror or error}")
