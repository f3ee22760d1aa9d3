# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The emulator of the SVM lab; part of build.sh, whose lab_dir it uses.
# shellcheck disable=SC2154

# The libraries a program needs, loader included, as paths in the tree ROOT.
program_libraries() {
	chroot "$1" ldd "$2" | grep -oE '/[^ ]+' | while read -r lib; do
		chroot "$1" readlink -f "$lib" | sed "s,^,$lib ,"
	done
}

# QEMU's system emulator from Debian's source of it, with the patches of qemu/ and nothing that the
# lab does not use. Needs root for its chroot.
build_qemu() {
	local dir=$1 lib real tools
	local -a lines
	# Debian 13's, on Debian 12 too, whose meson is too old.
	tools=gcc,libc6-dev,make,meson,ninja-build,pkg-config,python3-venv,python3-setuptools
	tools+=,python3-pycotap,libglib2.0-dev,libpixman-1-dev,libfdt-dev,zlib1g-dev
	mapfile -t lines < <(apt_lines trixie)
	bootstrap "$dir/root" trixie "$tools" "${lines[@]}"
	debian_source "$dir/root/src" qemu
	apply_patches "$dir/root/src" qemu
	cat >"$dir/root/build.sh" <<-'SCRIPT'
		set -e
		mkdir /src/build
		cd /src/build
		../configure --target-list=x86_64-softmmu --without-default-features --enable-tcg \
			--enable-kvm --disable-docs --disable-tools --disable-install-blobs
		nice ninja -j2 qemu-system-x86_64
		strip qemu-system-x86_64
	SCRIPT
	chroot "$dir/root" sh /build.sh
	mkdir "$dir/lib" "$dir/bin"
	while read -r lib real; do
		cp "$dir/root$real" "$dir/lib/$(basename "$lib")"
	done < <(program_libraries "$dir/root" /src/build/qemu-system-x86_64)
	cp "$dir/root/src/build/qemu-system-x86_64" "$dir/lib/"
	cat >"$dir/bin/qemu-system-x86_64" <<-'SCRIPT'
		#!/bin/sh
		l=$(dirname "$(readlink -f "$0")")/../lib
		exec "$l/ld-linux-x86-64.so.2" --library-path "$l" "$l/qemu-system-x86_64" "$@"
	SCRIPT
	chmod 755 "$dir/bin/qemu-system-x86_64"
	"$dir/bin/qemu-system-x86_64" --version
	rm -rf "$dir/root"
}
