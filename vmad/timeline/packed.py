# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A timeline as bytes and back, for the next daemon. What is read is never trusted."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from vmad.timeline.rings import MISSING, Resolution, Rings
from vmad.timeline.table import Table
from vmad.timeline.timeline import HOST, Remembered, Timeline

#: bytes of the names and sizes before the numbers
_LARGEST_HEAD = 1 << 23
#: pids, start times in ticks and slots since the epoch are less
_LARGEST = 1 << 53


def pack(timeline: Timeline, boot: str) -> bytes:
    """Everything; ``boot`` is the boot on which its processes have their ids."""
    with timeline.lock:
        timeline.settle()
        tables: dict[str, Table[Any]] = {
            "groups": timeline.groups, "processes": timeline.processes, "host": timeline.host,
        }  # fmt: skip
        head: dict[str, Any] = {
            "boot": boot,
            "resolutions": [
                [resolution.step, resolution.slots] for resolution in timeline.resolutions
            ],
            "groups": list(timeline.groups.keys),
            "processes": [
                [key.pid, key.start_time, key.comm, key.group] for key in timeline.processes.keys
            ],
            "host": list(timeline.host.keys),
            "newest": {
                name: {column: rings.newest for column, rings in table.columns.items()}
                for name, table in tables.items()
            },
        }
        pieces = [json.dumps(head).encode(), b"\n"]
        for table in tables.values():
            rows = table.rows_of(table.keys)
            pieces += (
                numbers[rows].astype("<i4").tobytes()
                for rings in table.columns.values()
                for numbers in rings.tables
            )
    return zlib.compress(b"".join(pieces), 1)


def unpack(packed: bytes, boot: str) -> Timeline:
    """The inverse of :func:`pack`; processes of another boot are left out.

    Raises ValueError for what :func:`pack` has not made.
    """
    timeline = Timeline()
    largest = _largest(timeline)
    inflate = zlib.decompressobj()
    try:
        content = inflate.decompress(packed, _LARGEST_HEAD + largest)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not inflate.eof or inflate.unused_data:
        raise ValueError("it does not end where it should")
    first, _, rest = content.partition(b"\n")
    try:
        head = json.loads(first)
        if [[resolution.step, resolution.slots] for resolution in timeline.resolutions] != head[
            "resolutions"
        ]:
            raise ValueError("it has other resolutions")
        keys: dict[str, list[Any]] = {
            "groups": [_text(name) for name in head["groups"]],
            "processes": [
                Remembered(_whole(pid), _whole(start), _text(comm), _text(group))
                for pid, start, comm, group in head["processes"]
            ],
            "host": [_text(name) for name in head["host"]],
        }
        newest = head["newest"]
        of_this_boot = boot != "" and head["boot"] == boot
        tables: dict[str, Table[Any]] = {
            "groups": timeline.groups, "processes": timeline.processes, "host": timeline.host,
        }  # fmt: skip
        if any(key not in HOST for key in keys["host"]):
            raise ValueError("it is of another host's table")
        for name, table in tables.items():
            columns = {}
            for column, rings in table.columns.items():
                numbers_of_table, rest = _numbers(rest, len(keys[name]), timeline.resolutions)
                left = Rings(0, rings.fold, timeline.resolutions)
                left.tables = numbers_of_table
                left.newest = [None if n is None else _whole(n) for n in newest[name][column]]
                if len(left.newest) != len(timeline.resolutions):
                    raise ValueError("it has other resolutions")
                columns[column] = left
            if len(set(keys[name])) != len(keys[name]):
                raise ValueError("something is there twice")
            if name != "processes" or of_this_boot:
                table.restore(keys[name], columns)
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if rest:
        raise ValueError("it does not end where it should")
    return timeline


def _largest(timeline: Timeline) -> int:
    """Bytes of the numbers of a full one."""
    slots = sum(resolution.slots for resolution in timeline.resolutions)
    tables: tuple[Table[Any], ...] = (timeline.groups, timeline.processes, timeline.host)
    return sum(4 * slots * table.most * len(table.columns) for table in tables)


def _numbers(rest: bytes, rows: int, resolutions: Sequence[Resolution]) -> tuple[list[Any], bytes]:
    """The slots of one column, and what is left."""
    tables = []
    for resolution in resolutions:
        size = 4 * rows * resolution.slots
        if len(rest) < size:
            raise ValueError("numbers are missing")
        table = np.frombuffer(rest[:size], "<i4").reshape(rows, resolution.slots)
        if table.size and table.min() < MISSING:
            raise ValueError("a count is negative")
        tables.append(table)
        rest = rest[size:]
    return tables, rest


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a name is no text")
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _LARGEST:
        raise TypeError(f"{str(value)[:32]} is no count of anything")
    return value
