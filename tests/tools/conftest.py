# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The programs that users have around vmad, as deploy/fetch_tools.py fetches them."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.victoria_metrics import TOOLS

Tool = Callable[..., str]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """They are fetched for x86-64 alone."""
    if platform.machine() == "x86_64":
        return
    out = [item for item in items if item.path.parent == Path(__file__).parent]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    """``tool("helm", "lint", …)``: what it prints, on either output; its status must be 0."""

    def run(name: str, *words: str | Path) -> str:
        program = TOOLS / name
        assert program.exists(), f"no {program}: make setup-test fetches it"
        done = subprocess.run(
            [str(program), *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        )
        assert done.returncode == 0, done.stdout[-4000:]
        return done.stdout

    return run
