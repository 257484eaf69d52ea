# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A process that starts program after program is the same process all the while."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from typing import Literal

import pytest

from vmad.errors import StillChanging
from vmad.model.process import ProcessId
from vmad.sources.choose import open_source
from vmad.sources.source import Source

LOOKS = 150


@pytest.fixture
def starting(tmp_path: Path) -> Iterator[int]:
    """The pid of a shell that becomes another one of its kind, some thousand times a second."""
    script = tmp_path / "again"
    script.write_text(f'#!/bin/sh\nexec "{script}"\n')
    script.chmod(0o755)
    with Popen([str(script)]) as process:
        yield process.pid
        process.kill()


@pytest.mark.parametrize("evidence", [pytest.param("kernel", marks=pytest.mark.bpf), "procfs"])
def test_one_that_starts_another_program_meanwhile_is_not_told_as_gone(
    starting: int, evidence: Literal["kernel", "procfs"]
) -> None:
    source = open_source(evidence, None)
    try:
        process = source.find(starting)
        told = [_vmas(source, process) for _ in range(LOOKS)]
    finally:
        source.close()

    # a look may meet an exec each time it tries
    assert any(told)
    assert 0 not in told


def _vmas(source: Source, process: ProcessId) -> int | None:
    try:
        return len(source.table(process).rows)
    except StillChanging:
        return None
