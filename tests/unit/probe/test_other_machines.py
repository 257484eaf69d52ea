# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A machine whose threads cannot be borrowed is refused before anything of ptrace is imported."""

from __future__ import annotations

import os
import subprocess

import pytest

from vmad.architecture.known import UnknownArchitecture
from vmad.model.process import ProcessId
from vmad.probe import client

PROCESS = ProcessId(1, 1)


@pytest.mark.parametrize("machine", ["riscv64", "s390x"])
def test_refused_in_one_line_and_no_program_is_started(
    machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((*here[:4], machine)))
    monkeypatch.setattr(subprocess, "Popen", None)

    what = "tracing works on x86-64 and 64-bit Arm"
    for run in (
        client.probe(PROCESS, [0x1000], max_stop=0.01),
        client.rebuild(PROCESS, [(0x1000, 0x3000)], max_stop=0.01),
    ):
        with pytest.raises(UnknownArchitecture, match=f"^{what}, this is {machine}; reading"):
            next(run)
