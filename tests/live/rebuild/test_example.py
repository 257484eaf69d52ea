# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""examples/rebuild on this kernel: what it joins, what it refuses, and that it loses nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "rebuild"
CASES = Path(__file__).with_name("cases.c")
#: UFFDIO_MOVE (adef440691ba)
MOVES = tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) >= (6, 8)
#: what every call ends with before: the kernel knows no such feature of a userfaultfd
TOO_OLD = "6 to 6, error EINVAL, step 3, 0 wrong bytes"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    binary = tmp_path_factory.mktemp("rebuild") / "cases"
    subprocess.run(
        [
            *("gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", f"-I{EXAMPLE}"),
            *("-o", binary, CASES, EXAMPLE / "rebuild.c"),
        ],
        check=True,
    )
    return binary


def said(program: Path, case: str, **how: Any) -> str:
    done = subprocess.run(
        [program, case], check=True, capture_output=True, text=True, timeout=300, **how
    )
    return str(done.stdout).strip()


def test_a_run_becomes_one_vma(program: Path) -> None:
    expected = "6 to 1, error none, step 1, 0 wrong bytes" if MOVES else TOO_OLD
    assert said(program, "plain") == expected


def test_a_run_where_the_kernel_maps_next_is_no_exception(program: Path) -> None:
    """The seed's hole is the one that the kernel would fill first."""
    expected = "6 to 1, error none, step 1, 0 wrong bytes" if MOVES else TOO_OLD
    assert said(program, "where the kernel maps") == expected


@pytest.mark.parametrize("case", ["natural offset", "something below"])
def test_neighbours_that_come_later_merge_with_it(program: Path, case: str) -> None:
    """A hole refilled, a piece protected and opened again, a VMA mapped above: all join it."""
    expected = "6 to 1, error none, step 1, then 1, 0 wrong bytes"
    assert said(program, case) == expected if MOVES else "error EINVAL" in said(program, case)


def test_advice_is_carried_over(program: Path) -> None:
    expected = "6 to 1, error none, step 1, flags kept, 0 wrong bytes"
    assert (said(program, "flags") == expected) is MOVES


@pytest.mark.moves
def test_a_huge_page_stays_whole(program: Path) -> None:
    """Unless somebody (khugepaged) holds it just then: then the kernel splits it and moves it."""
    kept = "6 to 1, error none, step 1, huge pages kept, 0 wrong bytes"
    answers = {said(program, "huge") for _ in range(10)}
    assert kept in answers
    assert answers <= {kept, kept.replace("kept", "split")}


@pytest.mark.parametrize(
    ("case", "error"), [("locked", "EOPNOTSUPP"), ("unlike flags", "EINVAL"), ("hole", "EINVAL")]
)
def test_what_it_cannot_carry_over_is_refused_before_anything_moves(
    program: Path, case: str, error: str
) -> None:
    assert said(program, case) == f"6 to 6, error {error}, step 1, 0 wrong bytes"


def test_a_pinned_page_in_the_middle_sends_all_home(program: Path) -> None:
    answer = said(program, "pinned")
    if answer.startswith("no io_uring") or not MOVES:  # Debian's guests of the lab: not built in
        assert answer.endswith("0 wrong bytes")
    else:
        assert answer == "6 to 6, error EBUSY, step 5, at page 17, 0 wrong bytes"


def test_without_a_vma_to_spare_nothing_changes(program: Path) -> None:
    expected = "6 to 6, error ENOMEM, step 2, 0 wrong bytes" if MOVES else TOO_OLD
    assert said(program, "at the limit") == expected


def test_ten_vmas_to_spare_are_enough(program: Path) -> None:
    expected = "6 to 1, error none, step 1, 0 wrong bytes" if MOVES else TOO_OLD
    assert said(program, "near the limit") == expected


def test_without_address_space_nothing_changes(program: Path) -> None:
    answer = said(program, "without room")
    assert answer.startswith("6 to 6, error ENOMEM")
    assert answer.endswith("0 wrong bytes")


@pytest.mark.moves
def test_a_thread_that_writes_all_the_while_loses_no_write(program: Path) -> None:
    """By itself, and by a system call that reads the page, through 200 rebuilds."""
    assert said(program, "others") == "counted right, lost 0, 0 wrong bytes"


@pytest.mark.root
@pytest.mark.userfaultfd_by_right
def test_without_the_right_to_a_userfaultfd_nothing_changes(program: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to other users
        os.chmod(folder, 0o755)
        answer = said(Path(shutil.copy(program, folder)), "plain", user=65534, group=65534)
    assert answer == "6 to 6, error EPERM, step 3, 0 wrong bytes"


@pytest.mark.parametrize("child", ["alone", "forgotten", "forked"])
def test_the_demonstration_says_what_happened(child: str, tmp_path: Path) -> None:
    """A child that lives shares the pages, which is refused; one that has ended does not."""
    copy = shutil.copytree(EXAMPLE, tmp_path / "rebuild")
    subprocess.run(["make", "--silent", "-C", copy, "CC=gcc"], check=True)
    done = subprocess.run(
        [copy / "demo", "200", child], check=False, capture_output=True, text=True
    )
    if child == "forked" or not MOVES:
        assert done.returncode == 1
        assert done.stdout.startswith("refused in step ")
        assert done.stdout.endswith("134 VMAs before, 134 after, 0 wrong bytes\n")
    else:
        assert (done.returncode, done.stdout) == (0, "134 VMAs before, 1 after, 0 wrong bytes\n")
