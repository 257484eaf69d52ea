# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which evidence the live tests ask for, and the kernel evidence by each walk that must work here.

Tests marked ``bpf`` fail where BPF cannot be had. Where it is known that it cannot (a kernel
before 5.15), VMAD_TEST_EVIDENCE=procfs leaves them out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from vmad.model.kernel import running_kernel
from vmad.rules.relaxed import RelaxedRules
from vmad.rules.runs import merge_table
from vmad.rules.stock import StockRules
from vmad.sources.bpf.source import BpfSource

KERNEL = running_kernel()

#: what loads by release: the open-coded iterator is 6.7, but only from 6.10 in syscall programs
WALKS = ("open-coded", "task_vma") if KERNEL.version >= (6, 10) else ("task_vma",)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs BPF, when told that there is none."""
    if os.environ.get("VMAD_TEST_EVIDENCE") != "procfs":
        return
    out = [item for item in items if item.get_closest_marker("bpf")]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if not item.get_closest_marker("bpf")]


def open_kernel_source(walk: str | None = None) -> BpfSource:
    """As ``open_source("kernel", None)``, by a named walk."""
    stock, relaxed = StockRules(KERNEL), RelaxedRules(KERNEL)
    tables = merge_table(stock), merge_table(relaxed)
    return BpfSource(KERNEL, stock.era.ignored_flags, tables, walk=walk)


@pytest.fixture(scope="session")
def kernel_sources() -> Iterator[dict[str, BpfSource]]:
    """The kernel evidence by each walk that must work here."""
    sources = {walk: open_kernel_source(walk) for walk in WALKS}
    yield sources
    for source in sources.values():
        source.close()


@pytest.fixture(params=WALKS)
def kernel_source(
    request: pytest.FixtureRequest, kernel_sources: dict[str, BpfSource]
) -> BpfSource:
    """The same, one walk at a time."""
    return kernel_sources[request.param]
