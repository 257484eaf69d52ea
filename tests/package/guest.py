# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A virtual machine with systemd as PID 1, from the outside: started, asked, looked at."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.package.image import disk_image, initramfs
from vmad.lab.cache import default_cache
from vmad.lab.guest.accelerator import accelerator
from vmad.lab.guest.initramfs import kernel_archive
from vmad.lab.guest.machine import processor
from vmad.lab.guest.programs import qemu
from vmad.lab.kernels.store import busybox, kernel_named
from vmad.lab.machines import this_machine

NAME = "org.vmad.e2e"
#: seconds to the agent's first word; an emulator on a busy machine takes one or two minutes
BOOT_PATIENCE = 400.0
_PARAMETERS = (
    "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on cryptomgr.notests no5lvl "
    "rdinit=/init systemd.show_status=no apparmor=0"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a script in the guest ended with."""

    status: int
    output: str


class SystemdGuest:
    """Boots ``suite`` on ``kernel``; ``web``, a port here, leads to port 19797 of the guest."""

    def __init__(
        self, directory: Path, suite: str, kernel: str, web: int, files: dict[str, Path]
    ) -> None:
        self._directory = directory
        image = directory / "disk"
        disk_image(image, suite, files)
        cache = default_cache()
        found = kernel_named(cache, kernel)
        base = kernel_archive(found, busybox(cache))
        archive = directory / "initramfs"
        archive.write_bytes(initramfs(found))
        how = accelerator(cache, found, base)
        socket_path = directory / "agent"
        forward = f"hostfwd=tcp:127.0.0.1:{web}-:19797"
        self._log = (directory / "qemu.log").open("w")
        self._process = subprocess.Popen(
            [
                *(
                    qemu(this_machine()),
                    "-nodefaults",
                    "-no-user-config",
                    "-display",
                    "none",
                    "-no-reboot",
                ),
                *("-machine", "q35", "-accel", "tcg,thread=multi" if how == "tcg" else how),
                *("-cpu", processor(this_machine(), how), "-smp", "2", "-m", "1536M"),
                *("-kernel", str(found.image), "-initrd", str(archive), "-append", _PARAMETERS),
                *("-serial", f"file:{directory / 'console'}", "-device", "virtio-rng-pci"),
                *("-drive", f"file={image},if=virtio,format=raw,snapshot=on,cache=unsafe"),
                *("-netdev", f"user,id=net,{forward}", "-device", "virtio-net-pci,netdev=net"),
                *("-chardev", f"socket,id=agent,path={socket_path},server=on,wait=off"),
                *("-device", "virtio-serial-pci"),
                *("-device", f"virtserialport,chardev=agent,name={NAME}"),
            ],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
        self._socket = self._connected(socket_path)
        self._socket.settimeout(BOOT_PATIENCE)
        self._lines = self._socket.makefile("rb")
        try:
            assert self._answer() == {"ready": True}
        except BaseException:
            self.close()
            raise

    def _connected(self, path: Path) -> socket.socket:
        deadline = time.monotonic() + 60
        while True:
            agent = socket.socket(socket.AF_UNIX)
            try:
                agent.connect(str(path))
            except OSError:
                agent.close()
                assert self._process.poll() is None, (self._directory / "qemu.log").read_text()
                assert time.monotonic() < deadline, "QEMU offers no socket"
                time.sleep(0.05)
            else:
                return agent

    def _answer(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
        except TimeoutError as late:
            raise AssertionError(f"the guest says nothing:\n{self.console()[-3000:]}") from late
        assert line, f"the guest is gone:\n{self.console()[-3000:]}"
        found: dict[str, Any] = json.loads(line)
        return found

    def console(self) -> str:
        """What the kernel and the first steps said."""
        path = self._directory / "console"
        return path.read_text(errors="replace") if path.exists() else ""

    def ask(self, script: str, timeout: float = 300.0) -> Answer:
        """Run a shell script as root."""
        self._socket.settimeout(timeout + 60)
        self._socket.sendall(json.dumps({"script": script, "timeout": timeout}).encode() + b"\n")
        found = self._answer()
        return Answer(found["status"], found["output"])

    def run(self, script: str, timeout: float = 300.0) -> str:
        """As ``ask``, for what must end well; its output."""
        answer = self.ask(script, timeout)
        assert answer.status == 0, f"{script}\nended with {answer.status}:\n{answer.output}"
        return answer.output

    def write(self, path: str, text: str) -> None:
        """Write a small file in the guest."""
        self.run(f"mkdir -p {shlex.quote(str(Path(path).parent))}; "
                 f"printf %s {shlex.quote(text)} > {shlex.quote(path)}")  # fmt: skip

    def property(self, name: str, unit: str = "vmad") -> str:
        """What systemd says of a unit."""
        return self.run(f"systemctl show -p {name} --value {unit}").strip()

    def close(self) -> None:
        """Pull the plug: its disk is thrown away anyhow."""
        self._socket.close()
        self._process.kill()
        self._process.wait()
        self._log.close()
