// SPDX-License-Identifier: GPL-2.0-or-later
/* The 8254: counters in all modes, latches, read-back, the speaker port, IRQ 0 and lost ticks. */
#include "irq_world.h"

#define TICK_NS(n)	((u64)(n) * NSEC_PER_SEC / 1193182 + 1)

static void program(unsigned int counter, unsigned int mode, u16 count)
{
	world_out(0x43, counter << 6 | 0x30 | mode << 1);
	world_out(0x40 + counter, count & 0xff);
	world_out(0x40 + counter, count >> 8);
}

static u16 latch(unsigned int counter)
{
	u16 value;

	world_out(0x43, counter << 6);
	value = world_in(0x40 + counter);
	return value | world_in(0x40 + counter) << 8;
}

static u16 read16(u16 port)
{
	u8 low = world_in(port);

	return low | world_in(port) << 8;
}

static u8 status(unsigned int counter)
{
	world_out(0x43, 0xe0 | 2 << counter);
	return world_in(0x40 + counter);
}

static bool out2(void)
{
	return world_in(0x61) & 0x20;
}

/* IRQ 0 through the PIC: the vector, acknowledged; -1: none. */
static int take_tick(void)
{
	int vector = world_take(0);

	if (vector == 0x08)
		world_out(0x20, 0x20);
	return vector;
}

static void test_mode0(void)
{
	program(2, 0, 1000);
	CHECK_EQ(latch(2), 1000);
	CHECK(!out2());
	kshim_advance(TICK_NS(400));
	CHECK_EQ(latch(2), 600);
	CHECK(!out2());
	kshim_advance(TICK_NS(600));
	CHECK(out2());
	kshim_advance(TICK_NS(10));
	CHECK(out2());
	CHECK((u16)-latch(2) <= 11);	/* wrapped around */
}

static void test_mode2(void)
{
	u64 start = kshim_now;

	program(2, 2, 100);
	kshim_advance(start + TICK_NS(230) - kshim_now);
	CHECK_EQ(latch(2), 70);
	CHECK(out2());
	kshim_advance(start + TICK_NS(298) - kshim_now);
	CHECK_EQ(latch(2), 2);
	CHECK(out2());
	kshim_advance(start + TICK_NS(299) - kshim_now);
	CHECK(!out2());			/* low while the count is 1 */
	kshim_advance(start + TICK_NS(300) - kshim_now);
	CHECK(out2());
}

static void test_mode3(void)
{
	program(2, 3, 100);
	CHECK(out2());
	kshim_advance(TICK_NS(20));
	CHECK_EQ(latch(2), 60);		/* by two */
	kshim_advance(TICK_NS(31));
	CHECK(!out2());
	kshim_advance(TICK_NS(50));
	CHECK(out2());
}

static void test_zero_is_64k(void)
{
	program(2, 2, 0);
	kshim_advance(TICK_NS(0x8000));
	CHECK_EQ(latch(2), 0x8000);
	kshim_advance(TICK_NS(0x8000));
	CHECK(latch(2) <= 0xffff);
}

static void test_access_modes(void)
{
	world_out(0x43, 0x94);		/* counter 2, low byte, mode 2 */
	world_out(0x42, 200);
	CHECK_EQ(world_in(0x42), 200);
	CHECK_EQ(world_in(0x42), 200);
	world_out(0x43, 0xa4);		/* high byte only */
	world_out(0x42, 3);
	CHECK_EQ(world_in(0x42), 3);
	kshim_advance(TICK_NS(256));
	CHECK_EQ(world_in(0x42), 2);
	program(2, 2, 0x1234);
	CHECK_EQ(world_in(0x42), 0x34);
	CHECK_EQ(world_in(0x42), 0x12);
	CHECK_EQ(world_in(0x43), 0);
}

static void test_latch(void)
{
	program(2, 2, 1000);
	world_out(0x43, 0x80);
	kshim_advance(TICK_NS(100));
	world_out(0x43, 0x80);		/* latched already: ignored */
	CHECK_EQ(read16(0x42), 1000);
	CHECK_EQ(read16(0x42), 900);
}

static void test_read_back(void)
{
	program(0, 2, 0x1000);
	program(2, 3, 0x2000);
	CHECK_EQ(status(0), 0x80 | 0x34);
	CHECK_EQ(status(2), 0x80 | 0x36);
	/* Status and count of both at once: status comes first. */
	world_out(0x43, 0xc0 | 2 | 8);
	kshim_advance(TICK_NS(16));
	CHECK_EQ(world_in(0x40), 0x80 | 0x34);
	CHECK_EQ(read16(0x40), 0x1000);
	CHECK_EQ(world_in(0x42), 0x80 | 0x36);
	CHECK_EQ(read16(0x42), 0x2000);
}

static void test_speaker_gate(void)
{
	program(2, 1, 1000);
	world_out(0x61, 0);
	kshim_advance(TICK_NS(5000));
	CHECK(out2());
	world_out(0x61, 3);		/* the rising gate starts it */
	CHECK_EQ(world_in(0x61) & 3, 3);
	CHECK(!out2());
	kshim_advance(TICK_NS(1000));
	CHECK(out2());
	world_out(0x61, 1);
	CHECK_EQ(world_in(0x61) & 3, 1);
}

static void test_refresh_bit(void)
{
	unsigned int changes = 0, i;
	u8 old = world_in(0x61) & 0x10;

	for (i = 0; i < 100; i++) {
		kshim_advance(8192);
		changes += (world_in(0x61) & 0x10) != old;
		old = world_in(0x61) & 0x10;
	}
	CHECK_EQ(changes, 50);
}

static void test_periodic_irq(void)
{
	unsigned int i, ticks = 0;

	world_pic_setup(0);
	program(0, 2, 11932);		/* 100 Hz */
	for (i = 0; i < 1000; i++) {
		kshim_advance(1000000);
		ticks += take_tick() == 0x08;
	}
	CHECK(ticks >= 99 && ticks <= 100);
	program(0, 0, 11932);		/* once */
	ticks = 0;
	for (i = 0; i < 1000; i++) {
		kshim_advance(1000000);
		ticks += take_tick() == 0x08;
	}
	CHECK_EQ(ticks, 1);
	world_out(0x43, 0x34);		/* a mode without a count: stands still */
	kshim_advance(NSEC_PER_SEC);
	CHECK_EQ(take_tick(), -1);
}

static unsigned int count_ticks(void)
{
	unsigned int ticks = 0;

	while (take_tick() == 0x08)
		ticks++;
	return ticks;
}

static void test_reinject(void)
{
	struct kvm_reinject_control rc = { .pit_reinject = 0 };

	world_pic_setup(0);
	program(0, 2, 11932);
	kshim_advance(TICK_NS(11932) * 5 + 1000);
	CHECK_EQ(count_ticks(), 5);	/* the guest was late, and gets all of them */
	CHECK_EQ(hv_pit_reinject(&world, &rc), 0);
	kshim_advance(TICK_NS(11932) * 5);
	CHECK_EQ(count_ticks(), 1);
}

static void test_unmask_forgets(void)
{
	world_pic_setup(0);
	world_out(0x21, 1);
	program(0, 2, 11932);
	kshim_advance(TICK_NS(11932) * 50);
	CHECK_EQ(take_tick(), -1);
	world_out(0x21, 0);
	CHECK(count_ticks() <= 1);
	kshim_advance(TICK_NS(11932) * 3);
	CHECK_EQ(count_ticks(), 3);
}

static void test_ioapic_irq(void)
{
	unsigned int i, ticks = 0;

	/* Default routing: GSI 0 is pin 0. The edge's EOI tells the PIT. */
	world_enable_apics();
	world_out(0x21, 0xff);
	world_ioapic_pin(0, 0x30, 0);
	program(0, 2, 11932);
	for (i = 0; i < 100; i++) {
		kshim_advance(10000000);
		if (world_take(0) == 0x30) {
			ticks++;
			world_eoi(0);
		}
	}
	CHECK(ticks >= 99 && ticks <= 100);
}

static void test_shortest_period(void)
{
	struct kvm_reinject_control rc = { .pit_reinject = 0 };
	unsigned long kicks = 0;
	unsigned int i;

	world_pic_setup(2);
	hv_pit_reinject(&world, &rc);
	program(0, 2, 2);
	for (i = 0; i < 10000; i++) {
		kshim_advance(10000);
		kicks += world_take(0) == 0x08;
	}
	CHECK(kicks >= 990 && kicks <= 1010);	/* 100 ms of at least 100 us */
}

static void test_state(void)
{
	struct kvm_pit_state2 ps;

	world_pic_setup(0);
	program(0, 2, 11932);
	program(2, 3, 500);
	world_out(0x61, 3);
	CHECK_EQ(hv_pit_get(&world, &ps), 0);
	CHECK_EQ(ps.channels[0].count, 11932);
	CHECK_EQ(ps.channels[0].mode, 2);
	CHECK_EQ(ps.channels[2].gate, 1);
	CHECK_EQ(ps.flags, KVM_PIT_FLAGS_SPEAKER_DATA_ON);
	program(0, 0, 1);
	kshim_advance(NSEC_PER_SEC);
	count_ticks();
	CHECK_EQ(hv_pit_set(&world, &ps), 0);
	kshim_advance(TICK_NS(11932) * 2);
	CHECK_EQ(count_ticks(), 2);
	/* HPET legacy replacement takes counter 0's interrupt away. */
	ps.flags = KVM_PIT_FLAGS_HPET_LEGACY;
	CHECK_EQ(hv_pit_set(&world, &ps), 0);
	kshim_advance(NSEC_PER_SEC);
	CHECK_EQ(take_tick(), -1);
	CHECK_EQ(hv_pit_get(&world, &ps), 0);
	CHECK_EQ(ps.flags, KVM_PIT_FLAGS_HPET_LEGACY);
	/* Whatever user space restores, the guest can read and program it. */
	memset(&ps, 0xff, sizeof(ps));
	CHECK_EQ(hv_pit_set(&world, &ps), 0);
	world_in(0x40);
	world_in(0x42);
	status(0);
	latch(2);
	memset(&ps, 0, sizeof(ps));
	CHECK_EQ(hv_pit_set(&world, &ps), 0);
	world_in(0x40);
	program(0, 2, 11932);
	kshim_advance(TICK_NS(11932));
	CHECK_EQ(take_tick(), 0x08);
}

static void test_reset_values(void)
{
	struct kvm_pit_state2 ps;

	CHECK_EQ(hv_pit_get(&world, &ps), 0);
	CHECK_EQ(ps.channels[0].count, 0x10000);
	CHECK_EQ(ps.channels[0].gate, 1);
	CHECK_EQ(ps.channels[2].gate, 0);
	CHECK_EQ(ps.flags, 0);
	CHECK_EQ(hv_pit_create(&world, 0), -EEXIST);
	kshim_advance(NSEC_PER_SEC);
	CHECK_EQ(world_kicks, 0);
}

int main(void)
{
	static const struct world_test tests[] = {
		{ "reset values", 1, test_reset_values },
		{ "mode 0", 1, test_mode0 },
		{ "mode 2", 1, test_mode2 },
		{ "mode 3", 1, test_mode3 },
		{ "count 0 is 65536", 1, test_zero_is_64k },
		{ "byte access modes", 1, test_access_modes },
		{ "counter latch", 1, test_latch },
		{ "read-back", 1, test_read_back },
		{ "speaker port and gate", 1, test_speaker_gate },
		{ "refresh bit", 1, test_refresh_bit },
		{ "IRQ 0", 1, test_periodic_irq },
		{ "late guests get lost ticks", 1, test_reinject },
		{ "unmasking forgets lost ticks", 1, test_unmask_forgets },
		{ "IRQ 0 through the IOAPIC", 1, test_ioapic_irq },
		{ "shortest period", 1, test_shortest_period },
		{ "saved state", 1, test_state },
	};

	return world_run(tests, ARRAY_SIZE(tests));
}
