# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The generator driven by hypothesis, so that a program that fails shrinks."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.differential.generator import random_program
from tests.differential.program import Program


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """A random program; every decision is one drawn number, smaller is simpler."""
    return random_program(lambda bound: draw(st.integers(0, bound - 1)))
