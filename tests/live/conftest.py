# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which evidence the live tests ask for, and the kernel evidence by each walk that must work here.

Tests marked ``bpf`` fail where BPF cannot be had. Where it is known that it cannot (a kernel
before 5.15), VMAD_TEST_EVIDENCE=procfs leaves them out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from kernel_walks import WALKS, open_kernel_source
from merge_watches import WATCHES

from vmad.sources.bpf.source import BpfSource


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs BPF where there is none, and what this kernel has not or forbids."""
    left_out = set()
    if os.environ.get("VMAD_TEST_EVIDENCE") == "procfs":
        left_out.add("bpf")
    if "open-coded" not in WALKS:
        left_out.add("open_coded")
    if not WATCHES:
        left_out.add("watches")
    out = [item for item in items if any(map(item.get_closest_marker, left_out))]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]


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
