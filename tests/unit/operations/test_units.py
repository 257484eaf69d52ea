# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""systemd itself accepts the unit and its drop-ins, and finds little exposed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.system_call_filter import allowed_calls

SYSTEMD = Path(__file__).parents[3] / "systemd"
UNIT = SYSTEMD / "vmad.service"
DROP_INS = sorted((SYSTEMD / "drop-ins").glob("*.conf"))

#: what `systemd-analyze security` may say at most, with each drop-in alone
EXPOSURE = {
    None: 1.5,
    "maps": 1.8,
    "pagemap": 2.0,
    "receive-buffer": 1.7,
    "network": 1.6,
    "notify-reload": 1.5,
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root directory with this machine's units, vmad.service and the programs that it names."""
    for place in ("lib/systemd/system", "usr/lib/systemd/system"):
        shutil.copytree("/lib/systemd/system", tmp_path / place, symlinks=True)
    for program in ("usr/bin/vmad", "usr/bin/kill", "bin/kill"):
        path = tmp_path / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    (tmp_path / "etc/systemd/system/vmad.service.d").mkdir(parents=True)
    shutil.copy(UNIT, tmp_path / "etc/systemd/system")
    return tmp_path


def _drop_in(root: Path, *names: str) -> None:
    for name in names:
        source = SYSTEMD / "drop-ins" / f"{name}.conf"
        shutil.copy(source, root / "etc/systemd/system/vmad.service.d")


def _analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *words], capture_output=True, text=True, check=False, timeout=60
    )


def _verify(root: Path) -> tuple[int, str]:
    """Exit status and what was said. A warning does not change the status, so look at both."""
    done = _analyze("verify", "--man=no", f"--root={root}", "vmad.service")
    return done.returncode, done.stdout + done.stderr


def _exposure(root: Path) -> float:
    done = _analyze("security", "--offline=true", "--no-pager", f"--root={root}", "vmad.service")
    found = re.search(r"Overall exposure level for vmad\.service: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    return float(found[1])


def _systemd_version() -> int:
    return int(_analyze("--version").stdout.split()[1])


def test_the_unit_is_accepted_without_a_word(root: Path) -> None:
    assert _verify(root) == (0, "")


def test_a_misspelt_directive_would_be_told(root: Path) -> None:
    unit = root / "etc/systemd/system/vmad.service"
    unit.write_text(unit.read_text().replace("WatchdogSec=", "WatchdogSeconds="))

    assert "Unknown key 'WatchdogSeconds'" in _verify(root)[1]


@pytest.mark.parametrize("name", [each.stem for each in DROP_INS if each.stem != "notify-reload"])
def test_each_drop_in_is_accepted_without_a_word(root: Path, name: str) -> None:
    _drop_in(root, name)

    assert _verify(root) == (0, "")


def test_notify_reload_is_all_that_252_does_not_know(root: Path) -> None:
    _drop_in(root, "notify-reload")
    status, said = _verify(root)

    assert status == 0
    if _systemd_version() >= 253:
        assert said == ""
    else:
        assert re.fullmatch(
            r"\S+notify-reload\.conf:\d+: Failed to parse service type, ignoring: .*\n", said
        )


def test_every_drop_in_has_a_bound_on_its_exposure() -> None:
    assert {each.stem for each in DROP_INS} == set(EXPOSURE) - {None}


@pytest.mark.parametrize("name", EXPOSURE, ids=str)
def test_exposure(root: Path, name: str | None) -> None:
    if name is not None:
        _drop_in(root, name)

    assert _exposure(root) <= EXPOSURE[name]


def test_the_page_tells_the_same_bounds() -> None:
    page = (SYSTEMD.parent / "docs" / "operations.md").read_text()
    told = re.findall(r"^\| `([\w-]+)\.conf` \|.*\| ([\d.]+) \|$", page, re.MULTILINE)

    assert {name: float(bound) for name, bound in told} == {
        name: bound for name, bound in EXPOSURE.items() if name is not None
    }


def _words(key: str, text: str | None = None) -> list[str]:
    lines = (UNIT.read_text() if text is None else text).splitlines()
    return [line.removeprefix(f"{key}=") for line in lines if line.startswith(f"{key}=")]


def test_two_capabilities_and_no_more() -> None:
    for key in ("AmbientCapabilities", "CapabilityBoundingSet"):
        assert _words(key) == ["CAP_BPF CAP_PERFMON"]


def test_bpf_and_capset_are_given_back_after_privileged_is_taken_away() -> None:
    filters = _words("SystemCallFilter")

    assert filters[-1] == "bpf capset"
    assert any(each.startswith("~@privileged") for each in filters)


def test_what_the_filter_refuses() -> None:
    allowed = allowed_calls()
    # to look into or stop another process, to take its files, to be somebody else
    for call in (
        *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp"),
        *("pidfd_getfd", "setuid", "setresuid", "chroot", "mount", "pivot_root"),
        *("init_module", "finit_module", "kexec_load", "reboot", "swapon", "perf_event_open"),
        *("open_by_handle_at", "iopl", "setpriority", "sched_setaffinity"),
    ):
        assert call not in allowed, call
    assert {"bpf", "capset", "openat", "accept4", "epoll_wait", "futex"} <= allowed
    # an accept queue for each address takes one of its options; filters do not see which
    assert {"bind", "listen", "setsockopt"} <= allowed


def test_no_drop_in_touches_the_system_call_filter() -> None:
    for each in DROP_INS:
        assert _words("SystemCallFilter", each.read_text()) == []


def test_what_is_left_open_has_its_reason() -> None:
    text = UNIT.read_text()
    told = text[text.index("left open, and why") :]

    for setting in ("ProtectProc", "ProcSubset", "PrivateUsers", "PrivateNetwork", "RootDirectory"):
        assert re.search(rf"^# .*{setting}", told, re.MULTILINE), setting
