# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A recorded capture, read by the same protocol as a live host."""

from __future__ import annotations

import errno
import os
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, Any

import numpy as np

from vmad.errors import BadCapture, CannotRead, ProcessGone
from vmad.model.kernel import KernelInfo, parse_release
from vmad.model.process import Evidence, ProcessId, ProcessSummary, Unread, Unreadable
from vmad.model.table import VMA_ROW, VmaTable
from vmad.rules.counting import Counting
from vmad.sources import capture_format as form
from vmad.sources.npy import Array, unpack_array
from vmad.sources.source import CENSUS_ROW, Census, SourceBase, SourceHealth


class CaptureSource(SourceBase):
    """What one capture file recorded. Raises BadCapture (also while reading), CannotRead.

    The run counts of ``summarise`` follow the rules of the kernel that it comes from.
    """

    evidence: Evidence
    kernel: KernelInfo
    max_map_count: int | None

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._walked = 0
        try:
            self._file = open(path, "rb", opener=_opened)  # noqa: SIM115  close() closes it
            self._archive = zipfile.ZipFile(self._file)
            self._check_size()
            self.meta = self._read_meta()
        except OSError as error:
            self.close()
            raise CannotRead(f"{path}: {error.strerror or error}") from error
        # ValueError: a member's name that is not UTF-8
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            self.close()
            raise BadCapture(f"{path}: not a capture, or a damaged one: {error}") from error
        except BadCapture as error:
            self.close()
            raise BadCapture(f"{path}: {error}") from error
        self._counting = Counting(self.kernel)

    def _check_size(self) -> None:
        entries = self._archive.infolist()
        if len(entries) > form.MAX_MEMBERS:
            raise BadCapture(f"{len(entries)} members, more than {form.MAX_MEMBERS}")
        if sum(entry.file_size for entry in entries) > form.MAX_TOTAL:
            raise BadCapture("unpacks to more than a capture may")

    def _read_meta(self) -> dict[str, Any]:
        meta = form.parse_json(self._member(form.META), form.META)
        schema = form.field(meta, "schema", str)
        if schema != form.SCHEMA:
            newer = schema.startswith(form.SCHEMA_FAMILY)
            by = f", written by vmad {meta.get('vmad')}" if newer else ""
            raise BadCapture(f"schema {schema!r}{by}; this vmad reads {form.SCHEMA!r}")
        kernel = form.field(meta, "kernel", dict)
        page_size = form.field(meta, "page_size", int)
        if page_size not in form.PAGE_SIZES:
            raise BadCapture(f"{form.META}: no page size: {page_size}")
        self.kernel = KernelInfo(
            form.field(kernel, "release", str),
            form.field(kernel, "machine", str),
            form.field(kernel, "patched", bool),
            form.field(kernel, "merge_switch", int, type(None)),
            page_shift=page_size.bit_length() - 1,
        )
        try:
            parse_release(self.kernel.release)
        except ValueError as error:
            raise BadCapture(f"{form.META}: {error}") from error
        self.evidence = form.evidence_of(form.field(meta, "evidence", str))
        self.max_map_count = form.field(meta, "max_map_count", int, type(None))
        form.field(meta, "walk", str)  # for people
        processes = [form.process_of(document) for document in form.field(meta, "processes", list)]
        self._processes = {process.id.pid: process for process in processes}
        if len(self._processes) != len(processes):
            raise BadCapture(f"{form.META}: a pid occurs twice")
        self._unreadable = tuple(
            _unreadable_of(document) for document in form.field(meta, "unreadable", list)
        )
        return meta  # type: ignore[no-any-return]

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        """The processes that could not be read when the capture was made."""
        return self._unreadable

    def find(self, pid: int) -> ProcessId:
        """A process that was recorded. Raises ProcessGone, and CannotRead of one that was not."""
        recorded = self._processes.get(pid)
        if recorded is not None:
            return recorded.id
        if any(missed.id.pid == pid for missed in self._unreadable):
            raise CannotRead(f"process {pid} could not be read when it was captured")
        there = ", ".join(map(str, sorted(self._processes)[:5]))
        raise ProcessGone(f"process {pid} is not in the capture", f"it has {there}, …")

    def census(self) -> Census:
        """Every process that was recorded."""
        census = np.zeros(len(self._processes), CENSUS_ROW)
        for row, pid in enumerate(sorted(self._processes)):
            process = self._processes[pid]
            census[row] = (
                *process.id,
                process.mm,
                -1 if process.map_count is None else process.map_count,
                process.lock_seq,
                process.total_vm,
                process.comm.encode("utf-8", "surrogateescape")[:16],
            )
        return census

    def sample(self) -> Census:
        """The census: counts alone are not cheaper."""
        return self.census()

    def summarise(self, processes: Iterable[ProcessId]) -> Iterator[ProcessSummary | Unreadable]:
        """Count each recorded process."""
        for process in processes:
            try:
                yield self._counting.summary(self.table(process))
            except ProcessGone as error:
                yield Unreadable(process, "", Unread.GONE, str(error))

    def table(self, process: ProcessId) -> VmaTable:
        """The recorded columns. Raises ProcessGone when it is not in the capture, BadCapture."""
        recorded = self._processes.get(process.pid)
        if recorded is None or recorded.id != process:
            raise ProcessGone(f"process {process.pid} is not in {self._path}")
        try:
            rows = self._array(form.rows_member(process.pid), VMA_ROW)
            form.check_rows(rows, form.rows_member(process.pid))
            paths = self._paths(process.pid, len(rows)) if recorded.has_names else {}
        except BadCapture as error:
            raise BadCapture(f"{self._path}: {error}") from error
        self._walked += len(rows)
        return VmaTable(
            recorded.id,
            recorded.comm,
            recorded.evidence,
            recorded.map_count,
            rows,
            paths,
            recorded.has_flags,
            recorded.has_anon_vma,
            recorded.consistent,
            recorded.mm,
        )

    def health(self) -> SourceHealth:
        """How many rows were read from the file."""
        return SourceHealth("capture", self._walked)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _paths(self, pid: int, rows: int) -> dict[int, str]:
        names = form.parse_json(self._member(form.names_member(pid)), form.names_member(pid))
        name_of = self._array(form.name_of_member(pid), form.NAME_INDEX)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise BadCapture(f"{form.names_member(pid)}: not a list of names")
        if len(name_of) != rows or (name_of < -1).any() or (name_of >= len(names)).any():
            raise BadCapture(f"{form.name_of_member(pid)}: points to names that are not there")
        named = np.flatnonzero(name_of >= 0)
        pointed = zip(named.tolist(), name_of[named].tolist(), strict=True)
        return {row: names[index] for row, index in pointed}

    def _array(self, member: str, dtype: np.dtype[Any]) -> Array:
        packed = self._member(member)
        try:
            return unpack_array(packed, dtype)
        except ValueError as error:
            raise BadCapture(f"{member}: {error}") from error

    def _member(self, name: str) -> bytes:
        try:
            entry = self._archive.getinfo(name)
            if entry.file_size > form.MAX_MEMBER:
                raise BadCapture(f"{name}: unpacks to {entry.file_size} bytes, too many")
            if entry.compress_type not in form.COMPRESSIONS:
                raise BadCapture(f"{name}: compressed in a way that no capture is")
            # zipfile reads no more than the size that the directory gives
            with self._archive.open(entry) as member:
                return member.read(form.MAX_MEMBER)
        except KeyError as error:
            raise BadCapture(f"{name} is missing") from error
        # ValueError: its name, told once more beside it, is not UTF-8
        except (
            zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError,
        ) as error:  # fmt: skip
            raise BadCapture(f"{name}: damaged: {error}") from error


def _opened(path: str, flags: int) -> int:
    """A file, and nothing that could keep us waiting. Raises OSError."""
    fd = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a file")
    return fd


def _unreadable_of(document: object) -> Unreadable:
    try:
        why = Unread(form.field(document, "why", str))
    except ValueError as error:
        raise BadCapture(f"{form.META}: {error}") from error
    return Unreadable(
        ProcessId(form.field(document, "pid", int), form.field(document, "start_time", int)),
        form.field(document, "comm", str),
        why,
        form.field(document, "detail", str),
    )
