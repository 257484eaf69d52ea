# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What of the host's surroundings goes along into a guest."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from vmad.lab.checkout import package_root
from vmad.lab.guest.surroundings import covered, guest_environment, request_for


def test_this_python_is_found_first_and_vmad_is_importable() -> None:
    taken = guest_environment({"PATH": "/usr/bin:/bin"}, "/checkout")
    assert taken["PATH"].split(":")[0] == os.path.dirname(sys.executable)
    assert taken["PYTHONPATH"].split(":")[0] == "/checkout"


def test_variables_that_name_the_hosts_own_things_stay_here() -> None:
    taken = guest_environment({"TMPDIR": "/tmp/x", "SSH_AUTH_SOCK": "/s", "LC_ALL": "C"}, "/c")
    assert "TMPDIR" not in taken
    assert "SSH_AUTH_SOCK" not in taken
    assert taken["LC_ALL"] == "C"


def test_paths_under_a_covered_directory_are_shown_once() -> None:
    place = Path("/tmp").joinpath(f"vmad-test-covered-{os.getpid()}")
    inner = place / "inner"
    inner.mkdir(parents=True)
    try:
        asked = [str(inner), str(place), "/usr", f"{place}/absent-is-inside", "/tmp/absent"]
        assert covered(asked, None) == [str(place)]
    finally:
        inner.rmdir()
        place.rmdir()


def test_out_directory_is_made_and_mounted_for_itself(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    request = request_for(["true", str(out)], out)
    assert out.is_dir()
    assert request.out == str(out)
    assert str(out) not in request.hidden


def test_working_directory_is_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert request_for(["true"], None).directory == str(tmp_path)


def test_package_root_is_where_vmad_is_imported_from() -> None:
    assert (Path(package_root()) / "vmad" / "lab" / "run.py").is_file()
