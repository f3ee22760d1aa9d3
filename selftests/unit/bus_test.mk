# SPDX-License-Identifier: GPL-2.0-or-later
UNIT_TESTS += bus_test
bus_test_SRCS := selftests/unit/bus_test.c selftests/unit/unit_test.c vmm-user/bus.c
bus_test_LIBS := -lpthread
