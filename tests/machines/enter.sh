#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# Runs a command in another Debian, as a new user of that machine would: enter.sh BASE LAYER COMMAND...
#
# BASE is an unpacked system that stays as it is, LAYER a directory that takes what is written over it.
# The kernel, its processes and the network are this machine's. Run it in a mount namespace of its own
# (unshare --mount); / is then a mount point, as it is on a machine that was booted.
set -eu
base=$1 layer=$2
shift 2
mount --make-rprivate /
mkdir -p "$layer/upper" "$layer/work" "$layer/root"
cd "$layer"
mount -t overlay -o "lowerdir=$base,upperdir=upper,workdir=work" machine root
cd root
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs -o mode=1777 tmp tmp
mount -t tmpfs -o mode=755 run run
# the way out: names, and whom this machine trusts
for file in /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt; do
	[ ! -e "$file" ] || { touch ".$file" && mount --bind "$file" ".$file"; }
done
pivot_root . .
umount -l .
exec chroot . "$@"
