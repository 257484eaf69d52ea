# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Alertmanager's own tool accepts the configuration and routes alerts as it says."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from vmad.operations.rule_files import GROUPS
from vmad.operations.rules import Alert

CONFIG = Path(__file__).parents[3] / "deploy" / "prometheus" / "alertmanager.yml"
ALERTS = {rule.name for group in GROUPS for rule in group.rules if isinstance(rule, Alert)}


def _amtool(*words: str) -> subprocess.CompletedProcess[str]:
    assert shutil.which("amtool"), "amtool is in Debian's package prometheus-alertmanager"
    return subprocess.run(["amtool", *words], capture_output=True, text=True, check=False)


def test_the_configuration_is_accepted() -> None:
    done = _amtool("check-config", str(CONFIG))

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_misspelt_key_would_be_told(tmp_path: Path) -> None:
    wrong = tmp_path / "alertmanager.yml"
    wrong.write_text(CONFIG.read_text().replace("group_wait: 10s", "groupwait: 10s"))

    assert _amtool("check-config", str(wrong)).returncode != 0


@pytest.mark.parametrize(
    ("severity", "receiver"), [("critical", "page"), ("warning", "tickets"), ("info", "digest")]
)
def test_each_severity_has_its_receiver(severity: str, receiver: str) -> None:
    done = _amtool(
        *("config", "routes", "test", f"--config.file={CONFIG}"),
        *("alertname=VmadAtLimit", f"severity={severity}"),
    )

    assert done.stdout.strip() == receiver


def test_alerts_that_silence_others_exist() -> None:
    named = re.findall(r"Vmad\w+", CONFIG.read_text())

    assert named
    assert set(named) <= ALERTS
