# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The Date of an answer, against the standard library's."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from vmad.web.writer import http_date


@pytest.mark.parametrize("when", [0, 951_782_399, 951_868_800, 1_785_542_400.75, 4_102_444_799])
def test_it_is_that_of_the_standard_library(when: float) -> None:
    assert http_date(when) == formatdate(when, usegmt=True)


def test_it_is_as_the_standard_has_it() -> None:
    assert http_date(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT"
