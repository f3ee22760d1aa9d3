# SPDX-License-Identifier: GPL-2.0-or-later
# hv: everything outside the kernel module's own Kbuild. "make help" lists the targets.

VERSION := 0.1.0
B := build

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
SYSCONFDIR ?= /etc
UDEVDIR ?= /lib/udev/rules.d
BASHCOMPDIR ?= $(PREFIX)/share/bash-completion/completions
INSTALL ?= install

KVER ?= $(shell uname -r)
KDIR ?= /lib/modules/$(KVER)/build
# Kernel modules need headers; without them only user space is built.
HAVE_KDIR := $(wildcard $(KDIR)/Makefile)

WARNINGS := -Wall -Wextra -Werror -Wimplicit-fallthrough -Wmaybe-uninitialized \
	-Wno-unused-parameter
CFLAGS ?= -O2 -g
# _GNU_SOURCE is empty so that a source may define it too.
HV_CPPFLAGS := -D_GNU_SOURCE= -DHVM_VERSION='"$(VERSION)"' -I. -Ivirtio-backends -Ivmm-user -Iuapi
HV_CFLAGS := -std=gnu11 $(CFLAGS) $(WARNINGS)
HVM_LIBS := -luring -lz -lzstd -ljansson -lpthread

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:

all: $(if $(HAVE_KDIR),modules) hvm

# ---- hvm ---------------------------------------------------------------------------------------

# Every source of these directories belongs to hvm, at any depth. *.inc and generated sources are
# the fragments' business.
sources = $(sort $(shell find $(1) -name '*.c' 2>/dev/null))
HVM_SRCS := $(filter-out vmm-user/backend/%,$(call sources,vmm-user virtio-backends))
HVM_GEN :=
-include vmm-user/build.mk virtio-backends/build.mk
HVM_OBJS := $(HVM_SRCS:%.c=$(B)/hvm.o/%.o)

# Devices as programs of their own: all models, and what of hvm reads their options.
BACKENDS := hv-backend-blk hv-backend-net
BACKEND_SRCS := $(filter-out virtio-backends/transport/%,$(call sources,virtio-backends)) \
	vmm-user/backend/serve.c vmm-user/nic.c vmm-user/control/runtime.c \
	vmm-user/cli/options.c vmm-user/cli/options_net.c
BACKEND_OBJS := $(BACKEND_SRCS:%.c=$(B)/hvm.o/%.o)
BACKEND_MAINS := $(patsubst %,$(B)/hvm.o/vmm-user/backend/%_main.o,blk net)

hvm: $(B)/hvm $(BACKENDS:%=$(B)/%)
$(B)/hv-backend-%: $(B)/hvm.o/vmm-user/backend/%_main.o $(BACKEND_OBJS)
	@mkdir -p $(@D)
	$(CC) $(HV_CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(HVM_LIBS)
$(BACKENDS:%=$(B)/%): $(B)/.hvm-sources
$(B)/hvm: $(HVM_OBJS)
	@mkdir -p $(@D)
	$(CC) $(HV_CFLAGS) $(LDFLAGS) -o $@ $(HVM_OBJS) $(HVM_LIBS)

# hvm is rebuilt when its list of sources changes, and everything when the flags do.
$(shell mkdir -p $(B))
# record FILE,TEXT: FILE holds TEXT, and is only touched when that changes.
record = $(shell printf '%s' '$(strip $(2))' | cmp -s - $(1) || printf '%s' '$(strip $(2))' >$(1))
$(call record,$(B)/.hvm-sources,$(HVM_SRCS))
$(call record,$(B)/.flags,$(subst ','"'"',$(CC) $(HV_CPPFLAGS) $(CPPFLAGS) $(HV_CFLAGS)))
$(B)/hvm: $(B)/.hvm-sources

$(B)/hvm.o/%.o: %.c $(B)/.flags | $(HVM_GEN)
	@mkdir -p $(@D)
	$(CC) $(HV_CPPFLAGS) $(CPPFLAGS) $(HV_CFLAGS) -I$(B) -MMD -MP -c -o $@ $<

-include $(HVM_OBJS:.o=.d) $(BACKEND_OBJS:.o=.d) $(BACKEND_MAINS:.o=.d)

# ---- the module --------------------------------------------------------------------------------

modules:
	scripts/build-module $(KDIR) $(B)/module-$(KVER) $(if $(W),W=$(W))

# ---- unit tests: user-space builds with sanitizers ---------------------------------------------

SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer \
	-Wno-format-truncation -Wno-maybe-uninitialized
UNIT_TESTS :=
include $(sort $(wildcard selftests/unit/*.mk))

# unit_rule NAME: the program $(B)/unit/NAME from NAME_SRCS, NAME_CFLAGS, NAME_LIBS.
define unit_rule
$(1)_OBJS := $$(patsubst %.c,$(B)/unit.o/$(1)/%.o,$$($(1)_SRCS))
$(B)/unit/$(1): $$($(1)_OBJS)
	@mkdir -p $$(@D)
	$$(CC) $$(HV_CFLAGS) $(SANITIZE) -o $$@ $$^ $$($(1)_LIBS)
$(B)/unit.o/$(1)/%.o: %.c $(B)/.flags | $(HVM_GEN)
	@mkdir -p $$(@D)
	$$(CC) $$($(1)_CFLAGS) $$(HV_CPPFLAGS) $$(HV_CFLAGS) -O1 $(SANITIZE) -I$(B) -MMD -MP -c -o $$@ $$<
-include $$($(1)_OBJS:.o=.d)
endef
$(foreach t,$(UNIT_TESTS),$(eval $(call unit_rule,$(t))))

list-unit-tests:
	@printf "%s\n" $(UNIT_TESTS)
unit-tests: $(UNIT_TESTS:%=$(B)/unit/%)

# ---- tests that run in the lab -----------------------------------------------------------------

# Tests of the ioctl interface: each *_test.c with the other sources of its directory.
UAPI_COMMON := $(filter-out %_test.c,$(wildcard selftests/uapi/*.c))
UAPI_TESTS := $(patsubst selftests/uapi/%.c,%,$(wildcard selftests/uapi/*_test.c))
uapi-tests: $(UAPI_TESTS:%=$(B)/uapi/%)
$(B)/uapi/%: selftests/uapi/%.c $(UAPI_COMMON) $(wildcard selftests/uapi/*.h)
	@mkdir -p $(@D)
	$(CC) $(HV_CPPFLAGS) $(HV_CFLAGS) -static -o $@ $< $(UAPI_COMMON) -lpthread

# What hv answers to each ioctl and capability: the documentation's table, as C.
$(B)/abi_table.h: Documentation/abi.tsv scripts/abi-table
	scripts/abi-table --header >$@
$(B)/uapi/abi_test: $(B)/abi_table.h
$(B)/uapi/abi_test: HV_CPPFLAGS += -I$(B)

# Fault injection: programs of the same kind, for the debug kernel.
FAULT_COMMON := $(filter-out %_test.c,$(wildcard selftests/fault/*.c)) $(UAPI_COMMON)
FAULT_TESTS := $(patsubst selftests/fault/%.c,%,$(wildcard selftests/fault/*_test.c))
fault-tests: $(FAULT_TESTS:%=$(B)/fault/%)
$(B)/fault/%: selftests/fault/%.c $(FAULT_COMMON) $(wildcard selftests/fault/*.h selftests/uapi/*.h)
	@mkdir -p $(@D)
	$(CC) $(HV_CPPFLAGS) $(HV_CFLAGS) -static -o $@ $< $(FAULT_COMMON) -lpthread

# The fuzzer of the ioctl interface.
FUZZ_SRCS := $(wildcard selftests/fuzz/*.c)
fuzz: $(B)/fuzz/fuzz
$(B)/fuzz/fuzz: $(FUZZ_SRCS) $(wildcard selftests/fuzz/*.h) $(B)/abi_table.h
	@mkdir -p $(@D)
	$(CC) $(HV_CPPFLAGS) -I$(B) $(HV_CFLAGS) -static -o $@ $(FUZZ_SRCS) -lpthread

guest-tests:
	@:
-include selftests/guests/build.mk

qemu-tests:
	@:
-include selftests/qemu/build.mk

lab-tests: uapi-tests guest-tests

# ---- running -----------------------------------------------------------------------------------

check:
	scripts/check/run all
check-style:
	scripts/check/run style
check-unit:
	scripts/check/run unit
check-uapi:
	scripts/check/run uapi
check-guests:
	scripts/check/run guests
check-e2e:
	scripts/check/run e2e
check-qemu:
	scripts/check/run qemu
check-ecosystem:
	scripts/check/run ecosystem
check-vmx:
	scripts/check/run vmx
check-debug:
	scripts/check/run debug
# 100,000 crash points of qcow2 images (HV_CRASH_POINTS for another number).
check-disk: $(B)/unit/qcow2_crash_test
	HV_CRASH_POINTS=$${HV_CRASH_POINTS:-100000} $(B)/unit/qcow2_crash_test many
check-kvm-selftests:
	scripts/kvm-selftests --update

demo:
	scripts/demo
bench:
	scripts/bench/exit-cost
lab:
	scripts/lab/lab
setup:
	scripts/setup

# ---- installing --------------------------------------------------------------------------------

install: install-hvm $(if $(HAVE_KDIR),install-module)

install-module: modules install-config
	$(INSTALL) -D -m 644 $(B)/module-$(KVER)/hv.ko $(DESTDIR)/lib/modules/$(KVER)/updates/hv.ko
	$(if $(DESTDIR),,depmod $(KVER))

install-config:
	$(INSTALL) -D -m 644 scripts/install/hv.modprobe.conf $(DESTDIR)$(SYSCONFDIR)/modprobe.d/hv.conf
	$(INSTALL) -D -m 644 scripts/install/60-hv.rules $(DESTDIR)$(UDEVDIR)/60-hv.rules
	$(INSTALL) -D -m 644 scripts/install/apparmor $(DESTDIR)$(SYSCONFDIR)/apparmor.d/abstractions/libvirt-qemu.d/hv

# hv loaded at boot, as /dev/kvm: libvirt's guests run on it, with nothing of libvirt configured.
install-libvirt: install-config
	$(INSTALL) -D -m 644 scripts/install/hv-libvirt.modprobe.conf $(DESTDIR)$(SYSCONFDIR)/modprobe.d/hv-libvirt.conf
	$(INSTALL) -D -m 644 scripts/install/hv.modules-load.conf $(DESTDIR)$(SYSCONFDIR)/modules-load.d/hv.conf

MANPAGES := $(patsubst Documentation/%.rst,$(B)/man/%,$(wildcard Documentation/*.[1-8].rst))
$(B)/man/%: Documentation/%.rst
	@mkdir -p $(@D)
	rst2man --report=2 $< $@
man: $(MANPAGES)

# The page about the control socket is made of the table of its commands; a unit test compares them.
qmp-reference: hvm
	$(B)/hvm qmp --reference >Documentation/qmp.rst

install-hvm: hvm man
	$(foreach p,hvm $(BACKENDS),$(INSTALL) -D -m 755 $(B)/$(p) $(DESTDIR)$(BINDIR)/$(p);)
	$(INSTALL) -D -m 644 scripts/install/hvm.bash-completion $(DESTDIR)$(BASHCOMPDIR)/hvm
	$(foreach m,$(notdir $(MANPAGES)),$(INSTALL) -D -m 644 $(B)/man/$(m) \
		$(DESTDIR)$(MANDIR)/man$(subst .,,$(suffix $(m)))/$(m);)

uninstall:
	rm -f $(DESTDIR)/lib/modules/$(KVER)/updates/hv.ko
	rm -f $(foreach p,hvm $(BACKENDS),$(DESTDIR)$(BINDIR)/$(p))
	rm -f $(DESTDIR)$(BASHCOMPDIR)/hvm
	rm -f $(DESTDIR)$(SYSCONFDIR)/modprobe.d/hv-libvirt.conf $(DESTDIR)$(SYSCONFDIR)/modules-load.d/hv.conf
	rm -f $(DESTDIR)$(SYSCONFDIR)/modprobe.d/hv.conf $(DESTDIR)$(UDEVDIR)/60-hv.rules
	rm -f $(DESTDIR)$(SYSCONFDIR)/apparmor.d/abstractions/libvirt-qemu.d/hv
	rm -f $(foreach m,$(notdir $(MANPAGES)),$(DESTDIR)$(MANDIR)/man$(subst .,,$(suffix $(m)))/$(m))
	$(if $(DESTDIR),,depmod $(KVER))

clean:
	rm -rf $(B)

help:
	@echo 'hv $(VERSION)'
	@echo
	@echo 'Building (into $(B)/):'
	@echo '  all            hvm, and hv.ko when the kernel headers are there (default)'
	@echo '  hvm            the virtual machine monitor, and its back ends as programs'
	@echo '  modules        hv.ko for KVER=$(KVER) (or KDIR=headers; W=1 for more warnings)'
	@echo '  man            manual pages'
	@echo '  qmp-reference  Documentation/qmp.rst, after a change of vmm-user/control/table.c'
	@echo '  clean          remove $(B)/'
	@echo
	@echo 'Installing (DESTDIR, PREFIX=$(PREFIX)):'
	@echo '  install        hv.ko with its modprobe and udev configuration, hvm, manual pages'
	@echo '  install-hvm, install-module, install-config, uninstall'
	@echo '  install-libvirt  hv at boot in the place of kvm, for libvirt (undone by uninstall)'
	@echo
	@echo 'Trying and testing (nothing is ever loaded on this machine; see scripts/lab/lab --help):'
	@echo '  demo           boot a Debian guest with hvm on an emulated host, and run a command in it'
	@echo '  check          set up, then all tests'
	@echo '  check-style, check-unit, check-uapi, check-guests, check-e2e, check-vmx: parts of it'
	@echo '  check-debug    tests, fault injection and the fuzzer on a debug kernel, which is built first'
	@echo '  check-disk     qcow2 images after a crash at any of 100,000 points'
	@echo '  check-qemu     command lines, migration and debugging of stock QEMU, on kvm and hv (an hour)'
	@echo '  check-ecosystem  libvirt, memory manager and scheduler with guests, in whole Debian systems (two hours)'
	@echo '  check-kvm-selftests  KVM'"'"'s own selftests on kvm and hv; writes Documentation/kvm-selftests.rst'
	@echo '  bench          cost of each VM exit on /dev/hv and /dev/kvm'
	@echo '  lab            a shell on an emulated host (scripts/lab/lab --hw vmx: an Intel one)'
	@echo '  setup          install the Debian packages that all this needs'

.PHONY: all hvm qmp-reference modules list-unit-tests unit-tests uapi-tests fault-tests fuzz guest-tests qemu-tests lab-tests \
	check-kvm-selftests check-qemu check-debug check-disk check-ecosystem \
	check check-style check-unit check-uapi check-guests check-e2e check-vmx demo \
	bench lab setup install install-module install-config install-libvirt install-hvm \
	uninstall man clean help
