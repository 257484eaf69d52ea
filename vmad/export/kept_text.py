# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The text of metric families, kept for as long as their samples are what they were.

A series takes some microseconds to write, and between two scans of a quiet host some ten of several
hundred series move.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vmad.export.metrics.family import Family, text_of

#: label values -> value, of one family
Samples = Mapping[tuple[str, ...], float]


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
        made = text_of((make(),), openmetrics)
        self._kept[name, openmetrics] = samples, made
        return made
