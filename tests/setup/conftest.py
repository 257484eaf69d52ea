# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Copies of this checkout, in which set-up begins from nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: of a user who has not run pytest; pip's cache stays, so that little is fetched
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
}


def tracked() -> list[str]:
    """What is under version control, as paths below the checkout."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [path for path in listed.split("\0") if path and (ROOT / path).exists()]


@pytest.fixture
def fresh_checkout(tmp_path: Path) -> Callable[[str], Path]:
    """Makes a copy of what is under version control, as it is now."""

    def copy(name: str) -> Path:
        there = tmp_path / name
        for path in tracked():
            (there / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, there / path, follow_symlinks=False)
        return there

    return copy
