# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The capture file, schema vmad.capture/1: a zip archive that numpy and any unzip can open.

Members::

    meta.json            schema, vmad version, kernel, settings, evidence, rights, unreadable, and
                         one object per process: pid, start_time, comm, map_count, …
    PID/rows.npy         the rows of the address space: one-dimensional, dtype VMA_ROW
    PID/names.json       the distinct names of its VMAs (absent when none has one)
    PID/name_of.npy      per row the index into names.json, -1 without a name: <i4

A reader trusts nothing: sizes are bounded before anything is read, arrays are taken only with
exactly these dtypes and never unpickled, and rows must be possible.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vmad.errors import BadCapture
from vmad.model import facts
from vmad.model.kinds import KIND_COUNT
from vmad.model.process import Evidence, ProcessId
from vmad.model.table import Rows

SCHEMA = "vmad.capture/1"
SCHEMA_FAMILY = "vmad.capture/"
META = "meta.json"
NAME_INDEX = np.dtype("<i4")
#: bytes of one member when unpacked: an address space of four million VMAs
MAX_MEMBER = 256 << 20
#: bytes of all members when unpacked
MAX_TOTAL = 8 << 30
MAX_MEMBERS = 200_000
#: that members may have: others have errors of their own
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

#: bytes: 4 KiB to 64 KiB
PAGE_SIZES = (1 << 12, 1 << 13, 1 << 14, 1 << 15, 1 << 16)

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class CapturedProcess:
    """What meta.json says of one process. -1 and 0 stand for unknown as in CENSUS_ROW."""

    id: ProcessId
    comm: str
    evidence: Evidence
    map_count: int | None
    mm: int
    lock_seq: int
    total_vm: int
    has_flags: bool
    has_anon_vma: bool
    consistent: bool
    has_names: bool


def rows_member(pid: int) -> str:
    """Name of the member that holds the rows of a process."""
    return f"{pid}/rows.npy"


def names_member(pid: int) -> str:
    """Name of the member that holds the distinct names of a process."""
    return f"{pid}/names.json"


def name_of_member(pid: int) -> str:
    """Name of the member that holds each row's index into the names."""
    return f"{pid}/name_of.npy"


def process_object(process: CapturedProcess) -> dict[str, Any]:
    """The JSON object of one process in meta.json."""
    return {
        "pid": process.id.pid,
        "start_time": process.id.start_time,
        "comm": process.comm,
        "evidence": process.evidence.value,
        "map_count": process.map_count,
        "mm": process.mm,
        "lock_seq": process.lock_seq,
        "total_vm": process.total_vm,
        "has_flags": process.has_flags,
        "has_anon_vma": process.has_anon_vma,
        "consistent": process.consistent,
        "has_names": process.has_names,
    }


def field(thing: object, key: str, *kinds: type) -> Any:
    """``thing[key]`` of one of these JSON types (bool is not an int); raises BadCapture."""
    value = thing.get(key, ...) if isinstance(thing, dict) else ...
    if type(value) not in kinds:
        names = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
        raise BadCapture(f"{META}: {key!r} must be {names}")
    return value


def process_of(thing: object) -> CapturedProcess:
    """The inverse of :func:`process_object`. Raises BadCapture."""
    numbers = {key: field(thing, key, int) for key in ("pid", "start_time", "mm")}
    numbers |= {key: field(thing, key, int) for key in ("lock_seq", "total_vm")}
    map_count = field(thing, "map_count", int, type(None))
    if not (0 < numbers["pid"] < 1 << 31 and 0 <= numbers["mm"] < 1 << 63):
        raise BadCapture(f"{META}: no such pid or mm: {numbers['pid']}, {numbers['mm']}")
    if any(abs(number) >= 1 << 63 for number in (*numbers.values(), map_count or 0)):
        raise BadCapture(f"{META}: process {numbers['pid']}: a number beyond 64 bits")
    return CapturedProcess(
        ProcessId(numbers["pid"], numbers["start_time"]),
        field(thing, "comm", str),
        evidence_of(field(thing, "evidence", str)),
        map_count,
        numbers["mm"],
        numbers["lock_seq"],
        numbers["total_vm"],
        field(thing, "has_flags", bool),
        field(thing, "has_anon_vma", bool),
        field(thing, "consistent", bool),
        field(thing, "has_names", bool),
    )


def evidence_of(name: str) -> Evidence:
    """("kernel") -> Evidence.KERNEL. Raises BadCapture."""
    try:
        return Evidence(name)
    except ValueError as error:
        raise BadCapture(f"{META}: unknown evidence {name!r}") from error


def check_rows(rows: Rows, member: str) -> None:
    """Raises BadCapture unless the rows could be an address space."""
    first = np.uint64(facts.AV_MASK << facts.A_AV_SHIFT)
    second = np.uint64(facts.AV_MASK << facts.B_AV_SHIFT)
    of_pairs = rows["facts"][rows["pair"] == 1]
    wrong: tuple[tuple[str, Array], ...] = (
        ("an empty or reversed VMA", rows["end"] <= rows["start"]),
        ("VMAs out of order", rows["start"][1:] < rows["end"][:-1]),
        ("an unknown kind", rows["kind"] >= KIND_COUNT),
        ("unknown permissions", rows["perms"] > 15),
        ("an unknown anon_vma state", rows["chain"] > 2),
        ("an exclusivity that is neither 0 nor 1", rows["exclusive"] > 1),
        ("a pair that is neither 0 nor 1", rows["pair"] > 1),
        ("a pair without a VMA before it", rows["pair"][:1] != 0),
        ("a pair across a gap", (rows["pair"][1:] == 1) & (rows["start"][1:] != rows["end"][:-1])),
        ("impossible facts", ((of_pairs & first) == first) | ((of_pairs & second) == second)),
    )
    for what, where in wrong:
        if where.any():
            raise BadCapture(f"{member}: {what}")


def parse_json(text: bytes, member: str) -> Any:
    """JSON of a member. Raises BadCapture."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadCapture(f"{member}: not JSON: {error}") from error
