# SPDX-License-Identifier: GPL-2.0-or-later
# The commands' names lead to all of hvm, so its sources are linked whole, but for main().
UNIT_TESTS += cli_test
cli_test_SRCS := selftests/unit/cli_test.c selftests/unit/unit_test.c \
	$(filter-out vmm-user/main.c,$(HVM_SRCS))
cli_test_CFLAGS := -I$(B)/vmm-user/chipset
cli_test_LIBS := $(HVM_LIBS)
UNIT_TESTS += cli_doc_test
cli_doc_test_SRCS := selftests/unit/cli_doc_test.c selftests/unit/unit_test.c \
	$(filter-out vmm-user/main.c,$(HVM_SRCS))
cli_doc_test_CFLAGS := -I$(B)/vmm-user/chipset
cli_doc_test_LIBS := $(HVM_LIBS)
