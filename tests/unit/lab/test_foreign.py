# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a guest of another architecture is given."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vmad.architecture.aarch64 import AARCH64
from vmad.architecture.known import ARCHITECTURES
from vmad.lab.cache import Cache
from vmad.lab.checkout import package_root
from vmad.lab.errors import LabError
from vmad.lab.foreign import compiled as objects
from vmad.lab.foreign import surroundings
from vmad.lab.foreign.root import WHEELS_AT, python_version, settle
from vmad.lab.guest.initramfs import Laid, Request, run_archive
from vmad.lab.guest.machine import Machine
from vmad.lab.machines import this_machine
from vmad.lab.run import run_streaming


def unpacked(root: Path) -> Path:
    """As packages of Debian 12 unpack: some of them still have /bin and /lib."""
    for name in ("bin", "lib/aarch64-linux-gnu", "usr/bin", "usr/share/base-passwd", "etc"):
        (root / name).mkdir(parents=True)
    (root / "bin/sh").write_text("sh")
    (root / "lib/aarch64-linux-gnu/libc.so.6").write_text("libc")
    for name in ("passwd", "group"):
        (root / f"usr/share/base-passwd/{name}.master").write_text("root:x:0:0::/root:/bin/sh\n")
    (root / "usr/bin/gcc").symlink_to("gcc-12")
    (root / "usr/bin/python3").symlink_to("python3.11")
    return root


def test_a_root_is_settled_without_running_anything_of_it(tmp_path: Path) -> None:
    root = unpacked(tmp_path)
    settle(root)

    assert (root / "bin").readlink() == Path("usr/bin")
    assert (root / "usr/bin/sh").read_text() == "sh"
    assert (root / "usr/lib/aarch64-linux-gnu/libc.so.6").read_text() == "libc"
    assert (root / "etc/passwd").read_text().startswith("root:")
    assert (root / "usr/bin/cc").readlink() == Path("gcc")
    assert (root / "tmp").is_dir()
    assert python_version(root) == (3, 11)


def test_a_root_without_python_is_told(tmp_path: Path) -> None:
    root = unpacked(tmp_path)
    (root / "usr/bin/python3").unlink()
    with pytest.raises(LabError, match="no Python in"):
        python_version(root)


def test_directories_that_lie_in_one_another_are_shown_once(tmp_path: Path) -> None:
    for name in ("a/b/c", "ab"):
        (tmp_path / name).mkdir(parents=True)
    paths = [f"{tmp_path}/{name}" for name in ("a/b", "ab", "a/b/c", "none")] + ["/", "/usr"]

    assert surroundings.outermost(paths) == [f"{tmp_path}/a/b", f"{tmp_path}/ab"]


def test_python_is_the_roots_and_what_is_compiled_comes_before_what_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surroundings, "root_of", lambda *_: tmp_path)
    monkeypatch.setattr(surroundings, "compiled", lambda *_: {"vmad/a/b.bin": b"code"})
    own = package_root()
    asked = Request(["x"], str(tmp_path), {"PYTHONPATH": f"{own}:/more"}, sys.executable, ["/a"])
    made = surroundings.foreign(asked, Cache(tmp_path), AARCH64)

    assert made.environment["PYTHONPATH"].split(":")[:3] == [own, f"/{WHEELS_AT}", "/more"]
    assert (made.root, made.python, made.hidden) == (str(tmp_path), "/usr/bin/python3", ())
    assert made.laid == Laid(own, {"vmad/a/b.bin": b"code"})
    assert any(own == tree or own.startswith(f"{tree}/") for tree in made.trees)
    archive = run_archive(made)
    laid = ("laid", "laid/vmad", "laid/vmad/a", "laid/vmad/a/b.bin")
    places = [archive.index(f"lab/{name}\0".encode()) for name in laid]
    assert places == sorted(places)
    assert all(f"lab/{name}\0".encode() in archive for name in ("laid-in", "trees"))


def test_what_is_compiled_is_compiled_for_the_other_machine_once(tmp_path: Path) -> None:
    made = objects.compiled(Cache(tmp_path), AARCH64)
    here = Path(package_root())

    programs = here.glob("vmad/sources/bpf/*.bpf.c")
    assert set(made) == {
        "vmad/probe/payload/rebuild.aarch64.bin",
        *(str(path.relative_to(here).with_suffix(".o")) for path in programs),
    }
    (kept,) = (tmp_path / "compiled").iterdir()
    before = kept.stat().st_mtime_ns
    assert objects.compiled(Cache(tmp_path), AARCH64) == made
    assert kept.stat().st_mtime_ns == before


def test_kvm_for_another_machine_is_refused(
    tmp_path: Path,
) -> None:
    other = next(known for known in ARCHITECTURES if known is not this_machine())
    with pytest.raises(LabError, match=f"runs no kernels for {other.title}; leave --accelerator"):
        run_streaming(
            f"6.12-{other.debian}", ["true"], machine=Machine(), timeout=1, out_dir=None, stdin=b"",
            stdout=lambda _: None, stderr=lambda _: None, accelerator="kvm", cache=Cache(tmp_path),
        )  # fmt: skip
