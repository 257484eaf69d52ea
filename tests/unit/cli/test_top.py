# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad top`` where it cannot be: one line says what is missing."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from tests.unit.cli.running import vmad


def test_without_textual_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "textual", None)

    ran = vmad("top")

    assert (ran.status, ran.out) == (1, "")
    assert "'textual' is missing; pip install 'vmad-inspector[top]'" in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_textual_that_is_too_old_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    old = ModuleType("textual")
    old.__version__ = "0.1.13"  # type: ignore[attr-defined]  # Debian 12's
    monkeypatch.setitem(sys.modules, "textual", old)

    ran = vmad("top")

    assert ran.status == 1
    assert "Textual is 0.1.13, 2.1 is needed" in ran.err


def test_a_pipe_is_no_terminal() -> None:
    ran = vmad("top")

    assert (ran.status, ran.out) == (2, "")
    assert "needs a terminal" in ran.err


def test_the_daemon_is_of_this_host() -> None:
    ran = vmad("top", "--from", "x", "--daemon", "127.0.0.1:1")

    assert ran.status == 2


def test_it_brings_no_library_of_another_licence_into_one_process() -> None:
    code = (
        "import sys, vmad.cli.top, vmad.top.view, vmad.top.watching, vmad.top.failing\n"
        "print({'ptrace', 'prometheus_client'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout == "set()\n"
