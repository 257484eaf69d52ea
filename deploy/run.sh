#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# The daemon with its embedded defaults. Exact evidence needs CAP_BPF and CAP_PERFMON, so a user
# with sudo is asked for it; without, vmad shows what /proc lets this user see.
set -eu
cd "$(dirname "$0")/.."
[ $# != 0 ] || echo "vmad: options go into ARGS=, as in" \
	"make run ARGS='--web.listen-address 127.0.0.1:19798'" >&2
if [ "$(id -u)" != 0 ] && command -v sudo >/dev/null; then
	echo "vmad: starting as root through sudo, for exact evidence of every process" >&2
	exec sudo .venv/bin/vmad serve "$@"
fi
exec .venv/bin/vmad serve "$@"
