# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A file that is no good capture is refused in one line, and costs nothing to refuse."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.capture.recorded import capture
from tests.unit.explain.tables import Area, alternating, table_of
from vmad.errors import BadCapture, CannotRead, UsageError, VmadError
from vmad.model.process import ProcessId
from vmad.model.table import VMA_ROW
from vmad.sources import capture_format as form
from vmad.sources.capture import CaptureSource
from vmad.sources.capture_writer import CannotWrite, CaptureWriter

TABLE = table_of([*alternating(20), Area(path="/lib")], pid=10)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    capture(tmp_path / "good", [TABLE])
    return tmp_path / "good"


def rewritten(good: Path, member: str, change: Callable[[bytes], bytes]) -> Path:
    """The capture with one member changed, its checksums right."""
    bad = good.with_name("bad")
    with zipfile.ZipFile(good) as archive, zipfile.ZipFile(bad, "w") as out:
        for name in archive.namelist():
            content = archive.read(name)
            out.writestr(name, change(content) if name == member else content)
    return bad


def read_all(path: Path) -> None:
    """Open a capture and read every process in it."""
    source = CaptureSource(str(path))
    for process in source.census()[["pid", "start_time"]].tolist():
        source.table(ProcessId(*process))


def refused(path: Path) -> str:
    """The one line with which the capture is refused, be it on opening or on reading."""
    with pytest.raises(BadCapture) as caught:
        read_all(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(str(path))
    return text


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", b"\x1f\x8b" + bytes(100)])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)

    assert "not a capture" in refused(tmp_path / "file")


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(CannotRead, match=str(path)):
            CaptureSource(str(path))


def test_a_newer_schema_is_named(good: Path) -> None:
    newer = rewritten(good, form.META, lambda old: old.replace(b"capture/1", b"capture/2"))

    assert "'vmad.capture/2', written by vmad" in refused(newer)


def test_a_member_that_is_missing_is_named(good: Path) -> None:
    moved = good.with_name("moved")
    with zipfile.ZipFile(good) as archive, zipfile.ZipFile(moved, "w") as out:
        out.writestr(form.META, archive.read(form.META))

    assert "10/rows.npy is missing" in refused(moved)


def test_a_name_of_a_member_that_is_no_utf_8_is_refused(good: Path) -> None:
    with zipfile.ZipFile(good, "a") as archive:
        archive.writestr("né", b"")
    content = good.read_bytes()
    good.write_bytes(content.replace("né".encode(), b"n\xff\xff"))

    assert "damaged" in refused(good)


def test_a_name_beside_a_member_that_is_no_utf_8_is_refused(good: Path) -> None:
    """The directory at the end has it right; the header before the member says otherwise."""
    with zipfile.ZipFile(good) as archive:
        header = archive.getinfo(form.rows_member(10)).header_offset
    content = bytearray(good.read_bytes())
    content[header + 6 : header + 8] = (0x800).to_bytes(2, "little")  # its name is UTF-8
    content[header + 31] = 0xA3
    good.write_bytes(content)

    assert "10/rows.npy: damaged" in refused(good)


@pytest.mark.parametrize("compression", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_member_compressed_otherwise_is_refused(good: Path, compression: int) -> None:
    other = good.with_name("other")
    with zipfile.ZipFile(good) as archive, zipfile.ZipFile(other, "w", compression) as out:
        for name in archive.namelist():
            out.writestr(name, archive.read(name))

    assert "compressed in a way that no capture is" in refused(other)


def test_what_would_keep_us_waiting_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CannotRead, match="not a file"):
        CaptureSource(str(tmp_path / "pipe"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_damage_ends_in_anything_but_one_line(good: Path, data: st.DataObject) -> None:
    content = bytearray(good.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
            content[place] ^= data.draw(st.integers(1, 255))
    damaged = good.with_name("damaged")
    damaged.write_bytes(content)
    try:
        read_all(damaged)
    except VmadError as error:
        assert "\n" not in str(error)  # noqa: PT017  either outcome is right


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)
_KEYS = ["schema", "kernel", "evidence", "walk", "max_map_count", "processes", "unreadable"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(_KEYS), _json)
def test_meta_of_other_types_is_refused(good: Path, key: str, value: Any) -> None:
    def change(old: bytes) -> bytes:
        return json.dumps({**json.loads(old), key: value}).encode()

    try:
        CaptureSource(str(rewritten(good, form.META, change))).close()
    except BadCapture as error:
        assert "\n" not in str(error)  # noqa: PT017  an empty list of processes is right


def packed(rows: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, rows, allow_pickle=True)
    return out.getvalue()


def broken(**columns: int) -> bytes:
    rows = TABLE.rows.copy()
    for column, value in columns.items():
        rows[column][3] = value
    return packed(rows)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "not an array"),
        (packed(np.zeros(3)), "not a row of"),
        (packed(np.zeros((2, 2), VMA_ROW)), "not a row of"),
        (packed(TABLE.rows)[:-1], "not a row of"),
        (packed(np.array([print], object)), "not a row of"),
        (broken(end=0), "empty or reversed"),
        (broken(start=1, end=2), "out of order"),
        (broken(kind=200), "unknown kind"),
        (broken(perms=16), "unknown permissions"),
        (broken(chain=3), "unknown anon_vma"),
        (broken(exclusive=16), "an exclusivity that is neither"),
        (packed(TABLE.rows).replace(b"), }", b"  , "), "not a row of"),
        (b"\x93NUMPY\x01\x00\xff\xff{", "not a row of"),
        (b"\x93NUMPY\x03\x00", "not an array"),
        (b"\x93NUMPY\x03\x00\x01\x00", "npy version (3, 0)"),
        (broken(pair=2), "neither 0 nor 1"),
        (broken(facts=3 << 8), "impossible facts"),
    ],
)
def test_rows_that_no_kernel_gives_are_refused(good: Path, content: bytes, complaint: str) -> None:
    assert complaint in refused(rewritten(good, "10/rows.npy", lambda _: content))


def test_a_header_that_claims_a_terabyte_is_refused_before_anything_is_reserved(
    good: Path,
) -> None:
    def claim(old: bytes) -> bytes:
        return old.replace(b"'shape': (22,)", b"'shape': (17179869184,)").replace(b"   ", b"", 3)

    assert "not a" in refused(rewritten(good, "10/rows.npy", claim))


def test_names_that_point_nowhere_are_refused(good: Path) -> None:
    assert "not there" in refused(rewritten(good, "10/names.json", lambda _: b"[]"))


def test_a_bomb_is_refused_unopened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(form, "MAX_TOTAL", 1 << 20)
    with zipfile.ZipFile(tmp_path / "bomb", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(form.META, bytes(2 << 20))

    assert "unpacks to more" in refused(tmp_path / "bomb")


def test_an_existing_file_is_kept_unless_forced(good: Path) -> None:
    before = good.read_bytes()
    with pytest.raises(UsageError, match="--force"):
        CaptureWriter(str(good), None)

    assert good.read_bytes() == before
    with CaptureWriter(str(good), None, force=True) as writer:
        writer.finish({})
    assert good.read_bytes() != before


def test_a_device_is_never_replaced() -> None:
    with pytest.raises(UsageError, match="not a file"):
        CaptureWriter("/dev/full", None, force=True)


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupted() -> None:
        with CaptureWriter(str(tmp_path / "new"), None) as writer:
            writer.add(TABLE)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_missing_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match="No such file"):
        CaptureWriter(str(tmp_path / "nowhere" / "file"), None)
