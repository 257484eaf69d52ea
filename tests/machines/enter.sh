#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# Runs a command in another Debian: enter.sh BASE LAYER COMMAND...
#
# BASE is an unpacked system that stays as it is; LAYER takes what is written over it, and keeps it for the
# next command. The kernel, its processes and its network are this machine's. To be run in a mount namespace
# of its own (unshare --mount), with the guest's / as a mount point, as on a machine that was booted.
set -eu
base=$1 layer=$2
shift 2
# kernels for the lab's guests: fetched once for all
cache=${XDG_CACHE_HOME:-$HOME/.cache}/vmad
mount --make-rprivate /
mkdir -p "$layer/upper" "$layer/work" "$layer/root" "$cache"
cd "$layer"
if ! mount -t overlay -o "lowerdir=$base,upperdir=upper,workdir=work" machine root 2>/dev/null; then
	# where this file system cannot be the upper one, being an overlay itself: a copy
	[ -e copy ] || { rm -rf copying && cp -a "$base" copying && mv copying copy; }
	mount --bind copy root
fi
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
mkdir -p root/.cache/vmad
mount --bind "$cache" root/.cache/vmad
# not chroot alone: in a chroot no program may make a user namespace
pivot_root . .
umount -l .
exec chroot . "$@"
