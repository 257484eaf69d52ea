# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Nothing in the cache is ever half-written, and only one lab writes at a time."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from vmad.lab.apt.indices import Package
from vmad.lab.cache import Cache, default_cache, directory_made_whole, sha256_of, write_whole
from vmad.lab.errors import LabError
from vmad.lab.guest.run_directory import run_directory, sweep
from vmad.lab.kernels.archive import check
from vmad.lab.kernels.store import Kernel, check_image


def test_cache_is_where_xdg_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache().root == tmp_path / "vmad" / "lab"


def test_relative_xdg_directory_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "somewhere")
    monkeypatch.setenv("HOME", "/home/a")
    assert default_cache().root == Path("/home/a/.cache/vmad/lab")


def test_failed_directory_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail() -> None:
        with directory_made_whole(tmp_path / "k") as work:
            (work / "half").write_text("")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_finished_directory_replaces_the_old_one(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with directory_made_whole(tmp_path / "k") as work:
            (work / "file").write_text(text)
    assert (tmp_path / "k" / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["k"]


def test_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file"
    write_whole(target, b"1")
    before = target.stat().st_ino
    write_whole(target, b"2")
    assert target.read_bytes() == b"2"
    assert target.stat().st_ino != before
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert len(list(target.parent.iterdir())) == 1


def test_full_disk_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LabError, match=f"no space left below {tmp_path}; free some"):
        write_whole(tmp_path / "file", b"1")
    assert list(tmp_path.iterdir()) == []


def test_second_lab_waits_for_the_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    ours, theirs = os.pipe()
    with cache.locked():
        child = os.fork()
        if child == 0:
            with cache.locked():
                os.write(theirs, b"second")
            os._exit(0)
        os.set_blocking(ours, False)
        with pytest.raises(BlockingIOError):
            os.read(ours, 10)
    os.set_blocking(ours, True)
    assert os.read(ours, 10) == b"second"
    os.waitpid(child, 0)


def test_download_that_differs_from_the_index_is_deleted(tmp_path: Path) -> None:
    deb = tmp_path / "a.deb"
    deb.write_bytes(b"altered")
    with pytest.raises(LabError, match="another hash"):
        check(deb, Package("a", "1", 7, "00" * 32))
    assert not deb.exists()


def test_altered_kernel_image_is_not_booted(tmp_path: Path) -> None:
    image = tmp_path / "vmlinuz"
    image.write_bytes(b"good")
    kernel = Kernel("6.1", "6.1.0", "x86_64", False, image, sha256_of(image), None, tmp_path)
    check_image(kernel)
    image.write_bytes(b"evil")
    with pytest.raises(LabError, match="is not what was unpacked there"):
        check_image(kernel)


def test_directory_of_a_killed_run_is_swept_and_a_live_one_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "vmad-lab-dead").mkdir()
    (tmp_path / "vmad-lab-dead" / "swap").write_text("")
    with run_directory() as alive:
        sweep(tmp_path)
        assert list(tmp_path.iterdir()) == [alive]
    assert list(tmp_path.iterdir()) == []
