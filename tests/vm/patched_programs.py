# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The C programs that run on the patched kernel, compiled here."""

from __future__ import annotations

import subprocess
from pathlib import Path

_HERE = Path(__file__).parent / "patched"


def compiled(source: str, into: Path) -> Path:
    """A program of tests/vm/patched, static: it starts sooner where every page is far away."""
    program = into / Path(source).stem
    flags = ["-O1", "-Wall", "-Wextra", "-Wno-unused-function", "-static", "-pthread"]
    subprocess.run(["cc", *flags, "-o", str(program), str(_HERE / source)], check=True)
    return program
