# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Pages behind a bounded sample of pairs: how many are present, swapped out, shared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vmad.scan.repeats import Indices


@dataclass(frozen=True, slots=True)
class PageSample:
    """Pages of the VMAs of some pairs; None where the kernel or our rights do not tell.

    ``of_pairs`` is how many pairs there are in all; ``too_large`` VMAs were left out; ``pages``
    is the address space looked at.
    """

    pairs: int
    of_pairs: int
    too_large: int
    pages: int
    present: int | None
    swapped: int | None
    shared: int | None


def spread(rows: Indices, at_most: int) -> Indices:
    """At most ``at_most`` of ``rows``, evenly spread over them: the same ones every time."""
    if len(rows) <= at_most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, at_most).astype(np.int64)]
