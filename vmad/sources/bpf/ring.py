# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A BPF ring buffer, drained by libbpf.

libbpf calls back for each record, which takes a libffi closure: for commands that a person runs,
not for the hardened service (see libbpf.py).
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable

from vmad.errors import EvidenceUnavailable

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class RingBuffer:
    """The ring buffer with this descriptor; ``record`` gets the bytes of each record, in order."""

    def __init__(self, library: ctypes.CDLL, fd: int, record: Callable[[bytes], None]) -> None:
        library.ring_buffer__new.restype = ctypes.c_void_p
        library.ring_buffer__new.argtypes = (
            ctypes.c_int,
            _Callback,
            ctypes.c_void_p,
            ctypes.c_void_p,
        )
        library.ring_buffer__poll.argtypes = (ctypes.c_void_p, ctypes.c_int)
        library.ring_buffer__free.restype = None
        library.ring_buffer__free.argtypes = (ctypes.c_void_p,)
        self._library = library
        self._failure: BaseException | None = None

        def took(_: int | None, place: int, size: int) -> int:
            # an exception cannot pass through libbpf's frames
            try:
                record(ctypes.string_at(place, size))
            except BaseException as error:
                self._failure = self._failure or error
            return 0

        self._callback = _Callback(took)  # libbpf does not keep it alive
        self._ring = library.ring_buffer__new(fd, self._callback, None, None)
        if not self._ring:
            raise EvidenceUnavailable(
                f"BPF: no ring buffer: {os.strerror(ctypes.get_errno())}", "libbpf 1.0 or later"
            )

    def poll(self, seconds: float) -> None:
        """Take what is there; wait for the first record at most so long."""
        result = self._library.ring_buffer__poll(self._ring, int(seconds * 1000))
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if result < 0 and -result != errno.EINTR:
            raise EvidenceUnavailable(f"BPF: ring buffer: {os.strerror(-result)}")

    def close(self) -> None:
        """Give it back."""
        if self._ring:
            self._library.ring_buffer__free(self._ring)
            self._ring = None
