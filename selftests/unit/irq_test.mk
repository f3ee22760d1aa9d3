# SPDX-License-Identifier: GPL-2.0-or-later
# The interrupt controllers, all linked together: an IOAPIC without local APICs delivers nowhere.
irq_SRCS := selftests/unit/irq_world.c selftests/unit/unit_test.c kmod/irq/lapic.c kmod/irq/lapic_ipi.c \
	kmod/irq/lapic_timer.c kmod/irq/lapic_state.c kmod/irq/ioapic.c kmod/irq/pic.c \
	kmod/irq/pit.c kmod/irq/route.c kmod/irq/irqchip.c kmod/irq/iobus.c kmod/irq/coalesced.c
irq_CFLAGS := -Iselftests/unit/kshim-irq -Iselftests/unit/kshim -Ikmod
UNIT_TESTS += lapic_test ioapic_test pic_test pit_test route_test irq_fuzz_test
lapic_test_SRCS := selftests/unit/lapic_test.c $(irq_SRCS)
ioapic_test_SRCS := selftests/unit/ioapic_test.c $(irq_SRCS)
pic_test_SRCS := selftests/unit/pic_test.c $(irq_SRCS)
pit_test_SRCS := selftests/unit/pit_test.c $(irq_SRCS)
route_test_SRCS := selftests/unit/route_test.c $(irq_SRCS)
lapic_test_CFLAGS := $(irq_CFLAGS)
ioapic_test_CFLAGS := $(irq_CFLAGS)
pic_test_CFLAGS := $(irq_CFLAGS)
pit_test_CFLAGS := $(irq_CFLAGS)
route_test_CFLAGS := $(irq_CFLAGS)
irq_fuzz_test_SRCS := selftests/unit/irq_fuzz_test.c $(irq_SRCS)
irq_fuzz_test_CFLAGS := $(irq_CFLAGS)
