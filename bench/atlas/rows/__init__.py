# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Every row of the atlas, found by itself: each module here has a tuple ROWS."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from bench.atlas.row import Row

ROWS: dict[str, Row] = {
    row.name: row
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda each: each.name)
    for row in import_module(f"{__name__}.{module.name}").ROWS
}
