#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# Builds the Debian package from a copy of the checkout: build/deb/vmad_VERSION_ARCH.deb
#
#   deploy/deb.sh            the version that debian/changelog says
#   deploy/deb.sh VERSION    another one, say of a day: 0.1.0+20261122
#
# DEB_ARCH=arm64 (or amd64): for that architecture, on any.
# Needs Debian 12 or later. Installs the packages that it builds with, and says so before it does.
set -eu
cd "$(dirname "$0")/.."

say() { echo "vmad deb: $*" >&2; }
fail() { say "$*"; exit 1; }
# shellcheck source=deploy/apt.sh
. deploy/apt.sh

command -v apt-get >/dev/null || fail "Debian packages are built on Debian"
version=${1:-$(sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)}
here=$(dpkg --print-architecture)
arch=${DEB_ARCH:-$here}
out=$PWD/build/deb
tree=$out/vmad-$version

rm -rf "$tree"
mkdir -p "$tree"
# what is under version control, as it is now; without git, all but what was made here
if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
	git ls-files -z | tar --null --ignore-failed-read --files-from=- --create
else
	tar --exclude=./build --exclude=./.venv --exclude=__pycache__ --exclude='*.bpf.o' --create .
fi | tar -x -C "$tree"
cd "$tree"
sed -i "1s/(.*)/($version)/" debian/changelog

# dpkg-checkbuilddeps is in dpkg-dev; build-essential is what every package builds with
if ! command -v dpkg-checkbuilddeps >/dev/null || ! dpkg-checkbuilddeps 2>/dev/null; then
	say "installing what the package is built with"
	may_install build-essential
	apt_install build-essential && apt_build_dep "$tree" ||
		fail "apt-get could not install what debian/control asks for: $apt_error"
fi

# what builds it runs here: dpkg would ask for Python of the other architecture
cross=
[ "$arch" = "$here" ] || cross=--no-check-builddeps
if ! dpkg-buildpackage --host-arch "$arch" $cross --build=binary --unsigned-changes --no-sign >"$out/build.log" 2>&1; then
	tail -n 20 "$out/build.log" >&2
	fail "the package does not build; all of it is in build/deb/build.log"
fi
rm -rf "$tree"
echo "$out/vmad_${version}_$arch.deb"
