# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad doctor --daemon``: what a running daemon says of itself, asked over loopback HTTP."""

from __future__ import annotations

import json

import pytest

from tests.unit.sample import sample_snapshot, self_stats
from tests.unit.web.serving import SampleContent, serving
from vmad.cli.main import main
from vmad.export.daemon_json import daemon_document
from vmad.scan.snapshot import HostSnapshot
from vmad.scan.statistics import SelfStats


class Daemon(SampleContent):
    """A daemon that does as ``stats`` says."""

    def __init__(self, stats: SelfStats, snapshot: HostSnapshot | None) -> None:
        super().__init__(snapshot)
        self.stats = stats

    def daemon_json(self) -> bytes:
        return json.dumps(daemon_document(self.stats, self.snapshot)).encode()


RESTING = {
    "event_source_up": False,
    "event_source_resting": True,
    "event_source_why": "process events: they take more than their part of scan.budget",
}


def asked(daemon: Daemon, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    with serving(daemon) as address:
        status = main(["doctor", "--daemon", address, *more])
    return status, capsys.readouterr().out


def test_a_daemon_that_does_well(capsys: pytest.CaptureFixture[str]) -> None:
    status, out = asked(Daemon(self_stats(), sample_snapshot()), capsys)
    assert status == 0
    assert "runs with all it can have" in out.splitlines()[0]
    assert "events" in out


def test_events_that_rest_are_told_with_why_and_are_no_loss(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out = asked(Daemon(self_stats(**RESTING), sample_snapshot()), capsys)
    assert status == 0
    assert "within its budget" in out.splitlines()[0]
    assert "resting" in out
    assert "scan.budget" in out


def test_an_evidence_that_is_lost_is_named_first(capsys: pytest.CaptureFixture[str]) -> None:
    stats = self_stats(sources={"kernel": "BPF: not permitted", "procfs": None})
    _, out = asked(Daemon(stats, sample_snapshot()), capsys)
    assert "runs without kernel: BPF: not permitted" in out.splitlines()[0]


def test_before_its_first_scan(capsys: pytest.CaptureFixture[str]) -> None:
    status, out = asked(Daemon(self_stats(), None), capsys)
    assert status == 1
    assert "has not completed a scan yet" in out


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    _, out = asked(Daemon(self_stats(**RESTING), sample_snapshot()), capsys, "--format", "json")
    document = json.loads(out)
    assert document["schema"] == "vmad.daemon/1"
    assert document["events"]["state"] == "resting"
    assert document["events"]["why"] == RESTING["event_source_why"]


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--daemon", "127.0.0.1:1"]) == 1
    assert "no daemon answers at 127.0.0.1:1" in capsys.readouterr().err


def test_it_is_about_this_host_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--daemon", "--target", "qemu:/run/vm"]) == 2
    assert "--daemon asks a daemon of this host" in capsys.readouterr().err
