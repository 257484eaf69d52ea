# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One process in all the detail that /proc gives: maps, smaps and numa_maps put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vmad.model import facts as f
from vmad.model.flags import VM_SPECIAL, canonical, high_masks
from vmad.model.kernel import KernelInfo
from vmad.model.kinds import Kind
from vmad.model.process import Evidence, ProcessId
from vmad.model.table import VMA_ROW, VmaTable
from vmad.sources.procfs.maps import MapsColumns, parse_maps
from vmad.sources.procfs.name import path_text
from vmad.sources.procfs.numa_maps import compare_policies
from vmad.sources.procfs.pairs import facts_of_keys, find_pairs
from vmad.sources.procfs.smaps import UNNAMED, Smaps
from vmad.sources.procfs.text import PAD, U64, Index

Facts = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Evidences:
    """What was read of one process, as text. None: this kernel or our rights do not give it.

    ``policies`` as parse_numa_maps gives them; ``numa`` False: the kernel has no policies at all.
    """

    lines: bytes
    smaps: Smaps | None
    policies: dict[int, bytes] | None
    numa: bool = True
    consistent: bool = True


def parsed(lines: bytes, shared_devices: U64) -> MapsColumns:
    """Columns of a text of maps lines."""
    buffer = np.zeros(len(lines) + 2 * PAD, np.uint8)
    buffer[PAD : PAD + len(lines)] = np.frombuffer(lines, np.uint8)
    return parse_maps(buffer, PAD, PAD + len(lines), shared_devices)


def table_of(
    process: ProcessId,
    *,
    comm: str,
    read: Evidences,
    kernel: KernelInfo,
    shared_devices: U64,
    names_exist: bool,
    heap_differs_unseen: bool,
    hints: Callable[[U64, U64, U64], npt.NDArray[np.int64]],
) -> VmaTable:
    """Put the evidences together.

    ``hints(starts, boundaries, ends)`` gives four hint bits per pair from pagemap; it is asked
    only when there is no smaps, which says the same of every page. ``heap_differs_unseen``: see
    memory_tags.
    """
    columns = parsed(read.lines, shared_devices)
    kept = np.flatnonzero(~(columns.gate | columns.malformed))
    rows = np.zeros(len(kept), VMA_ROW)
    rows["start"], rows["end"] = columns.start[kept], columns.end[kept]
    rows["perms"], rows["kind"] = columns.perms[kept], columns.kind[kept]
    with_file = np.flatnonzero(columns.file[kept])
    rows["pgoff"][with_file] = columns.offsets(kept[with_file]) >> np.uint64(kernel.page_shift)
    rows["file"][with_file] = _file_ids(columns, kept[with_file])

    b, keys = find_pairs(columns, np.ones(len(columns), np.bool_), names_exist)
    facts = facts_of_keys()[keys]
    if read.smaps is not None:
        rows["flags"] = read.smaps.flags[kept]
        _see_flags(facts, read.smaps, b, kernel)
        if heap_differs_unseen:
            of_kernel = np.isin(columns.kind, (Kind.HEAP, Kind.STACK))
            facts |= (of_kernel[b - 1] ^ of_kernel[b]) * np.uint64(f.UNKNOWN_FLAGS)
    elif len(b):
        bits = hints(columns.start[b - 1], columns.start[b], columns.end[b])
        facts |= bits.astype(np.uint64) << np.uint64(f.A_FAULTED.bit_length() - 1)
    _see_policies(facts, columns, b, read)

    place = np.searchsorted(kept, b)
    rows["pair"][place] = 1
    rows["facts"][place] = facts
    return VmaTable(
        id=process,
        comm=comm,
        evidence=Evidence.PROCFS,
        map_count=len(kept),
        rows=rows,
        paths={
            index: path_text(columns.name_bytes(row))
            for index, row in enumerate(kept.tolist())
            if columns.name[row] < columns.line_end[row]
        },
        has_flags=read.smaps is not None,
        has_anon_vma=False,
        consistent=read.consistent and not columns.malformed.any(),
    )


def _file_ids(columns: MapsColumns, rows: Index) -> npt.NDArray[np.uint64]:
    """Small numbers from 1 on, the same for the same device and inode."""
    numbers: dict[bytes, int] = {}
    ids = np.zeros(len(rows), np.uint64)
    for index, row in enumerate(rows.tolist()):
        head = columns.text.bytes[columns.space[row] : columns.line_end[row]].tobytes()
        device_and_inode = b" ".join(head.split(maxsplit=4)[2:4])
        ids[index] = numbers.setdefault(device_and_inode, len(numbers) + 1)
    return ids


def _see_flags(facts: Facts, smaps: Smaps, b: Index, kernel: KernelInfo) -> None:
    """Set what VmFlags show of the pairs and take back what they make known."""
    masks = high_masks(kernel.version[:2], kernel.machine)
    flags_a, flags_b = smaps.flags[b - 1], smaps.flags[b]
    values, which = np.unique(flags_a ^ flags_b, return_inverse=True)
    differing = np.array([canonical(int(value), masks) for value in values], np.uint64)
    facts |= differing[which] << np.uint64(f.FLAGS_SHIFT)
    # two unnamed flags may or may not be the same one
    unnamed = (flags_a & flags_b & np.uint64(UNNAMED)) != 0
    facts &= np.where(unnamed, ~np.uint64(0), ~np.uint64(f.UNKNOWN_FLAGS))

    special = ((flags_a | flags_b) & np.uint64(VM_SPECIAL)) != 0
    facts |= special * np.uint64(f.SPECIAL)

    # a userfaultfd context goes with at least one of its modes (fs/userfaultfd.c,
    # userfaultfd_register); two contexts may be the same or not
    modes = 1 << 9 | 1 << 12 | masks.get("ui", 0) | masks.get("ur", 0)
    uffd_a = (flags_a & np.uint64(modes)) != 0
    uffd_b = (flags_b & np.uint64(modes)) != 0
    facts |= (uffd_a ^ uffd_b) * np.uint64(f.UFFD)
    facts &= np.where(uffd_a & uffd_b, ~np.uint64(0), ~np.uint64(f.UNKNOWN_UFFD))

    for bit_a, bit_b, seen in (
        (f.A_FAULTED, f.B_FAULTED, smaps.faulted),
        (f.A_PAGES_SHARED, f.B_PAGES_SHARED, smaps.shared),
    ):
        facts |= seen[b - 1] * np.uint64(bit_a) | seen[b] * np.uint64(bit_b)


def _see_policies(facts: Facts, columns: MapsColumns, b: Index, read: Evidences) -> None:
    """Set POLICY where numa_maps proves it and clear UNKNOWN_POLICY where it decides."""
    if not read.numa:
        facts &= ~np.uint64(f.UNKNOWN_POLICY)
    elif read.policies is not None:
        differ, equal = compare_policies(read.policies, columns.start[b - 1], columns.start[b])
        facts |= differ * np.uint64(f.POLICY)
        facts &= np.where(differ | equal, ~np.uint64(f.UNKNOWN_POLICY), ~np.uint64(0))
