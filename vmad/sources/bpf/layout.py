# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The structures of layout.bpf.h that user space shares, as NumPy and struct know them."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from vmad.model.flags import HIGH_CODES, LOW_MASK, high_masks
from vmad.model.kernel import KernelInfo
from vmad.model.kinds import KIND_COUNT
from vmad.rules.kernel_rules import KernelRules
from vmad.rules.runs import merge_table

MAX_HEADERS = 1024
MAX_ENTRIES = 65536
MAX_ROWS = 4096
MAX_DISTINCT = 128
RULES = 2
HIGH_FLAGS = 16


class Status(IntEnum):
    """enum status."""

    OK = 0
    MORE = 1
    GONE = 2
    BUSY = 3
    NO_MM = 4
    FULL = 5
    UNKNOWN = 6


class Steady(IntEnum):
    """enum steady: whether the VMAs stood still from the first to the last."""

    UNKNOWN = 0  #: mmap_lock was let go meanwhile, and the kernel has no mm_lock_seq
    YES = 1
    NO = 2


#: struct header: one process, counted
HEADER = np.dtype(
    [
        ("start_boottime", "<u8"),
        ("mm", "<u8"),
        ("digest", "<u8"),
        ("task_pid", "<u4"),
        ("position", "<u4"),
        ("status", "<u4"),
        ("map_count", "<i4"),
        ("walked", "<u4"),
        ("first_entry", "<u4"),
        ("entries", "<u4"),
        ("lost", "<u4"),
        ("resumed", "<u4"),
        ("steady", "<u4"),
        ("kinds", "<u4", (KIND_COUNT,)),
        ("recoverable", "<u4", (RULES,)),
        ("count_low", "<i4"),
        ("count_high", "<i4"),
        ("spare", "<u4"),
    ]
)

#: struct entry: one facts value of one process and its number of pairs
ENTRY = np.dtype([("facts", "<u8"), ("count", "<u8")])

#: struct wanted: a process to walk
WANTED = np.dtype([("task_pid", "<u4"), ("seen_pid", "<u4"), ("start_boottime", "<u8")])


class Control(ctypes.Structure):
    """struct control: what a run is asked for, and how far it came."""

    _fields_ = tuple(
        (name, ctypes.c_uint32)
        for name in (
            "queued", "position", "budget", "chunk", "want_rows", "headers", "entries", "rows",
            "status", "abandon", "restart", "want_digest",
            "held_ns",
        )
    )  # fmt: skip

    queued: int
    position: int
    budget: int
    chunk: int
    want_rows: int
    headers: int
    entries: int
    rows: int
    status: int
    abandon: int
    restart: int
    want_digest: int
    held_ns: int


def settings(kernel: KernelInfo, ignored_flags: int, merge_tables: Sequence[bytes]) -> bytes:
    """struct settings for a kernel: which flags never block, where the high ones are, the rules.

    ``ignored_flags`` is canonical; ``merge_tables`` are those of MERGE_RULES, of RUN_KEYS
    bytes each (vmad/rules/runs.py).
    """
    masks = high_masks(kernel.version[:2], kernel.machine)
    assert len(masks) <= HIGH_FLAGS
    values = list(masks.values()) + [0] * (HIGH_FLAGS - len(masks))
    bits = [HIGH_CODES[code] for code in masks] + [0] * (HIGH_FLAGS - len(masks))
    return (
        struct.pack(f"<QQ{HIGH_FLAGS}Q{HIGH_FLAGS}III", ignored_flags, LOW_MASK, *values, *bits,
                    kernel.page_shift, 0)
        + b"".join(merge_tables)
    )  # fmt: skip


def settings_of(rules: KernelRules) -> bytes:
    """struct settings for a walk that counts by these rules."""
    tables = [merge_table(merging) for merging in rules.merging]
    return settings(rules.stock.kernel, rules.stock.era.ignored_flags, tables)
