# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad check-config``: exit status, and what goes where."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from vmad.cli import check_config
from vmad.config import Config, parse_config


def run(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    check_config.add_parser(parser.add_subparsers())
    args = parser.parse_args(["check-config", *argv])
    status: int = args.func(args)
    return status


def test_accepted_file_is_ok(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "v.yaml"
    file.write_text("scan: {interval: 90}\ngroups: [{match: {comm: a}, name: b}]\n")
    assert run(str(file)) == 0
    assert capsys.readouterr() == (
        f"{file}: ok (1 group rule, scan every 1m30s, listen on 127.0.0.1:19797)\n",
        "",
    )


def test_refused_file_lists_its_problems_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "v.yaml"
    file.write_text("a: 1\nb: 2\n")
    assert run(str(file)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(": ")[0] for line in err.splitlines()] == [f"{file}:1", f"{file}:2"]


def test_printed_configuration_loads_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--print") == 0
    out = capsys.readouterr().out
    assert out.startswith("# defaults: ok (")
    assert parse_config(out.encode(), "f") == Config()


def test_json_holds_the_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--format", "json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["schema"], answer["ok"]) == ("vmad.check-config/1", True)
    assert answer["config"]["scan"]["interval"] == "15s"


def test_json_holds_the_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "v.yaml"
    file.write_text("\nscan: 1\n")
    assert run(str(file), "--format", "json") == 2
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert (answer["ok"], answer["config"], err) == (False, None, "")
    assert answer["problems"][0]["line"] == 2
