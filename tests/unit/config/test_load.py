# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Files: what is read as a configuration, and what is refused with which line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from vmad.config import Config, ListenAddress, RefusedConfig, load_config, parse_config
from vmad.config.schema import TargetConfig, ThresholdsConfig
from vmad.errors import BadConfig


def refused(text: str | bytes) -> list[str]:
    raw = text.encode() if isinstance(text, str) else text
    with pytest.raises(BadConfig) as caught:
        parse_config(raw, "vmad.yaml")
    assert caught.value.exit_status == 2
    return str(caught.value).split("\n")


def test_no_file_is_the_defaults() -> None:
    assert load_config(None) == Config()


def test_defaults_cost_no_yaml_import() -> None:
    code = "import sys; from vmad.config import load_config; load_config(None); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "yaml" not in ran.stdout.split()


@pytest.mark.parametrize(
    "text", ["", "\n", "# nothing\n", "---\n", "null\n", "{}", "\ufeff", "scan:\ngroups:\n"]
)
def test_empty_document_and_empty_sections_are_the_defaults(text: str) -> None:
    assert parse_config(text.encode(), "f") == Config()


def test_every_key_is_read(tmp_path: Path) -> None:
    file = tmp_path / "vmad.yaml"
    file.write_text(
        """
scan: {interval: 1m30s, full_every: 4, sample_interval: 0, keep_marks: 2h, budget: 2.5%,
       evidence: procfs, deadline: 500ms, page_budget: 1_000, events: off, merge_attempts: bpf}
export: {top: 0, max_groups: 17}
thresholds: {areas: 100_000, areas_per_day: 0, kernel_memory: 1.5 GiB}
web: {listen: ["[::1]:80", ":0"], max_connections: 1, timeout: "20"}
groups:
  - match: {unit: 'pg@(\\d+)\\.service', comm: postgres}
    name: "pg {unit_1}"
default_groups: no
"""
    )
    config = load_config(file)
    assert (config.scan.interval, config.scan.full_every) == (90.0, 4)
    assert (config.scan.sample_interval, config.scan.budget) == (0.0, 0.025)
    assert config.scan.keep_marks == 7200
    assert (config.scan.evidence, config.scan.deadline) == ("procfs", 0.5)
    assert (config.scan.page_budget, config.scan.events) == (1000, False)
    assert config.scan.merge_attempts == "bpf"
    assert (config.export.top, config.export.max_groups) == (0, 17)
    assert config.thresholds == ThresholdsConfig(100_000, 0, 3 << 29)
    assert config.web.listen == (ListenAddress("::1", 80), ListenAddress("", 0))
    assert (config.web.max_connections, config.web.timeout) == (1, 20.0)
    assert config.groups[0].match.unit == re.compile(r"pg@(\d+)\.service")
    assert config.groups[0].match.exe is None
    assert config.groups[0].name.text == "pg {unit_1}"
    assert config.default_groups is False


def test_single_listen_address_needs_no_list() -> None:
    config = parse_config(b"web: {listen: localhost:9}", "f")
    assert config.web.listen == (ListenAddress("localhost", 9),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "scan:\n  intervall: 15s\n",
            'vmad.yaml:2: unknown key "intervall" in "scan" (allowed: interval, full_every, '
            "sample_interval, keep_marks, budget, evidence, deadline, page_budget, events, "
            "bursts, failures, merge_attempts; "
            'did you mean "interval"?)',
        ),
        (
            "interval: 15s",
            'vmad.yaml:1: unknown key "interval" at the top level (allowed: scan, export, '
            "thresholds, web, "
            'groups, default_groups, targets; did you mean "scan.interval"?)',
        ),
        (
            "scan:\n\n  interval: fast\n",
            'vmad.yaml:3: scan.interval: found "fast", '
            "allowed: a duration from 1s to 1h such as 15s",
        ),
        (
            "scan: {sample_interval: 10ms}",
            'vmad.yaml:1: scan.sample_interval: found "10ms", allowed: a duration from 0.1s to 1m '
            "(or 0 to switch it off) such as 15s",
        ),
        (
            "scan: {budget: 1}",
            'vmad.yaml:1: scan.budget: found "1", allowed: from 0.01% to 100% of one core, '
            "as a percentage or below 1 (0.01)",
        ),
        (
            "scan: {evidence: bpf}",
            'vmad.yaml:1: scan.evidence: found "bpf", allowed: one of auto, kernel, procfs',
        ),
        (
            "scan: {full_every: }",
            "vmad.yaml:1: scan.full_every: found nothing, allowed: a whole number from 1 to 1000",
        ),
        (
            "scan: {events: maybe}",
            'vmad.yaml:1: scan.events: found "maybe", allowed: true or false',
        ),
        (
            "web:\n  listen:\n  - localhost\n",
            'vmad.yaml:3: web.listen[0]: found "localhost", '
            "allowed: HOST:PORT such as 127.0.0.1:19797 or [::1]:19797, "
            "or unix:/run/vmad/vmad.sock",
        ),
        (
            "web: {listen: []}",
            "vmad.yaml:1: web.listen: found an empty list, allowed: 1 to 16 times "
            "HOST:PORT such as 127.0.0.1:19797 or [::1]:19797, "
            "or unix:/run/vmad/vmad.sock",
        ),
        (
            "web: {listen: [a:1, a:1]}",
            'vmad.yaml:1: web.listen: "a:1" is there twice',
        ),
        (
            "scan:\n  top: 3\n",
            'vmad.yaml:2: unknown key "top" in "scan" (allowed: interval, full_every, '
            "sample_interval, keep_marks, budget, evidence, deadline, page_budget, events, "
            "bursts, failures, merge_attempts; "
            'did you mean "export.top"?)',
        ),
        (
            "scan: 15s",
            'vmad.yaml:1: scan: found "15s", allowed: a mapping with interval, full_every, '
            "sample_interval, keep_marks, budget, evidence, deadline, page_budget, events, "
            "bursts, failures, merge_attempts",
        ),
        (
            "scan:\n  interval: 2s\n  sample_interval: 3s\n",
            "vmad.yaml:3: scan.sample_interval is longer than scan.interval",
        ),
        (
            "- scan",
            "vmad.yaml:1: the file: found a list of 1, allowed: a mapping with scan, export, "
            "thresholds, web, "
            "groups, default_groups, targets",
        ),
        (
            "scan: {interval: 5s}\nexport: {top: 1}\nscan: {interval: 6s}\n",
            'vmad.yaml:3: key "scan" at the top level repeats that of line 1',
        ),
        (
            "groups: {a: b}",
            "vmad.yaml:1: groups: found a mapping, allowed: a list of mappings with match, name",
        ),
        (
            "groups:\n- match: {comm: 'a('}\n  name: a\n",
            'vmad.yaml:2: groups[0].match.comm: found "a(", allowed: a regular expression '
            "(missing ), unterminated subpattern at position 1)",
        ),
        ("groups:\n- match: {comm: a}\n", 'vmad.yaml:2: groups[0]: the key "name" is missing'),
        (
            "groups:\n- match:\n  name: x\n",
            "vmad.yaml:2: groups[0].match asks for nothing; "
            "give at least one pattern (comm: .* takes all)",
        ),
        (
            "groups:\n- match: {comm: a}\n  name: other\n",
            'vmad.yaml:3: groups[0].name is "other", '
            "which is kept for groups beyond export.max_groups",
        ),
        (
            "groups:\n- match: {comm: (a)}\n  name: '{comm_2}'\n",
            'vmad.yaml:3: groups[0].name has an unknown placeholder "comm_2" '
            "(allowed: cgroup, comm, comm_1, container, exe, pod, unit)",
        ),
        (
            "groups:\n- match: {comm: '(?P<exe>a)'}\n  name: '{exe}'\n",
            'vmad.yaml:2: groups[0].match names a group "exe", which is taken; rename it',
        ),
        (
            "groups:\n- match: {comm: a}\n  name: '{comm!r}'\n",
            'vmad.yaml:3: groups[0].name: found "{comm!r}", allowed: a name such as "web/{unit}" '
            "(a placeholder is a bare name such as {unit})",
        ),
        (
            "scan: {full_every: !!python/object/apply:os.system [ls]}",
            "vmad.yaml:1: scan.full_every: found a list of 1, "
            "allowed: a whole number from 1 to 1000",
        ),
        (
            "scan: {full_every: !mine 3}",
            'vmad.yaml:1: scan.full_every: found "3" with the tag "!mine", '
            "allowed: a whole number from 1 to 1000",
        ),
        (
            'scan: {evidence: "\\x1b[31m\\n"}',
            'vmad.yaml:1: scan.evidence: found "\\x1b[31m\\x0a", '
            "allowed: one of auto, kernel, procfs",
        ),
        ("a: \x01", "vmad.yaml:1: character U+0001 may not stand in YAML; remove it"),
    ],
)
def test_refusal_names_line_finding_and_what_is_allowed(text: str, expected: str) -> None:
    assert refused(text) == [expected]


def test_all_problems_are_listed_by_line() -> None:
    lines = refused("foo: 1\nscan:\n  interval: 0\n  sample_interval: x\nweb: []\n")
    assert [re.match(r"vmad\.yaml:(\d+): ", line)[1] for line in lines] == ["1", "3", "4", "5"]  # type: ignore[index]


def test_flood_of_problems_is_cut() -> None:
    lines = refused("groups:\n" + "- 1\n" * 1000)
    assert len(lines) == 21
    assert lines[-1] == "vmad.yaml: and 980 more problems"


def test_tab_is_named_as_the_cause() -> None:
    (line,) = refused("scan:\n\tinterval: 15s\n")
    assert line.startswith("vmad.yaml:2: not YAML: ")
    assert line.endswith("; tabs cannot indent, use spaces")


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: [", 1), ("x: 1\na: b: c", 2), ("a: *b", 1), ("a: 1\n--- \nb: 2", 2), ("\n\n'", 3)],
)
def test_syntax_error_has_its_line(text: str, line: int) -> None:
    (message,) = refused(text)
    assert message.startswith(f"vmad.yaml:{line}: not YAML: ")


def test_file_that_is_not_utf8_is_refused_with_its_line() -> None:
    assert refused(b"# ok\n# caf\xe9\n") == [
        "vmad.yaml:2: not UTF-8: byte 0xe9; save the file as UTF-8"
    ]


def test_merge_key_is_refused() -> None:
    (line,) = refused("scan: &a\n  interval: 3s\nweb:\n  <<: *a\n")
    assert line.startswith('vmad.yaml:4: unknown key "<<" in "web"')
    assert "merge keys are not read" in line


def test_aliases_are_read() -> None:
    config = parse_config(b"scan: {interval: &t 7s, deadline: *t}", "f")
    assert (config.scan.interval, config.scan.deadline) == (7.0, 7.0)


def test_alias_bomb_and_recursive_alias_are_refused_at_once() -> None:
    bomb = "a: &a [x,x]\n" + "".join(
        f"{chr(c + 1)}: &{chr(c + 1)} [*{chr(c)},*{chr(c)}]\n" for c in range(97, 121)
    )
    assert refused(bomb + "groups: *y\n")[-1].startswith("vmad.yaml: and ")
    assert refused("groups: &a [*a]\n")[0].startswith("vmad.yaml:1: groups[0]: found a list of 1")
    # an alias stands on the line of its anchor
    assert refused("scan: &a\n  interval: *a\n")[0].startswith("vmad.yaml:1: scan.interval: ")


@pytest.mark.parametrize("deep", ["[" * 400_000, "- " * 200_000, "{a: " * 100_000])
def test_deep_nesting_is_refused_at_once(deep: str) -> None:
    assert refused(deep) == ["vmad.yaml:1: nested deeper than 16"]


def test_missing_file_directory_and_huge_file_are_refused(tmp_path: Path) -> None:
    missing = tmp_path / "missing.yaml"
    with pytest.raises(BadConfig, match=r"missing\.yaml: cannot read .*: No such file"):
        load_config(missing)
    with pytest.raises(BadConfig, match=f"{tmp_path}: cannot read the configuration: "):
        load_config(tmp_path)
    with pytest.raises(BadConfig, match="/dev/zero: larger than 1048576 bytes"):
        load_config("/dev/zero")
    with pytest.raises(BadConfig, match="null"):
        load_config("a\0b")


def test_fifo_without_writer_does_not_hang(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert load_config(fifo) == Config()


def test_refusal_carries_its_problems() -> None:
    with pytest.raises(RefusedConfig) as caught:
        parse_config(b"a: 1\nb: 2\n", "f")
    assert [problem.line for problem in caught.value.problems] == [1, 2]


def test_pure_python_loader_refuses_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(yaml, "CSafeLoader")
    assert parse_config(b"scan: {interval: 7s}", "f").scan.interval == 7
    assert refused("- " * 200_000) == ["vmad.yaml:1: nested deeper than 16"]
    assert refused("\nscan: [")[0].startswith("vmad.yaml:2: not YAML: ")
    assert refused('scan: {evidence: "\\ud800"}') == [
        'vmad.yaml:1: scan.evidence: found "\\ud800", allowed: one of auto, kernel, procfs'
    ]


def test_targets_are_read() -> None:
    text = b"targets: [{name: web-1, qemu: /run/web-1.qmp, consistent: true}]"
    config = parse_config(text, "vmad.yaml")
    assert config.targets == (TargetConfig("web-1", "/run/web-1.qmp", None, True),)


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ("[{name: a b, qemu: /s}]", 'vmad.yaml:1: targets[0].name: found "a b", allowed: a name'),
        ("[{name: a, qemu: s}]", 'vmad.yaml:1: targets[0].qemu: found "s", allowed: an absolute'),
        ("[{name: a}]", 'vmad.yaml:1: targets[0]: the key "qemu" is missing'),
        (
            "[{name: a, qemu: /s}, {name: a, qemu: /t}]",
            'vmad.yaml:1: targets has a name "a" that is there twice',
        ),
        (
            "[{name: a, qemu: /s}, {name: b, qemu: /s}]",
            'vmad.yaml:1: targets has a qemu "/s" that is there twice: QMP serves one client',
        ),
    ],
)
def test_targets_that_cannot_be_are_refused(targets: str, expected: str) -> None:
    (problem,) = refused(f"targets: {targets}")
    assert problem.startswith(expected)
