# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Runs the program in this process, as a user would call it."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass

from vmad.cli.main import main


@dataclass(frozen=True)
class Ran:
    """What a run of vmad left."""

    status: int
    out: str
    err: str


def vmad(*words: object) -> Ran:
    """Run ``vmad WORDS…``; its output goes to a pipe, not to a terminal."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main([str(word) for word in words])
        except SystemExit as left:  # argparse
            status = left.code if isinstance(left.code, int) else 1
    return Ran(status, out.getvalue(), err.getvalue())
