# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests that boot other kernels: only when asked for, since each boot takes seconds.

VMAD_TEST_VM=1 asks for them; VMAD_TEST_KERNELS names the kernels (default: 6.1).
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

KERNELS = os.environ.get("VMAD_TEST_KERNELS", "6.1").replace(",", " ").split()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is in this directory unless it was asked for."""
    if os.environ.get("VMAD_TEST_VM"):
        return
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="boots guests: set VMAD_TEST_VM=1"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test that takes ``kernel`` once per kernel."""
    if "kernel" in metafunc.fixturenames:
        metafunc.parametrize("kernel", KERNELS, scope="module")
