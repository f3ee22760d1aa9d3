# SPDX-License-Identifier: GPL-2.0-or-later
# The DSDT: iasl makes a C array of it, which acpi.c includes as "dsdt.inc".
DSDT_INC := $(B)/vmm-user/chipset/dsdt.inc
HVM_GEN += $(DSDT_INC)

$(DSDT_INC): vmm-user/chipset/dsdt.asl
	@mkdir -p $(@D)
	@command -v iasl >/dev/null || { echo 'iasl is missing: install acpica-tools' >&2; exit 1; }
	iasl -va -p $(@D)/dsdt -tc $< >$(@D)/dsdt.log || { cat $(@D)/dsdt.log >&2; exit 1; }
	mv $(@D)/dsdt.hex $@

$(B)/hvm.o/vmm-user/chipset/acpi.o: HV_CPPFLAGS += -I$(B)/vmm-user/chipset
