// SPDX-License-Identifier: GPL-2.0-or-later
/* The 8259 pair through its ports: initialization, priorities, EOI forms, masks, polling, INTR. */
#include "irq_world.h"

static void line(unsigned int pin, int level)
{
	hv_pic_set_irq(world.pic, pin, HV_IRQ_USER, level);
}

static void pulse(unsigned int pin)
{
	line(pin, 1);
	line(pin, 0);
}

static u8 read_isr(u16 port)
{
	world_out(port, 0x0b);
	return world_in(port);
}

static u8 read_irr(u16 port)
{
	world_out(port, 0x0a);
	return world_in(port);
}

static void test_vectors(void)
{
	unsigned int pin;

	world_pic_setup(0);
	for (pin = 0; pin < 16; pin++) {
		if (pin == 2)
			continue;
		pulse(pin);
		CHECK_EQ(world_take(0), pin < 8 ? 0x08 + pin : 0x70 + pin - 8);
		if (pin >= 8)
			world_out(0xa0, 0x20);
		world_out(0x20, 0x20);
		CHECK_EQ(world_take(0), -1);
	}
}

static void test_edge(void)
{
	world_pic_setup(0);
	CHECK_EQ(hv_pic_set_irq(world.pic, 3, HV_IRQ_USER, 1), 1);
	CHECK_EQ(world_kicks, 1);
	CHECK_EQ(world_take(0), 0x0b);
	world_out(0x20, 0x20);
	CHECK_EQ(world_take(0), -1);	/* still high: no edge */
	CHECK_EQ(hv_pic_set_irq(world.pic, 3, HV_IRQ_USER, 1), 1);
	CHECK_EQ(world_take(0), -1);
	line(3, 0);
	line(3, 1);
	line(3, 0);
	line(3, 1);
	CHECK_EQ(world_take(0), 0x0b);	/* two edges, one request */
	world_out(0x20, 0x20);
	CHECK_EQ(world_take(0), -1);
}

static void test_level(void)
{
	world_pic_setup(0);
	world_out(0x4d0, 0xff);
	CHECK_EQ(world_in(0x4d0), 0xf8);	/* 0-2 are always edge triggered */
	world_out(0x4d1, 0xff);
	CHECK_EQ(world_in(0x4d1), 0xde);
	line(5, 1);
	CHECK_EQ(world_take(0), 0x0d);
	world_out(0x20, 0x20);
	CHECK_EQ(world_take(0), 0x0d);		/* still up */
	line(5, 0);
	world_out(0x20, 0x20);
	CHECK_EQ(world_take(0), -1);
	line(11, 1);
	line(11, 0);
	CHECK_EQ(world_take(0), -1);		/* went away: no request */
}

static void test_shared_line(void)
{
	world_pic_setup(0);
	world_out(0x4d0, 0xf8);
	hv_pic_set_irq(world.pic, 5, HV_IRQ_USER, 1);
	hv_pic_set_irq(world.pic, 5, HV_IRQ_RESAMPLE, 1);
	hv_pic_set_irq(world.pic, 5, HV_IRQ_USER, 0);
	CHECK_EQ(world_take(0), 0x0d);
	hv_pic_set_irq(world.pic, 5, HV_IRQ_RESAMPLE, 0);
	world_out(0x20, 0x20);
	CHECK_EQ(world_take(0), -1);
}

static void test_priorities(void)
{
	world_pic_setup(0);
	pulse(6);
	pulse(1);
	pulse(12);
	CHECK_EQ(world_take(0), 0x09);
	CHECK_EQ(world_take(0), -1);	/* 1 is in service */
	CHECK_EQ(read_irr(0x20), 0x44);
	CHECK_EQ(read_isr(0x20), 0x02);
	pulse(0);
	CHECK_EQ(world_take(0), 0x08);	/* 0 is more urgent */
	world_out(0x20, 0x20);		/* ends 0 */
	CHECK_EQ(read_isr(0x20), 0x02);
	world_out(0x20, 0x61);		/* ends 1, by name */
	CHECK_EQ(world_take(0), 0x74);	/* the cascade is pin 2 */
	CHECK_EQ(read_isr(0x20), 0x04);
	CHECK_EQ(read_isr(0xa0), 0x10);
	world_out(0xa0, 0x20);
	world_out(0x20, 0x20);
	CHECK_EQ(world_take(0), 0x0e);
}

static void test_mask(void)
{
	world_pic_setup(0);
	world_out(0x21, 0x08);
	CHECK_EQ(world_in(0x21), 0x08);
	CHECK_EQ(hv_pic_set_irq(world.pic, 3, HV_IRQ_USER, 1), -1);
	CHECK_EQ(world_take(0), -1);
	world_out(0x21, 0);
	CHECK_EQ(world_take(0), 0x0b);	/* the edge was remembered */
	world_out(0x20, 0x20);
	world_out(0x21, 0x04);		/* the whole slave */
	pulse(9);
	CHECK_EQ(world_take(0), -1);
	world_out(0x21, 0);
	CHECK_EQ(world_take(0), 0x71);
}

static void test_spurious(void)
{
	world_pic_setup(0);
	world_out(0x4d0, 0xf8);
	world_out(0x4d1, 0xde);
	line(5, 1);
	CHECK(world.pic->output);
	line(5, 0);
	CHECK(!world.pic->output);
	CHECK_EQ(hv_pic_inta(world.pic), 0x0f);
	CHECK_EQ(read_isr(0x20), 0);
}

static void test_auto_eoi(void)
{
	world_pic_setup(2);
	pulse(4);
	CHECK_EQ(world_take(0), 0x0c);
	CHECK_EQ(read_isr(0x20), 0);
	pulse(4);
	CHECK_EQ(world_take(0), 0x0c);
	/* Rotate in auto-EOI mode: 4 is now the least urgent. */
	world_out(0x20, 0x80);
	pulse(4);
	CHECK_EQ(world_take(0), 0x0c);
	pulse(4);
	pulse(5);
	CHECK_EQ(world_take(0), 0x0d);
	CHECK_EQ(world_take(0), 0x0c);
	world_out(0x20, 0x00);
}

static void test_rotation(void)
{
	world_pic_setup(0);
	world_out(0x20, 0xc0 | 4);	/* 4 is the lowest, 5 the highest */
	pulse(0);
	pulse(5);
	CHECK_EQ(world_take(0), 0x0d);
	world_out(0x20, 0xa0);		/* rotate on EOI: 5 becomes the lowest */
	pulse(5);
	CHECK_EQ(world_take(0), 0x08);
	world_out(0x20, 0xe0);		/* rotate on specific EOI of 0: 1 is the highest */
	pulse(0);
	CHECK_EQ(world_take(0), 0x0d);
	world_out(0x20, 0x65);
	CHECK_EQ(world_take(0), 0x08);
}

static void test_special_mask(void)
{
	world_pic_setup(0);
	pulse(1);
	CHECK_EQ(world_take(0), 0x09);
	pulse(6);
	CHECK_EQ(world_take(0), -1);
	world_out(0x20, 0x68);
	world_out(0x21, 0x02);		/* masked in special mask mode: does not block */
	CHECK_EQ(world_take(0), 0x0e);
	world_out(0x20, 0x48);
	pulse(7);
	CHECK_EQ(world_take(0), -1);
}

static void test_fully_nested(void)
{
	world_pic_setup(0);
	pulse(12);
	CHECK_EQ(world_take(0), 0x74);
	pulse(8);
	CHECK_EQ(world_take(0), -1);	/* the master holds the slave back */
	world_pic_setup(0x10);
	pulse(12);
	CHECK_EQ(world_take(0), 0x74);
	pulse(8);
	CHECK_EQ(world_take(0), 0x70);
}

static void test_poll(void)
{
	world_pic_setup(0);
	world_out(0x21, 0xff);
	world_out(0xa1, 0);
	pulse(10);
	CHECK_EQ(world_take(0), -1);
	world_out(0xa0, 0x0c);
	CHECK_EQ(world_in(0xa0), 0x82);
	CHECK_EQ(read_isr(0xa0), 0x04);
	world_out(0xa0, 0x20);
	world_out(0xa0, 0x0c);
	CHECK_EQ(world_in(0xa0), 0);
	CHECK_EQ(read_isr(0xa0), 0);
}

static void test_reinit(void)
{
	world_pic_setup(0);
	pulse(1);
	CHECK_EQ(world_take(0), 0x09);
	pulse(6);
	world_out(0x21, 0x80);
	world_out(0x20, 0x11);
	CHECK_EQ(read_isr(0x20), 0);
	CHECK_EQ(read_irr(0x20), 0);
	world_out(0x21, 0x33);		/* low bits are not the vector's */
	world_out(0x21, 4);
	world_out(0x21, 1);
	CHECK_EQ(world_in(0x21), 0);
	pulse(1);
	CHECK_EQ(world_take(0), 0x31);
}

static void test_lint0(void)
{
	world_pic_setup(0);
	world_apic_write(0, HV_APIC_SPIV, 0x1ff);
	world_apic_write(0, HV_APIC_LVT_LINT0, HV_APIC_LVT_MASKED);
	pulse(4);
	CHECK_EQ(world_take(0), -1);
	CHECK_EQ(world_take(1), -1);
	world_apic_write(0, HV_APIC_LVT_LINT0, HV_APIC_EXTINT << 8);
	CHECK_EQ(world_take(0), 0x0c);
	world_out(0x20, 0x20);
	/* Not masked, but a fixed vector: the PIC does not get through either. */
	world_apic_write(0, HV_APIC_LVT_LINT0, 0x40);
	pulse(4);
	CHECK_EQ(world_take(0), -1);
	/* Without an APIC the PIC is wired to the CPU. */
	CHECK_EQ(hv_lapic_set_base(world_vcpu[0], HV_APIC_DEFAULT_BASE | HV_APIC_BASE_BSP, false),
	         0);
	CHECK_EQ(world_take(0), 0x0c);
}

static void test_before_apic(void)
{
	/* An ExtINT comes before whatever the APIC has. */
	u32 self = HV_APIC_SELF << HV_APIC_ICR_SHORTHAND_SHIFT;

	world_pic_setup(0);
	world_apic_write(0, HV_APIC_SPIV, 0x1ff);
	world_apic_write(0, HV_APIC_LVT_LINT0, HV_APIC_EXTINT << 8);
	world_apic_write(0, HV_APIC_ICR, self | 0xf0);
	pulse(4);
	CHECK_EQ(world_take(0), 0x0c);
	CHECK_EQ(world_take(0), 0xf0);
}

static void test_state(void)
{
	struct kvm_irqchip master = {.chip_id = 0}, slave = {.chip_id = 1}, bad = {.chip_id = 3};

	world_pic_setup(0);
	world_out(0x21, 0x40);
	pulse(3);
	pulse(14);
	CHECK_EQ(hv_irqchip_get(&world, &master), 0);
	CHECK_EQ(hv_irqchip_get(&world, &slave), 0);
	CHECK_EQ(hv_irqchip_get(&world, &bad), -EINVAL);
	CHECK_EQ(hv_irqchip_set(&world, &bad), -EINVAL);
	CHECK_EQ(master.chip.pic.irr, 0x0c);
	CHECK_EQ(master.chip.pic.imr, 0x40);
	CHECK_EQ(master.chip.pic.irq_base, 0x08);
	CHECK_EQ(slave.chip.pic.irr, 0x40);
	world_pic_setup(0);
	world_take(0);
	master.chip.pic.elcr = 0xff;
	master.chip.pic.priority_add = 0xf8;
	CHECK_EQ(hv_irqchip_set(&world, &slave), 0);
	CHECK_EQ(hv_irqchip_set(&world, &master), 0);
	CHECK_EQ(world_in(0x4d0), 0xf8);
	CHECK_EQ(world_take(0), 0x76);
	world_out(0xa0, 0x20);
	world_out(0x20, 0x20);
	CHECK_EQ(world_take(0), 0x0b);
}

static void test_wide_access(void)
{
	u8 data[4] = { 0xee, 0xee, 0xee, 0xee };
	int idx = srcu_read_lock(&world.srcu);

	world_pic_setup(0);
	CHECK_EQ(hv_iobus_read(world_vcpu[0], HV_BUS_PIO, 0x20, 2, data), 0);
	CHECK_EQ(data[0], 0);
	CHECK_EQ(hv_iobus_write(world_vcpu[0], HV_BUS_PIO, 0x20, 2, data), 0);
	CHECK_EQ(hv_iobus_read(world_vcpu[0], HV_BUS_PIO, 0x21, 2, data), -EOPNOTSUPP);
	srcu_read_unlock(&world.srcu, idx);
	CHECK_EQ(world_in(0x21), 0);
}

int main(void)
{
	static const struct world_test tests[] = {
		{ "vectors of all pins", 1, test_vectors },
		{ "edge triggered", 1, test_edge },
		{ "level triggered", 1, test_level },
		{ "a line with two sources", 1, test_shared_line },
		{ "priorities and EOI", 1, test_priorities },
		{ "masks", 1, test_mask },
		{ "spurious", 1, test_spurious },
		{ "automatic EOI", 1, test_auto_eoi },
		{ "rotation", 1, test_rotation },
		{ "special mask mode", 1, test_special_mask },
		{ "special fully nested mode", 1, test_fully_nested },
		{ "poll command", 1, test_poll },
		{ "initialization again", 1, test_reinit },
		{ "LINT0", 2, test_lint0 },
		{ "ExtINT before the APIC", 1, test_before_apic },
		{ "saved state", 1, test_state },
		{ "wide accesses", 1, test_wide_access },
	};

	return world_run(tests, ARRAY_SIZE(tests));
}
