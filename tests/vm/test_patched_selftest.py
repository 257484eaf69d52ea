# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The selftest that comes with the series passes on the patched kernel, and skips on any other.

Needs ``vmad lab build``, in whose tree the source lies.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from vmad.lab.cache import default_cache
from vmad.lab.run import run_in_guest

_SKIPPED = 4  #: KSFT_SKIP


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = default_cache().root / "kernel-build" / "patched-6.12"
    source = tree / "tools/testing/selftests/mm/anon_vma_merge.c"
    made = tmp_path_factory.mktemp("selftest") / "anon_vma_merge"
    subprocess.run(["cc", "-O1", "-Wall", "-static", "-o", made, source], check=True)
    return made


def test_selftest_passes_on_the_patched_kernel(program: Path) -> None:
    done = run_in_guest("patched-6.12", [str(program)], timeout=120)

    said = done.stdout.decode()
    assert done.status == 0, said
    assert "# Totals: pass:9 fail:0 xfail:0 xpass:0 skip:0 error:0" in said


def test_selftest_skips_where_there_is_no_switch(program: Path) -> None:
    assert run_in_guest("6.12", [str(program)], timeout=120).status == _SKIPPED
