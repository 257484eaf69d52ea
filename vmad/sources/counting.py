# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The former place of the page size: ask the kernel itself."""

from __future__ import annotations

from vmad.sources.source import Source


def page_shift_of(source: Source) -> int:
    """As ``source.kernel.page_shift``."""
    return source.kernel.page_shift
