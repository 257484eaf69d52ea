# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What messages call a process."""

from __future__ import annotations

from vmad.model.process import ProcessId
from vmad.sources.bounded import Stuck


def test_a_read_that_is_stuck_names_the_process_in_words_and_not_as_python_shows_it() -> None:
    assert str(Stuck(ProcessId(4242, 17))) == "stuck reading process 4242"
