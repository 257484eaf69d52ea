# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``make test-machines``: vmad on the Debian releases that VMAD_TEST_MACHINES names.

Naming this directory runs it; it is not in pytest's testpaths. Each suite gets two new machines:
one for the checkout, set up once, and one for the package.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.machines.machine import Machine, machine

SUITES = os.environ.get("VMAD_TEST_MACHINES", "trixie sid").split()


@pytest.fixture(scope="module", params=SUITES)
def new_machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """One to a suite and test file."""
    with machine(request.param) as made:
        yield made
