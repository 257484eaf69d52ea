# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The metrics' documentation is what the catalogue says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from vmad.export.metrics.catalogue import CATALOGUE, SECTIONS

ROOT = Path(__file__).parents[3]


def test_committed_documentation_is_what_the_generator_gives() -> None:
    generated = subprocess.run(
        [sys.executable, "-m", "vmad.export.metrics.document"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout

    assert (ROOT / "docs" / "metrics.md").read_bytes() == generated


def test_every_metric_says_what_it_is_and_what_to_do_with_it() -> None:
    for metric in CATALOGUE:
        assert metric.help.endswith(".")
        assert metric.use.endswith(".")
        assert "|" not in metric.help + metric.use
        assert (metric.type == "counter") == metric.name.endswith("_total")
        assert (metric.type == "info") == metric.name.endswith("_info")


def test_labels_of_a_metric_begin_with_those_of_its_section() -> None:
    for section in SECTIONS:
        for metric in section.metrics:
            assert metric.labels[: len(section.labels)] == section.labels, metric.name
