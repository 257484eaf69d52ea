# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One BPF object file: opened, set up, loaded and attached."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmad.errors import EvidenceUnavailable
from vmad.sources.bpf.handles import HashMap, IteratorLink, SyscallProgram
from vmad.sources.bpf.libbpf import IterAttachOpts, IterTask, OpenOpts, load_library
from vmad.sources.bpf.refusals import BTF_PATH, why_not_attached, why_not_loaded
from vmad.sources.bpf.ring import RingBuffer

#: bytes; a whole verifier log is longer only for programs that it gives up on
LOG_SIZE = 1 << 24


class BpfObject:
    """One BPF object file, opened, set up and loaded.

    ``settings`` (bytes) replace the start of section ".rodata.settings" before loading;
    ``since`` is the first release that has what the object wants; programs ``without`` are left
    out (the kernel has not what they want); maps named in ``entries`` hold so many.
    Raises EvidenceUnavailable with cause and remedy.
    """

    def __init__(
        self,
        path: Path,
        settings: bytes = b"",
        *,
        since: str = "5.15",
        without: Collection[str] = (),
        entries: Mapping[str, int] | None = None,
    ) -> None:
        self._library = load_library()
        self._name = path.name
        self._entries = dict(entries or {})
        self._without = without
        self._object: int | None = None
        self._links: list[int] = []
        if not path.exists():
            raise EvidenceUnavailable(f"BPF: {path} is missing", "run `make setup` to build it")
        # A type that the kernel does not have makes libbpf look in the BTF of modules, for which
        # it needs CAP_SYS_ADMIN (6.1 has no struct backing_file); not so with a BTF named.
        for btf in (None, BTF_PATH):
            self._open(path, settings, btf=btf)
            if self._library.bpf_object__load(self._object) == 0:
                return
            number = ctypes.get_errno()
            self.close()
            if number != errno.EPERM:
                break
        # Once more for the verifier's log. Not the first time: kernels before 6.4 refuse a
        # program (ENOSPC) whose log does not fit the buffer.
        log = ctypes.create_string_buffer(LOG_SIZE)
        if number != errno.EPERM:
            self._open(path, settings, log=log)
            self._library.bpf_object__load(self._object)
            self.close()
        cause, remedy = why_not_loaded(number, log.value.decode("utf-8", "replace"), since)
        raise EvidenceUnavailable(f"BPF: {path.name} does not load: {cause}", remedy)

    def _open(
        self,
        path: Path,
        settings: bytes,
        *,
        btf: str | None = None,
        log: ctypes.Array[ctypes.c_char] | None = None,
    ) -> None:
        options = OpenOpts(sz=ctypes.sizeof(OpenOpts))
        if btf is not None:
            options.btf_custom_path = os.fsencode(btf)
        if log is not None:
            options.kernel_log_buf = ctypes.cast(log, ctypes.c_void_p)
            options.kernel_log_size = len(log)
        self._object = self._library.bpf_object__open_file(os.fsencode(path), ctypes.byref(options))
        if not self._object:
            raise EvidenceUnavailable(
                f"BPF: {path}: {os.strerror(ctypes.get_errno())}", "run `make setup` to rebuild it"
            )
        for name in self._without:
            self._library.bpf_program__set_autoload(self._program(name), False)
        for name, most in self._entries.items():
            self._library.bpf_map__set_max_entries(self._map(name), most)
        if settings:
            size = ctypes.c_size_t()
            address = self._library.bpf_map__initial_value(
                self._map(".rodata.settings"), ctypes.byref(size)
            )
            assert len(settings) <= size.value, "settings do not fit their section"
            ctypes.memmove(address, settings, len(settings))

    def _map(self, name: str) -> int:
        handle = self._library.bpf_object__find_map_by_name(self._object, name.encode())
        assert handle, f"{self._name} has no map {name}"
        return int(handle)

    def map_memory(self, name: str, size: int) -> mmap.mmap:
        """An array map made with BPF_F_MMAPABLE, ``size`` bytes of it, shared with the kernel."""
        return mmap.mmap(
            self._library.bpf_map__fd(self._map(name)),
            (size + mmap.PAGESIZE - 1) // mmap.PAGESIZE * mmap.PAGESIZE,
            flags=mmap.MAP_SHARED,
        )

    def array(self, name: str, dtype: np.dtype[np.void], length: int) -> npt.NDArray[np.void]:
        """The first ``length`` elements of such a map. Raises OSError.

        What is mapped counts as this process's memory from then on, used or not.
        """
        return np.frombuffer(self.map_memory(name, dtype.itemsize * length), dtype, length)

    def hash_map(self, name: str, key: np.dtype[np.void], value: np.dtype[np.void]) -> HashMap:
        """A hash map with keys and values of these types."""
        return HashMap(self._library, self._library.bpf_map__fd(self._map(name)), key, value)

    def ring_buffer(self, name: str, record: Callable[[bytes], None]) -> RingBuffer:
        """A ring buffer; ``record`` gets each record."""
        return RingBuffer(self._library, self._library.bpf_map__fd(self._map(name)), record)

    def _program(self, name: str) -> int:
        handle = self._library.bpf_object__find_program_by_name(self._object, name.encode())
        assert handle, f"{self._name} has no program {name}"
        return int(handle)

    def runner(self, program: str) -> SyscallProgram:
        """A program of type "syscall", to be run on demand."""
        return SyscallProgram(self._library, self._library.bpf_program__fd(self._program(program)))

    def attach_iterator(self, program: str, pid: int | None = None) -> IteratorLink:
        """Attach an iterator to every task, or to one process (pid namespace of the caller).

        Raises EvidenceUnavailable where the kernel refuses (a link for one process: before 6.1).
        """
        options = None
        if pid is not None:
            task = IterTask(pid=pid)
            options = ctypes.byref(
                IterAttachOpts(
                    sz=ctypes.sizeof(IterAttachOpts),
                    link_info=ctypes.pointer(task),
                    link_info_len=ctypes.sizeof(task),
                )
            )
        link = self._library.bpf_program__attach_iter(self._program(program), options)
        if not link:
            number = ctypes.get_errno()
            raise EvidenceUnavailable(
                f"BPF: {self._name} does not attach: {os.strerror(number)}",
                "--evidence procfs serves",
            )
        return IteratorLink(self._library, link)

    def attach(self, program: str) -> None:
        """Attach a program to what its section names, until ``close``.

        Raises EvidenceUnavailable where the kernel refuses.
        """
        link = self._library.bpf_program__attach(self._program(program))
        if not link:
            why, remedy = why_not_attached(ctypes.get_errno())
            raise EvidenceUnavailable(
                f"BPF: {self._name} does not attach: {program}: {why}", remedy
            )
        self._links.append(link)

    @property
    def attached(self) -> bool:
        """Whether something of it is attached."""
        return bool(self._links)

    def detach(self) -> None:
        """Undo every ``attach``; what is loaded can be attached again."""
        while self._links:
            self._library.bpf_link__destroy(self._links.pop())

    def close(self) -> None:
        """Detach what ``attach`` attached, and unload."""
        self.detach()
        if self._object:
            self._library.bpf_object__close(self._object)
            self._object = None
