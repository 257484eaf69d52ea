# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A thin ctypes binding to the dozen functions of libbpf.so.1 that vmad calls.

Signatures: libbpf 1.1 (bpf.h, libbpf.h). No callback is registered, since libffi closures need
memory that is writable and executable, which the hardened service forbids; what went wrong is
told from errno and the verifier's log (refusals.py).
"""

from __future__ import annotations

import ctypes
import errno
import os

from vmad.errors import EvidenceUnavailable


class OpenOpts(ctypes.Structure):
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


class IterTask(ctypes.Structure):
    """union bpf_iter_link_info, member task (uapi/linux/bpf.h, 6.1)."""

    _fields_ = (
        ("tid", ctypes.c_uint32),
        ("pid", ctypes.c_uint32),
        ("pid_fd", ctypes.c_uint32),
    )


class IterAttachOpts(ctypes.Structure):
    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("link_info", ctypes.POINTER(IterTask)),
        ("link_info_len", ctypes.c_uint32),
    )


class TestRunOpts(ctypes.Structure):
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
    "bpf_object__open_file": (ctypes.c_void_p, (ctypes.c_char_p, ctypes.POINTER(OpenOpts))),
    "bpf_object__load": (ctypes.c_int, (ctypes.c_void_p,)),
    "bpf_object__close": (None, (ctypes.c_void_p,)),
    "bpf_object__find_program_by_name": (ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_char_p)),
    "bpf_object__find_map_by_name": (ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_char_p)),
    "bpf_program__set_autoload": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_bool)),
    "bpf_program__attach": (ctypes.c_void_p, (ctypes.c_void_p,)),
    "bpf_program__fd": (ctypes.c_int, (ctypes.c_void_p,)),
    "bpf_program__attach_iter": (
        ctypes.c_void_p,
        (ctypes.c_void_p, ctypes.POINTER(IterAttachOpts)),
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
    "bpf_prog_test_run_opts": (ctypes.c_int, (ctypes.c_int, ctypes.POINTER(TestRunOpts))),
    "bpf_prog_get_next_id": (ctypes.c_int, (ctypes.c_uint32, ctypes.POINTER(ctypes.c_uint32))),
    "bpf_prog_get_fd_by_id": (ctypes.c_int, (ctypes.c_uint32,)),
    "bpf_obj_get_info_by_fd": (
        ctypes.c_int,
        (ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint32)),
    ),
}


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


def loaded_programs() -> list[str] | None:
    """Names of all programs in the kernel; None without CAP_SYS_ADMIN, which listing them takes."""
    library, names = load_library(), []
    number = ctypes.c_uint32(0)
    while library.bpf_prog_get_next_id(number, ctypes.byref(number)) == 0:
        fd = library.bpf_prog_get_fd_by_id(number)
        if fd < 0:  # it has gone meanwhile
            continue
        # struct bpf_prog_info (uapi/linux/bpf.h, 4.15): the name is 16 bytes at 64
        info, size = ctypes.create_string_buffer(80), ctypes.c_uint32(80)
        if library.bpf_obj_get_info_by_fd(fd, info, ctypes.byref(size)) == 0:
            names.append(info.raw[64:80].split(b"\0")[0].decode("ascii", "replace"))
        os.close(fd)
    return names if ctypes.get_errno() == errno.ENOENT else None
