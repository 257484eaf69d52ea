# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The matrix's table: what did not run or did not pass is never taken for a pass."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vmad.lab.checkout import checkout
from vmad.lab.errors import LabError
from vmad.lab.matrix import boot, command
from vmad.lab.matrix.command import steps_here
from vmad.lab.matrix.inside import run_step
from vmad.lab.matrix.order import STEPS as ORDERED
from vmad.lab.matrix.order import Order, Slice, StepResult
from vmad.lab.matrix.row import Row, table
from vmad.lab.matrix.steps import STEPS

STEP = StepResult(True, "5 pairs", "", 1.0)
FAILED = replace(STEP, ok=False)
PART = Slice(differential_seconds=1, live_seconds=1, seed=1, live=(), live_files=2)


def test_row_is_good_only_when_every_step_passed() -> None:
    assert Row("6.1", steps={"scan": STEP}).ok(["scan"])
    assert not Row("6.1", steps={"scan": STEP}).ok(["scan", "live"])
    assert not Row("6.1", steps={"scan": FAILED}).ok(["scan"])
    assert not Row("6.1", steps={"scan": STEP}, error="it died").ok(["scan"])


def test_table_shows_every_kernel_and_step_and_the_details_of_failures() -> None:
    rows = [
        Row("5.10", "5.10.0-46", 5.0, 60.0, steps={"scan": STEP}),
        Row("6.1", steps={"live": replace(FAILED, detail="assert 1 == 2")}),
    ]
    text = table(rows, ["scan", "live"])
    lines = text.splitlines()
    assert sum("absent" in line for line in lines) == 2
    assert "assert 1 == 2" in text
    assert "5.10.0-46" in text


def test_this_checkout_has_every_step() -> None:
    assert (checkout() / "tests" / "live").is_dir()
    assert steps_here(checkout()) == list(ORDERED) == list(STEPS)


def test_order_comes_out_as_it_went_in() -> None:
    order = Order(("scan", "live"), replace(PART, live=("tests/live/a.py",)), 7.5)
    assert Order.from_json(order.to_json()) == order


def test_matrix_fails_when_a_kernel_does(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def run_kernel(kernel: str, *_: Any, **__: Any) -> Row:
        return Row(kernel, steps={"scan": replace(STEP, ok=kernel != "6.1")})

    monkeypatch.setattr(command, "run_kernel", run_kernel)
    parser = argparse.ArgumentParser()
    command.add_options(parser)
    words = ["--steps", "scan", "--kernels"]
    assert command.run(parser.parse_args([*words, "5.10"])) == 0
    assert command.run(parser.parse_args([*words, "5.10,6.1"])) == 1
    with pytest.raises(LabError, match="no step is called 'walk'"):
        command.run(parser.parse_args(["--steps", "scan walk"]))
    capsys.readouterr()


def step_that_dies(_part: Slice) -> StepResult:
    raise SystemExit(3)


def step_that_hangs(_part: Slice) -> StepResult:
    while True:
        pass


def step_that_kills_itself(_part: Slice) -> StepResult:
    __import__("os").kill(__import__("os").getpid(), 9)
    return StepResult(True, "")


@pytest.mark.parametrize(
    ("step", "limit", "said"),
    [
        (step_that_dies, 60, "SystemExit"),
        (step_that_kills_itself, 60, "died with -9"),
        (step_that_hangs, 0.2, "killed after 0.2 s"),
    ],
)
def test_step_that_ends_badly_is_a_failure_and_no_more(
    monkeypatch: pytest.MonkeyPatch, step: Any, limit: float, said: str
) -> None:
    monkeypatch.setitem(STEPS, "bad", step)
    result = run_step("bad", PART, limit)
    assert result.ok is False
    assert said in result.summary


def test_result_of_a_step_comes_back_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STEPS, "good", lambda _part: StepResult(True, "y" * 9, "x" * 200_000))
    result = run_step("good", PART, 60)
    assert (result.ok, result.summary, len(result.detail)) == (True, "y" * 9, 200_000)


def test_seed_and_paths_reach_the_guest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    def run_streaming(_kernel: str, argv: list[str], **_options: Any) -> Any:
        seen["argv"] = argv
        raise LabError("no guest today", "try tomorrow")

    monkeypatch.setattr(boot, "run_streaming", run_streaming)
    order = Order(("scan",), replace(PART, seed=77, live=("tests/live/a.py",)))
    row = boot.run_kernel("6.1", order, root=tmp_path)
    assert row.error == "no guest today; try tomorrow"
    assert any('"seed": 77' in word and "tests/live/a.py" in word for word in seen["argv"])
