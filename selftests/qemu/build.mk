# SPDX-License-Identifier: GPL-2.0-or-later
# The guest of the QEMU tests: one static program that is a kernel's whole user space.

QEMU_GUEST_SRCS := $(wildcard selftests/qemu/*.c)

qemu-tests: $(B)/qemu/guest.cpio

$(B)/qemu/init: $(QEMU_GUEST_SRCS) $(wildcard selftests/qemu/*.h)
	@mkdir -p $(@D)
	$(CC) $(HV_CPPFLAGS) $(HV_CFLAGS) -static -o $@ $(QEMU_GUEST_SRCS) -lpthread
	strip $@

$(B)/qemu/guest.cpio: $(B)/qemu/init
	cd $(@D) && echo init | cpio -o -H newc -R 0:0 --reproducible --quiet >guest.cpio
