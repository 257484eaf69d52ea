# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A patch series is applied whole or not at all, and touches only the files that it changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmad.lab.built.series import apply, files_named, refusal, series, tried
from vmad.lab.errors import LabError

MMAP = "".join(f"line {number}\n" for number in range(1, 31))
FIRST = """\
A message that names no file.

--- a/mm/mmap.c
+++ b/mm/mmap.c
@@ -1,4 +1,5 @@
 line 1
+one more
 line 2
 line 3
 line 4
--- /dev/null
+++ b/mm/new.c
@@ -0,0 +1 @@
+new
"""
SECOND = """\
diff --git a/mm/mmap.c b/mm/mmap.c
--- a/mm/mmap.c
+++ b/mm/mmap.c
@@ -2,3 +2,3 @@
 one more
-line 2
+second line
 line 3
@@ -21,3 +21,3 @@
 line 20
-line 21
+another line 21
 line 22
"""


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    """A pristine tree, and one that shares its files as a build tree does."""
    pristine, tree = tmp_path / "pristine", tmp_path / "tree"
    for home in (pristine, tree):
        (home / "mm").mkdir(parents=True)
    for name, text in (("mm/mmap.c", MMAP), ("mm/other.c", "other\n")):
        (pristine / name).write_text(text)
        os.link(pristine / name, tree / name)
    return pristine, tree


def patches(home: Path, *texts: str) -> list[Path]:
    home.mkdir(exist_ok=True)
    for number, text in enumerate(texts, 1):
        (home / f"{number:04}-x.patch").write_text(text)
    listed = "".join(f"{number:04}-x.patch\n" for number in range(1, len(texts) + 1))
    (home / "series").write_text("# what a person reads\n\n" + listed)
    return series(home)


def test_patches_build_on_one_another_and_leave_the_pristine_tree_alone(
    trees: tuple[Path, Path], tmp_path: Path
) -> None:
    pristine, tree = trees
    apply(patches(tmp_path / "p", FIRST, SECOND), pristine, tree, "linux 1")
    lines = (tree / "mm/mmap.c").read_text().splitlines()
    assert lines[1:3] == ["one more", "second line"]
    assert "another line 21" in lines
    assert (tree / "mm/new.c").read_text() == "new\n"
    assert (pristine / "mm/mmap.c").read_text() == MMAP
    assert (tree / "mm/other.c").samefile(pristine / "mm/other.c")


def test_patch_that_does_not_apply_is_named_with_its_hunk_and_nothing_changes(
    trees: tuple[Path, Path], tmp_path: Path
) -> None:
    pristine, tree = trees
    wrong = SECOND.replace(" line 20\n", " line twenty\n")
    with pytest.raises(LabError) as failed:
        apply(patches(tmp_path / "p", FIRST, wrong), pristine, tree, "linux 1")
    assert str(failed.value).startswith(
        "0002-x.patch does not apply to linux 1: hunk 2 of mm/mmap.c, line 21"
    )
    assert (tree / "mm/mmap.c").read_text() == MMAP
    assert not (tree / "mm/new.c").exists()


def test_hunk_that_fits_only_elsewhere_is_told(trees: tuple[Path, Path], tmp_path: Path) -> None:
    pristine, tree = trees
    (pristine / "mm/mmap.c").unlink()
    (pristine / "mm/mmap.c").write_text(MMAP.replace("line 9\n", "line 9\nand more\n"))
    listed = patches(tmp_path / "p", FIRST, SECOND)
    expected = {"0001-x.patch": [], "0002-x.patch": ["hunk 2 of mm/mmap.c by +1"]}
    assert tried(listed, pristine, "linux 1") == expected
    assert (tree / "mm/mmap.c").read_text() == MMAP
    assert apply(listed, pristine, tree, "linux 1") == expected


def test_patch_for_a_file_that_is_not_there_says_so(
    trees: tuple[Path, Path], tmp_path: Path
) -> None:
    pristine, tree = trees
    lost = SECOND.replace("mm/mmap.c", "mm/vma.c")
    with pytest.raises(LabError, match=r"0001-x\.patch .*there is no mm/vma\.c"):
        apply(patches(tmp_path / "p", lost), pristine, tree, "linux 1")


def test_what_an_earlier_series_changed_is_taken_back(
    trees: tuple[Path, Path], tmp_path: Path
) -> None:
    pristine, tree = trees
    apply(patches(tmp_path / "p", FIRST), pristine, tree, "linux 1")
    apply([], pristine, tree, "linux 1")
    assert (tree / "mm/mmap.c").read_text() == MMAP
    assert not (tree / "mm/new.c").exists()


def test_file_that_stays_the_same_is_not_written_again(
    trees: tuple[Path, Path], tmp_path: Path
) -> None:
    """Else make would compile it anew, and with mm.h everything."""
    pristine, tree = trees
    listed = patches(tmp_path / "p", FIRST)
    apply(listed, pristine, tree, "linux 1")
    before = (tree / "mm/mmap.c").stat()
    apply(listed, pristine, tree, "linux 1")
    after = (tree / "mm/mmap.c").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_series_that_names_an_absent_patch_is_refused(tmp_path: Path) -> None:
    (tmp_path / "series").write_text("0001-lost.patch\n")
    with pytest.raises(LabError, match=r"0001-lost\.patch, which is not there"):
        series(tmp_path)


def test_directory_without_a_series_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="there is no patch series"):
        series(tmp_path)


def test_patch_cannot_write_outside_the_tree(trees: tuple[Path, Path], tmp_path: Path) -> None:
    pristine, tree = trees
    evil = FIRST.replace("b/mm/new.c", "b/../../new.c")
    with pytest.raises(LabError, match="outside the tree"):
        apply(patches(tmp_path / "p", evil), pristine, tree, "linux 1")


def test_removed_lines_that_look_like_headers_name_no_file() -> None:
    assert files_named("--- a/mm/x.c\t2026\n+++ b/mm/x.c\n--- old\n") == {"mm/x.c"}


def test_refusal_that_nobody_foresaw_is_shown_as_it_is() -> None:
    assert refusal("patch: **** malformed patch at line 7\n") == (
        "patch: **** malformed patch at line 7"
    )
