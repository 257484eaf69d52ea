# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Without the library that traces, the answer names its package."""

from __future__ import annotations

import importlib.util

import pytest

from vmad.errors import VmadError
from vmad.model.process import ProcessId
from vmad.probe.client import probe, rebuild

PROCESS = ProcessId(1, 1)


def test_the_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for asked in (probe(PROCESS, [], max_stop=1), rebuild(PROCESS, [], max_stop=1)):
        with pytest.raises(VmadError, match="python3-ptrace") as caught:
            next(asked)
        assert "\n" not in str(caught.value)
