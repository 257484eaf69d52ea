# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a report says of the machine, also of one that has little."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.machine import commit


def test_a_machine_without_git_is_measured_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert commit() == "unknown"
