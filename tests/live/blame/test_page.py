# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A recording that is made on the command line shows on the page of the daemon beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.daemons import VMAD, Daemon

pytestmark = pytest.mark.bpf

#: where a page takes long, as on an emulated processor, it is made nevertheless
UNHURRIED = "web: {budget: 100%, timeout: 5m}\n"
MAKES = "import mmap; made = [mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE) for _ in range(300)]"


def test_last_recording_is_on_the_page_without_names(tmp_path: Path) -> None:
    run = tmp_path / "run"
    environment = {"RUNTIME_DIRECTORY": str(run)}
    with Daemon(tmp_path, UNHURRIED, environment=environment).ready() as daemon:
        assert daemon.status("/blame") == 404
        command = [VMAD, "blame", "--page", "--", sys.executable, "-c", MAKES]
        subprocess.run(command, env={**os.environ, **environment}, check=True, capture_output=True)
        page = daemon.get("/blame").decode()

    assert (run / "blame.json").is_file()
    assert "who made its VMAs" in page
    # names of runtimes stay, those of whose program it was do not
    assert "mmap" in page
    assert str(Path(sys.executable).parent) not in page
