#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# Prepares a checkout: Debian packages, the virtual environment, the BPF objects, test tools.
#
#   deploy/setup.sh run    what `vmad serve` needs
#   deploy/setup.sh test   and what the tests need
#   deploy/setup.sh vm     and what the lab needs to boot other kernels
#   deploy/setup.sh e2e    and what the package is tested with in a virtual machine
#
# Says what it installs before it does, and does nothing where all is there already.
set -eu
cd "$(dirname "$0")/.."
mode=${1:-run}

say() { echo "vmad setup: $*" >&2; }
fail() { say "$*"; exit 1; }

# --- Debian packages: PACKAGE, and a command or file that shows that it is there

wanted='clang:clang llvm:llvm-strip libbpf1:libbpf.so.1 libbpf-dev:bpf/bpf_helpers.h'
if [ "$mode" = test ]; then
	wanted="$wanted gcc:cc libc6-dev:stdlib.h openssl:openssl util-linux:setpriv libcap2-bin:capsh"
	wanted="$wanted groff-base:groff systemd:systemd-analyze patch:patch"
	wanted="$wanted zsh:zsh fish:fish dpkg-dev:dpkg-parsechangelog"
fi
if [ "$mode" = e2e ]; then
	wanted="$wanted mmdebstrap:mmdebstrap e2fsprogs:/sbin/mke2fs chromium:chromium"
	wanted="$wanted util-linux:unshare qemu-system-x86:qemu-system-x86_64"
	wanted="$wanted debian-archive-keyring:/usr/share/keyrings/debian-archive-keyring.gpg"
fi
if [ "$mode" = vm ]; then
	wanted="$wanted qemu-system-x86:qemu-system-x86_64 gcc:cc libc6-dev:stdlib.h"
	wanted="$wanted debian-archive-keyring:/usr/share/keyrings/debian-archive-keyring.gpg"
	# for `vmad lab build`
	wanted="$wanted make:make flex:flex bison:bison bc:bc ccache:ccache patch:patch dwarves:pahole"
	wanted="$wanted libelf-dev:libelf.h xz-utils:xz"
	# a package of its own since Debian 13; before, qemu-system-common has it
	[ -e /usr/lib/qemu/virtiofsd ] || ! apt-cache show virtiofsd >/dev/null 2>&1 ||
		wanted="$wanted virtiofsd:/usr/libexec/virtiofsd"
fi

there() {
	case $1 in
	/*) [ -e "$1" ] ;;
	*.so.*) /sbin/ldconfig -p | grep -q "$1" ;;
	*.h) [ -e "/usr/include/$1" ] ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

missing=
for pair in $wanted; do
	there "${pair#*:}" || missing="$missing ${pair%%:*}"
done
python=${PYTHON:-python3}
command -v "$python" >/dev/null || missing="$missing python3 python3-venv"
if [ ! -x .venv/bin/python ] && command -v "$python" >/dev/null &&
	! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
	missing="$missing python3-venv"
fi

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

if [ -n "$missing" ]; then
	command -v apt-get >/dev/null || fail "please install what Debian calls:$missing"
	[ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
		fail "cannot install:$missing; run as root, or install sudo"
	say "installing Debian packages:$missing"
	log=$(mktemp)
	# shellcheck disable=SC2086  # a list of words
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
		$missing >"$log" 2>&1 || {
		as_root apt-get update >"$log" 2>&1 || true
		as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y \
			--no-install-recommends $missing >"$log" 2>&1 || {
			tail -n 3 "$log" >&2
			fail "apt-get could not install:$missing"
		}
	}
	rm -f "$log"
fi

# --- the virtual environment

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
	fail "$python is $("$python" -V 2>&1); Python 3.11 or later is needed (set PYTHON=)"
extras=
[ "$mode" = run ] || extras='[dev]'
stamp=.venv/vmad-setup-$mode
state=$(cat pyproject.toml deploy/setup.sh | sha256sum)
if [ "$(cat "$stamp" 2>/dev/null)" != "$state" ]; then
	if [ ! -x .venv/bin/python ]; then
		say "making .venv"
		"$python" -m venv .venv || fail "$python -m venv failed; is python3-venv installed?"
	fi
	say "installing vmad$extras and its Python packages into .venv"
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".$extras" ||
		fail "pip could not install vmad's Python packages (see above)"
	echo "$state" >"$stamp"
fi

# --- the BPF objects

if ! make --silent --question -C vmad/sources/bpf 2>/dev/null; then
	say "building the BPF objects"
	make --silent -C vmad/sources/bpf >&2 || fail "the BPF objects do not build (see above)"
fi

# --- Prometheus and Alertmanager, unpacked rather than installed: the packages would start servers

tools='prometheus promtool prometheus-alertmanager amtool'
lacks=
for tool in $tools; do
	[ -x "build/tools/usr/bin/$tool" ] || lacks=yes
done
if [ "$mode" = test ] && [ -n "$lacks" ]; then
	command -v apt-get >/dev/null || fail "these are needed in build/tools/usr/bin: $tools"
	say "fetching Debian's prometheus and prometheus-alertmanager, into build/tools"
	mkdir -p build/tools/usr/bin
	fetch() {
		(cd build/tools && apt-get download prometheus prometheus-alertmanager >/dev/null 2>&1)
	}
	fetch || { as_root apt-get update >/dev/null 2>&1 && fetch; } ||
		fail "apt-get could not download the packages prometheus and prometheus-alertmanager"
	for package in build/tools/*.deb; do
		dpkg -x "$package" build/tools/unpacked
	done
	for tool in $tools; do
		mv "build/tools/unpacked/usr/bin/$tool" build/tools/usr/bin/
	done
	# Alertmanager has its templates' path compiled in
	rm -rf build/tools/usr/share
	mkdir -p build/tools/usr/share/prometheus
	mv build/tools/unpacked/usr/share/prometheus/alertmanager build/tools/usr/share/prometheus/
	rm -rf build/tools/unpacked build/tools/*.deb
fi
