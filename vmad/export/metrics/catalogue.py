# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The catalogue of metrics: what is exported, what it means and what to do with it.

Nothing else is exported, and docs/metrics.md is written from it.

Names follow the pair that dashboards already know from Cortex and Mimir
(``process_memory_map_areas`` and ``..._limit``, Cortex pull request 3537); units and suffixes the
Prometheus guide to writing exporters. A worst ratio per group has its precedent in
process-exporter (``worst_fd_ratio``): a sum hides the one process that is about to fail.
"""

from __future__ import annotations

from typing import Any

from vmad.export.metrics.failures import FAILURES
from vmad.export.metrics.groups import GROUPS
from vmad.export.metrics.host import HOST
from vmad.export.metrics.itself import SELF
from vmad.export.metrics.metric import Metric, Section
from vmad.export.metrics.scan import SCAN
from vmad.export.metrics.top import TOP

SECTIONS: tuple[Section[Any], ...] = (GROUPS, HOST, TOP, SCAN, FAILURES, SELF)

CATALOGUE: tuple[Metric[Any], ...] = tuple(
    metric for section in SECTIONS for metric in section.metrics
)

BY_NAME: dict[str, Metric[Any]] = {metric.name: metric for metric in CATALOGUE}
