# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What of a loaded BPF object is used: maps, programs that are run, iterators that are read."""

from __future__ import annotations

import ctypes
import errno
import os
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from vmad.errors import EvidenceUnavailable
from vmad.sources.bpf.libbpf import TestRunOpts
from vmad.sources.bpf.refusals import RIGHTS


class HashMap:
    """A hash map, read whole; from 5.18 on that takes no right."""

    def __init__(
        self, library: ctypes.CDLL, fd: int, key: np.dtype[np.void], value: np.dtype[np.void]
    ) -> None:
        self._library = library
        self._fd = fd
        self._key = key
        self._value = value

    def items(self, most: int) -> tuple[npt.NDArray[np.void], npt.NDArray[np.void]]:
        """All keys and their values, in step; ``most`` is what the map may hold.

        Raises EvidenceUnavailable where the kernel refuses (before 5.6, or without rights).
        """
        keys, values = np.zeros(most, self._key), np.zeros(most, self._value)
        count, place = ctypes.c_uint32(most), ctypes.c_uint64(0)
        done = self._library.bpf_map_lookup_batch(
            self._fd,
            None,
            ctypes.byref(place),
            keys.ctypes.data,
            values.ctypes.data,
            ctypes.byref(count),
            None,
        )
        # ENOENT: this was the end of it
        if done != 0 and (number := ctypes.get_errno()) != errno.ENOENT:
            raise EvidenceUnavailable(f"BPF: a map cannot be read: {os.strerror(number)}", RIGHTS)
        return keys[: count.value], values[: count.value]

    def delete(self, key: npt.NDArray[np.void] | np.void) -> None:
        """Forget one key; one that is not there is no error."""
        self._library.bpf_map_delete_elem(self._fd, np.array(key, self._key).ctypes.data)


class SyscallProgram:
    """A loaded program of type "syscall"."""

    def __init__(self, library: ctypes.CDLL, fd: int) -> None:
        self._run = library.bpf_prog_test_run_opts
        self._fd = fd
        self._options = TestRunOpts(sz=ctypes.sizeof(TestRunOpts))
        self._reference = ctypes.byref(self._options)

    def run(self) -> None:
        """Run it once, in this thread, the interpreter lock released."""
        if self._run(self._fd, self._reference) != 0:
            number = ctypes.get_errno()
            raise EvidenceUnavailable(f"BPF: run refused: {os.strerror(number)}")


class IteratorLink:
    """An attached iterator; each reading is a fresh pass."""

    def __init__(self, library: ctypes.CDLL, link: int) -> None:
        self._library = library
        self._link: int | None = link
        self._link_fd = library.bpf_link__fd(link)

    def call_once(self) -> None:
        """One read, for a program that writes nothing and ends the pass at its first call."""
        fd = self._create()
        try:
            os.read(fd, 1)
        except BlockingIOError:
            pass  # what the kernel makes of "again"
        finally:
            os.close(fd)

    def _create(self) -> int:
        fd: int = self._library.bpf_iter_create(self._link_fd)
        if fd < 0:
            raise EvidenceUnavailable(f"BPF: iterator refused: {os.strerror(ctypes.get_errno())}")
        return fd

    def read(self) -> bytes:
        """Everything that one pass writes.

        EAGAIN means that the kernel wants a rest after 1,000,000 objects (MAX_ITER_OBJECTS).
        """
        fd = self._create()
        parts: list[bytes] = []
        size = 1 << 12  # mostly there is nothing, and room for much is a mapping of its own
        try:
            while True:
                try:
                    part = os.read(fd, size)
                except BlockingIOError:
                    continue
                if not part:
                    return b"".join(parts)
                parts.append(part)
                size = 1 << 18
        finally:
            os.close(fd)

    def close(self) -> None:
        """Detach."""
        if self._link is not None:
            self._library.bpf_link__destroy(self._link)
            self._link = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
