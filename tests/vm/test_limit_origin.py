# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The line that vmad names is the one that systemd-sysctl applied."""

from __future__ import annotations

import json

from tests.unit.rules.test_limit_origin import PRECEDENCE
from vmad.lab.run import run_in_guest

SCRIPT = """
import json, os, pathlib, subprocess, sys
from vmad.rules.limit_origin import limit_origin
from vmad.sources.boot_settings import read_boot_settings

def place(path, text):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)

limit = pathlib.Path("/proc/sys/vm/max_map_count")
limit.write_text("65530")
for mark in ("/.dockerenv", "/run/.containerenv"):
    if os.path.exists(mark):
        os.unlink(mark)
for first, second in json.loads(sys.argv[1]):
    # above the least that lets programs start
    place("/usr/lib/sysctl.d/51-first.conf", first)
    place("/etc/sysctl.d/52-second.conf", second)
    limit.write_text("65530")
    subprocess.run(["/usr/lib/systemd/systemd-sysctl"], check=False, stderr=subprocess.DEVNULL)
    now = int(limit.read_text())
    found = limit_origin(now, read_boot_settings())
    print(json.dumps([now, found.kind.value, None if found.by is None else found.by.value]))
"""


def enlarged(text: str) -> str:
    """The same with limits that leave programs room to start: 7 -> 70007."""
    lines = (line.partition("=") for line in text.splitlines())
    return "\n".join(
        f"{name}={70_000 + int(value)}" if equals else name for name, equals, value in lines
    )


def test_systemd_sysctl_sets_what_is_named(kernel: str) -> None:
    asked = json.dumps([[enlarged(one), enlarged(two)] for one, two, _ in PRECEDENCE.values()])
    done = run_in_guest(kernel, ["python3", "-c", SCRIPT, asked])
    assert done.status == 0, done.stderr.decode()
    answers = [json.loads(line) for line in done.stdout.decode().splitlines()]

    wanted = [
        [65_530, "kernel default", None]
        if value is None
        else [70_000 + value, "file", 70_000 + value]
        for _, _, value in PRECEDENCE.values()
    ]
    assert dict(zip(PRECEDENCE, answers, strict=True)) == dict(zip(PRECEDENCE, wanted, strict=True))
