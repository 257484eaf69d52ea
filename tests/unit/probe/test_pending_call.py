# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The call in which a thread waits, as the kernel shows it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vmad.probe.pending_call import PendingCall, read_pending


@pytest.mark.parametrize("text", ["running\n", "-1 0x7ffc00 0x401000\n", ""])
def test_a_thread_in_no_call_has_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "syscall").write_text(text)

    assert read_pending(str(tmp_path)) is None


def test_a_thread_that_is_gone_has_none(tmp_path: Path) -> None:
    assert read_pending(str(tmp_path)) is None


def test_number_first_argument_and_place_are_told(tmp_path: Path) -> None:
    (tmp_path / "syscall").write_text("22 0x4 0x2 0x3 0x4 0x5 0x6 0xffff10 0xaaaa20\n")

    assert read_pending(str(tmp_path)) == PendingCall(22, 4, 0xFFFF10, 0xAAAA20)


def test_the_kernel_says_so_of_a_child_that_reads() -> None:
    reader, writer = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-c", f"import os; os.read({reader}, 1)"], pass_fds=(reader,)
    )
    try:
        task = f"/proc/{child.pid}/task/{child.pid}"
        while (pending := read_pending(task)) is None or pending.first != reader:
            assert child.poll() is None
            time.sleep(0.01)
        assert pending.instruction
        assert pending.stack
    finally:
        os.write(writer, b".")
        child.wait()
        os.close(reader)
        os.close(writer)
