# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Rebuilds while the kernel migrates the pages that are on their way (compacted.c).

6.18 then tells of fewer pages than it has moved, and finds those in its way at the next call: what
it had moved must not be taken for a refusal. See findings/uffdio-move-tells-less-than-it-moved.sh.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("compacted.c")
EXAMPLE = Path(__file__).parents[3] / "examples" / "rebuild"

pytestmark = [pytest.mark.bpf, pytest.mark.moves]

#: seconds; where the kernel has the fault it takes some ten
AT_MOST = 30


def test_pages_that_migrate_meanwhile_are_not_lost(tmp_path: Path) -> None:
    binary = tmp_path / "compacted"
    strict = ("-O2", "-Wall", "-Wextra", "-Werror", f"-I{EXAMPLE}")
    subprocess.run(["gcc", *strict, "-o", binary, SOURCE], check=True)
    said = subprocess.run(
        [binary, str(AT_MOST)], check=True, capture_output=True, text=True, timeout=300
    ).stdout
    print(f"rounds, pages met in the way, wrong pages, rounds that left more than one VMA: {said}")
    rounds, _, wrong, apart = map(int, said.split())

    assert rounds > 0
    assert (wrong, apart) == (0, 0)
