# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# For the scripts beside it that ask a kernel, after debian.sh: a pinned kernel of Debian boots in QEMU with one C program
# as all of its user space. Some 50 MB in the current folder, three seconds without KVM.
#
#   boot_debian_kernel RELEASE VERSION [OPTION...]   init.c in, what it printed behind "SEEN " out; options
#                                                    are QEMU's (no_timer_check: on a busy machine the
#                                                    emulated timer comes late, which is a panic)
#
# $suite is Debian's where the kernel is (trixie-backports), $libraries what init.c is linked with.
#
# Needs Debian 12 or later on amd64 as root: gcc, python3, qemu-system-x86.

boot_debian_kernel() {
	release=$1
	fetch_from_debian "${suite-trixie-backports}" "linux-image-$1=$2" kernel
	shift 2
	gcc -static -O1 -o init init.c ${libraries-}
	initramfs
	timeout 120 qemu-system-x86_64 -nodefaults -no-reboot -display none -serial stdio -accel tcg \
		-cpu max -m 512M -kernel "kernel/boot/vmlinuz-$release" -initrd initrd \
		-append 'console=ttyS0 quiet panic=-1 no_timer_check' "$@" |
		tr -d '\r' | sed -n 's/^.*SEEN //p'
}

# of one program, with the console that it prints to
initramfs() {
	python3 - <<'PYTHON'
from pathlib import Path


def entry(name, mode, body=b"", device=(0, 0), ino=iter(range(1, 9))):
    numbers = (next(ino), mode, 0, 0, 1, 0, len(body), 0, 0, *device, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % number for number in numbers) + name.encode() + b"\0"
    return b"".join(part + bytes(-len(part) % 4) for part in (head, body))


Path("initrd").write_bytes(
    entry("dev", 0o40755) + entry("dev/console", 0o20600, device=(5, 1)) + entry("proc", 0o40755)
    + entry("init", 0o100755, Path("init").read_bytes()) + entry("TRAILER!!!", 0)
)
PYTHON
}
