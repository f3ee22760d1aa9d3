# SPDX-License-Identifier: GPL-2.0-or-later
UNIT_TESTS += serial_test rtc_test
hvm_chipset_SRCS := selftests/unit/unit_test.c vmm-user/bus.c virtio-backends/loop.c \
	virtio-backends/io_thread.c virtio-backends/state.c virtio-backends/util/err.c virtio-backends/util/log.c
serial_test_SRCS := selftests/unit/serial_test.c vmm-user/chipset/serial.c vmm-user/chardev.c \
	$(hvm_chipset_SRCS)
serial_test_LIBS := -lz -lpthread
rtc_test_SRCS := selftests/unit/rtc_test.c vmm-user/chipset/rtc.c vmm-user/chipset/pm.c \
	$(hvm_chipset_SRCS)
rtc_test_LIBS := -lz -lpthread
