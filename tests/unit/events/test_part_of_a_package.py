# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Of pyroute2 only the connector is imported, and nobody else notices."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from vmad.sources.connector import _only_a_part_of


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its modules: ``part``, which imports ``beside``."""
    name = "vmad_test_package"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("from . import dear\nWHOLE = True\n")
    (tmp_path / name / "dear.py").write_text("")
    (tmp_path / name / "beside.py").write_text("NUMBER = 3\n")
    (tmp_path / name / "part.py").write_text("from .beside import NUMBER\n")
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("", ".dear", ".beside", ".part"):
        monkeypatch.delitem(sys.modules, name + module, raising=False)
    return name


def test_a_part_comes_without_the_rest(package: str) -> None:
    with _only_a_part_of(package):
        part = importlib.import_module(f"{package}.part")
    assert part.NUMBER == 3
    assert f"{package}.dear" not in sys.modules


def test_whoever_imports_the_package_afterwards_has_it_whole(package: str) -> None:
    with _only_a_part_of(package):
        part = importlib.import_module(f"{package}.part")
    whole = importlib.import_module(package)
    assert whole.WHOLE
    assert importlib.import_module(f"{package}.part") is part


def test_what_is_whole_already_stays_so(package: str) -> None:
    whole = importlib.import_module(package)
    with _only_a_part_of(package):
        importlib.import_module(f"{package}.part")
    assert sys.modules[package] is whole


def test_a_package_that_is_not_there_is_an_import_error() -> None:
    with pytest.raises(ImportError), _only_a_part_of("vmad_no_such_package"):
        pass
