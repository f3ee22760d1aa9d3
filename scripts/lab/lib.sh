# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Shared by the lab's scripts: messages, the cache of built artefacts, and package sources.
#
# An artefact is a directory CACHE/NAME-HASH, where HASH covers everything it is made from. It is
# built aside and renamed when complete, under a lock, so parallel runs neither see half an
# artefact nor build it twice.

lab_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034 # used by the scripts that include this one
top=$(cd "$lab_dir/../.." && pwd)
cache=${HV_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/hv}

say() {
	printf 'lab: %s\n' "$*" >&2
}

die() {
	say "$@"
	exit 125
}

# Hash of the given files' contents and of the strings after "--".
hash_of() {
	{
		while [ $# -gt 0 ] && [ "$1" != -- ]; do
			cat "$1"
			shift
		done
		printf '%s\n' "$@"
	} | sha256sum | cut -c1-16
}

# Text of build.sh's functions (and the package list), so that an artefact is made anew when its own
# recipe changes and not when another's does.
recipe() {
	bash -c '. "$1"; shift; printf "%s\n" "$host_packages"; declare -f "$@"' - "$lab_dir/build.sh" "$@"
}

# artefact NAME HASH BUILDER [ARG...]: make sure CACHE/NAME-HASH exists and print its path.
# BUILDER is called as "BUILDER DIR ARG..." with DIR empty and must fill it.
artefact() {
	local name=$1 hash=$2 builder=$3 dir tmp log
	shift 3
	dir=$cache/$name-$hash
	if [ -e "$dir/.complete" ]; then
		touch "$dir/.complete"
		printf '%s\n' "$dir"
		return
	fi
	mkdir -p "$cache"
	(
		flock 9
		[ -e "$dir/.complete" ] && exit 0
		tmp=$cache/.$name-$hash.new
		log=$cache/$name.log
		rm -rf "$tmp" "$dir"
		mkdir "$tmp"
		say "building $name (log: $log)"
		# A subshell of its own with errexit on: this function is called from "$( )",
		# in conditions where bash would ignore a failing command inside the builder.
		# A make that we may be part of is not the builder's: some makefiles ask for one.
		unset MAKEFLAGS MFLAGS MAKELEVEL
		if ! bash -euo pipefail -c '. "$1"; shift; "$@"' - "$lab_dir/build.sh" \
			"$builder" "$tmp" "$@" >"$log" 2>&1 </dev/null 9>&-; then
			tail -n 20 "$log" >&2
			die "building $name failed (log: $log)"
		fi
		touch "$tmp/.complete"
		mv "$tmp" "$dir"
		artefact_prune "$name"
	) 9>"$cache/$name.lock" || return
	printf '%s\n' "$dir"
}

# Keep the three most recently used versions of an artefact; older ones only take up space.
artefact_prune() {
	local old
	find "$cache" -mindepth 2 -maxdepth 2 -path "$cache/$1-????????????????/.complete" \
		-mmin +720 -printf '%T@ %h\n' | sort -rn | tail -n +4 | cut -d' ' -f2- |
		while read -r old; do rm -rf "$old"; done
}

# The machine's Debian release (VERSION_CODENAME).
codename() {
	# shellcheck disable=SC1091
	(. /etc/os-release && printf '%s\n' "$VERSION_CODENAME")
}

# Print "URI SUITE" of every binary package source that the machine's apt knows, from both formats.
apt_known() {
	local f
	for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -r "$f" ] && sed -nE 's/^deb[[:space:]]+(\[[^]]*\][[:space:]]*)?([^[:space:]]+)[[:space:]]+([^[:space:]]+).*/\2 \3/p' "$f"
	done
	for f in /etc/apt/sources.list.d/*.sources; do
		[ -r "$f" ] && awk '
			function flush(  i, j, u, s, nu, ns) {
				nu = split(uris, u, " "); ns = split(suites, s, " ")
				for (i = 1; i <= nu; i++) for (j = 1; j <= ns; j++)
					if (on) print u[i], s[j]
				uris = suites = ""; on = 1
			}
			BEGIN { on = 1 }
			/^[[:space:]]*$/ { flush(); next }
			tolower($1) == "uris:" { $1 = ""; uris = $0 }
			tolower($1) == "suites:" { $1 = ""; suites = $0 }
			tolower($1) == "enabled:" { on = tolower($2) != "no" }
			END { flush() }' "$f"
	done
	return 0
}

# Print the machine's mirror: of the release itself, or with "security" of its security archive.
# A mirror+file: list is resolved to its first line.
apt_mirror() {
	local suite uri
	suite=$(codename)
	[ "${1:-}" = security ] && suite=$suite-security
	uri=$(apt_known | awk -v s="$suite" '$2 == s { print $1; exit }')
	case $uri in
	mirror+file:*) uri=$(awk 'NF { print $1; exit }' "${uri#mirror+file:}") ;;
	esac
	[ -n "$uri" ] || die "no package source for suite $suite in /etc/apt; the lab needs one"
	printf '%s\n' "${uri%/}"
}

# Print one-line-format sources of the given suites (bookworm, bookworm-security, …).
apt_lines() {
	local suite uri
	for suite in "$@"; do
		case $suite in
		*-security) uri=$(apt_mirror security) ;;
		*) uri=$(apt_mirror) ;;
		esac
		printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' \
			"$uri" "$suite"
	done
}
