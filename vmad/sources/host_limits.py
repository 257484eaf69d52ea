# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Reads what is known of limits beside an address space, as far as its source allows."""

from __future__ import annotations

from vmad.rules.limit_origin import LimitOrigin, limit_origin
from vmad.sources.boot_settings import read_boot_settings
from vmad.sources.source import Source


def limit_origin_of(source: Source) -> LimitOrigin | None:
    """What set vm.max_map_count; None for a capture or a guest, whose files are elsewhere."""
    if not source.here or not source.max_map_count:
        return None
    return limit_origin(source.max_map_count, read_boot_settings())
