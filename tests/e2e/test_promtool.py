# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Prometheus's own linter finds nothing to say about what vmad exports."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

import pytest

from tests.unit.sample import (
    crowded_snapshot,
    empty_snapshot,
    hostile_snapshot,
    sample_snapshot,
    self_stats,
)
from vmad.export.metrics.exposition import Exposition
from vmad.scan.snapshot import HostSnapshot


@pytest.mark.parametrize(
    "make", [sample_snapshot, empty_snapshot, crowded_snapshot, hostile_snapshot]
)
def test_promtool_check_metrics_is_clean(make: Callable[[], HostSnapshot]) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is not in PATH; it is in Debian's package prometheus"
    snapshot = make()

    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=Exposition(self_stats(), snapshot).render(),
        capture_output=True,
        check=False,
    )

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
