# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The artefacts that only the VMX lab needs; part of build.sh, whose lab_dir it uses.
# shellcheck disable=SC2154

# Bochs 3.0 from Debian's source of it (Debian 13's, on Debian 12 too), with the patches of bochs/.
# Debian's own binary has a debugger built in, which halves its speed, and no window-less display.
build_bochs() {
	local dir=$1 uri name hash
	mkdir "$dir/apt" "$dir/src"
	apt_lines trixie | sed 's/^deb /deb-src /' >"$dir/apt/sources.list"
	private_apt "$dir/apt" update
	read -r uri name hash < <(private_apt "$dir/apt" source --print-uris bochs/trixie |
		sed -nE "s/^'([^']+)' ([^ ]+\.orig\.tar\.[a-z0-9]+) [0-9]+ (SHA256:[0-9a-f]{64})$/\1 \2 \3/p")
	[ -n "$hash" ] || die "Debian 13's package source does not offer the source of Bochs"
	(cd "$dir/apt" && /usr/lib/apt/apt-helper download-file "$uri" "$name" "$hash")
	tar -xf "$dir/apt/$name" -C "$dir/src" --strip-components=1
	for name in "$lab_dir"/bochs/*.patch; do
		patch -d "$dir/src" -p1 <"$name"
	done
	# The code must run on whatever machine the cache is used on: no -march=native.
	(cd "$dir/src" && CFLAGS=-O2 CXXFLAGS=-O2 ./configure --enable-cpu-level=6 --enable-x86-64 \
		--enable-smp --enable-vmx=2 --enable-svm --enable-avx --enable-evex \
		--enable-protection-keys --enable-all-optimizations --enable-pci \
		--disable-debugger --disable-show-ips --disable-plugins --disable-docbook \
		--disable-xpm --without-x --with-nogui && nice make -s -j2)
	strip -o "$dir/bochs" "$dir/src/bochs"
	# After "Supported CPU models:" a name a line.
	{ "$dir/bochs" -help cpu 2>&1 || true; } | sed -n '/^Supported CPU/,$p' |
		grep -xE '[a-z0-9_]+' >"$dir/models"
	grep -qx corei7_skylake_x "$dir/models"
	rm -rf "$dir/apt" "$dir/src"
}

# The initramfs of a Bochs host: its disks are ATAPI drives.
build_bochsramfs() {
	local dir=$1 kernel=$2
	mkdir "$dir/ramfs"
	ramfs_modules "$kernel/root" "$(cat "$kernel/kver")" "$dir/ramfs" ata_piix sr_mod ext4 overlay
	# Checking a module's signature is 85 million instructions, a third of a second each. objcopy
	# leaves out what follows the ELF file, which is the signature.
	find "$dir/ramfs/modules" -name '*.ko' -exec objcopy {} \;
	install -m 755 "$lab_dir/initramfs-init" "$dir/ramfs/init"
	pack_ramfs "$dir/ramfs" "$dir/initramfs.cpio"
	rm -rf "$dir/ramfs"
}
