// SPDX-License-Identifier: GPL-2.0-or-later
/* The ioctls of the in-kernel irqchip: creation, saved state, and each wrong argument's errno. */
#include "irq_guest.h"

static struct ut_vm vm;

static void test_create(void)
{
	ut_vm_create(&vm, 0);
	CHECK_EQ(ioctl(vm.fd, KVM_CREATE_IRQCHIP, 0), 0);
	CHECK_ERRNO(ioctl(vm.fd, KVM_CREATE_IRQCHIP, 0), EEXIST);
	ut_vm_destroy(&vm);

	ut_vm_create(&vm, 1);
	CHECK_ERRNO(ioctl(vm.fd, KVM_CREATE_IRQCHIP, 0), EINVAL);
	ut_vm_destroy(&vm);
}

static void test_without(void)
{
	struct kvm_irqchip chip = { 0 };
	struct kvm_irq_level line = { .irq = 1, .level = 1 };
	struct kvm_irq_routing routing = { 0 };
	struct kvm_msi msi = { .address_lo = IG_APIC, .data = 0x40 };
	struct kvm_lapic_state lapic;
	struct kvm_pit_state2 pit = { 0 };
	struct kvm_reinject_control rc = { 0 };
	struct kvm_pit_config config = { 0 };

	ut_vm_create(&vm, 1);
	CHECK_ERRNO(ioctl(vm.fd, KVM_GET_IRQCHIP, &chip), ENXIO);
	CHECK_ERRNO(ioctl(vm.fd, KVM_SET_IRQCHIP, &chip), ENXIO);
	CHECK_ERRNO(ioctl(vm.fd, KVM_IRQ_LINE, &line), ENXIO);
	CHECK_ERRNO(ioctl(vm.fd, KVM_IRQ_LINE_STATUS, &line), ENXIO);
	CHECK_ERRNO(ioctl(vm.fd, KVM_SET_GSI_ROUTING, &routing), EINVAL);
	CHECK_ERRNO(ioctl(vm.fd, KVM_SIGNAL_MSI, &msi), EINVAL);
	CHECK_ERRNO(ioctl(vm.fd, KVM_GET_PIT2, &pit), ENXIO);
	CHECK_ERRNO(ioctl(vm.fd, KVM_SET_PIT2, &pit), ENXIO);
	CHECK_ERRNO(ioctl(vm.fd, KVM_REINJECT_CONTROL, &rc), ENXIO);
	/* Old KVM makes a PIT that drives nothing. */
	if (!ig_old_kvm())
		CHECK_ERRNO(ioctl(vm.fd, KVM_CREATE_PIT2, &config), ENOENT);
	CHECK_ERRNO(ioctl(vm.vcpu[0].fd, KVM_GET_LAPIC, &lapic), EINVAL);
	memset(&lapic, 0, sizeof(lapic));
	CHECK_ERRNO(ioctl(vm.vcpu[0].fd, KVM_SET_LAPIC, &lapic), EINVAL);
	ut_vm_destroy(&vm);
}

static void test_chip_state(void)
{
	struct kvm_irqchip chip, again;
	unsigned int i;

	ig_vm_create(&vm, 1);
	memset(&chip, 0, sizeof(chip));
	chip.chip_id = 3;
	CHECK_ERRNO(ioctl(vm.fd, KVM_GET_IRQCHIP, &chip), EINVAL);
	CHECK_ERRNO(ioctl(vm.fd, KVM_SET_IRQCHIP, &chip), EINVAL);
	for (i = 0; i < 2; i++) {
		chip.chip_id = i;
		CHECK_EQ(ioctl(vm.fd, KVM_GET_IRQCHIP, &chip), 0);
		CHECK_EQ(chip.chip_id, i);
		CHECK_EQ(chip.chip.pic.elcr_mask, i ? 0xde : 0xf8);
		CHECK_EQ(chip.chip.pic.isr, 0);
		chip.chip.pic.irq_base = 0x40 + i * 8;
		chip.chip.pic.imr = 0x5a;
		chip.chip.pic.auto_eoi = i;
		CHECK_EQ(ioctl(vm.fd, KVM_SET_IRQCHIP, &chip), 0);
		memset(&again, 0, sizeof(again));
		again.chip_id = i;
		CHECK_EQ(ioctl(vm.fd, KVM_GET_IRQCHIP, &again), 0);
		CHECK(!memcmp(&chip, &again, sizeof(chip)));
	}
	memset(&chip, 0, sizeof(chip));
	chip.chip_id = KVM_IRQCHIP_IOAPIC;
	CHECK_EQ(ioctl(vm.fd, KVM_GET_IRQCHIP, &chip), 0);
	CHECK_EQ(chip.chip.ioapic.base_address, 0xfec00000);
	CHECK_EQ(chip.chip.ioapic.irr, 0);
	for (i = 0; i < KVM_IOAPIC_NUM_PINS; i++)
		CHECK_EQ(chip.chip.ioapic.redirtbl[i].bits, 0x10000);
	for (i = 0; i < KVM_IOAPIC_NUM_PINS; i++)
		chip.chip.ioapic.redirtbl[i].bits = 0x0300000000018940ULL + i;
	chip.chip.ioapic.ioregsel = 0x12;
	chip.chip.ioapic.id = 7;
	CHECK_EQ(ioctl(vm.fd, KVM_SET_IRQCHIP, &chip), 0);
	memset(&again, 0, sizeof(again));
	again.chip_id = KVM_IRQCHIP_IOAPIC;
	CHECK_EQ(ioctl(vm.fd, KVM_GET_IRQCHIP, &again), 0);
	CHECK(!memcmp(&chip, &again, sizeof(chip)));
	ut_vm_destroy(&vm);
}

static uint32_t lapic_reg(const struct kvm_lapic_state *state, unsigned int reg)
{
	uint32_t value;

	memcpy(&value, state->regs + reg, sizeof(value));
	return value;
}

static void test_lapic_reset(void)
{
	struct kvm_lapic_state state;
	struct kvm_sregs sregs;
	unsigned int i;

	ig_vm_create(&vm, 2);
	for (i = 0; i < 2; i++) {
		CHECK_EQ(ioctl(vm.vcpu[i].fd, KVM_GET_LAPIC, &state), 0);
		CHECK_EQ(lapic_reg(&state, 0x20), i << 24);
		CHECK_EQ(lapic_reg(&state, 0x30), 0x50014);
		CHECK_EQ(lapic_reg(&state, 0xd0), 0);
		CHECK_EQ(lapic_reg(&state, 0xe0), 0xffffffff);
		CHECK_EQ(lapic_reg(&state, 0xf0), 0xff);
		CHECK_EQ(lapic_reg(&state, 0x320), 0x10000);
		CHECK_EQ(lapic_reg(&state, 0x350), i ? 0x10000 : 0x700);
		CHECK_EQ(lapic_reg(&state, 0x360), 0x10000);
		CHECK_EQ(ioctl(vm.vcpu[i].fd, KVM_GET_SREGS, &sregs), 0);
		CHECK_EQ(sregs.apic_base, i ? 0xfee00800 : 0xfee00900);
	}
	ut_vm_destroy(&vm);
}

static void test_lapic_state(void)
{
	struct kvm_lapic_state state, again;
	uint32_t value;

	ig_vm_create(&vm, 1);
	CHECK_EQ(ioctl(vm.vcpu[0].fd, KVM_GET_LAPIC, &state), 0);
	value = 0x1ef;
	memcpy(state.regs + 0xf0, &value, 4);
	value = 0x30;
	memcpy(state.regs + 0x80, &value, 4);
	memcpy(state.regs + 0xa0, &value, 4);
	value = 1 << 5;
	memcpy(state.regs + 0x210, &value, 4);
	value = 0x01000000;
	memcpy(state.regs + 0xd0, &value, 4);
	CHECK_EQ(ioctl(vm.vcpu[0].fd, KVM_SET_LAPIC, &state), 0);
	CHECK_EQ(ioctl(vm.vcpu[0].fd, KVM_GET_LAPIC, &again), 0);
	CHECK(!memcmp(&state, &again, sizeof(state)));
	CHECK_ERRNO(ioctl(vm.vcpu[0].fd, KVM_SET_LAPIC, NULL), EFAULT);
	CHECK_ERRNO(ioctl(vm.vcpu[0].fd, KVM_GET_LAPIC, NULL), EFAULT);
	ut_vm_destroy(&vm);
}

static void test_lapic_x2apic_state(void)
{
	struct kvm_lapic_state state;
	struct kvm_sregs sregs;

	ig_vm_create(&vm, 2);
	CHECK_EQ(ioctl(vm.vcpu[1].fd, KVM_GET_SREGS, &sregs), 0);
	sregs.apic_base |= 0x400;
	CHECK_EQ(ioctl(vm.vcpu[1].fd, KVM_SET_SREGS, &sregs), 0);
	CHECK_EQ(ioctl(vm.vcpu[1].fd, KVM_GET_LAPIC, &state), 0);
	CHECK_EQ(lapic_reg(&state, 0x20), 1 << 24);
	CHECK_EQ(lapic_reg(&state, 0xd0), 2);
	sregs.apic_base &= ~0x800UL;		/* x2APIC without enable */
	CHECK_ERRNO(ioctl(vm.vcpu[1].fd, KVM_SET_SREGS, &sregs), EINVAL);
	ut_vm_destroy(&vm);
}

/* ---- routing ------------------------------------------------------------------------------- */

struct table {
	struct kvm_irq_routing head;
	struct kvm_irq_routing_entry entry[8];
};

static int set(struct table *t, unsigned int nr)
{
	t->head.nr = nr;
	return ioctl(vm.fd, KVM_SET_GSI_ROUTING, t);
}

static struct kvm_irq_routing_entry pin(uint32_t gsi, uint32_t chip, uint32_t pin)
{
	return (struct kvm_irq_routing_entry){
		.gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = pin },
	};
}

static struct kvm_irq_routing_entry msi(uint32_t gsi)
{
	return (struct kvm_irq_routing_entry){
		.gsi = gsi, .type = KVM_IRQ_ROUTING_MSI,
		.u.msi = { .address_lo = IG_APIC, .data = 0x40 },
	};
}

static void test_routing(void)
{
	int max;
	struct table t = { 0 };

	ig_vm_create(&vm, 1);
	max = ioctl(vm.fd, KVM_CHECK_EXTENSION, KVM_CAP_IRQ_ROUTING);
	CHECK(max >= 1024);
	t.entry[0] = pin(0, KVM_IRQCHIP_IOAPIC, 2);
	t.entry[1] = pin(0, KVM_IRQCHIP_PIC_MASTER, 0);
	t.entry[2] = msi(24);
	t.entry[3] = msi((uint32_t)max - 1);
	CHECK_EQ(set(&t, 4), 0);
	CHECK_EQ(set(&t, 0), 0);
	t.head.flags = 1;
	CHECK_ERRNO(set(&t, 1), EINVAL);
	t.head.flags = 0;
	CHECK_ERRNO(set(&t, (unsigned int)max + 1), EINVAL);
	t.entry[0] = pin(0, KVM_IRQCHIP_IOAPIC, 24);
	CHECK_ERRNO(set(&t, 1), EINVAL);
	t.entry[0] = pin(0, KVM_IRQCHIP_PIC_SLAVE, 8);
	CHECK_ERRNO(set(&t, 1), EINVAL);
	t.entry[0] = pin(0, 3, 0);
	CHECK_ERRNO(set(&t, 1), EINVAL);
	t.entry[0] = pin((uint32_t)max, KVM_IRQCHIP_IOAPIC, 0);
	CHECK_ERRNO(set(&t, 1), EINVAL);
	t.entry[0] = pin(5, KVM_IRQCHIP_IOAPIC, 5);
	t.entry[0].type = 99;
	CHECK_ERRNO(set(&t, 1), EINVAL);
	t.entry[0] = pin(5, KVM_IRQCHIP_IOAPIC, 5);
	t.entry[0].flags = 1;
	CHECK_ERRNO(set(&t, 1), EINVAL);
	t.entry[0] = pin(5, KVM_IRQCHIP_IOAPIC, 5);
	t.entry[1] = pin(5, KVM_IRQCHIP_IOAPIC, 6);
	CHECK_ERRNO(set(&t, 2), EINVAL);
	t.entry[1] = msi(5);
	CHECK_ERRNO(set(&t, 2), EINVAL);
	t.entry[0] = msi(5);
	CHECK_ERRNO(set(&t, 2), EINVAL);
	t.entry[0] = msi(5);
	t.entry[0].flags = 0x80;
	CHECK_ERRNO(set(&t, 1), EINVAL);
	ut_vm_destroy(&vm);
}

static void test_irq_line_status(void)
{
	struct kvm_irq_level line = { .irq = 20, .level = 1 };

	ig_vm_create(&vm, 1);
	CHECK_EQ(ioctl(vm.fd, KVM_IRQ_LINE_STATUS, &line), 0);
	CHECK_EQ(line.status, -1);		/* the pin is masked */
	line.irq = 3000;			/* not routed */
	line.level = 1;
	CHECK_EQ(ioctl(vm.fd, KVM_IRQ_LINE_STATUS, &line), 0);
	CHECK_EQ(line.status, -1);
	ig_pic_open(&vm, 0);
	line.irq = 3;
	line.level = 1;
	CHECK_EQ(ioctl(vm.fd, KVM_IRQ_LINE_STATUS, &line), 0);
	CHECK_EQ(line.status, 1);
	line.irq = 3;
	line.level = 0;
	CHECK_EQ(ioctl(vm.fd, KVM_IRQ_LINE, &line), 0);
	CHECK_ERRNO(ioctl(vm.fd, KVM_IRQ_LINE, NULL), EFAULT);
	ut_vm_destroy(&vm);
}

static void test_signal_msi(void)
{
	struct kvm_msi m = { .address_lo = IG_APIC, .data = 0x40 };

	ig_vm_create(&vm, 1);
	CHECK_EQ(ioctl(vm.fd, KVM_SIGNAL_MSI, &m), 0);	/* the APIC is software-disabled */
	m.flags = 0x10;
	CHECK_ERRNO(ioctl(vm.fd, KVM_SIGNAL_MSI, &m), EINVAL);
	ut_vm_destroy(&vm);
}

/* ---- PIT ----------------------------------------------------------------------------------- */

static void test_pit_state(void)
{
	struct kvm_pit_config config = { 0 };
	struct kvm_pit_state2 state, again;
	struct kvm_reinject_control rc = { 0 };

	ig_vm_create(&vm, 1);
	CHECK_ERRNO(ioctl(vm.fd, KVM_GET_PIT2, &state), ENXIO);
	CHECK_EQ(ioctl(vm.fd, KVM_CREATE_PIT2, &config), 0);
	CHECK_ERRNO(ioctl(vm.fd, KVM_CREATE_PIT2, &config), EEXIST);
	CHECK_EQ(ioctl(vm.fd, KVM_GET_PIT2, &state), 0);
	CHECK_EQ(state.channels[0].count, 0x10000);
	CHECK_EQ(state.channels[1].gate, 1);
	CHECK_EQ(state.channels[2].gate, 0);
	state.channels[0].mode = 2;
	state.channels[0].count = 11932;
	state.channels[2].mode = 3;
	state.channels[2].count = 500;
	state.channels[2].gate = 1;
	CHECK_EQ(ioctl(vm.fd, KVM_SET_PIT2, &state), 0);
	CHECK_EQ(ioctl(vm.fd, KVM_GET_PIT2, &again), 0);
	CHECK_EQ(again.channels[0].count, 11932);
	CHECK_EQ(again.channels[0].mode, 2);
	CHECK_EQ(again.channels[2].count, 500);
	CHECK_EQ(again.channels[2].gate, 1);
	state.flags = KVM_PIT_FLAGS_HPET_LEGACY;
	CHECK_EQ(ioctl(vm.fd, KVM_SET_PIT2, &state), 0);
	CHECK_EQ(ioctl(vm.fd, KVM_GET_PIT2, &again), 0);
	CHECK_EQ(again.flags, KVM_PIT_FLAGS_HPET_LEGACY);
	CHECK_EQ(ioctl(vm.fd, KVM_REINJECT_CONTROL, &rc), 0);
	CHECK_ERRNO(ioctl(vm.fd, KVM_SET_PIT2, NULL), EFAULT);
	ut_vm_destroy(&vm);
}

int main(int argc, char **argv)
{
	static const struct ut_test tests[] = {
		{ "irqchip-create", test_create },
		{ "irqchip-without", test_without },
		{ "irqchip-state", test_chip_state },
		{ "lapic-reset-values", test_lapic_reset },
		{ "lapic-state", test_lapic_state },
		{ "lapic-x2apic-state", test_lapic_x2apic_state },
		{ "gsi-routing", test_routing },
		{ "irq-line-status", test_irq_line_status },
		{ "signal-msi", test_signal_msi },
		{ "pit-state", test_pit_state },
	};

	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
