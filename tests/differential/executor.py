# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Driving executor.c: compiled once, then fed programs through a pipe."""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.differential.program import Kind, Program, packed

SOURCE = Path(__file__).with_name("executor.c")
_INCLUDED = Path(__file__).parents[2] / "examples" / "rebuild"

#: what unmapping the arena does not undo: such a program gets a process for every run
PROCESS_WIDE = {Kind.FORK, Kind.MEMORY_MERGE, Kind.MLOCKALL, Kind.MSEAL, Kind.PKEY}

#: enum hold of executor.c
_HOLD, _GO_ON = 1, 2
_REQUEST = struct.Struct("<IIII")
_VARIANT = struct.Struct("<IIQQ")
_ANSWER = struct.Struct("<iIIIiI")


class Variant(NamedTuple):
    """Further calls after the base program, and what to look at before and after them.

    ``boundary`` is the start of the upper VMA, ``lower`` that of the lower one.
    """

    tail: Program
    boundary: int
    lower: int = 0


class Outcome(NamedTuple):
    """struct answer. ``pid`` 0: the child died; ``hash`` is of the base program's results."""

    pid: int
    hash: int
    before: int  #: 1: a VMA started at the boundary before the tail; of go_on(): VMAs
    after: int  #: bit 0: one starts there after it; bit 1: one starts at ``lower``; or VMAs
    error: int  #: first errno of the tail
    ops: int  #: of go_on(): VMAs left out as shared, from bit 16 as guarded; bit 31: bytes differ


class Held(NamedTuple):
    """A child that stands still after the base program; ``errors[i]`` is the errno of call i, or,
    of a COUNT, minus what was counted.
    """

    pid: int
    hash: int
    errors: tuple[int, ...]


def compiled() -> Path:
    """The executor's binary, compiled again only when its source has changed."""
    source = b"".join(path.read_bytes() for path in (SOURCE, *sorted(_INCLUDED.glob("*.h"))))
    name = f"vmad-executor-{os.getuid()}-{hashlib.sha256(source).hexdigest()[:16]}"
    binary = Path(tempfile.gettempdir()) / name
    if not binary.exists():
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        assert compiler is not None, "differential tests need a C compiler"
        fresh = binary.with_suffix(f".{os.getpid()}")
        subprocess.run([compiler, "-O2", "-static", "-o", fresh, SOURCE], check=True)
        fresh.rename(binary)
    return binary


class Executor:
    """A running executor. Use as a context."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [compiled()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it and whatever it holds."""
        self.release()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait()

    def hold(self, program: Program) -> Held:
        """Run a program in a fresh child that stays until the next call of this executor."""
        self._send(_REQUEST.pack(len(program), 0, _HOLD, 0) + packed(program))
        answer = Outcome(*_ANSWER.unpack(self._receive(_ANSWER.size)))
        errors = struct.unpack(f"<{answer.ops}i", self._receive(4 * answer.ops))
        return Held(answer.pid, answer.hash, errors)

    def go_on(self, tail: Program) -> Outcome:
        """Have the held child do further calls, the last ones of its life.

        VMAs of the arena are counted, and the bytes in it compared, before and after.
        """
        self._send(_REQUEST.pack(len(tail), 0, _GO_ON, 0) + packed(tail))
        return Outcome(*_ANSWER.unpack(self._receive(_ANSWER.size)))

    def release(self) -> None:
        """End the held child."""
        self._send(_REQUEST.pack(0, 0, 0, 0))

    def run(self, program: Program, variants: Sequence[Variant]) -> list[Outcome]:
        """Run a program afresh for every variant, then its tail (at most 1024 variants)."""
        base = packed(program)
        alone = any(each.kind in PROCESS_WIDE for each in program)
        parts = [_REQUEST.pack(len(program), len(variants), 0, alone), base]
        for variant in variants:
            parts.append(_VARIANT.pack(len(variant.tail), 0, variant.boundary, variant.lower))
            parts.append(packed(variant.tail))
        self._send(b"".join(parts))
        text = self._receive(_ANSWER.size * len(variants))
        return [Outcome(*fields) for fields in _ANSWER.iter_unpack(text)]

    def _send(self, request: bytes) -> None:
        assert self._process.stdin is not None
        view = memoryview(request)
        while view:
            view = view[self._process.stdin.write(view) :]

    def _receive(self, size: int) -> bytes:
        assert self._process.stdout is not None
        parts = b""
        while len(parts) < size:
            part = self._process.stdout.read(size - len(parts))
            if not part:
                raise EOFError("the executor ended")
            parts += part
        return parts
