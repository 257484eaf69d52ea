# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Reads what is known of limits beside an address space, as far as its source allows."""

from __future__ import annotations

from typing import cast

from vmad.rules.limit_origin import LimitOrigin, limit_origin
from vmad.rules.vma_cost import VmaCost
from vmad.sources.boot_settings import read_boot_settings
from vmad.sources.source import Source, is_here
from vmad.sources.vma_cost import read_vma_cost


def vma_cost_of(source: Source) -> VmaCost | None:
    """What a VMA costs where the source's processes run; None where that cannot be told."""
    if hasattr(source, "vma_cost"):
        return cast("VmaCost | None", source.vma_cost)
    return read_vma_cost() if is_here(source) else None


def limit_origin_of(source: Source) -> LimitOrigin | None:
    """What set vm.max_map_count; None for a capture or a guest, whose files are elsewhere."""
    if not is_here(source) or not source.max_map_count:
        return None
    return limit_origin(source.max_map_count, read_boot_settings())
