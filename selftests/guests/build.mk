# SPDX-License-Identifier: GPL-2.0-or-later
# Bare-metal guests: each *_test.c with gt.c and the library of the uapi tests; each *.S becomes a
# flat binary, linked at GT_FLAT, that a test includes as it is.

GUEST_COMMON := selftests/guests/gt.c selftests/uapi/ut.c selftests/uapi/ut_host.c \
	selftests/uapi/irq_guest.c
GUEST_TESTS := $(patsubst selftests/guests/%.c,%,$(wildcard selftests/guests/*_test.c))
GUEST_FLATS := $(patsubst selftests/guests/%.S,$(B)/guests.o/%.bin,$(wildcard selftests/guests/*.S))

guest-tests: $(GUEST_TESTS:%=$(B)/guests/%)

$(B)/guests.o/%.bin: selftests/guests/%.S
	@mkdir -p $(@D)
	$(CC) -c -o $(@:.bin=.o) $<
	$(LD) -m elf_x86_64 -Ttext=0x8000 -e 0x8000 --oformat binary -o $@ $(@:.bin=.o)

# Guest code is copied away from the program: no jump tables, which would stay behind.
$(B)/guests/%: selftests/guests/%.c $(GUEST_COMMON) $(GUEST_FLATS) $(wildcard selftests/guests/*.h) \
		$(wildcard selftests/uapi/*.h)
	@mkdir -p $(@D)
	$(CC) $(HV_CPPFLAGS) $(HV_CFLAGS) -fno-jump-tables -mno-red-zone -Wa,-I$(B)/guests.o -static -o $@ $< \
		$(GUEST_COMMON) -lpthread
