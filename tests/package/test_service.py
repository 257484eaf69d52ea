# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""From the installation of the package to its removal, as an operator sees it. In this order.

Rules, scrape interval and Alertmanager's configuration are those that are shipped; the limit is
lowered so that an emulator gets there, and the march is as long as the rules' own windows ask for.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import urllib.request
from functools import partial
from http import HTTPStatus
from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests.e2e.daemons import wait_for
from tests.package.conftest import CONFIG, DROP_IN, LIMIT, UPGRADE, Scene

MARCH_FROM, MARCH_SECONDS = 0.45, 480
MARCH, BURST = "march.service", "burst.service"
NETWORK = Path(__file__).parents[2] / "systemd" / "drop-ins" / "network.conf"
SCREENSHOTS = Path(__file__).parents[2] / "build" / "e2e" / "screenshots"


def _get(scene: Scene, path: str, timeout: float = 60) -> bytes:
    with urllib.request.urlopen(f"http://{scene.web}{path}", timeout=timeout) as reply:
        body: bytes = reply.read()
    return body


def _page(scene: Scene) -> str | None:
    """Without its tags, since names have places to break; None when web.budget is used up."""
    try:
        return re.sub("<[^>]+>", "", _get(scene, "/").decode())
    except HTTPError as error:
        if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
            raise
        return None


def _metric(scene: Scene, name: str) -> float | None:
    """A sample as it is served now."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", _get(scene, "/metrics").decode(), re.M)
    return float(found[1]) if found else None


def test_systemd_is_pid_1_and_accepts_the_unit(scene: Scene) -> None:
    assert scene.guest.run("cat /proc/1/comm").strip() == "systemd"
    assert scene.suite in scene.guest.run("cat /etc/os-release /etc/debian_version")
    installed = scene.guest.run("dpkg-query -W -f '${Version}' systemd")
    assert scene.guest.run("systemctl --version").split()[1] == re.split("[.~-]", installed)[0]


def test_installation_starts_and_enables_the_service(scene: Scene) -> None:
    # what an administrator puts there before, the package leaves alone
    scene.guest.write("/etc/systemd/system/vmad.service.d/emulator.conf", DROP_IN)
    scene.guest.run(f"sysctl -w vm.max_map_count={LIMIT}")
    scene.guest.run("dpkg -i /root/vmad.deb", timeout=600)
    scene.active()

    assert scene.guest.property("UnitFileState") == "enabled"
    assert scene.guest.run(
        "systemd-analyze verify --man=no vmad.service 2>&1; vmad --version"
    ).startswith("vmad ")
    assert "Kernel evidence works" in scene.guest.run("vmad doctor")


def test_the_service_has_no_capability_left_and_no_probe_program(scene: Scene) -> None:
    pid = scene.guest.property("MainPID")
    sets = scene.guest.run(f"grep -hE '^Cap(Prm|Eff|Inh|Amb)' /proc/{pid}/task/*/status")
    status = scene.guest.run(f"cat /proc/{pid}/status")

    assert {line.split()[1] for line in sets.splitlines()} == {"0" * 16}
    assert re.search(r"^NoNewPrivs:\t1$", status, re.M)
    assert not re.search(r"^Uid:\t0\t", status, re.M)
    hidden = scene.guest.ask(
        f"ls /proc/{pid}/root/usr/lib/python3/dist-packages/vmad/probe/client.py"
    )
    assert hidden.status != 0
    assert scene.guest.run("ls /usr/lib/python3/dist-packages/vmad/probe/client.py")


def test_other_hosts_are_let_in_by_the_drop_in(scene: Scene) -> None:
    scene.guest.write("/etc/vmad/vmad.yaml", CONFIG)
    # this image keeps no /usr/share/doc, where the package puts the drop-ins
    assert "examples/drop-ins/network.conf" in scene.guest.run("dpkg -L vmad")
    scene.guest.write("/etc/systemd/system/vmad.service.d/network.conf", NETWORK.read_text())
    scene.guest.run("systemctl daemon-reload && systemctl restart vmad", timeout=400)
    scene.active()

    wait_for("a scrape", lambda: scene.value('up{job="vmad"}') == 1, 120)
    assert _metric(scene, "vmad_memory_map_areas_limit") == LIMIT
    assert b'evidence="kernel"' in _get(scene, "/metrics")


def test_a_slow_march_is_told_long_before_the_first_failure(scene: Scene) -> None:
    """And meanwhile: a burst beside it, the cause, the page, reloads, silent clients."""
    guest = scene.guest
    guest.run(
        f"systemd-run --unit={MARCH} python3 -I /root/marcher.py march {MARCH_FROM} "
        f"{MARCH_SECONDS} /run/march"
    )
    wait_for("the march", lambda: guest.ask("test -s /run/march").status == 0, 120)
    guest.run(f"systemd-run --unit={BURST} python3 -I /root/marcher.py burst 0.95 2")

    _explain_names_the_cause(scene)
    _silent_connections_harm_nobody(scene)
    _a_bad_configuration_is_refused_and_a_good_one_taken(scene)
    _the_page_shows_it(scene)

    wait_for("the burst's alert", lambda: ("VmadBurst", BURST) in scene.alerts(), 240)
    wait_for(
        "an alert of the march",
        lambda: (
            scene.alerts()
            & {(name, MARCH) for name in ("VmadLimitWithinAnHour", "VmadNearLimit", "VmadAtLimit")}
        ),
        MARCH_SECONDS,
    )
    told = float(guest.run("date +%s.%N"))
    assert guest.ask("grep ENOMEM /run/march").status != 0

    wait_for(
        "the march's end",
        lambda: guest.ask("grep -q ENOMEM /run/march").status == 0,
        2 * MARCH_SECONDS,
    )
    times = dict(line.split() for line in guest.run("cat /run/march").splitlines())
    failed, at_80 = float(times["ENOMEM"]), float(times["80"])
    report = {
        "lead_seconds": failed - told,
        "seconds_from_80_percent": failed - at_80,
        "alerts": sorted(map(list, scene.alerts())),
    }
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    (SCREENSHOTS / f"march-{scene.suite}.json").write_text(json.dumps(report, indent=1))
    assert failed - told >= (failed - at_80) / 2, report
    assert ("VmadBurst", MARCH) not in scene.alerts()


def _explain_names_the_cause(scene: Scene) -> None:
    pid = scene.guest.property("MainPID", MARCH)
    said = scene.guest.run(f"vmad explain {pid}")

    assert "guard pages" in said
    assert "vm_flags:access" in said


def _silent_connections_harm_nobody(scene: Scene) -> None:
    host, _, port = scene.web.partition(":")
    silent = [socket.create_connection((host, int(port)), timeout=30) for _ in range(200)]
    try:
        assert _get(scene, "/-/healthy")
        assert b"vmad_build_info" in _get(scene, "/metrics")
    finally:
        for one in silent:
            one.close()


def _a_bad_configuration_is_refused_and_a_good_one_taken(scene: Scene) -> None:
    guest, pid = scene.guest, scene.guest.property("MainPID")
    name = "vmad_config_last_reload_successful"
    guest.write("/etc/vmad/vmad.yaml", CONFIG + "grups: []\n")
    guest.run("systemctl reload vmad")
    wait_for("the refusal", lambda: _metric(scene, name) == 0, 60)
    assert "vmad.yaml:4: " in guest.run("journalctl -u vmad -o cat --no-pager | tail -20")

    guest.write("/etc/vmad/vmad.yaml", CONFIG)
    guest.run("systemctl reload vmad")
    wait_for("the acceptance", lambda: _metric(scene, name) == 1, 60)
    assert guest.property("MainPID") == pid


def _looked_at(chromium: str, address: str, size: str, picture: Path) -> bool:
    """Take a picture of the page; whether it is more than a line, as while it is put off."""
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--window-size={size}", f"--screenshot={picture}", address]
    environment = {**os.environ, "HOME": str(picture.parent)}
    subprocess.run(command, check=True, capture_output=True, timeout=180, env=environment)
    return picture.stat().st_size > 20_000


def _the_page_shows_it(scene: Scene) -> None:
    chromium = shutil.which("chromium")
    assert chromium, "chromium is not in PATH"
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for name, size in (("page", "1400,1600"), ("page-narrow", "420,1600")):
        picture = SCREENSHOTS / f"{name}-{scene.suite}.png"
        picture.unlink(missing_ok=True)
        look = partial(_looked_at, chromium, f"http://{scene.web}/", size, picture)
        # the silent ones have used up web.budget
        wait_for("the page", look, 600)
    page = wait_for("the page's text", lambda: _page(scene), 600)
    assert MARCH in page
    assert BURST in page


def _restarted(scene: Scene, since: str) -> bool:
    return scene.guest.property("NRestarts") not in ("", since)


def test_a_killed_service_comes_back(scene: Scene) -> None:
    before = scene.guest.property("NRestarts")
    scene.guest.run(f"kill -9 {scene.guest.property('MainPID')}")
    wait_for("the restart", lambda: _restarted(scene, before), 120)
    scene.active()


def test_a_scan_that_hangs_is_healed_by_the_watchdog(scene: Scene) -> None:
    guest = scene.guest
    before, pid = guest.property("NRestarts"), guest.property("MainPID")
    guest.run(
        f"systemd-run --unit=hang --property=StandardOutput=append:/run/hang python3 -I "
        f"/root/hang.py {pid} vmad-scan"
    )
    wait_for("the hang", lambda: guest.ask("grep -q stopped /run/hang").status == 0, 60)
    # the web server still answers: to look at health alone would not do
    assert _get(scene, "/-/healthy")
    wait_for("the restart", lambda: _restarted(scene, before), 240)
    scene.active()

    assert "watchdog" in guest.run("journalctl -u vmad -o cat --no-pager").lower()
    guest.ask("systemctl stop hang")


def test_an_upgrade_keeps_state_and_configuration(scene: Scene) -> None:
    guest = scene.guest
    mark = f'vmad_group_memory_map_areas_highwater{{group="{BURST}"}}'
    before = _metric(scene, mark)
    assert before is not None
    assert before > 0.9 * LIMIT, "restarts have forgotten the burst"
    started = _metric(scene, "vmad_start_time_seconds")
    guest.run("dpkg -i /root/upgrade.deb", timeout=600)
    scene.active()

    assert guest.run("dpkg-query -W -f '${Version}' vmad") == UPGRADE
    assert guest.run("cat /etc/vmad/vmad.yaml") == CONFIG
    wait_for("metrics", lambda: _metric(scene, mark) is not None, 60)
    assert _metric(scene, mark) == before
    assert _metric(scene, "vmad_start_time_seconds") != started


@pytest.mark.parametrize("word", ["remove", "purge"])
def test_removal_ends_the_service_and_purge_leaves_nothing(scene: Scene, word: str) -> None:
    guest = scene.guest
    guest.run(f"dpkg --{word} vmad", timeout=300)

    assert guest.property("ActiveState") == "inactive"
    assert guest.ask("ls /usr/bin/vmad /usr/lib/python3/dist-packages/vmad").status != 0
    kept = guest.ask("test -e /etc/vmad/vmad.yaml").status == 0
    state = guest.ask("test -e /var/lib/private/vmad").status == 0
    assert (kept, state) == ((True, True) if word == "remove" else (False, False))


def test_nothing_failed_meanwhile(scene: Scene) -> None:
    failed = scene.guest.run("systemctl --failed --no-legend --plain | cut -d' ' -f1").split()

    assert set(failed) <= {"hang.service"}
