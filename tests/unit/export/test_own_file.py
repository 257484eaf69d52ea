# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Files that a person asked for, in a directory where somebody else laid something before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.blame.samples import BLAMED
from tests.unit.capture.recorded import capture
from tests.unit.explain.tables import alternating, table_of
from tests.unit.guest.conftest import RECORDINGS
from tests.unit.guest.fake_qemu import recorded
from vmad.cli.main import main
from vmad.errors import VmadError
from vmad.export.blame_files import may_be_written, write_file
from vmad.export.own_file import write_own
from vmad.sources.guest.cache import AnchorCache
from vmad.sources.guest.kernel import anchors_from_json

SECRET = "keep me"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A file that nobody may write to by the link "mine.svg"."""
    path = tmp_path / "elsewhere"
    path.write_text(SECRET)
    yield path
    assert path.read_text() == SECRET
    assert not list(tmp_path.glob(".*"))


def drawn(path: Path, *words: str) -> int:
    taken = path.with_name("capture")
    if not taken.exists():
        capture(taken, [table_of(alternating(6), pid=10)])
    return main(["map", "10", "--from", str(taken), "-o", str(path), *words])


@pytest.mark.parametrize("words", [(), ("--force",)])
def test_a_picture_goes_through_no_link(elsewhere: Path, words: tuple[str, ...]) -> None:
    link = elsewhere.with_name("mine.svg")
    link.symlink_to(elsewhere)
    assert drawn(link, *words) != 0


def test_a_picture_is_not_written_into_what_somebody_else_holds_open(elsewhere: Path) -> None:
    path = elsewhere.with_name("mine.svg")
    path.touch(0o666)
    with path.open("rb") as held:
        assert drawn(path) != 0
        assert drawn(path, "--force") == 0
        assert held.read() == b""
    assert path.read_text().startswith("<svg")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_recording_goes_through_no_link(elsewhere: Path) -> None:
    link = elsewhere.with_name("mine.json")
    link.symlink_to(elsewhere)
    with pytest.raises(VmadError, match="exists and is not a file"):
        may_be_written(str(link))
    with pytest.raises(VmadError, match="exists and is not a file"):
        write_file(str(link), BLAMED)


def test_a_recording_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text("x" * 1_000_000)
    may_be_written(str(path))
    write_file(str(path), BLAMED)
    assert path.read_text().startswith("{")


def test_a_link_that_comes_at_the_last_moment_is_replaced(elsewhere: Path) -> None:
    link = elsewhere.with_name("mine.svg")

    def parts() -> Iterator[str]:
        link.symlink_to(elsewhere)
        yield "new"

    write_own(str(link), parts(), replace=True, mode=0o600)
    assert link.read_text() == "new"
    assert not link.is_symlink()


def test_a_name_that_comes_into_use_meanwhile_is_kept(elsewhere: Path) -> None:
    other = elsewhere.with_name("mine.svg")

    def parts() -> Iterator[str]:
        other.write_text("theirs")
        yield "new"

    with pytest.raises(FileExistsError):
        write_own(str(other), parts(), replace=False, mode=0o600)
    assert other.read_text() == "theirs"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_left_alone(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "mine.svg")
    with pytest.raises(OSError, match="exists and is not a file"):
        write_own(str(tmp_path / "mine.svg"), ["new"], replace=True, mode=0o600)


def test_what_is_kept_of_guests_goes_through_no_link(elsewhere: Path) -> None:
    place = elsewhere.with_name("kept")
    anchors = anchors_from_json(recorded(RECORDINGS[-1])[2]["anchors"])
    AnchorCache(place).add(anchors)
    (kept,) = place.glob("*.json")
    kept.unlink()
    aside = place / f"{kept.stem}.{os.getpid()}.new"
    aside.symlink_to(elsewhere)
    AnchorCache(place).add(anchors)
    assert kept.is_file()
    assert not kept.is_symlink()
