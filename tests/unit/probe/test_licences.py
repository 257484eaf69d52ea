# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""python-ptrace (GPL-2.0-only) and prometheus-client (Apache-2.0) never meet in one process."""

from __future__ import annotations

import subprocess
import sys

import pytest

EVERY_COMMAND = (
    "import importlib, vmad.cli.main as m, contextlib\n"
    "for module, _ in m.COMMANDS.values():\n"
    "    with contextlib.suppress(ModuleNotFoundError): importlib.import_module(module)\n"
)
LIBRARY = (
    "import vmad.probe.client, vmad.probe.question, vmad.probe.target, vmad.architecture.known\n"
)


def imported(statements: str) -> set[str]:
    """Top-level packages in a fresh interpreter after these statements."""
    code = f"{statements}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


@pytest.mark.parametrize("statements", [EVERY_COMMAND, LIBRARY])
def test_nothing_but_the_probe_program_imports_ptrace(statements: str) -> None:
    assert "ptrace" not in imported(statements)


def test_the_probe_program_imports_no_prometheus_client() -> None:
    packages = imported("import vmad.probe.__main__")

    assert "ptrace" in packages
    assert "prometheus_client" not in packages
