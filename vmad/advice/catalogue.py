# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Every record, found by itself: each module of ``pieces`` has a tuple PIECES."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module

from vmad.advice import pieces
from vmad.advice.pattern import Pattern, explains
from vmad.advice.record import Advice
from vmad.model.kinds import Kind
from vmad.model.program import Program

_P = Pattern

#: patterns that VMAs of a kind which are no pairs may belong to
OF_KIND: dict[Kind, tuple[Pattern, ...]] = {
    Kind.ANON_WRITABLE: (
        _P.HOLES, _P.BLOCKS_APART, _P.MOVED, _P.COROUTINE_GUARDS, _P.ARENA_HEAPS,
        _P.GROWING_STACKS, _P.DEVICE_ZERO,
    ),
    Kind.ANON_NO_ACCESS: (
        _P.THREAD_GUARDS, _P.COROUTINE_GUARDS, _P.ALLOCATOR_GUARDS, _P.WASM_RESERVATIONS,
        _P.ARENA_HEAPS, _P.OPENED_RESERVE,
    ),
    Kind.ANON_OTHER: (_P.CODE, _P.ACCESS_SWITCHED),
    Kind.HEAP: (_P.ADVISED, _P.LOCKED, _P.ACCESS_SWITCHED),
    Kind.STACK: (_P.LOCKED, _P.ACCESS_SWITCHED),
    Kind.FILE: (
        _P.MANY_OBJECTS, _P.OBJECT_IN_PIECES, _P.OBJECT_SPLIT, _P.LIBRARIES, _P.MANY_LIBRARIES,
        _P.KERNEL_RINGS,
    ),
    Kind.FILE_DELETED: (_P.DELETED_FILES, _P.MANY_LIBRARIES),
    Kind.SHARED_MEMORY: (
        _P.MANY_SEGMENTS, _P.OBJECT_IN_PIECES, _P.OBJECT_REVERSED, _P.OBJECT_SPLIT,
    ),
    Kind.SPECIAL: (_P.DRIVER,),
}  # fmt: skip


def _records() -> Iterator[Advice]:
    for module in sorted(pkgutil.iter_modules(pieces.__path__), key=lambda module: module.name):
        yield from import_module(f"{pieces.__name__}.{module.name}").PIECES


#: by name, in the order of their files
ADVICE: dict[str, Advice] = {record.name: record for record in _records()}


def with_advice() -> frozenset[Program]:
    """The programs that some record is about."""
    return frozenset(program for record in ADVICE.values() for program in record.programs)


def for_reason(reason: str) -> list[Advice]:
    """What may be changed about pairs with this reason, the strongest first."""
    return _strongest(
        record
        for record in ADVICE.values()
        if any(explains(pattern, reason) for pattern in record.patterns)
        and (not record.reasons or reason in record.reasons)
    )


def for_kind(kind: Kind) -> list[Advice]:
    """What may be changed about VMAs of this kind that are no pairs, the strongest first.

    Nothing that makes pairs merge.
    """
    return _strongest(
        record
        for record in ADVICE.values()
        if set(OF_KIND[kind]) & set(record.patterns)
        and not record.reasons
        and record.recovers is None
    )


def _strongest(records: Iterator[Advice]) -> list[Advice]:
    return sorted(records, key=lambda record: -record.proof.share)
