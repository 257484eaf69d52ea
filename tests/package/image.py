# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A Debian with systemd on a disk image: made by mmdebstrap, kept in build/e2e.

No modules and no udev are in it: an initramfs of ours loads what the kernel needs, sets up the
network and hands over. Units that a guest of minutes has no use for are masked: without that, it
waits 90 seconds for a terminal that nobody made (systemd 252, no udev).
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tests.debian_root import debian_root
from vmad.lab.cache import default_cache
from vmad.lab.guest.cpio import archive, character_device, directory, regular, symlink
from vmad.lab.kernels.modules import load_order
from vmad.lab.kernels.store import Kernel, busybox

BUILD = Path(__file__).parents[2] / "build" / "e2e"
_CONTROL = (Path(__file__).parents[2] / "debian/control").read_text()
#: what a Debian with systemd has, and what the package depends on
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "iproute2", "curl", "kmod", "procps", "libcap2-bin"),
    "python3",
    *re.findall(
        r"[ ,]([a-z0-9][a-z0-9.+-]+)", _CONTROL.partition("\nDepends:")[2].partition("${")[0]
    ),
)
_OPTIONS = (
    '--aptopt=APT::Install-Recommends "false"',
    *(f"--dpkgopt=path-exclude=/usr/share/{place}/*" for place in ("doc", "man", "locale")),
)

_MASKED = (
    "serial-getty@ttyS0.service", "getty.target", "systemd-logind.service", "e2scrub_reap.service",
    "dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
    "sys-fs-fuse-connections.mount", "sys-kernel-config.mount", "systemd-journal-flush.service",
    "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service",
    "systemd-random-seed.service", "systemd-remount-fs.service", "systemd-modules-load.service",
    "systemd-user-sessions.service", "systemd-tmpfiles-setup-dev.service",
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "fstrim.timer",
    "e2scrub_all.timer", "systemd-tmpfiles-clean.timer",
)  # fmt: skip

AGENT_UNIT = """\
[Unit]
Description=runs what the test asks for
[Service]
ExecStart=/usr/bin/python3 -I /root/agent.py
Environment=PYTHONDONTWRITEBYTECODE=1 LANG=C.UTF-8
[Install]
WantedBy=multi-user.target
"""

_REQUIRED = ("virtio_pci", "virtio_console", "virtio_blk", "virtio_net", "ext4")
_APPLETS = ("sh", "insmod", "mount", "ip", "switch_root", "poweroff", "mkdir")
_INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do
    [ ! -e "$module" ] || insmod "$module"
done
ip link set lo up
ip link set eth0 up
ip address add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
mkdir /new
mount -t ext4 /dev/vda /new || poweroff -f
mount -o move /dev /new/dev
mount -o move /proc /new/proc
mount -o move /sys /new/sys
exec switch_root /new /lib/systemd/systemd
"""


def disk_image(path: Path, suite: str, files: dict[str, Path]) -> None:
    """Write a disk with a release of Debian, the agent and ``files`` (path there: file here)."""
    work = path.with_suffix(".root")
    system = debian_root(BUILD, suite, PACKAGES, _OPTIONS)
    subprocess.run(["cp", "-a", "--reflink=auto", str(system), str(work)], check=True)
    try:
        units = work / "etc/systemd/system"
        for unit in _MASKED:
            (units / unit).unlink(missing_ok=True)
            (units / unit).symlink_to("/dev/null")
        (units / "agent.service").write_text(AGENT_UNIT)
        wanted = units / "multi-user.target.wants"
        wanted.mkdir(exist_ok=True)
        (wanted / "agent.service").symlink_to("../agent.service")
        (units / "default.target").unlink(missing_ok=True)
        (units / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
        journald = work / "etc/systemd/journald.conf.d/volatile.conf"
        journald.parent.mkdir(parents=True)
        journald.write_text("[Journal]\nStorage=volatile\n")
        (work / "etc/fstab").write_text("")
        (work / "etc/hostname").write_text("guest\n")
        files = {"/root/agent.py": Path(__file__).with_name("guest_agent.py"), **files}
        for place, file in files.items():
            target = work / place.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
        with path.open("wb") as image:
            image.truncate(900 << 20)
        subprocess.run(
            ["mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-d", str(work), str(path)],
            check=True,
        )
    finally:
        shutil.rmtree(work)


def initramfs(kernel: Kernel) -> bytes:
    """An archive that gets the kernel to the disk's systemd."""
    cache = default_cache()
    program = busybox(cache).read_bytes()
    modules = () if kernel.modules is None else load_order(
        kernel.modules, _REQUIRED, ("virtio_rng",)
    )  # fmt: skip
    return archive(
        [
            *(directory(name) for name in ("bin", "dev", "modules", "proc", "sys")),
            character_device("dev/console", 5, 1),
            regular("bin/busybox", program, executable=True),
            *(symlink(f"bin/{applet}", "busybox") for applet in _APPLETS),
            *(
                regular(f"modules/{number:02}-{module.name}.ko", module.elf)
                for number, module in enumerate(modules)
            ),
            regular("init", _INIT.encode(), executable=True),
        ]
    )
