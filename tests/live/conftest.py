# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which evidence the live tests ask for, and the kernel evidence by each walk that must work here.

Tests marked ``bpf`` fail where BPF cannot be had. Where it is known that it cannot (a kernel
before 5.15), VMAD_TEST_EVIDENCE=procfs leaves them out.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.failing_calls import BURST_WAYS
from tests.live.kernel_walks import WALKS, open_kernel_source
from tests.live.merge_watches import WATCHES
from vmad.architecture.known import running
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
    left_out.add("sees_no_bursts" if BURST_WAYS else "sees_bursts")
    here = running()
    borrowing = None if here is None else here.borrowing
    if borrowing is None:
        left_out.add("traced")
    for item in items:
        if item.path.parent.name in {"probe", "rebuild"}:
            item.add_marker("traced")
    out = [item for item in items if any(map(item.get_closest_marker, left_out))]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Say beforehand what these tests need, rather than in the middle of each that lacks it."""
    if not any(item.get_closest_marker("mounts") for item in session.items):
        return
    tried = subprocess.run(
        ["unshare", "--mount", "true"], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        need = (
            "/ must be a mount point, and in a chroot it is none (before chroot: "
            "mount --bind ROOT ROOT)"
            if "Invalid argument" in tried.stderr
            else "CAP_SYS_ADMIN is needed (sudo make test; podman run --cap-add=sys_admin)"
        )
        raise pytest.UsageError(
            f"some tests mount in a namespace of their own, for which {need}; without them: "
            "make test PYTEST_ARGS='-m \"not mounts\"'"
        )


@pytest.fixture(scope="session")
def never_still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of never_still.c."""
    binary = tmp_path_factory.mktemp("never_still") / "never_still"
    source = Path(__file__).with_name("never_still.c")
    subprocess.run(["cc", "-O1", "-Wall", "-static", "-o", binary, source], check=True)
    return binary


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
