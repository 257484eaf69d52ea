# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""vmad explain: what matters first, runs grouped, pairs only when asked; JSON by the contract."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.unit.capture.recorded import capture
from tests.unit.cli.running import vmad
from tests.unit.explain.tables import ACCESS, Area, table_of


def explain(host: Path, pid: int, *words: str) -> str:
    ran = vmad("explain", pid, "--from", host, *words)
    assert (ran.status, ran.err) == (0, "")
    return ran.out


def test_the_first_line_says_how_near_the_process_is(host: Path) -> None:
    assert explain(host, 100).splitlines()[0] == (
        "redis-server (pid 100) has 96 of 65,530 VMAs (0.1 %), 65,434 to spare: "
        "if its calls fail, it is not this limit."
    )


def test_causes_come_with_runs_advice_and_sources(host: Path) -> None:
    out = explain(host, 100, "--advice")

    assert "1. pairs kept apart by vm_flags:access: 60 VMAs (62.5 %)" in out
    assert "* 60 pairs alternate rw-p 4 KiB / ---p 4 KiB, 8 KiB apart: guard pages" in out
    assert "2. pairs kept apart by anon_vma_differs: 30 VMAs (31.2 %)" in out
    assert "programmer: Guard some blocks and not all" in out
    assert "[LLVM documentation, GWP-ASan" in out
    assert "- it needs Linux 6.13: guard-install." in out


def test_few_vmas_far_from_the_limit_need_no_advice(host: Path) -> None:
    out = explain(host, 100)

    assert "What to change" not in out
    assert "So few VMAs need no change" in out


def test_few_vmas_of_mostly_one_pattern_are_told_what_would_help(tmp_path: Path) -> None:
    stacks = [Area("---p", 4096, ACCESS), Area("rw-p", 252 << 10, ACCESS)] * 150
    capture(tmp_path / "host", [table_of([Area("---p", 4096), *stacks[1:]])])
    out = explain(tmp_path / "host", 4711)

    assert "What to change" not in out
    assert "So few VMAs need no change. Should they become more: 300 VMAs are" in out
    assert "Keep fewer stacks" in " ".join(out.split())
    assert "In the atlas it is like shapes.c, 1,000 stacks" in " ".join(out.split())


def test_pairs_are_listed_only_when_asked_for(host: Path) -> None:
    assert "BOUNDARY" not in explain(host, 100)
    out = explain(host, 100, "--pairs", "--limit", "3")
    lines = out[out.index("BOUNDARY") :].splitlines()

    assert lines[5] == "What the reasons mean:"
    assert lines[1].split()[:6] == ["0x200000001000", "rw-p", "4", "KiB", "---p", "4"]
    assert "blocked: vm_flags:access" in lines[1]
    assert "upper -rd -wr" in lines[1]
    assert lines[4] == "92 more pairs: --limit N"


def test_deleted_files_without_a_pair_are_a_cause_of_their_own(host: Path) -> None:
    out = explain(host, 200, "--advice")

    assert "1. deleted file, with no pair below: 50 VMAs (100.0 %)" in out
    assert "50 VMAs r--s of 8 KiB, 12 KiB apart: mappings of deleted files" in out
    assert "50  /data/* (deleted)" in out
    assert "OpenSearch #18226" in out


def test_json_keeps_the_contract(host: Path) -> None:
    thing = json.loads(explain(host, 100, "--format", "json"))

    assert thing["schema"] == "vmad.explain/1"
    assert (thing["pid"], thing["start_time"], thing["comm"]) == (100, 10000, "redis-server")
    assert thing["kernel"]["release"] == "6.1.0-56-amd64"
    assert thing["kernel"]["patched"] is False
    assert (thing["evidence"], thing["map_count"], thing["max_map_count"]) == ("kernel", 96, 65530)
    assert set(thing["recoverable"]) == {"stock", "relaxed", "rebuild"}
    assert len(thing["pairs"]) == 95, "every pair"
    assert thing["pairs"][60] == {
        "boundary": "0x20000003d000",
        "a": {"start": "0x20000003c000", "end": "0x20000003d000", "perms": "rw-p"},
        "b": {"start": "0x20000003d000", "end": "0x20000003f000", "perms": "rw-p"},
        "stock": {"verdict": "blocked", "reasons": ["anon_vma_differs"]},
        "relaxed": {"verdict": "mergeable", "reasons": [], "direction": "either"},
        "flags_differ": [],
    }


def test_json_and_scan_count_the_same_pairs(host: Path) -> None:
    pairs = json.loads(explain(host, 100, "--format", "json"))["pairs"]
    scan = json.loads(vmad("scan", 100, "--from", host, "--format", "json").out)

    counted = scan["processes"][0]["pairs"]["stock"]["blocked"]
    for reason, number in counted.items():
        assert number == sum(pair["stock"]["reasons"][:1] == [reason] for pair in pairs)


def test_json_of_a_process_without_pairs_has_an_empty_list(host: Path) -> None:
    assert json.loads(explain(host, 200, "--format", "json"))["pairs"] == []


def test_hostile_names_cannot_steer_the_terminal(host: Path) -> None:
    out = explain(host, 300)

    assert r"/x\x0a\x1b]0;gotcha\x07\xff" in out
    assert all(char.isprintable() for char in out.replace("\n", ""))


@pytest.mark.parametrize(
    ("pid", "complaint"),
    [(12345, "process 12345 is not in the capture"), (999, "process 999 could not be read")],
)
def test_a_process_that_is_not_in_the_capture_ends_with_3(
    host: Path, pid: int, complaint: str
) -> None:
    ran = vmad("explain", pid, "--from", host)

    assert (ran.status, ran.out) == (3, "")
    assert re.fullmatch(rf"vmad: {complaint}.*\n", ran.err)


@pytest.mark.parametrize("words", [["--watch", "1"], ["--pages"], ["--daemon"]])
def test_what_needs_the_process_itself_is_refused_of_a_capture(
    host: Path, words: list[str]
) -> None:
    ran = vmad("explain", 100, "--from", host, *words)

    assert (ran.status, ran.out) == (2, "")
