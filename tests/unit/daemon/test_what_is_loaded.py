# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a daemon with its defaults does not load: each of these is memory for good."""

from __future__ import annotations

import subprocess
import sys

DEFAULTS = """
import sys
import vmad.daemon.service
print(*sorted(sys.modules))
"""

#: guests; procfs evidence; pages
ABSENT = {
    "difflib",
    "vmad.sources.guest.source", "vmad.sources.procfs.source", "vmad.web.pages.document",
    "vmad.daemon.documents",
}  # fmt: skip


def loaded(statements: str) -> set[str]:
    """Modules in a fresh interpreter after these statements, which print them."""
    ran = subprocess.run(
        [sys.executable, "-c", statements], capture_output=True, text=True, check=True
    )
    return set(ran.stdout.split())


def test_a_daemon_with_its_defaults_loads_nothing_that_it_does_not_need() -> None:
    modules = loaded(DEFAULTS)

    assert "asyncio" in modules
    assert modules & ABSENT == set()
