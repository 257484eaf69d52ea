# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A program that vanishes while it is explained: an answer of what was seen, or one line."""

from __future__ import annotations

import sys
from subprocess import PIPE, Popen

import pytest

from vmad.cli import explain
from vmad.cli.main import main

CODE = "import sys; print('READY', flush=True); sys.stdin.read()"

#: what is done one after another, each the first thing that finds the process gone
STEPS = (
    "named_or_not", "read_traits", "limit_origin_of", "read_other_use", "_context", "sampled_pages",
    "pair_pages",
)  # fmt: skip


@pytest.mark.parametrize("evidence", [pytest.param("kernel", marks=pytest.mark.bpf), "procfs"])
@pytest.mark.parametrize("words", [("--advice",), ("--format", "json"), ("--pages",)])
@pytest.mark.parametrize("step", STEPS)
def test_a_process_that_ends_in_the_middle_is_told_or_answered(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    evidence: str,
    words: tuple[str, ...],
    step: str,
) -> None:
    whole = getattr(explain, step)
    with Popen([sys.executable, "-c", CODE], stdin=PIPE, stdout=PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()

        def ended(*arguments: object, **options: object) -> object:
            process.kill()
            process.wait()
            return whole(*arguments, **options)

        monkeypatch.setattr(explain, step, ended)
        status = main(["explain", str(process.pid), "--evidence", evidence, *words])
        process.kill()
    said = capsys.readouterr()

    assert status in (0, 3)
    if status == 3:
        assert said.out == ""
        assert len(said.err.splitlines()) == 1
        assert f"process {process.pid} is gone" in said.err
    else:
        assert f"{process.pid}" in said.out.splitlines()[0]
