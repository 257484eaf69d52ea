#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# Prepares a checkout: Debian packages, the virtual environment, the BPF objects, test tools.
#
#   deploy/setup.sh run    what `vmad serve` needs
#   deploy/setup.sh test   and what the tests need
#   deploy/setup.sh vm     and what the lab needs to boot other kernels
#   deploy/setup.sh e2e    and what the package is tested with in a virtual machine
#   deploy/setup.sh machines   and what other releases of Debian are entered with
#
# Says what it installs before it does, and does nothing where all is there already. Whenever it is
# killed, running it again mends what it left.
set -eu
cd "$(dirname "$0")/.."
mode=${1:-run}

say() { echo "vmad setup: $*" >&2; }
fail() { say "$*"; exit 1; }
# shellcheck source=deploy/apt.sh
. deploy/apt.sh

# COMMAND...: silent; where it fails, the one line of its output that tells why is in $why
quietly() {
	output=$("$@" 2>&1) && return
	# ensurepip keeps to itself why it failed
	[ "$(df --output=avail . | tail -n 1)" -gt 1024 ] || output='No space left on device'
	case $output in
	*'No space left on device'*) why='no space left on device' ;;
	*'connection broken by'* | *'from versions: none'* | *'Could not resolve'*)
		why='the package index cannot be reached (no network?)'
		;;
	*)
		why=$(printf '%s\n' "$output" | grep -iE '^ *(e: |error|.*error:)' | tail -n 1) || true
		: "${why:=$(printf '%s\n' "$output" | tail -n 1)}"
		;;
	esac
	return 1
}

# one set-up of a checkout at a time
mkdir -p build || fail "nothing can be written to $PWD"
exec 9>build/setup.lock
flock --nonblock 9 || { say "waiting for another set-up of this checkout"; flock 9; }

python=${PYTHON:-python3}
new_enough() {
	"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
		fail "$python is $("$python" -V 2>&1); Python 3.11 or later is needed (make PYTHON=python3.11)"
}
if command -v "$python" >/dev/null; then
	new_enough
elif [ "$python" != python3 ]; then
	fail "there is no $python"
fi

# --- Debian packages: PACKAGE, and a command or file that shows that it is there

wanted='clang:clang llvm:llvm-strip libbpf1:libbpf.so.1 libbpf-dev:bpf/bpf_helpers.h libdw1:libdw.so.1'
if [ "$mode" = test ]; then
	wanted="$wanted gcc:gcc libc6-dev:stdlib.h openssl:openssl util-linux:setpriv libcap2-bin:capsh"
	wanted="$wanted groff-base:groff systemd:systemd-analyze patch:patch"
	wanted="$wanted zsh:zsh fish:fish dpkg-dev:dpkg-parsechangelog chromium:chromium"
fi
if [ "$mode" = e2e ]; then
	wanted="$wanted mmdebstrap:mmdebstrap e2fsprogs:/sbin/mke2fs chromium:chromium git:git"
	wanted="$wanted util-linux:unshare qemu-system-x86:qemu-system-x86_64"
	wanted="$wanted debian-archive-keyring:/usr/share/keyrings/debian-archive-keyring.gpg"
fi
if [ "$mode" = machines ]; then
	wanted="$wanted mmdebstrap:mmdebstrap util-linux:unshare iproute2:ip git:git"
	wanted="$wanted debian-archive-keyring:/usr/share/keyrings/debian-archive-keyring.gpg"
fi
if [ "$mode" = vm ]; then
	wanted="$wanted qemu-system-x86:qemu-system-x86_64 gcc:gcc libc6-dev:stdlib.h"
	wanted="$wanted debian-archive-keyring:/usr/share/keyrings/debian-archive-keyring.gpg"
	case ${KERNELS:-} in *-arm64*) wanted="$wanted qemu-system-arm:qemu-system-aarch64" ;; esac
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
command -v "$python" >/dev/null || missing="$missing python3 python3-venv"
if [ ! -x .venv/bin/python ] && command -v "$python" >/dev/null &&
	! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
	missing="$missing python3-venv"
fi
if [ -n "$missing" ]; then
	# shellcheck disable=SC2086  # a list of words
	may_install $missing
	say "installing Debian packages:$missing"
	# shellcheck disable=SC2086
	apt_install $missing || fail "apt-get could not install$missing: $apt_error"
	new_enough
fi

# --- the virtual environment: one that was not finished, or was made elsewhere, is made anew

unfinished=.venv/vmad-unfinished
venv_works() {
	[ ! -e $unfinished ] && head -n 2 .venv/bin/pip | grep -qF "$PWD/.venv/bin/" &&
		.venv/bin/python -c 'import pip'
}
remove_venv() { # out of the way in one step: killed halfway, what is left is no .venv
	rm -rf build/old-venv && mv .venv build/old-venv && rm -rf build/old-venv
}

case $mode in
run) list=run extras= ;;
*) list=test extras=' and what tests it' ;;
esac
stamp=.venv/vmad-setup-$list
state=$(cat requirements/$list.txt pyproject.toml setup.py deploy/setup.sh | sha256sum)
if ! venv_works 2>/dev/null || [ "$(cat "$stamp" 2>/dev/null)" != "$state" ]; then
	venv_works 2>/dev/null || {
		[ ! -e .venv ] || { say "removing a .venv that is not whole"; remove_venv; }
		say "making .venv"
		mkdir .venv && : >$unfinished
		quietly "$python" -m venv .venv || fail "$python -m venv failed: $why"
	}
	: >$unfinished
	say "installing vmad$extras into .venv: the versions in requirements/$list.txt"
	pip() { quietly .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@"; }
	pip --require-hashes --requirement requirements/$list.txt &&
		pip --no-deps --no-build-isolation --editable . ||
		fail "pip could not install vmad's Python packages: $why; run this again to go on"
	echo "$state" >"$stamp"
	rm $unfinished
fi

# --- the BPF objects

if ! make --silent --question -C vmad/sources/bpf 2>/dev/null ||
	! make --silent --question -C vmad/probe/payload 2>/dev/null; then
	say "building the BPF objects and the payload of a rebuild"
	quietly make --silent -C vmad/sources/bpf || fail "the BPF objects do not build: $why"
	quietly make --silent -C vmad/probe/payload || fail "the payload does not build: $why"
fi

# --- Prometheus and Alertmanager, unpacked rather than installed: the packages would start servers

[ "$mode" = test ] || exit 0
tools='prometheus promtool prometheus-alertmanager amtool'
lacks=
for tool in $tools; do
	[ -x "build/tools/usr/bin/$tool" ] || lacks=yes
done
if [ -n "$lacks" ]; then
	command -v apt-get >/dev/null || fail "these are needed in build/tools/usr/bin: $tools"
	say "fetching Debian's prometheus and prometheus-alertmanager, into build/tools"
	# made aside and renamed
	new=build/new-tools
	rm -rf $new build/tools
	mkdir -p $new/usr/bin $new/usr/share/prometheus $new/unpacked
	# promtool is a package of its own since Debian 13
	fetch() {
		packages='prometheus prometheus-alertmanager'
		! apt-cache show promtool >/dev/null 2>&1 || packages="$packages promtool"
		quietly sh -c "cd $new && apt-get download $packages"
	}
	fetch || { apt_refresh && fetch; } ||
		fail "apt-get could not download prometheus and prometheus-alertmanager: ${apt_error:-$why}"
	for package in $new/*.deb; do
		quietly dpkg -x "$package" $new/unpacked || fail "$package cannot be unpacked: $why"
	done
	for tool in $tools; do
		mv "$new/unpacked/usr/bin/$tool" $new/usr/bin/
	done
	# Alertmanager has its templates' path compiled in
	mv $new/unpacked/usr/share/prometheus/alertmanager $new/usr/share/prometheus/
	rm -rf $new/unpacked $new/*.deb
	mv $new build/tools
fi

# --- what users have around vmad: Prometheus 3, VictoriaMetrics, helm, kubectl

fetched=build/tools-of-users/vmad-fetched
state=$(cat requirements/tools.txt deploy/fetch_tools.py | sha256sum)
if [ "$(uname -m)" = x86_64 ] && [ "$(cat $fetched 2>/dev/null)" != "$state" ]; then
	say "fetching Prometheus 3, VictoriaMetrics, helm and kubectl, into build/tools-of-users"
	quietly .venv/bin/python deploy/fetch_tools.py build/tools-of-users || fail "they cannot be had: $why"
	echo "$state" >$fetched
fi
