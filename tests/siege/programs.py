# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The C programs of this directory, compiled when they are needed."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent


@contextmanager
def compiled(name: str) -> Iterator[str]:
    """The path of a C program of this directory."""
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/{name}"
        compiler = shutil.which("cc") or shutil.which("clang") or "gcc"
        subprocess.run([compiler, "-O2", "-static", "-o", program, HERE / f"{name}.c"], check=True)
        yield program


@cache
def kept(name: str) -> str:
    """The same until this program ends, compiled once."""
    until_the_end = ExitStack()
    atexit.register(until_the_end.close)
    return until_the_end.enter_context(compiled(name))
