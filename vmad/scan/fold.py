# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which groups keep a series of their own under the cap, steadily from scan to scan."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from vmad.config.schema import OTHER

#: a newcomer displaces a group that is exported only when it weighs this many times as much
DISPLACES = 1.25


def fold(
    weights: Mapping[str, float | None], cap: int, kept_before: Collection[str] = ()
) -> frozenset[str]:
    """The groups to export by name, at most ``cap - 1``; the rest are ``other``.

    ``weights`` maps each group to how much it matters (the map_count of its worst process, say;
    None where unknown, lightest of all), ``kept_before`` is what the last call returned (a set).
    Heaviest first; a group that was kept stays until one clearly heavier needs its place, so
    that two groups of about the same weight do not swap series at every scan. One place is
    always left to ``other``, so that a host at the cap does not fold and unfold in turn.
    """

    def order(name: str) -> tuple[float, bool, str]:
        weight = weights[name]
        stays = name in kept_before
        effective = -1.0 if weight is None else weight * (DISPLACES if stays else 1.0)
        return -effective, not stays, name

    named = sorted((name for name in weights if name != OTHER), key=order)
    return frozenset(named[: max(cap - 1, 0)])
