# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The text of metric families, kept for as long as their samples are what they were.

prometheus_client takes 10 microseconds or more per series, and between two scans of a quiet host
some ten of several hundred series move.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.registry import Collector

#: label values -> value, of one family
Samples = Mapping[tuple[str, ...], float]

#: behind an OpenMetrics text (OpenMetrics 1.0)
END = b"# EOF\n"

# untyped in prometheus_client 0.26
_openmetrics_text: Callable[[Collector], bytes] = openmetrics_exposition.generate_latest


class _Families(Collector):
    """These, for prometheus_client to render."""

    def __init__(self, *families: Family) -> None:
        self._families = families

    def collect(self) -> tuple[Family, ...]:
        return self._families


def text_of(collector: Collector, openmetrics: bool) -> bytes:
    """Text format 0.0.4, or OpenMetrics 1.0 without its end."""
    if openmetrics:
        return _openmetrics_text(collector).removesuffix(END)
    return generate_latest(collector)


class KeptTexts:
    """Texts by family and format. From any thread: at worst two render the same."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, bool], tuple[Samples, bytes]] = {}

    def text(
        self, name: str, samples: Samples, openmetrics: bool, make: Callable[[], Family]
    ) -> bytes:
        """That of family ``name``, which ``make`` makes of these samples (not to be changed)."""
        kept = self._kept.get((name, openmetrics))
        if kept is not None and kept[0] == samples:
            return kept[1]
        made = text_of(_Families(make()), openmetrics)
        self._kept[name, openmetrics] = samples, made
        return made
