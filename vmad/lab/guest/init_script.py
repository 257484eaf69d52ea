# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The script that is PID 1 of a guest until the host's file system is in place.

It loads the modules, lays a tmpfs over the host's read-only root, mounts what a running system
has, and hands over to the agent (agent.py), which runs the command. What changes from run to run
is in /lab, which a second cpio archive puts there.
"""

from __future__ import annotations

APPLETS = (
    "cat",
    "cp",
    "echo",
    "grep",
    "hostname",
    "insmod",
    "ip",
    "ln",
    "mkdir",
    "mkswap",
    "mount",
    "poweroff",
    "rm",
    "sh",
    "swapon",
    "switch_root",
    "touch",
)

# Said on the console by a guest that was only booted to see whether an accelerator works.
PROBE_ANSWER = "vmad-lab-probe: this accelerator boots"
# Said on the console when the script gives up.
COMPLAINT = "vmad-lab-init:"

SCRIPT = f"""#!/bin/sh
fail() {{
    echo "{COMPLAINT} $*" >/dev/console
    poweroff -f
}}
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
if grep -q vmad.probe /proc/cmdline; then
    echo "{PROBE_ANSWER}" >/dev/console
    poweroff -f
fi
for module in /modules/*.ko; do
    [ ! -e "$module" ] || insmod "$module" || echo "{COMPLAINT} no $module" >/dev/console
done
mkdir /lower /layer /new /host
mount -t virtiofs -o ro host /lower || fail "cannot mount the host's file system"
mount -t tmpfs -o mode=755 layer /layer
mkdir /layer/upper /layer/work
mount -t overlay -o lowerdir=/lower,upperdir=/layer/upper,workdir=/layer/work root /new ||
    fail "cannot lay a tmpfs over the host's file system"
# The same tree once more, without what is mounted over it below.
mount -o bind /new /host
mount -o move /dev /new/dev
mkdir -p /new/dev/pts /new/dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /new/dev/pts
mount -t tmpfs -o mode=1777 shm /new/dev/shm
for name in fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do
    target=${{name#*:}}
    ln -sfn "/proc/self/$target" "/new/dev/${{name%:*}}"
done
mkdir -p /new/proc /new/sys /new/tmp /new/run
mount -t proc proc /new/proc
mount -t sysfs sysfs /new/sys
mount -t tracefs tracefs /new/sys/kernel/tracing
mount -t debugfs debugfs /new/sys/kernel/debug
mount -t bpf bpf /new/sys/fs/bpf
mount -t cgroup2 cgroup2 /new/sys/fs/cgroup
mount -t tmpfs -o mode=1777 tmp /new/tmp
mount -t tmpfs -o mode=755 run /new/run
mkdir -p /new/run/lock
while read -r path; do
    if [ -d "/host$path" ]; then
        mkdir -p "/new$path"
    else
        mkdir -p "/new${{path%/*}}"
        touch "/new$path"
    fi
    mount -o bind "/host$path" "/new$path" || fail "cannot show $path"
done </lab/hidden
number=0
while read -r path; do
    mkdir -p "/tree$number" "/layer/upper$number" "/layer/work$number" "/new$path"
    mount -t virtiofs -o ro "tree$number" "/tree$number" || fail "cannot mount $path"
    mount -t overlay tree \
        -o "lowerdir=/tree$number,upperdir=/layer/upper$number,workdir=/layer/work$number" \
        "/new$path" || fail "cannot lay a tmpfs over $path"
    number=$((number + 1))
done </lab/trees
while read -r path; do
    # the environment of another Python: its programs call this one
    rm -f "/new${{path%/bin/*}}/pyvenv.cfg"
    mkdir -p "/new${{path%/*}}"
    ln -sfn /usr/bin/python3 "/new$path"
done </lab/python-links
[ ! -e /lab/laid-in ] || cp -r /lab/laid/. "/new$(cat /lab/laid-in)/" || fail "no room"
while read -r path; do
    mkdir -p "/new$path"
    mount -t virtiofs out "/new$path" || fail "cannot mount $path"
done </lab/out
ip link set lo up
hostname vmad-lab
[ ! -e /lab/swap ] || {{ mkswap /new/dev/vda >/dev/null && swapon /new/dev/vda; }} || fail "no swap"
[ ! -e /lab/net ] || {{ ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0 &&
    ip route add default via 10.0.2.2; }} || fail "no network"
mkdir -p /new/run/vmad-lab
cp /lab/agent.py /lab/request /new/run/vmad-lab/
exec switch_root -c /dev/console /new "$(cat /lab/python)" -I -S /run/vmad-lab/agent.py
"""
