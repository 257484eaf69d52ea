# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests that boot other kernels. Naming this directory runs them; it is not in pytest's testpaths.

VMAD_TEST_KERNELS names the kernels (default: 6.1).
"""

from __future__ import annotations

import os

import pytest

KERNELS = os.environ.get("VMAD_TEST_KERNELS", "6.1").replace(",", " ").split()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test that takes ``kernel`` once per kernel."""
    if "kernel" in metafunc.fixturenames:
        metafunc.parametrize("kernel", KERNELS, scope="module")
