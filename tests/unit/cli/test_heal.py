# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What ``vmad heal`` says that it would gain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.capture.recorded import KERNEL, TablesSource
from tests.unit.explain.tables import LATENT, Area, table_of
from vmad.cli.heal import plan_of


@pytest.mark.parametrize("page_shift", [12, 14, 16])
def test_every_latent_pair_is_gained_whatever_the_page_size_is(page_shift: int) -> None:
    size = 2 << page_shift
    areas = [Area(size=size), *[Area(size=size, facts=LATENT)] * 63]
    table = table_of(areas, page_shift=page_shift)
    kernel = replace(KERNEL, page_shift=page_shift)

    plan = plan_of(table, TablesSource([table], kernel))

    assert (len(plan.boundaries), plan.predicted) == (63, 63)
