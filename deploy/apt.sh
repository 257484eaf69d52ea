# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# shellcheck shell=sh
# Sourced by what installs Debian packages. The caller has `say` and `fail`, a line each.
#
#   apt_install PACKAGE...     says its steps; waits for another apt; mends an interrupted dpkg
#   apt_build_dep DIRECTORY    the same, of what a source package is built with
#   apt_refresh                the lists of packages

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

may_install() { # PACKAGE...: or says in one line what to do by hand
	command -v apt-get >/dev/null || fail "please install what Debian calls: $*"
	[ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
		fail "cannot install $*: run this as root, or install sudo"
}

# apt-get's own lines on stdin, ours on stderr; on stdout its error, if it failed
apt_steps() {
	error='' count=0 total='' unpacks='' configures=''
	while IFS= read -r line; do
		case $line in
		*' newly installed, '*)
			total=${line%% newly installed*}
			total=${total##* }
			;;
		'Need to get '*)
			size=${line#Need to get }
			say "  apt-get: fetching $total packages (${size%% of archives*})"
			;;
		'Get:'*)
			count=$((count + 1))
			[ -z "$total" ] || [ $((count % 10)) != 0 ] || say "  apt-get: fetched $count of $total"
			;;
		'Unpacking '*) [ -n "$unpacks" ] || say "  apt-get: unpacking" && unpacks=yes ;;
		'Setting up '*) [ -n "$configures" ] || say "  apt-get: setting up" && configures=yes ;;
		# the first says what failed; the others follow from it
		'E: '*) [ -n "$error" ] || error=${line#E: } ;;
		'apt-get ended: 0') error= ;;
		'apt-get ended: '*) : "${error:=apt-get failed with status ${line##* }}" ;;
		esac
	done
	printf '%s' "$error"
}

# ARGUMENTS: apt-get with them; what went wrong is in $apt_error. Waits for another apt to end.
apt_get() {
	waited=0
	while :; do
		apt_error=$({
			# 9: setup.sh's lock, which a service that a package starts must not inherit
			ended=0
			as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get "$@" 2>&1 9>&- || ended=$?
			echo "apt-get ended: $ended"
		} | apt_steps)
		case $apt_error in
		*'Could not get lock'* | *'is another process using it'*) ;;
		*) break ;;
		esac
		[ "$waited" -lt "${APT_PATIENCE:-300}" ] || {
			apt_error="$apt_error; waited ${waited} s for it to end"
			break
		}
		[ "$waited" != 0 ] || say "  waiting for another apt to end: $apt_error"
		sleep 2
		waited=$((waited + 2))
	done
	[ -z "$apt_error" ]
}

apt_refresh() {
	say "  apt-get: refreshing the lists of packages"
	apt_get -o APT::Update::Error-Mode=any update
}

# ARGUMENTS: apt-get -y with them, once more with new lists, or after a dpkg that was killed
apt_get_surely() {
	lists_error=
	apt_get -y --no-install-recommends "$@" && return
	case $apt_error in
	*'s for it to end') return 1 ;;
	*'dpkg was interrupted'* | *'Unmet dependencies'*)
		say "  dpkg was interrupted: letting it finish (dpkg --configure -a)"
		as_root env DEBIAN_FRONTEND=noninteractive dpkg --configure -a >/dev/null 2>&1 9>&- || true
		apt_get -y --fix-broken install || true
		;;
	*) apt_refresh || lists_error=$apt_error ;;
	esac
	apt_get -y --no-install-recommends "$@" && return
	# that a package is not known has its cause there
	apt_error=${lists_error:-$apt_error}
	return 1
}

apt_install() { apt_get_surely install "$@"; }
apt_build_dep() { apt_get_surely build-dep "$@"; }
