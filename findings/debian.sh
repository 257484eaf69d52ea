# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# For the scripts beside it that try a package of another release of Debian: unpacked below the current
# folder, not installed, from the mirror that the machine's own sources name.
#
#   fetch_from_debian SUITE PACKAGE=VERSION FOLDER
#
# Needs Debian 12 or later on amd64 as root: debian-archive-keyring.

fetch_from_debian() {
	case $1 in
	*-security) archive=debian-security ;;
	*) archive=debian ;;
	esac
	mirror=$(apt-get indextargets --format '$(SITE)' | grep -E "/$archive/?\$" | head -n 1)
	mkdir -p state/lists/partial cache/archives/partial
	: >state/status
	key=/usr/share/keyrings/debian-archive-keyring.gpg
	echo "deb [signed-by=$key] $mirror $1 main" >list
	private update
	private download "$2"
	dpkg -x "${2%%=*}"_*.deb "$3"
}

private() {
	apt-get -qq -o Dir::Etc::sourcelist="$PWD/list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State="$PWD/state" -o Dir::State::status="$PWD/state/status" \
		-o Dir::Cache="$PWD/cache" -o Dir::Etc::preferencesparts=/dev/null \
		-o APT::Sandbox::User=root -o Acquire::Languages=none "$@"
}
