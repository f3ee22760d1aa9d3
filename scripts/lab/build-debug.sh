# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The debug kernel: Debian's source of a kernel with debug.config; part of build.sh, whose lab_dir and
# functions it uses.
# shellcheck disable=SC2154

# kernel_unpack DIR VERSION PATTERN...: DIR/linux-source-VERSION, of Debian's source package, without what
# matches; its package's version in DIR/version.
kernel_unpack() {
	local dir=$1 version=$2
	shift 2
	mkdir "$dir/apt"
	kernel_source "$version" >"$dir/apt/sources.list"
	private_apt "$dir/apt" update
	(cd "$dir/apt" && private_apt . download "linux-source-$version")
	dpkg-deb -f "$dir"/apt/linux-source-*.deb Version >"$dir/version"
	dpkg-deb --fsys-tarfile "$dir"/apt/linux-source-*.deb |
		tar -xO "./usr/src/linux-source-$version.tar.xz" | xz -T0 -dc |
		tar -C "$dir" -xf - --anchored --wildcards "${@/#/--exclude=linux-source-*/}"
	rm -rf "$dir/apt"
}

# A kernel like build_kernel's, but for finding faults, and without what only a guest's kernel needs.
build_debug_kernel() {
	local dir=$1 version=$2 src kver
	local -a make=(nice make -s -j2 ARCH=x86_64 CC=gcc-12 HOSTCC=gcc-12)
	# The Kconfig files of all of it are needed; most of the code is not.
	kernel_unpack "$dir" "$version" 'arch/[!x]*/*.'{c,h,S,dts,dtsi} '*.rst' 'tools/testing/*' \
		'drivers/'{gpu,infiniband,media,staging,iio}'/*.'{c,h} 'drivers/net/'{ethernet,wireless}'/*.'{c,h} \
		'sound/*.'{c,h} 'Documentation/*.'{txt,yaml,svg}
	src=$dir/linux-source-$version
	make+=(-C "$src")
	debug_configure "$src" "${make[@]}"
	"${make[@]}" bzImage modules
	kver=$("${make[@]}" kernelrelease)
	printf '%s\n' "$kver" >"$dir/kver"
	cp "$src/arch/x86/boot/bzImage" "$dir/vmlinuz"
	# For addr2line, when a report is to be read.
	cp "$src/System.map" "$dir/System.map"
	mkdir -p "$dir/root/usr/lib" "$dir/root/lib"
	ln -s ../usr/lib/modules "$dir/root/lib/modules"
	"${make[@]}" INSTALL_MOD_PATH="$dir/root/usr" modules_install
	rm -f "$dir/root/usr/lib/modules/$kver"/{build,source}
	depmod -b "$dir/root" "$kver"
	debug_headers "$src"
	mv "$src" "$dir/headers"
	lab_initramfs "$dir" "$kver"
}

# debug_configure SOURCE MAKE...: configure it; every line of debug.config must have had its effect.
debug_configure() {
	local src=$1 config=$lab_dir/debug.config lost
	shift
	"$@" KCONFIG_ALLCONFIG="$config" allnoconfig
	lost=$(grep -E '^(# )?CONFIG_' "$config" | grep -vxF -f "$src/.config" || true)
	if [ -n "$lost" ]; then
		printf 'the configuration did not take this:\n%s\n' "$lost"
		return 1
	fi
}

# debug_headers SOURCE: leave what modules are built with.
debug_headers() {
	find "$1" -type f \( -name '*.o' -o -name '*.a' -o -name '*.ko' -o -name '*.cmd' -o -name '*.c' -o -name 'vmlinux*' \
		-o -name '*.mod' -o -name '*.order' \) ! -path "$1/scripts/*" ! -path "$1/include/*" -delete
	rm -rf "$1"/{drivers,sound,fs,net,samples,Documentation,arch/[!x]*,arch/x86/boot}
	find "$1" -name 'Kconfig*' ! -path "$1/Kconfig" ! -path "$1/scripts/*" -delete
}
