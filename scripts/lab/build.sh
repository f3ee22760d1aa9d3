# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# How each artefact of the lab's cache is made; see artefact() in lib.sh. Runs with errexit.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/lab/build-bochs.sh
. "$lab_dir/build-bochs.sh"
# shellcheck source=scripts/lab/build-qemu.sh
. "$lab_dir/build-qemu.sh"
# shellcheck source=scripts/lab/build-debug.sh
. "$lab_dir/build-debug.sh"
# shellcheck source=scripts/lab/build-debian.sh
. "$lab_dir/build-debian.sh"
# shellcheck source=scripts/lab/build-bootdisk.sh
. "$lab_dir/build-bootdisk.sh"

# Proxy settings of the machine's apt, as mmdebstrap options.
apt_proxy_opts() {
	apt-config dump | sed -nE 's/^(Acquire::[a-z]+::(Proxy[^ ]*|[^ ]*Verify[^ ]*)) (".*");$/--aptopt=\1 \3/p'
}

# apt with its own sources, lists and cache below DIR; DIR/sources.list must exist.
private_apt() {
	local dir=$1
	shift
	mkdir -p "$dir/lists/partial" "$dir/archives/partial" "$dir/etc"
	touch "$dir/status"
	apt-get -qq -o Dir::Etc::SourceList="$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
		-o Dir::State="$dir" -o Dir::State::Lists="$dir/lists" \
		-o Dir::State::Status="$dir/status" -o Dir::Cache="$dir" \
		-o Dir::Cache::Archives="$dir/archives" -o APT::Sandbox::User=root \
		-o Debug::NoLocking=1 "$@"
}

# debian_source DIR PACKAGE: unpack the upstream source that Debian 13 has, on Debian 12 too, into DIR.
debian_source() {
	local dir=$1 package=$2 apt=$1.apt uri name hash
	mkdir -p "$apt" "$dir"
	apt_lines trixie | sed 's/^deb /deb-src /' >"$apt/sources.list"
	private_apt "$apt" update
	read -r uri name hash < <(private_apt "$apt" source --print-uris "$package/trixie" |
		sed -nE "s/^'([^']+)' ([^ ]+\.orig\.tar\.[a-z0-9]+) [0-9]+ (SHA256:[0-9a-f]{64})$/\1 \2 \3/p")
	[ -n "$hash" ] || die "Debian 13's package source does not offer the source of $package"
	(cd "$apt" && /usr/lib/apt/apt-helper download-file "$uri" "$name" "$hash")
	tar -xf "$apt/$name" -C "$dir" --strip-components=1
	rm -rf "$apt"
}

# apply_patches DIR NAME: our patches of NAME/ to the source in DIR.
apply_patches() {
	local patch
	for patch in "$lab_dir/$2"/*.patch; do
		patch -d "$1" -p1 <"$patch"
	done
}

# bootstrap TARGET SUITE PACKAGES [SOURCE-LINE...]: a minimal Debian tree with these packages.
bootstrap() {
	local target=$1 suite=$2 packages=$3 line
	local -a opts=() lines=()
	shift 3
	for line in "$@"; do
		lines+=("$line")
	done
	while IFS= read -r line; do
		opts+=("$line")
	done < <(apt_proxy_opts)
	if [ -s "${HV_PREFERENCES:-}" ]; then
		opts+=("--setup-hook=cp '$HV_PREFERENCES' \"\$1/etc/apt/preferences.d/lab\"")
	fi
	mmdebstrap --variant=minbase --include="$packages" "${opts[@]}" \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/i18n/*' \
		--dpkgopt='path-exclude=/usr/share/info/*' \
		--dpkgopt='path-exclude=/usr/lib/x86_64-linux-gnu/dri/*' \
		"$suite" "$target" "${lines[@]}"
}

# mkfs_tree IMAGE DIR [SLACK-MIB]: a read-only-minded ext4 image of DIR.
mkfs_tree() {
	local image=$1 dir=$2 slack=${3:-16} kib files
	kib=$(du -sk --apparent-size "$dir" | cut -f1)
	files=$(find "$dir" | wc -l)
	# Each file takes whole 4 KiB blocks; ext4 metadata about 2 %.
	truncate -s $((kib + kib / 16 + files * 4 + slack * 1024))K "$image"
	mke2fs -q -t ext4 -b 4096 -O ^has_journal,^resize_inode -m 0 -N $((files + 2048)) \
		-E lazy_itable_init=0,root_owner=0:0 -d "$dir" "$image"
}

# The emulated host's user space. Its QEMU is for nested guests; qemu-img and the firmware also serve
# the machine itself.
host_packages="qemu-system-x86,qemu-utils,seabios,kmod,iproute2,procps,strace,gdb-minimal,busybox,\
e2fsprogs,util-linux,libaio1,liburing2,zlib1g,libzstd1,libjansson4,libasan8,libubsan1,\
python3-minimal,xxd"

build_hosttree() {
	local dir=$1 suite packages=$host_packages
	local -a suites lines
	# For the tests of QEMU's command lines alone.
	packages+=,ovmf,python3
	# For the tests of the guest's network and sockets alone.
	packages+=,passt,socat
	suite=$(codename)
	suites=("$suite" "$suite-updates" "$suite-security")
	case $suite in
	bookworm)
		suites+=(bookworm-backports)
		# Backports count only for what is asked from there: QEMU and its firmware.
		printf 'Package: src:qemu src:seabios\nPin: release n=bookworm-backports\nPin-Priority: 990\n' \
			>"$dir/preferences"
		;;
	trixie) packages=${packages/libaio1,/libaio1t64,} ;;
	*) die "the lab runs on Debian 12 and 13, not on $suite" ;;
	esac
	touch "$dir/preferences"
	mapfile -t lines < <(apt_lines "${suites[@]}")
	HV_PREFERENCES=$dir/preferences bootstrap "$dir/root" "$suite" "$packages" "${lines[@]}"
	unpack_packages "$dir" shim-signed grub-efi-amd64-signed
	rm -rf "$dir"/root/var/lib/apt/lists/* "$dir"/root/var/cache/apt/*
	rm -rf "$dir"/root/boot "$dir"/root/usr/lib/modules
	mkdir -p "$dir"/root/{lab,with,guest,usr/lib/modules}
	make_launcher "$dir" qemu-system-x86_64
	make_launcher "$dir" qemu-img
	make_launcher "$dir" qemu-io
	"$dir/bin/qemu-system-x86_64" --version
	"$dir/bin/qemu-img" --version
}

# unpack_packages DIR PACKAGE...: the files of packages, without what they depend on, into DIR/root. The
# loaders that firmware with secure boot accepts are never installed here.
unpack_packages() {
	local dir=$1 suite deb
	shift
	suite=$(codename)
	mkdir "$dir/apt" "$dir/debs"
	apt_lines "$suite" "$suite-updates" "$suite-security" >"$dir/apt/sources.list"
	private_apt "$dir/apt" update
	(cd "$dir/debs" && private_apt "$dir/apt" download "$@")
	for deb in "$dir"/debs/*.deb; do
		dpkg-deb -x "$deb" "$dir/root"
	done
	rm -rf "$dir/apt" "$dir/debs"
}

# make_launcher DIR PROGRAM: DIR/bin/PROGRAM runs DIR/root's PROGRAM with DIR/root's libraries,
# whatever the machine itself has installed.
make_launcher() {
	local dir=$1 prog=$2
	mkdir -p "$dir/bin"
	cat >"$dir/bin/$prog" <<-'SCRIPT'
		#!/bin/sh
		d=$(readlink -f "$0")
		d=${d%/bin/*}/root
		l=$d/usr/lib/x86_64-linux-gnu
		export QEMU_MODULE_DIR="$l/qemu"
		set -- "$d/usr/bin/PROGRAM" "$@"
		case PROGRAM in
		qemu-system*) set -- "$@" -L "$d/usr/share/qemu" -L "$d/usr/share/seabios" ;;
		esac
		exec "$l/ld-linux-x86-64.so.2" --argv0 PROGRAM \
			--library-path "$l:$l/pulseaudio" "$@"
	SCRIPT
	sed -i "s/PROGRAM/$prog/g" "$dir/bin/$prog"
	chmod 755 "$dir/bin/$prog"
}

# QEMU 7.2 (Debian 12's), a client that only knows /dev/kvm, with all its libraries, and its virtiofsd, which
# every release of the lab has then.
build_qemu72() {
	local dir=$1
	local -a lines
	mapfile -t lines < <(old_release_lines)
	bootstrap "$dir/full" bookworm qemu-system-x86,seabios "${lines[@]}"
	mkdir -p "$dir/root/usr/bin" "$dir/root/usr/lib" "$dir/root/usr/share"
	mv "$dir/full/usr/bin/qemu-system-x86_64" "$dir/full/usr/lib/qemu/virtiofsd" "$dir/root/usr/bin/"
	if [ -L "$dir/full/lib" ]; then
		mv "$dir/full/usr/lib/x86_64-linux-gnu" "$dir/root/usr/lib/"
	else
		mv "$dir/full/usr/lib/x86_64-linux-gnu" "$dir/root/usr/lib/"
		cp -an "$dir"/full/lib/x86_64-linux-gnu/. "$dir/root/usr/lib/x86_64-linux-gnu/"
	fi
	mv "$dir/full/usr/share/qemu" "$dir/full/usr/share/seabios" "$dir/root/usr/share/"
	rm -rf "$dir/full" "$dir"/root/usr/lib/x86_64-linux-gnu/{perl-base,gconv,dri}
	make_launcher "$dir" qemu-system-x86_64
	make_launcher "$dir" virtiofsd
	"$dir/bin/qemu-system-x86_64" --version
	"$dir/bin/virtiofsd" --version
}

# Debian 12's sources, from this machine's mirrors whatever its own release is.
old_release_lines() {
	apt_lines bookworm bookworm-updates bookworm-security
}

# A kernel of Debian's, its modules (decompressed, so loading one costs the emulated CPU nothing)
# and its headers, unpacked below DIR without installing anything. VERSION: 6.1 or 6.12.
build_kernel() {
	local dir=$1 version=$2 meta kver deb
	local -a pkgs
	mkdir "$dir/apt" "$dir/debs" "$dir/root"
	kernel_source "$version" >"$dir/apt/sources.list"
	private_apt "$dir/apt" update
	meta=$(kernel_meta "$dir/apt" "$version")
	mapfile -t pkgs < <(private_apt "$dir/apt" -s install --no-install-recommends \
		"linux-image-$meta" "linux-headers-$meta" |
		sed -nE 's/^Inst ((linux-(image|headers|kbuild|compiler|bpf)-[^ ]*)) .*/\1/p')
	(cd "$dir/debs" && private_apt "$dir/apt" download "${pkgs[@]}")
	for deb in "$dir"/debs/*.deb; do
		dpkg-deb -x "$deb" "$dir/root"
	done
	[ -d "$dir/root/usr/lib/modules" ] || { mkdir -p "$dir/root/usr/lib" &&
		mv "$dir/root/lib/modules" "$dir/root/usr/lib/"; }
	kver=$(basename "$(ls -d "$dir"/root/boot/vmlinuz-*)")
	kver=${kver#vmlinuz-}
	printf '%s\n' "$kver" >"$dir/kver"
	mv "$dir/root/boot/vmlinuz-$kver" "$dir/vmlinuz"
	find "$dir/root/usr/lib/modules/$kver" -name '*.ko.xz' -print0 | xargs -0r -n 64 xz -d
	rm -f "$dir/root/usr/lib/modules/$kver"/{build,source}
	mkdir -p "$dir/root/lib"
	[ -e "$dir/root/lib/modules" ] || ln -s ../usr/lib/modules "$dir/root/lib/modules"
	depmod -b "$dir/root" "$kver"
	relocate_headers "$dir" "$kver"
	lab_initramfs "$dir" "$kver"
	guest_initramfs "$dir" "$kver"
	rm -rf "$dir/apt" "$dir/debs" "$dir/root/boot"
}

kernel_source() {
	local suite
	suite=$(codename)
	case $1-$suite in
	6.1-*) apt_lines bookworm bookworm-updates bookworm-security ;;
	6.12-bookworm) apt_lines bookworm bookworm-security ;;
	6.12-trixie) apt_lines trixie trixie-updates trixie-security ;;
	*) die "no source known for kernel $1 on $suite" ;;
	esac
}

# The cloud flavour's meta packages: linux-image-$META, linux-headers-$META.
kernel_meta() {
	case $2-$(codename) in
	6.12-bookworm) echo 6.12-cloud-amd64 ;;
	*) echo cloud-amd64 ;;
	esac
}

# Headers packages name each other by absolute paths below /usr; make them work where they are.
relocate_headers() {
	local dir=$1 kver=$2 final headers
	# The artefact is renamed when complete: name the directory it will have.
	final=$(dirname "$dir")/$(basename "$dir" | sed 's/^\.\(.*\)\.new$/\1/')
	headers=$dir/root/usr/src/linux-headers-$kver
	grep -rlIE '/usr/(src/linux-headers|lib/linux-kbuild)' "$headers"/{Makefile,.config,.kernelvariables} \
		"$dir"/root/usr/src/linux-headers-*-common*/Makefile 2>/dev/null |
		xargs -r sed -i -E "s,(^|[^.[:alnum:]])/usr/(src/linux-headers|lib/linux-kbuild),\1$final/root/usr/\2,g" || true
	ln -sfn "root/usr/src/linux-headers-$kver" "$dir/headers"
}

# ramfs_modules ROOT KVER STAGE MODULE...: copy modules with what they need, and their load order.
ramfs_modules() {
	local root=$1 kver=$2 stage=$3 m path
	shift 3
	mkdir -p "$stage/modules"
	: >"$stage/modules/order"
	for m in "$@"; do
		modprobe -d "$root" -S "$kver" --show-depends "$m" 2>/dev/null |
			awk '$1 == "insmod" { print $2 }' | while read -r path; do
			grep -qxF "$(basename "$path")" "$stage/modules/order" && continue
			cp "$path" "$stage/modules/"
			basename "$path" >>"$stage/modules/order"
		done
	done
}

# pack_ramfs STAGE OUTPUT: stage/init and modules plus busybox, as an uncompressed archive.
pack_ramfs() {
	mkdir -p "$1"/{bin,proc,sys,dev,root,lower,upper,media}
	cp "$(command -v busybox)" "$1/bin/busybox"
	# Character devices of early user space: /dev/console must exist before devtmpfs does.
	[ -e "$1/dev/console" ] || mknod "$1/dev/console" c 5 1 || true
	(cd "$1" && find . -print0 | LC_ALL=C sort -z | cpio -0 -o -H newc -R 0:0 --reproducible --quiet) >"$2"
}

lab_initramfs() {
	local stage=$1/ramfs
	mkdir "$stage"
	ramfs_modules "$1/root" "$2" "$stage" virtio_pci virtio_blk ext4 overlay virtio_console
	install -m 755 "$lab_dir/initramfs-init" "$stage/init"
	pack_ramfs "$stage" "$1/initramfs.cpio"
	rm -rf "$stage"
}

guest_initramfs() {
	local stage=$1/ramfs
	mkdir "$stage"
	# Loaded only when asked for on the kernel command line.
	ramfs_modules "$1/root" "$2" "$stage" virtio_net virtio_balloon vmw_vsock_virtio_transport virtiofs
	mv "$stage/modules/order" "$stage/modules/more"
	ramfs_modules "$1/root" "$2" "$stage" virtio_pci virtio_mmio virtio_blk ext4 virtio_console virtio_rng
	grep -vxFf "$stage/modules/order" "$stage/modules/more" >"$stage/modules/order.more"
	rm "$stage/modules/more"
	install -m 755 "$lab_dir/guest-initramfs-init" "$stage/init"
	pack_ramfs "$stage" "$1/guest-initrd.cpio"
	gzip -9n <"$1/guest-initrd.cpio" >"$1/guest-initrd.img"
	rm -rf "$stage" "$1/guest-initrd.cpio"
}

# The root disk of the emulated host: its tree with QEMU 7.2 beside it.
build_hostdisk() {
	local dir=$1 tree=$2 old=$3
	cp -al "$tree/root" "$dir/root" 2>/dev/null || cp -a "$tree/root" "$dir/root"
	mkdir -p "$dir/root/opt"
	cp -a "$old" "$dir/root/opt/qemu-7.2"
	rm -f "$dir/root/opt/qemu-7.2/.complete"
	mkfs_tree "$dir/disk.ext4" "$dir/root"
	rm -rf "$dir/root"
}

# The disk with a kernel's modules and everything for a nested guest, whose own kernel is GUEST-KERNEL.
build_kerneldisk() {
	local dir=$1 kernel=$2 guest=$3 guest_kernel=$4 kver
	kver=$(cat "$kernel/kver")
	mkdir -p "$dir/root/modules" "$dir/root/guest"
	cp -al "$kernel/root/usr/lib/modules/$kver" "$dir/root/modules/" 2>/dev/null ||
		cp -a "$kernel/root/usr/lib/modules/$kver" "$dir/root/modules/"
	cp "$guest_kernel/vmlinuz" "$dir/root/guest/vmlinuz"
	cp "$guest_kernel/guest-initrd.img" "$dir/root/guest/initrd.img"
	cp "$guest/base.qcow2" "$dir/root/guest/base.qcow2"
	chmod 444 "$dir"/root/guest/*
	mkfs_tree "$dir/disk.ext4" "$dir/root"
	rm -rf "$dir/root"
}

# The Debian guest: a minimal release with an init of its own, on a read-only qcow2 base image.
build_guest() {
	local dir=$1 tree=$2 suite
	local -a lines
	suite=$(codename)
	mapfile -t lines < <(apt_lines "$suite" "$suite-updates" "$suite-security")
	bootstrap "$dir/root" "$suite" busybox,iproute2,e2fsprogs,procps,kmod,socat "${lines[@]}"
	rm -rf "$dir"/root/var/lib/apt/lists/* "$dir"/root/var/cache/apt/* "$dir"/root/boot/*
	install -m 755 "$lab_dir/guest-init" "$dir/root/sbin/hv-init"
	printf 'hv-guest\n' >"$dir/root/etc/hostname"
	truncate -s 2G "$dir/disk.raw"
	mke2fs -q -t ext4 -b 4096 -m 0 -E lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0 \
		-L hvroot -d "$dir/root" "$dir/disk.raw"
	"$tree/bin/qemu-img" convert -O qcow2 "$dir/disk.raw" "$dir/base.qcow2"
	chmod 444 "$dir/base.qcow2"
	rm -rf "$dir/root" "$dir/disk.raw"
}

# KVM's own selftests, from the kernel's source package: DIR/bin has the programs. The device and
# the directory of module parameters are at places of our own, which the runner fills: $where/device
# and $where/module.
build_kvm_selftests() {
	local dir=$1 version=$2 where=/run/kvm-selftests src
	mkdir "$dir/bin"
	# Only what the tests and the user-space headers are made from.
	kernel_unpack "$dir" "$version" \
		{drivers,fs,net,sound,Documentation,samples,rust,mm,kernel,security,'arch/[!x]*'}
	src=$dir/linux-source-$version
	make -s -C "$src" ARCH=x86_64 CC=gcc-12 HOSTCC=gcc-12 headers
	grep -rlE '"/(dev/kvm"|sys/module/)' "$src/tools/testing/selftests/kvm" --include='*.[ch]' |
		xargs sed -i "s,\"/dev/kvm\",\"$where/device\",; s,\"/sys/module/,\"$where/module/,"
	if grep -rE '"/(dev/kvm|sys/module)' "$src/tools/testing/selftests/kvm" --include='*.[ch]'; then
		echo "these names of KVM's were not replaced"
		return 1
	fi
	kvm_selftests_make "$version" "$src"
	find "$src/tools/testing/selftests/kvm" -maxdepth 2 -type f -perm -100 -size +64k \
		-exec strip -s {} + -exec cp -t "$dir/bin" {} +
	rm -rf "$src"
	[ "$(find "$dir/bin" -type f | wc -l)" -ge 60 ]
}

# 6.1's dirty_log_test and steal_time do not compile as they are shipped.
kvm_selftests_make() {
	local version=$1 src=$2 extra=''
	[ "$version" = 6.1 ] &&
		extra="-DTEST_ASSERT_EQ=ASSERT_EQ -include $src/usr/include/linux/stddef.h"
	make -C "$src/tools/testing/selftests/kvm" -j2 ARCH=x86_64 CC=gcc-12 \
		LDFLAGS="-static -pthread -no-pie" EXTRA_CFLAGS="$extra"
}
