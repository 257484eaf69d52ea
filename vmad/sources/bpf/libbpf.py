# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A thin ctypes binding to the dozen functions of libbpf.so.1 that vmad calls.

Signatures: libbpf 1.1 (bpf.h, libbpf.h). No callback is registered, since libffi closures need
memory that is writable and executable, which the hardened service forbids; what went wrong is
told from errno and the verifier's log.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from vmad.errors import EvidenceUnavailable
from vmad.model.kernel import parse_release
from vmad.sources.bpf.ring import RingBuffer


class _OpenOpts(ctypes.Structure):
    """struct bpf_object_open_opts up to kernel_log_level (libbpf 0.7)."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("object_name", ctypes.c_char_p),
        ("relaxed_maps", ctypes.c_bool),
        ("pin_root_path", ctypes.c_char_p),
        ("attach_prog_fd", ctypes.c_uint32),
        ("kconfig", ctypes.c_char_p),
        ("btf_custom_path", ctypes.c_char_p),
        ("kernel_log_buf", ctypes.c_void_p),
        ("kernel_log_size", ctypes.c_size_t),
        ("kernel_log_level", ctypes.c_uint32),
    )


class _IterTask(ctypes.Structure):
    """union bpf_iter_link_info, member task (uapi/linux/bpf.h, 6.1)."""

    _fields_ = (
        ("tid", ctypes.c_uint32),
        ("pid", ctypes.c_uint32),
        ("pid_fd", ctypes.c_uint32),
    )


class _IterAttachOpts(ctypes.Structure):
    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("link_info", ctypes.POINTER(_IterTask)),
        ("link_info_len", ctypes.c_uint32),
    )


class _TestRunOpts(ctypes.Structure):
    """struct bpf_test_run_opts."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("data_in", ctypes.c_void_p),
        ("data_out", ctypes.c_void_p),
        ("data_size_in", ctypes.c_uint32),
        ("data_size_out", ctypes.c_uint32),
        ("ctx_in", ctypes.c_void_p),
        ("ctx_out", ctypes.c_void_p),
        ("ctx_size_in", ctypes.c_uint32),
        ("ctx_size_out", ctypes.c_uint32),
        ("retval", ctypes.c_uint32),
        ("repeat", ctypes.c_int),
        ("duration", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("cpu", ctypes.c_uint32),
        ("batch_size", ctypes.c_uint32),
    )


_SIGNATURES: dict[str, tuple[object, tuple[object, ...]]] = {
    "libbpf_set_print": (ctypes.c_void_p, (ctypes.c_void_p,)),
    "bpf_object__open_file": (ctypes.c_void_p, (ctypes.c_char_p, ctypes.POINTER(_OpenOpts))),
    "bpf_object__load": (ctypes.c_int, (ctypes.c_void_p,)),
    "bpf_object__close": (None, (ctypes.c_void_p,)),
    "bpf_object__find_program_by_name": (ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_char_p)),
    "bpf_object__find_map_by_name": (ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_char_p)),
    "bpf_program__set_autoload": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_bool)),
    "bpf_program__attach": (ctypes.c_void_p, (ctypes.c_void_p,)),
    "bpf_program__fd": (ctypes.c_int, (ctypes.c_void_p,)),
    "bpf_program__attach_iter": (
        ctypes.c_void_p,
        (ctypes.c_void_p, ctypes.POINTER(_IterAttachOpts)),
    ),
    "bpf_link__fd": (ctypes.c_int, (ctypes.c_void_p,)),
    "bpf_link__destroy": (ctypes.c_int, (ctypes.c_void_p,)),
    "bpf_iter_create": (ctypes.c_int, (ctypes.c_int,)),
    "bpf_map__fd": (ctypes.c_int, (ctypes.c_void_p,)),
    "bpf_map__set_max_entries": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_uint32)),
    "bpf_map__initial_value": (
        ctypes.c_void_p,
        (ctypes.c_void_p, ctypes.POINTER(ctypes.c_size_t)),
    ),
    "bpf_map_lookup_batch": (
        ctypes.c_int,
        (
            ctypes.c_int,
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.POINTER(ctypes.c_uint32),
            ctypes.c_void_p,
        ),
    ),
    "bpf_map_delete_elem": (ctypes.c_int, (ctypes.c_int, ctypes.c_void_p)),
    "bpf_prog_test_run_opts": (ctypes.c_int, (ctypes.c_int, ctypes.POINTER(_TestRunOpts))),
    "bpf_prog_get_next_id": (ctypes.c_int, (ctypes.c_uint32, ctypes.POINTER(ctypes.c_uint32))),
    "bpf_prog_get_fd_by_id": (ctypes.c_int, (ctypes.c_uint32,)),
    "bpf_obj_get_info_by_fd": (
        ctypes.c_int,
        (ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint32)),
    ),
}

BTF_PATH = "/sys/kernel/btf/vmlinux"
RIGHTS = "needs CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN)"

FTRACE_ENABLED = "/proc/sys/kernel/ftrace_enabled"
#: include/linux/errno.h: of the kernel alone, errno(3) does not have it
ENOTSUPP = 524

#: bytes; a whole verifier log is longer only for programs that it gives up on
LOG_SIZE = 1 << 24


def load_library() -> ctypes.CDLL:
    """libbpf.so.1, with the signatures of what is used set.

    Raises EvidenceUnavailable where the library is missing or too old.
    """
    try:
        library = ctypes.CDLL("libbpf.so.1", use_errno=True)
    except OSError as error:
        raise EvidenceUnavailable(
            "BPF: libbpf.so.1 is not installed", "install Debian's package libbpf1"
        ) from error
    for name, (result, arguments) in _SIGNATURES.items():
        try:
            function = getattr(library, name)
        except AttributeError as error:
            raise EvidenceUnavailable(
                f"BPF: libbpf.so.1 has no {name}", "install libbpf 1.0 or later"
            ) from error
        function.restype = result
        function.argtypes = arguments
    library.libbpf_set_print(None)
    return library


#: The verifier's words under kernel_lockdown(7), confidentiality, with EINVAL: then tracing
#: programs have none of these helpers (bpf_tracing_func_proto(), LOCKDOWN_BPF_READ_KERNEL).
_NO_HELPER = re.compile(r"(?:unknown func|cannot use helper) bpf_probe_read")


def _why(number: int, log: str, since: str) -> tuple[str, str]:
    """Cause and remedy of a failed load, for a person."""
    if not os.path.exists(BTF_PATH):
        return f"no {BTF_PATH}", "needs a kernel with CONFIG_DEBUG_INFO_BTF=y"
    if number == errno.EPERM:
        return "not permitted", RIGHTS
    wanted = tuple(int(part) for part in since.split("."))
    if number == errno.ESRCH or parse_release(os.uname().release)[:2] < wanted:
        return "a type or function it wants is not in this kernel", f"needs Linux {since} or later"
    if _NO_HELPER.search(log):
        return (
            "kernel lockdown (confidentiality) forbids BPF to read the kernel",
            "boot without kernel lockdown, or with lockdown=integrity",
        )
    # the verifier's last words, without its statistics
    lines = [
        line
        for line in log.splitlines()
        if line and not line.startswith(("processed", "verification time", "stack depth"))
    ]
    detail = f" ({lines[-1][:160]})" if lines else ""
    return f"{os.strerror(number)}{detail}", "report it with the output of `uname -r`"


def _why_not_attached(number: int) -> tuple[str, str | None]:
    """Cause and remedy where the kernel does not let a program into one of its functions."""
    if number in (errno.EPERM, errno.EACCES):
        return "not permitted", RIGHTS
    if number == ENOTSUPP:
        return "this kernel has no CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS", None
    if number == errno.EBUSY and _read(FTRACE_ENABLED) == "0":
        # trampolines are permanent (FTRACE_OPS_FL_PERMANENT, 5.6 and later)
        return "kernel.ftrace_enabled is 0", "set it to 1"
    return os.strerror(number), None


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text("ascii").strip()
    except OSError:
        return None


def loaded_programs() -> list[str] | None:
    """Names of all programs in the kernel; None without CAP_SYS_ADMIN, which listing them takes."""
    library, names = load_library(), []
    number = ctypes.c_uint32(0)
    while library.bpf_prog_get_next_id(number, ctypes.byref(number)) == 0:
        fd = library.bpf_prog_get_fd_by_id(number)
        if fd < 0:  # it has gone meanwhile
            continue
        # struct bpf_prog_info (uapi/linux/bpf.h, 4.15): the name is 16 bytes at 64
        found, size = ctypes.create_string_buffer(80), ctypes.c_uint32(80)
        if library.bpf_obj_get_info_by_fd(fd, found, ctypes.byref(size)) == 0:
            names.append(found.raw[64:80].split(b"\0")[0].decode("ascii", "replace"))
        os.close(fd)
    return names if ctypes.get_errno() == errno.ENOENT else None


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
        cause, remedy = _why(number, log.value.decode("utf-8", "replace"), since)
        raise EvidenceUnavailable(f"BPF: {path.name} does not load: {cause}", remedy)

    def _open(
        self,
        path: Path,
        settings: bytes,
        *,
        btf: str | None = None,
        log: ctypes.Array[ctypes.c_char] | None = None,
    ) -> None:
        options = _OpenOpts(sz=ctypes.sizeof(_OpenOpts))
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
        found = self._library.bpf_object__find_map_by_name(self._object, name.encode())
        assert found, f"{self._name} has no map {name}"
        return int(found)

    def map_memory(self, name: str, size: int) -> mmap.mmap:
        """An array map made with BPF_F_MMAPABLE, ``size`` bytes of it, shared with the kernel."""
        return mmap.mmap(
            self._library.bpf_map__fd(self._map(name)),
            (size + mmap.PAGESIZE - 1) // mmap.PAGESIZE * mmap.PAGESIZE,
            flags=mmap.MAP_SHARED,
        )

    def hash_map(self, name: str, key: np.dtype[np.void], value: np.dtype[np.void]) -> HashMap:
        """A hash map with keys and values of these types."""
        return HashMap(self._library, self._library.bpf_map__fd(self._map(name)), key, value)

    def ring_buffer(self, name: str, record: Callable[[bytes], None]) -> RingBuffer:
        """A ring buffer; ``record`` gets each record."""
        return RingBuffer(self._library, self._library.bpf_map__fd(self._map(name)), record)

    def _program(self, name: str) -> int:
        found = self._library.bpf_object__find_program_by_name(self._object, name.encode())
        assert found, f"{self._name} has no program {name}"
        return int(found)

    def runner(self, program: str) -> SyscallProgram:
        """A program of type "syscall", to be run on demand."""
        return SyscallProgram(self._library, self._library.bpf_program__fd(self._program(program)))

    def attach_iterator(self, program: str, pid: int | None = None) -> IteratorLink:
        """Attach an iterator to every task, or to one process (pid namespace of the caller).

        Raises EvidenceUnavailable where the kernel refuses (a link for one process: before 6.1).
        """
        options = None
        if pid is not None:
            task = _IterTask(pid=pid)
            options = ctypes.byref(
                _IterAttachOpts(
                    sz=ctypes.sizeof(_IterAttachOpts),
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
            why, remedy = _why_not_attached(ctypes.get_errno())
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
        self._options = _TestRunOpts(sz=ctypes.sizeof(_TestRunOpts))
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
