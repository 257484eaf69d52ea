# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Runs in the guest, with its own Python: one command at a time, asked for over a virtio port.

A line of JSON comes, {"script": …, "timeout": seconds}; a line goes, {"status": …, "output": …}.
"""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

NAME = "org.vmad.e2e"


def device() -> str:
    for port in Path("/sys/class/virtio-ports").iterdir():
        name = port / "name"
        if name.exists() and name.read_text().strip() == NAME:
            return f"/dev/{port.name}"
    raise SystemExit(f"no virtio port is called {NAME}")


def answer(asked: dict[str, Any]) -> dict[str, object]:
    try:
        done = subprocess.run(
            ["sh", "-c", asked["script"]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=asked["timeout"],
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return {"status": -1, "output": (late.output or b"").decode(errors="replace")}
    return {"status": done.returncode, "output": done.stdout.decode(errors="replace")}


def main() -> None:
    port = os.open(device(), os.O_RDWR)
    os.write(port, b'{"ready": true}\n')
    waiting = b""
    while True:
        came = os.read(port, 65536)
        if not came:  # nobody at the other end
            time.sleep(0.1)
            continue
        waiting += came
        while b"\n" in waiting:
            line, _, waiting = waiting.partition(b"\n")
            text = json.dumps(answer(json.loads(line))).encode() + b"\n"
            while text:
                text = text[os.write(port, text) :]


main()
