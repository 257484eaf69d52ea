# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What came, went and changed between two looks, and the drawing for reports."""

from __future__ import annotations

import base64
import re
import zlib
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.unit.capture.recorded import capture
from tests.unit.explain.tables import DIFFERENT, KIB, Area, alternating, table_of
from tests.unit.picture.reading import read_picture
from tests.unit.picture.test_document import Scripts
from tests.unit.picture.test_picture import MIXED, explained
from vmad.cli.main import main
from vmad.errors import UsageError
from vmad.export.picture.change import scene_of_change
from vmad.export.picture.picture import composed, scene_of
from vmad.export.picture.svg import WIDTH, svg_document
from vmad.model.table import VmaTable


def changes(before: VmaTable, after: VmaTable) -> list[tuple[str, int, int]]:
    """(what, start, end) of every block, counted from the lowest."""
    looks = explained(before), explained(after)
    head, blocks = read_picture(composed(looks[1], scene_of_change(*looks)).encoded())
    change = head["modes"][0]
    assert change["key"] == "change"
    counts = np.bincount([block.entries[0] for block in blocks], minlength=4).tolist()
    assert counts == [entry["vmas"] for entry in change["entries"]]
    lowest = blocks[0].start if blocks else 0
    return [
        (change["entries"][block.entries[0]]["title"], block.start - lowest, block.end - lowest)
        for block in blocks
    ]


def moved(table: VmaTable, by: int) -> VmaTable:
    rows = table.rows.copy()
    rows["start"] += np.uint64(by)
    rows["end"] += np.uint64(by)
    return replace(table, rows=rows)


def test_nothing_changed_is_all_the_same() -> None:
    table = table_of(MIXED)
    assert {what for what, _, _ in changes(table, table)} == {"same"}


def test_what_came_and_what_went() -> None:
    first = table_of([Area("rw-p", 8 * KIB), Area("rw-p", 8 * KIB, gap=8 * KIB)])
    second = table_of([Area("rw-p", 8 * KIB, gap=16 * KIB), Area("r--p", 4 * KIB)])

    assert changes(first, second) == [
        ("went", 0, 8 * KIB),
        ("same", 16 * KIB, 24 * KIB),
        ("came", 24 * KIB, 28 * KIB),
    ]


def test_vma_that_grew_is_what_it_was_and_what_came() -> None:
    first = table_of([Area("rw-p", 8 * KIB)])
    second = table_of([Area("rw-p", 20 * KIB)])

    assert changes(first, second) == [("changed", 0, 8 * KIB), ("came", 8 * KIB, 20 * KIB)]


def test_vma_that_was_split_is_its_pieces_and_joined_ones_are_one() -> None:
    whole = table_of([Area("rw-p", 24 * KIB)])
    split = table_of([Area("rw-p", 8 * KIB), Area("r--p", 8 * KIB), Area("rw-p", 8 * KIB)])

    assert changes(whole, split) == [("changed", n * 8 * KIB, (n + 1) * 8 * KIB) for n in range(3)]
    assert changes(split, whole) == [("changed", 0, 24 * KIB)]


def test_address_space_that_moved_away_went_and_another_came() -> None:
    table = table_of([Area("rw-p", 8 * KIB)] * 3)
    told = changes(table, moved(table, 1 << 40))

    assert [what for what, _, _ in told] == ["went"] * 3 + ["came"] * 3


def test_what_went_keeps_its_reason() -> None:
    first = table_of([Area("rw-p", 8 * KIB), Area("rw-p", 8 * KIB, DIFFERENT)])
    second = table_of([Area("rw-p", 8 * KIB)])
    looks = explained(first), explained(second)
    head, blocks = read_picture(composed(looks[1], scene_of_change(*looks)).encoded())

    assert blocks[1].case is not None
    assert blocks[1].case["decisive"] == "anon_vma_differs"
    why = head["modes"][1]["entries"][blocks[1].entries[1]]
    assert (why["title"], why["vmas"]) == ("pairs kept apart by anon_vma_differs", 1)


def recorded(path: Path, *tables: VmaTable) -> str:
    capture(path, tables)
    return str(path)


def lines_of(svg: str) -> tuple[ElementTree.Element, list[bytes]]:
    """The drawing, and the pixels of each of its images, one filter byte before each line."""
    root = ElementTree.fromstring(svg)
    images = []
    for image in root.iter("{http://www.w3.org/2000/svg}image"):
        raw = base64.b64decode(image.attrib["href"].partition(",")[2])
        assert raw.startswith(b"\x89PNG\r\n\x1a\n")
        at = raw.index(b"IDAT")
        size = int.from_bytes(raw[at - 4 : at], "big")
        images.append(zlib.decompress(raw[at + 4 : at + 4 + size]))
    return root, images


def test_drawing_for_a_report_has_words_and_lines() -> None:
    svg = svg_document(scene_of(explained(table_of(MIXED))), "redis <1>", "a note & more")
    root, images = lines_of(svg)
    text = " ".join("".join(one.itertext()) for one in root.iter())

    assert "redis <1>" in text
    assert "a note & more" in text
    assert "40 TiB unmapped" in text
    assert "pairs kept apart by vm_pgoff" in text
    assert len(images) == 3
    assert not re.search(r"<script|https?://(?!www\.w3\.org/2000/svg)", svg)


def test_drawing_of_many_vmas_is_small_and_shows_their_colours() -> None:
    svg = svg_document(scene_of(explained(table_of(alternating(65_000)))), "guards", "")
    _, (pixels,) = lines_of(svg)

    assert len(svg) < 400_000
    line = 1 + 2 * WIDTH * 3
    assert len(pixels) % line == 0
    middle = pixels[5 * line + 1 : 6 * line]
    red, green, blue = (sum(middle[n::3]) / (2 * WIDTH) for n in range(3))
    # vm_flags:access, half of it lighter
    assert red > green > blue
    assert 224 <= red <= 245


def test_no_vma_is_a_drawing_too() -> None:
    root, images = lines_of(svg_document(scene_of(explained(table_of([]))), "none", ""))
    assert images == []
    assert root.tag.endswith("svg")


def test_command_draws_the_difference_of_two_captures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = recorded(tmp_path / "a.vmad", table_of(alternating(100)))
    after = recorded(tmp_path / "b.vmad", table_of(alternating(140)))
    html, svg = tmp_path / "diff.html", tmp_path / "diff.svg"

    assert main(["map", "--diff", before, after, "-o", str(html)]) == 0
    assert main(["map", "--diff", before, after, "4711", "-o", str(svg)]) == 0
    head, _ = read_picture(zlib.decompress(base64.b64decode(Scripts(html.read_text()).scripts[0])))
    assert [entry["vmas"] for entry in head["modes"][0]["entries"]] == [101, 0, 40, 0]
    assert "101 VMAs, then 141 VMAs" in svg.read_text()
    assert "101 VMAs, then 141 VMAs" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["1"], []])
def test_command_says_which_process_it_lacks(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    tables = [table_of(alternating(9), pid=pid, mm=pid) for pid in (7, 8)]
    path = recorded(tmp_path / "two.vmad", *tables)
    output = str(tmp_path / "out.html")

    assert main(["map", "--diff", path, path, *words, "-o", output]) == UsageError.exit_status
    said = capsys.readouterr().err
    assert ("process 1 is not in both captures" if words else "give a PID: 7, 8") in said
    assert main(["map", "-o", output]) == UsageError.exit_status
    assert main(["map", "--diff", path, path, "--from", path, "-o", output]) == 2
