// SPDX-License-Identifier: GPL-2.0-or-later
/* The I/O APIC: registers, edge and level, masks, Remote IRR, EOI and redelivery, saved state. */
#include "irq_world.h"

#define LEVEL	0x8000
#define MASKED	0x10000
#define LOGICAL	0x800

static int line(unsigned int pin, int level)
{
	return hv_ioapic_set_irq(world.ioapic, pin, HV_IRQ_USER, level);
}

static void setup(void)
{
	world_out(0x21, 0xff);		/* GSIs lead to the PIC as well */
	world_out(0xa1, 0xff);
	world_enable_apics();
}

static void test_registers(void)
{
	CHECK_EQ(world_ioapic_read(1), 0x170011);
	CHECK_EQ(world_ioapic_read(0), 0);
	world_ioapic_write(0, 0xff000000);
	CHECK_EQ(world_ioapic_read(0), 0x0f000000);
	CHECK_EQ(world_ioapic_read(2), 0x0f000000);
	CHECK_EQ(world_ioapic_read(0x10), 0x10000);
	world_ioapic_pin(23, 0xffffffff, 0xffffffff);
	/* Reserved and read-only bits do not stick. */
	CHECK_EQ(world_ioapic_read(0x10 + 46), 0x1afff);
	CHECK_EQ(world_ioapic_read(0x10 + 47), 0xff000000);
	world_ioapic_write(0x40, 0x12345);	/* past the last pin */
	CHECK_EQ(world_ioapic_read(0x40), 0xffffffff);
	CHECK_EQ(world_ioapic_read(0x05), 0xffffffff);
}

static void test_edge(void)
{
	setup();
	world_ioapic_pin(4, 0x50, 0);
	CHECK_EQ(line(4, 1), 1);
	CHECK_EQ(world_take(0), 0x50);
	world_eoi(0);
	CHECK_EQ(line(4, 1), 0);	/* was high: no edge */
	CHECK_EQ(world_take(0), -1);
	line(4, 0);
	CHECK_EQ(line(4, 1), 1);
	CHECK_EQ(world_take(0), 0x50);
}

static void test_level(void)
{
	setup();
	world_ioapic_pin(9, 0x60 | LEVEL, 1 << 24);
	CHECK_EQ(line(9, 1), 1);
	CHECK_EQ(world_ioapic_read(0x10 + 18), 0x4060 | LEVEL);
	CHECK_EQ(line(9, 1), -1);	/* Remote IRR: not again */
	CHECK_EQ(world_take(1), 0x60);
	CHECK_EQ(world_apic_read(1, HV_APIC_TMR + 0x30), 1);
	world_eoi(1);
	CHECK_EQ(world_take(1), 0x60);	/* still up: delivered again */
	line(9, 0);
	world_eoi(1);
	CHECK_EQ(world_take(1), -1);
	CHECK_EQ(world_ioapic_read(0x10 + 18), 0x60 | LEVEL);
	CHECK_EQ(line(9, 1), 1);
	CHECK_EQ(world_take(1), 0x60);
}

static void test_mask_edge(void)
{
	setup();
	world_ioapic_pin(4, 0x50 | MASKED, 0);
	CHECK_EQ(line(4, 1), -1);
	world_ioapic_pin(4, 0x50, 0);
	CHECK_EQ(world_take(0), -1);	/* an edge under the mask is lost */
	line(4, 0);
	line(4, 1);
	CHECK_EQ(world_take(0), 0x50);
}

static void test_mask_level(void)
{
	setup();
	world_ioapic_pin(9, 0x60 | LEVEL | MASKED, 0);
	CHECK_EQ(line(9, 1), -1);
	world_ioapic_pin(9, 0x60 | LEVEL, 0);
	CHECK_EQ(world_take(0), 0x60);	/* a level is still there */
	world_ioapic_pin(9, 0x60 | LEVEL | MASKED, 0);
	world_eoi(0);
	CHECK_EQ(world_take(0), -1);
	world_ioapic_pin(9, 0x60 | LEVEL, 0);
	CHECK_EQ(world_take(0), 0x60);
}

static void test_to_edge_clears_remote_irr(void)
{
	setup();
	world_ioapic_pin(9, 0x60 | LEVEL, 0);
	line(9, 1);
	CHECK_EQ(world_ioapic_read(0x10 + 18) & 0x4000, 0x4000);
	world_ioapic_pin(9, 0x60 | MASKED, 0);
	CHECK_EQ(world_ioapic_read(0x10 + 18) & 0x4000, 0);
	world_ioapic_pin(9, 0x60 | LEVEL | MASKED, 0);
	CHECK_EQ(world_ioapic_read(0x10 + 18) & 0x4000, 0);
}

static void test_destinations(void)
{
	unsigned int i;

	setup();
	for (i = 0; i < 4; i++)
		world_apic_write(i, HV_APIC_LDR, 1U << (24 + i));
	world_ioapic_pin(3, 0x51 | LOGICAL, 0x6U << 24);
	CHECK_EQ(line(3, 1), 2);
	for (i = 0; i < 4; i++)
		CHECK_EQ(world_take(i), i == 1 || i == 2 ? 0x51 : -1);
	world_ioapic_pin(5, 0x52 | LOGICAL | HV_APIC_LOWEST << 8, 0xfU << 24);
	CHECK_EQ(line(5, 1), 1);
	world_ioapic_pin(6, HV_APIC_NMI << 8, 3U << 24);
	CHECK_EQ(line(6, 1), 1);
	CHECK_EQ(world_nmis, 8);
	world_ioapic_pin(7, 0x53, 9U << 24);	/* nobody */
	CHECK_EQ(line(7, 1), -1);
	world_ioapic_pin(8, 0x54, 0xffU << 24);
	CHECK_EQ(line(8, 1), 4);
}

static void test_x2apic_broadcast(void)
{
	world_enable_x2apic();
	world_ioapic_pin(8, 0x54, 0xffU << 24);
	CHECK_EQ(line(8, 1), 3);
}

static void test_shared_line(void)
{
	setup();
	world_ioapic_pin(10, 0x70 | LEVEL, 0);
	hv_ioapic_set_irq(world.ioapic, 10, HV_IRQ_USER, 1);
	hv_ioapic_set_irq(world.ioapic, 10, HV_IRQ_RESAMPLE, 1);
	CHECK_EQ(world_take(0), 0x70);
	hv_ioapic_set_irq(world.ioapic, 10, HV_IRQ_USER, 0);
	world_eoi(0);
	CHECK_EQ(world_take(0), 0x70);
	hv_ioapic_set_irq(world.ioapic, 10, HV_IRQ_RESAMPLE, 0);
	world_eoi(0);
	CHECK_EQ(world_take(0), -1);
}

static void test_two_pins_one_vector(void)
{
	setup();
	world_ioapic_pin(10, 0x70 | LEVEL, 0);
	world_ioapic_pin(11, 0x70 | LEVEL, 0);
	line(10, 1);
	line(11, 1);
	CHECK_EQ(world_take(0), 0x70);
	line(10, 0);
	line(11, 0);
	world_eoi(0);
	CHECK_EQ(world_ioapic_read(0x10 + 20) & 0x4000, 0);
	CHECK_EQ(world_ioapic_read(0x10 + 22) & 0x4000, 0);
	world_take(0);
	world_eoi(0);
	CHECK_EQ(world_take(0), -1);
}

static void test_storm(void)
{
	unsigned int n = 0;

	setup();
	world_ioapic_pin(9, 0x60 | LEVEL, 0);
	line(9, 1);
	/* The guest never quiets the device: it gets a pause at some point. */
	while (world_take(0) == 0x60 && n < 50000) {
		world_eoi(0);
		n++;
	}
	CHECK_EQ(n, 10000);
	CHECK(world.ioapic->storm_work.queued);
	world.ioapic->storm_work.queued = false;
	world.ioapic->storm_work.fn(&world.ioapic->storm_work.work);
	CHECK_EQ(world_take(0), 0x60);
}

static unsigned int acks;

static void count_ack(struct hv_irq_ack *ack)
{
	acks++;
	/* Listeners change lines: no lock may be held here. */
	hv_irq_set_level(&world, HV_IRQ_RESAMPLE, ack->gsi, 0, false);
}

static void test_listeners(void)
{
	struct hv_irq_ack ack = { .gsi = 9, .fn = count_ack };

	setup();
	acks = 0;
	mutex_lock(&world.irq_lock);
	hv_irq_ack_add(&world, &ack);
	mutex_unlock(&world.irq_lock);
	world_ioapic_pin(9, 0x60 | LEVEL, 0);
	world_ioapic_pin(10, 0x61, 0);
	hv_irq_set_level(&world, HV_IRQ_RESAMPLE, 9, 1, false);
	CHECK_EQ(world_take(0), 0x60);
	world_eoi(0);
	CHECK_EQ(acks, 1);
	CHECK_EQ(world_take(0), -1);	/* the listener lowered it before redelivery */
	line(10, 1);
	CHECK_EQ(world_take(0), 0x61);
	world_eoi(0);
	CHECK_EQ(acks, 1);		/* another pin */
	/* Edge triggered: acknowledgements are heard as well. */
	world_ioapic_pin(9, 0x62, 0);
	line(9, 1);
	CHECK_EQ(world_take(0), 0x62);
	world_eoi(0);
	CHECK_EQ(acks, 2);
	mutex_lock(&world.irq_lock);
	hv_irq_ack_del(&world, &ack);
	mutex_unlock(&world.irq_lock);
	line(9, 0);
	line(9, 1);
	CHECK_EQ(world_take(0), 0x62);
	world_eoi(0);
	CHECK_EQ(acks, 2);
}

static void test_state(void)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	setup();
	world_ioapic_write(0, 0x05000000);
	world_ioapic_pin(4, 0x50, 0);
	world_ioapic_pin(9, 0x60 | LEVEL | MASKED, 0);
	line(4, 1);			/* delivered */
	line(9, 1);			/* waits */
	CHECK_EQ(hv_irqchip_get(&world, &chip), 0);
	CHECK_EQ(chip.chip.ioapic.base_address, 0xfec00000);
	CHECK_EQ(chip.chip.ioapic.irr, BIT(9));
	CHECK_EQ(chip.chip.ioapic.id, 5);
	CHECK_EQ(chip.chip.ioapic.redirtbl[4].bits, 0x50);
	CHECK_EQ(world_take(0), 0x50);
	world_eoi(0);
	chip.chip.ioapic.redirtbl[9].bits &= ~MASKED;
	CHECK_EQ(hv_irqchip_set(&world, &chip), 0);
	CHECK_EQ(world_take(0), 0x60);
	CHECK_EQ(world_take(0), -1);
	line(9, 0);
	world_eoi(0);
	CHECK_EQ(world_take(0), -1);
	/* Remote IRR is restored: no second delivery before the EOI. */
	chip.chip.ioapic.redirtbl[9].bits |= 0x4000;
	CHECK_EQ(hv_irqchip_set(&world, &chip), 0);
	CHECK_EQ(world_take(0), -1);
	CHECK_EQ(world_ioapic_read(0x10 + 18), 0x4060 | LEVEL);
}

static void test_narrow_access(void)
{
	u8 data[8] = { 1, 0xff, 0xff, 0xff };
	int idx = srcu_read_lock(&world.srcu);

	CHECK_EQ(hv_iobus_write(world_vcpu[0], HV_BUS_MMIO, 0xfec00000, 1, data), 0);
	CHECK_EQ(hv_iobus_read(world_vcpu[0], HV_BUS_MMIO, 0xfec00000, 4, data), 0);
	CHECK_EQ(data[0], 1);
	CHECK_EQ(data[1], 0);
	memset(data, 0xee, sizeof(data));
	CHECK_EQ(hv_iobus_read(world_vcpu[0], HV_BUS_MMIO, 0xfec00010, 8, data), 0);
	CHECK_EQ(data[0], 0x11);
	CHECK_EQ(data[2], 0x17);
	CHECK_EQ(data[7], 0);
	CHECK_EQ(hv_iobus_read(world_vcpu[0], HV_BUS_MMIO, 0xfec00020, 4, data), 0);
	CHECK_EQ(data[0], 0);
	CHECK_EQ(hv_iobus_read(world_vcpu[0], HV_BUS_MMIO, 0xfec000fe, 4, data), -EOPNOTSUPP);
	srcu_read_unlock(&world.srcu, idx);
}

int main(void)
{
	static const struct world_test tests[] = {
		{ "registers", 1, test_registers },
		{ "edge triggered", 1, test_edge },
		{ "level triggered, Remote IRR, EOI", 2, test_level },
		{ "mask, edge", 1, test_mask_edge },
		{ "mask, level", 1, test_mask_level },
		{ "level to edge clears Remote IRR", 1, test_to_edge_clears_remote_irr },
		{ "destinations and delivery modes", 4, test_destinations },
		{ "broadcast to x2APICs", 3, test_x2apic_broadcast },
		{ "a line with two sources", 1, test_shared_line },
		{ "two pins with one vector", 1, test_two_pins_one_vector },
		{ "interrupt storm", 1, test_storm },
		{ "acknowledgement listeners", 1, test_listeners },
		{ "saved state", 1, test_state },
		{ "access sizes", 1, test_narrow_access },
	};

	return world_run(tests, ARRAY_SIZE(tests));
}
