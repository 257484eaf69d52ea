# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a stock kernel does with attempts to merge anonymous VMAs, counted by BPF.

The names are those of the patched kernel's counters (vmad/sources/procfs/merge_counters.py), as
far as a stock kernel has the outcome. What is seen and what is not: docs/patched-kernel.md.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from vmad.errors import EvidenceUnavailable
from vmad.model.kernel import KernelInfo
from vmad.rules.eras import era_of
from vmad.sources.bpf.bpf_object import BpfObject
from vmad.sources.bpf.libbpf import loaded_programs
from vmad.sources.bpf.refusals import BTF_PATH, RIGHTS
from vmad.sources.rights import effective_capabilities

HERE = Path(__file__).parent

#: enum result of merge.bpf.h: (outcome, reason), in its order
RESULTS: Final = (
    ("merged", "stock"),
    ("refused", "vm_flags"),
    ("refused", "vm_file"),
    ("refused", "mempolicy"),
    ("refused", "vm_userfaultfd_ctx"),
    ("refused", "anon_vma_name"),
    ("refused", "anon_vma_chain"),
    ("refused", "anon_vma_off"),
    ("refused", "vm_pgoff_off"),
    ("refused", "anon_vma_shared"),
    ("refused", "vm_pgoff_shared"),
    ("refused", "nomem"),
    ("refused", "unsupported"),
)
#: CPU_ROWS and struct cpu_row of merge.bpf.h
CPU_ROWS, ROW_RESULTS = 256, 16

#: struct settings of merge.bpf.h
SETTINGS = np.dtype(
    [
        ("flags_ignored", "<u8"),
        ("namespace_dev", "<u8"),
        ("namespace_ino", "<u8"),
        ("process", "<u4"),
        ("page_shift", "<u4"),
    ]
)

#: in the order of attaching: no beginning is noted whose end is not seen
PROGRAMS: Final = (
    "vmad_modify_out", "vmad_range_out", "vmad_copy_in", "vmad_modify_in", "vmad_range_in",
)  # fmt: skip
WATCHED: Final = ("vma_modify", "vma_merge_new_range", "copy_vma")  #: kernel functions
#: how they are watched -> object; the cheaper first
WAYS: Final = {"fentry": "merge_fentry.bpf.o", "kprobe": "merge_kprobe.bpf.o"}
KPROBES = "/sys/bus/event_source/devices/kprobe"


class KernelMergeAttempts:
    """The attached programs, which count from now on.

    ``process``: count this one alone (a number of this PID namespace); 0: all.
    ``way`` (of WAYS) is how the functions are watched.
    Raises EvidenceUnavailable with what is missing.
    """

    def __init__(
        self, kernel: KernelInfo, process: int = 0, ways: Sequence[str] = tuple(WAYS)
    ) -> None:
        _check_functions()
        settings, problems = _settings(kernel, process), []
        for way in ways:
            try:
                self._object = _attached(way, settings)
            except EvidenceUnavailable as error:
                problems.append((way, error))
                continue
            self.way = way
            size = CPU_ROWS * ROW_RESULTS * 8
            self._counts = np.frombuffer(self._object.map_memory("counts", size), np.uint64)
            return
        raise EvidenceUnavailable(
            "merge attempts: " + ", ".join(f"{way}: {why.what}" for way, why in problems),
            _remedy([why.remedy for _, why in problems]),
        )

    def read(self) -> dict[tuple[str, str], int]:
        """Attempts since the programs were attached, by (outcome, reason). It takes no right."""
        rows = self._counts[: CPU_ROWS * ROW_RESULTS].reshape(CPU_ROWS, ROW_RESULTS)
        return dict(zip(RESULTS, rows.sum(axis=0).tolist(), strict=False))

    def close(self) -> None:
        """Detach and unload."""
        self._object.close()


def is_counting() -> bool | None:
    """Whether some process has these programs in the kernel; None where that cannot be told."""
    names = loaded_programs()
    return None if names is None else PROGRAMS[0] in names


def _remedy(remedies: Sequence[str | None]) -> str | None:
    held = set(effective_capabilities())
    if RIGHTS in remedies and ("CAP_SYS_ADMIN" in held or {"CAP_BPF", "CAP_PERFMON"} <= held):
        return "the capabilities are there: vmad doctor says what else may forbid it"
    return next((remedy for remedy in remedies if remedy), None)


def _attached(way: str, settings: bytes) -> BpfObject:
    if way == "kprobe" and not os.path.exists(KPROBES):
        raise EvidenceUnavailable("this kernel has none (CONFIG_KPROBE_EVENTS)")
    path = HERE / WAYS[way]
    try:
        programs = BpfObject(path, settings, since="6.12")
        try:
            for program in PROGRAMS:
                programs.attach(program)
        except EvidenceUnavailable:
            programs.close()
            raise
    except EvidenceUnavailable as error:
        raise EvidenceUnavailable(
            error.what.removeprefix(f"BPF: {path.name} "), error.remedy
        ) from error
    return programs


def _settings(kernel: KernelInfo, process: int) -> bytes:
    namespace = os.stat("/proc/self/ns/pid")
    # the kernel keeps a device number as 12 and 20 bits (MKDEV)
    device = os.major(namespace.st_dev) << 20 | os.minor(namespace.st_dev)
    ignored, shift = era_of(kernel.version).ignored_flags, mmap.PAGESIZE.bit_length() - 1
    return np.array((ignored, device, namespace.st_ino, process, shift), SETTINGS).tobytes()


def _check_functions() -> None:
    """Say in words what is not there, before a loader says it in numbers."""
    try:
        types = Path(BTF_PATH).read_bytes()
    except OSError as error:
        raise EvidenceUnavailable(
            f"merge attempts: no {BTF_PATH}", "needs a kernel with CONFIG_DEBUG_INFO_BTF=y"
        ) from error
    if b"\0vma_merge_struct\0" not in types:
        raise EvidenceUnavailable(
            "merge attempts: this kernel merges in functions that BPF cannot follow",
            "needs Linux 6.12 or later",
        )
    missing = [name for name in WATCHED if b"\0" + name.encode() + b"\0" not in types]
    if missing:
        raise EvidenceUnavailable(
            f"merge attempts: this build of the kernel has no function {', '.join(missing)}",
            "its compiler has made it part of its callers",
        )
