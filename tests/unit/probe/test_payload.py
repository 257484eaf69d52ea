# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The payload's C is refused in one line for a machine that machine.h does not know."""

from __future__ import annotations

import subprocess
from pathlib import Path

from vmad.probe import payload

HERE = Path(payload.__file__).parent


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=HERE, capture_output=True, text=True, check=False)


def test_make_builds_without_it() -> None:
    made = run("make", "--silent", "--no-print-directory", "MACHINE=aarch64")

    assert (made.returncode, made.stdout) == (
        0, "rebuilding works on x86-64, this is aarch64: built without it\n",
    )  # fmt: skip


def test_the_compiler_says_what_works() -> None:
    told = run("clang", "--target=aarch64-linux-gnu", "-fsyntax-only", "machine.h")
    errors = [line for line in told.stderr.splitlines() if " error: " in line]

    assert [line.partition(" error: ")[2] for line in errors] == ['"rebuilding works on x86-64"']
    assert not run("clang", "--target=x86_64-linux-gnu", "-fsyntax-only", "machine.h").returncode
