# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Targets of rebuilds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.rebuild.movers import Mover, compiled


@pytest.fixture(scope="session")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("mover"))


@pytest.fixture
def mover(binary: Path) -> Iterator[Callable[..., Mover]]:
    running: list[Mover] = []

    def start(pieces: int, *more: str, **how: Any) -> Mover:
        running.append(Mover(binary, pieces, *more, **how))
        return running[-1]

    yield start
    for each in running:
        each.stop()
