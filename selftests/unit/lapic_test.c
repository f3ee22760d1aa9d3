// SPDX-License-Identifier: GPL-2.0-or-later
/* The local APIC: priorities, masks, EOI, timer modes, messages between APICs, modes, state. */
#include "irq_world.h"
#include "x86/x86.h"

#define FIXED(vector)	((vector) | HV_APIC_ICR_ASSERT)
#define SELF		(HV_APIC_SELF << HV_APIC_ICR_SHORTHAND_SHIFT)
#define ALL		(HV_APIC_ALL << HV_APIC_ICR_SHORTHAND_SHIFT)
#define OTHERS		(HV_APIC_OTHERS << HV_APIC_ICR_SHORTHAND_SHIFT)

static void send(unsigned int from, u32 dest, u32 icr)
{
	if (world_vcpu[from]->lapic->x2apic) {
		CHECK_EQ(hv_lapic_msr_set(world_vcpu[from], 0x830, (u64)dest << 32 | icr), 0);
		return;
	}
	world_apic_write(from, HV_APIC_ICR2, dest << 24);
	world_apic_write(from, HV_APIC_ICR, icr);
}

/* One LVT entry more, while the machine-check registers say so. */
static void test_cmci(void)
{
	struct hv_vcpu *v = world_vcpu[0];
	u32 value;

	CHECK_EQ(hv_lapic_reg_read(v->lapic, HV_APIC_LVT_CMCI, &value), 1);
	CHECK_EQ(hv_lapic_reg_write(v->lapic, HV_APIC_LVT_CMCI, 0x55), 1);
	v->msrs.mcg_cap |= BIT(10);
	hv_lapic_cmci_changed(v);
	CHECK_EQ(world_apic_read(0, HV_APIC_VERSION), 0x60014);
	CHECK_EQ(world_apic_read(0, HV_APIC_LVT_CMCI), HV_APIC_LVT_MASKED);
	hv_lapic_cmci(v);
	CHECK_EQ(hv_lapic_highest_irr(v->lapic), -1);
	world_apic_write(0, HV_APIC_SPIV, 0x1ff);
	world_apic_write(0, HV_APIC_LVT_CMCI, 0x55);
	hv_lapic_cmci(v);
	CHECK_EQ(hv_lapic_highest_irr(v->lapic), 0x55);
	world_apic_write(0, HV_APIC_SPIV, 0xff);
	CHECK_EQ(world_apic_read(0, HV_APIC_LVT_CMCI), HV_APIC_LVT_MASKED | 0x55);
	v->msrs.mcg_cap = 0;
	hv_lapic_cmci_changed(v);
	CHECK_EQ(world_apic_read(0, HV_APIC_VERSION), 0x50014);
	CHECK_EQ(hv_lapic_reg_read(v->lapic, HV_APIC_LVT_CMCI, &value), 1);
}

static void test_reset_values(void)
{
	CHECK_EQ(world_apic_read(0, HV_APIC_ID), 0);
	CHECK_EQ(world_apic_read(1, HV_APIC_ID), 1U << 24);
	CHECK_EQ(world_apic_read(0, HV_APIC_VERSION), 0x50014);
	CHECK_EQ(world_apic_read(0, HV_APIC_SPIV), 0xff);
	CHECK_EQ(world_apic_read(0, HV_APIC_DFR), 0xffffffffU);
	CHECK_EQ(world_apic_read(0, HV_APIC_LVT_TIMER), HV_APIC_LVT_MASKED);
	CHECK_EQ(world_apic_read(0, HV_APIC_LVT_LINT0), 0x700);
	CHECK_EQ(world_apic_read(1, HV_APIC_LVT_LINT0), HV_APIC_LVT_MASKED);
	CHECK_EQ(world_vcpu[0]->msrs.apic_base, 0xfee00900);
	CHECK_EQ(world_vcpu[1]->msrs.apic_base, 0xfee00800);
}

static void test_disabled_takes_nothing(void)
{
	send(1, 0, FIXED(0x40));
	CHECK_EQ(world_take(0), -1);
	world_enable_apics();
	CHECK_EQ(world_take(0), -1);
	send(1, 0, FIXED(0x40));
	CHECK_EQ(world_take(0), 0x40);
}

static void test_priority_order(void)
{
	world_enable_apics();
	send(0, 0, FIXED(0x31) | SELF);
	send(0, 0, FIXED(0x92) | SELF);
	send(0, 0, FIXED(0x55) | SELF);
	CHECK_EQ(world_take(0), 0x92);
	CHECK_EQ(world_apic_read(0, HV_APIC_PPR), 0x90);
	CHECK_EQ(world_take(0), -1);	/* lower classes wait */
	send(0, 0, FIXED(0x99) | SELF);
	CHECK_EQ(world_take(0), -1);	/* the same class waits as well */
	send(0, 0, FIXED(0xa0) | SELF);
	CHECK_EQ(world_take(0), 0xa0);	/* a higher one does not */
	world_eoi(0);
	CHECK_EQ(world_take(0), -1);
	world_eoi(0);
	CHECK_EQ(world_take(0), 0x99);
	world_eoi(0);
	CHECK_EQ(world_take(0), 0x55);
	world_eoi(0);
	CHECK_EQ(world_take(0), 0x31);
	world_eoi(0);
	CHECK_EQ(world_take(0), -1);
	world_eoi(0);			/* one too many does nothing */
	CHECK_EQ(world_apic_read(0, HV_APIC_PPR), 0);
}

static void test_every_vector(void)
{
	int vector, errors = 0;

	world_enable_apics();
	for (vector = 16; vector < 256; vector++)
		send(0, 0, FIXED(vector) | SELF);
	for (vector = 255; vector >= 16; vector--) {
		errors += world_take(0) != vector;
		world_eoi(0);
	}
	CHECK_EQ(errors, 0);
	CHECK_EQ(world_take(0), -1);
}

static void test_tpr(void)
{
	world_enable_apics();
	world_apic_write(0, HV_APIC_TPR, 0x5f);
	send(0, 0, FIXED(0x5e) | SELF);
	CHECK_EQ(world_take(0), -1);
	CHECK_EQ(hv_lapic_tpr_threshold(world_vcpu[0]), 5);
	CHECK_EQ(hv_lapic_get_cr8(world_vcpu[0]), 5);
	send(0, 0, FIXED(0x60) | SELF);
	CHECK_EQ(hv_lapic_tpr_threshold(world_vcpu[0]), -1);
	CHECK_EQ(world_take(0), 0x60);
	world_eoi(0);
	hv_lapic_set_cr8(world_vcpu[0], 4);
	CHECK_EQ(world_apic_read(0, HV_APIC_TPR), 0x40);
	CHECK_EQ(world_take(0), 0x5e);
	CHECK_EQ(hv_lapic_tpr_threshold(world_vcpu[0]), -1);
}

static void test_irr_isr_tmr_registers(void)
{
	world_enable_apics();
	send(0, 0, FIXED(0x41) | SELF);
	CHECK_EQ(world_apic_read(0, HV_APIC_IRR + 0x20), 2);
	CHECK_EQ(world_apic_read(0, HV_APIC_ISR + 0x20), 0);
	CHECK_EQ(world_take(0), 0x41);
	CHECK_EQ(world_apic_read(0, HV_APIC_IRR + 0x20), 0);
	CHECK_EQ(world_apic_read(0, HV_APIC_ISR + 0x20), 2);
	/* One more of the same may wait while it is served. */
	send(0, 0, FIXED(0x41) | SELF);
	send(0, 0, FIXED(0x41) | SELF);
	world_eoi(0);
	CHECK_EQ(world_take(0), 0x41);
	world_eoi(0);
	CHECK_EQ(world_take(0), -1);
}

static void test_physical(void)
{
	unsigned int i;

	world_enable_apics();
	send(0, 2, FIXED(0x50));
	CHECK_EQ(world_kicks, 1);
	for (i = 0; i < 4; i++)
		CHECK_EQ(world_take(i), i == 2 ? 0x50 : -1);
	send(0, 77, FIXED(0x51));	/* nobody there */
	send(1, 0xff, FIXED(0x52));	/* everybody */
	for (i = 0; i < 4; i++)
		CHECK_EQ(world_take(i), i == 2 ? -1 : 0x52);
	world_eoi(2);
	CHECK_EQ(world_take(2), 0x52);
}

static void test_shorthands(void)
{
	unsigned int i;

	world_enable_apics();
	send(1, 0, FIXED(0x60) | SELF);
	for (i = 0; i < 3; i++)
		CHECK_EQ(world_take(i), i == 1 ? 0x60 : -1);
	send(1, 0, FIXED(0x70) | ALL);
	for (i = 0; i < 3; i++)
		CHECK_EQ(world_take(i), 0x70);
	send(1, 0, FIXED(0x80) | OTHERS);
	for (i = 0; i < 3; i++)
		CHECK_EQ(world_take(i), i == 1 ? -1 : 0x80);
}

static void test_logical_flat(void)
{
	unsigned int i;

	world_enable_apics();
	for (i = 0; i < 4; i++)
		world_apic_write(i, HV_APIC_LDR, 1U << (24 + i));
	CHECK(world.apic_map);
	send(0, 0xa, FIXED(0x50) | HV_APIC_ICR_LOGICAL);
	for (i = 0; i < 4; i++)
		CHECK_EQ(world_take(i), i & 1 ? 0x50 : -1);
	/* Two APICs under one bit: the map gives up, delivery does not. */
	world_apic_write(2, HV_APIC_LDR, 1U << 24);
	CHECK(!world.apic_map);
	send(3, 1, FIXED(0x60) | HV_APIC_ICR_LOGICAL);
	CHECK_EQ(world_take(0), 0x60);
	CHECK_EQ(world_take(2), 0x60);
	CHECK_EQ(world_take(1), -1);
}

static void test_logical_cluster(void)
{
	unsigned int i;

	world_enable_apics();
	for (i = 0; i < 6; i++) {
		world_apic_write(i, HV_APIC_DFR, 0);
		world_apic_write(i, HV_APIC_LDR, (i / 4) << 28 | 1U << (24 + i % 4));
	}
	CHECK_EQ(world_apic_read(0, HV_APIC_DFR), HV_APIC_DFR_CLUSTER);
	CHECK(world.apic_map);
	send(0, 0x13, FIXED(0x50) | HV_APIC_ICR_LOGICAL);
	for (i = 0; i < 6; i++)
		CHECK_EQ(world_take(i), i >= 4 ? 0x50 : -1);
	send(0, 0x06, FIXED(0x60) | HV_APIC_ICR_LOGICAL);
	for (i = 0; i < 6; i++)
		CHECK_EQ(world_take(i), i == 1 || i == 2 ? 0x60 : -1);
}

static void test_x2apic_cluster(void)
{
	unsigned int i;

	world_enable_x2apic();
	CHECK(world.apic_map);
	CHECK_EQ(world_apic_read(17, HV_APIC_ID), 17);
	CHECK_EQ(world_apic_read(17, HV_APIC_LDR), 1 << 16 | 1 << 1);
	send(0, 1 << 16 | 0x6, FIXED(0x50) | HV_APIC_ICR_LOGICAL);
	for (i = 0; i < 20; i++)
		CHECK_EQ(world_take(i), i == 17 || i == 18 ? 0x50 : -1);
	send(0, 19, FIXED(0x51));
	CHECK_EQ(world_take(19), 0x51);
	send(3, 0xffffffff, FIXED(0x60));
	for (i = 0; i < 20; i++)
		CHECK_EQ(world_take(i), 0x60);
	send(3, 0xff, FIXED(0x70));	/* in x2APIC an id like any other */
	CHECK_EQ(world_take(0), -1);
	CHECK_EQ(hv_lapic_msr_set(world_vcpu[5], 0x83f, 0x90), 0);
	CHECK_EQ(world_take(5), 0x90);
}

static void test_mixed_modes(void)
{
	struct hv_vcpu *v = world_vcpu[1];

	world_enable_apics();
	world_apic_write(0, HV_APIC_LDR, 1U << 24);
	CHECK_EQ(hv_lapic_set_base(v, v->msrs.apic_base | HV_APIC_BASE_X2APIC, false), 0);
	CHECK(!world.apic_map);
	CHECK_EQ(hv_lapic_msr_set(v, 0x80f, 0x1ff), 0);
	send(0, 1, FIXED(0x50));
	CHECK_EQ(world_take(1), 0x50);
	send(1, 0, FIXED(0x51));
	CHECK_EQ(world_take(0), 0x51);
}

static void test_lowest_priority(void)
{
	unsigned int i, taken[4] = { 0 }, round;
	u32 icr = 0x50 | HV_APIC_LOWEST << 8 | HV_APIC_ICR_LOGICAL | HV_APIC_ICR_ASSERT;

	world_enable_apics();
	for (i = 0; i < 4; i++)
		world_apic_write(i, HV_APIC_LDR, 1U << (24 + i));
	for (round = 0; round < 40; round++) {
		send(0, 0xf, icr);
		for (i = 0; i < 4; i++) {
			if (world_take(i) == 0x50) {
				taken[i]++;
				world_eoi(i);
			}
		}
	}
	/* One destination each time, and no favourite. */
	for (i = 0; i < 4; i++)
		CHECK_EQ(taken[i], 10);
	world_apic_write(1, HV_APIC_SPIV, 0xff);
	send(0, 0x2, icr);
	CHECK_EQ(world_take(1), -1);
}

static void test_nmi_and_smi(void)
{
	send(0, 1, HV_APIC_NMI << 8 | HV_APIC_ICR_ASSERT);
	CHECK_EQ(world_nmis, BIT(1));	/* software-disabled APICs take NMIs */
	send(0, 0, HV_APIC_NMI << 8 | HV_APIC_ICR_ASSERT | OTHERS);
	CHECK_EQ(world_nmis, 6);
	send(0, 1, HV_APIC_SMI << 8 | HV_APIC_ICR_ASSERT);
	CHECK_EQ(world_nmis, 6);
	CHECK_EQ(world_smis, BIT(1));
}

static void test_init_sipi(void)
{
	struct hv_vcpu *ap = world_vcpu[1];

	world_apic_write(1, HV_APIC_SPIV, 0x1ff);
	send(0, 1, HV_APIC_SIPI << 8 | 0x9a | HV_APIC_ICR_ASSERT);
	world_take(1);
	CHECK_EQ(ap->mp_state, KVM_MP_STATE_UNINITIALIZED);	/* no INIT before */
	send(0, 1, HV_APIC_INIT << 8 | HV_APIC_ICR_LEVEL | HV_APIC_ICR_ASSERT);
	CHECK(hv_lapic_has_event(ap));
	world_take(1);
	CHECK(!hv_lapic_has_event(ap));
	CHECK_EQ(ap->mp_state, KVM_MP_STATE_INIT_RECEIVED);
	CHECK_EQ(world_apic_read(1, HV_APIC_SPIV), 0xff);
	send(0, 1, HV_APIC_INIT << 8 | HV_APIC_ICR_LEVEL);	/* de-assert: nothing */
	CHECK(!hv_lapic_has_event(ap));
	send(0, 1, HV_APIC_SIPI << 8 | 0x9a | HV_APIC_ICR_ASSERT);
	world_take(1);
	CHECK_EQ(ap->mp_state, KVM_MP_STATE_RUNNABLE);
	CHECK_EQ(ap->regs.rip, 0);
	CHECK_EQ(ap->regs.seg[HV_CS].selector, 0x9a00);
	CHECK_EQ(ap->regs.seg[HV_CS].base, 0x9a000);
	CHECK(ap->regs_dirty & HV_REGS_SEG);
	send(0, 1, HV_APIC_SIPI << 8 | 0x10 | HV_APIC_ICR_ASSERT);
	world_take(1);
	CHECK_EQ(ap->regs.seg[HV_CS].base, 0x9a000);		/* runs: ignored */
	/* The BSP goes on by itself after INIT. */
	send(1, 0, HV_APIC_INIT << 8 | HV_APIC_ICR_ASSERT);
	world_take(0);
	CHECK_EQ(world_vcpu[0]->mp_state, KVM_MP_STATE_RUNNABLE);
	CHECK_EQ(world_vcpu[0]->regs.rip, 0xfff0);
}

static void test_init_cancels_sipi(void)
{
	struct hv_vcpu *ap = world_vcpu[1];

	send(0, 1, HV_APIC_INIT << 8 | HV_APIC_ICR_ASSERT);
	world_take(1);
	send(0, 1, HV_APIC_SIPI << 8 | 0x20 | HV_APIC_ICR_ASSERT);
	send(0, 1, HV_APIC_INIT << 8 | HV_APIC_ICR_ASSERT);
	world_take(1);
	CHECK_EQ(ap->mp_state, KVM_MP_STATE_INIT_RECEIVED);
	/* INIT and SIPI seen together: both happen, in that order. */
	send(0, 1, HV_APIC_INIT << 8 | HV_APIC_ICR_ASSERT);
	send(0, 1, HV_APIC_SIPI << 8 | 0x30 | HV_APIC_ICR_ASSERT);
	world_take(1);
	CHECK_EQ(ap->mp_state, KVM_MP_STATE_RUNNABLE);
	CHECK_EQ(ap->regs.seg[HV_CS].base, 0x30000);
}

static void test_timer_oneshot(void)
{
	world_enable_apics();
	world_apic_write(0, HV_APIC_LVT_TIMER, 0x40);
	world_apic_write(0, HV_APIC_TDCR, 0xb);		/* divide by 1 */
	world_apic_write(0, HV_APIC_TMICT, 1000000);
	kshim_advance(400000);
	CHECK_EQ(world_apic_read(0, HV_APIC_TMCCT), 600000);
	CHECK_EQ(world_take(0), -1);
	kshim_advance(600000);
	CHECK_EQ(world_kicks, 1);
	CHECK(hv_lapic_timer_pending(world_vcpu[0]));
	CHECK_EQ(world_apic_read(0, HV_APIC_TMCCT), 0);
	CHECK_EQ(world_take(0), 0x40);
	world_eoi(0);
	kshim_advance(NSEC_PER_SEC);
	CHECK_EQ(world_take(0), -1);
	world_apic_write(0, HV_APIC_TMICT, 1000000);
	world_apic_write(0, HV_APIC_TMICT, 0);		/* stopped */
	kshim_advance(NSEC_PER_SEC);
	CHECK_EQ(world_take(0), -1);
}

static void test_timer_periodic(void)
{
	unsigned int ticks = 0, i;

	world_enable_apics();
	world_apic_write(0, HV_APIC_LVT_TIMER, 0x40 | HV_APIC_TIMER_PERIODIC);
	world_apic_write(0, HV_APIC_TDCR, 3);		/* 16 */
	world_apic_write(0, HV_APIC_TMICT, 100000);	/* 1.6 ms */
	kshim_advance(800000);
	CHECK_EQ(world_apic_read(0, HV_APIC_TMCCT), 50000);
	for (i = 0; i < 1000; i++) {
		kshim_advance(100000);
		if (world_take(0) == 0x40) {
			ticks++;
			world_eoi(0);
		}
	}
	CHECK_EQ(ticks, 63);			/* 100.8 ms */
	/* Ticks that the guest slept through are one. */
	kshim_advance(NSEC_PER_SEC);
	CHECK_EQ(world_take(0), 0x40);
	world_eoi(0);
	CHECK_EQ(world_take(0), -1);
	/* To one-shot: what is left runs out once. */
	world_apic_write(0, HV_APIC_LVT_TIMER, 0x40);
	kshim_advance(2000000);
	CHECK_EQ(world_take(0), 0x40);
	world_eoi(0);
	kshim_advance(NSEC_PER_SEC);
	CHECK_EQ(world_take(0), -1);
}

static void test_timer_storm(void)
{
	unsigned long kicks;

	world_enable_apics();
	world_apic_write(0, HV_APIC_LVT_TIMER, 0x40 | HV_APIC_TIMER_PERIODIC);
	world_apic_write(0, HV_APIC_TDCR, 0xb);
	world_apic_write(0, HV_APIC_TMICT, 1);
	kicks = world_kicks;
	kshim_advance(NSEC_PER_SEC / 10);
	CHECK(world_kicks - kicks <= 1001);
	CHECK(world_apic_read(0, HV_APIC_TMCCT) <= 1);
}

static void test_timer_divisors(void)
{
	static const struct { u8 tdcr, divisor;
	} table[] = {
		{0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}, {11, 1},
	};
	unsigned int i;

	world_enable_apics();
	world_apic_write(0, HV_APIC_LVT_TIMER, 0x40);
	for (i = 0; i < ARRAY_SIZE(table); i++) {
		world_apic_write(0, HV_APIC_TDCR, table[i].tdcr | 0x4);
		CHECK_EQ(world_apic_read(0, HV_APIC_TDCR), table[i].tdcr);
		world_apic_write(0, HV_APIC_TMICT, 10000);
		kshim_advance(5000 * table[i].divisor);
		CHECK_EQ(world_apic_read(0, HV_APIC_TMCCT), 5000);
		CHECK_EQ(world_take(0), -1);
		kshim_advance(5000 * table[i].divisor);
		CHECK_EQ(world_take(0), 0x40);
		world_eoi(0);
	}
	/* A new divisor while it counts: the count goes on from where it is. */
	world_apic_write(0, HV_APIC_TDCR, 0xb);
	world_apic_write(0, HV_APIC_TMICT, 10000);
	kshim_advance(5000);
	world_apic_write(0, HV_APIC_TDCR, 1);
	CHECK_EQ(world_apic_read(0, HV_APIC_TMCCT), 5000);
	kshim_advance(19999);
	CHECK_EQ(world_take(0), -1);
	kshim_advance(1);
	CHECK_EQ(world_take(0), 0x40);
}

static void test_timer_deadline(void)
{
	struct hv_vcpu *v = world_vcpu[0];

	world_enable_apics();
	hv_lapic_set_tscdeadline(v, 1);			/* not in that mode: ignored */
	CHECK_EQ(hv_lapic_get_tscdeadline(v), 0);
	world_apic_write(0, HV_APIC_LVT_TIMER, 0x40 | HV_APIC_TIMER_DEADLINE);
	hv_lapic_set_tscdeadline(v, kshim_now * 2 + 3000);
	CHECK_EQ(hv_lapic_get_tscdeadline(v), kshim_now * 2 + 3000);
	world_apic_write(0, HV_APIC_TMICT, 77);		/* ignored */
	CHECK_EQ(world_apic_read(0, HV_APIC_TMICT), 0);
	CHECK_EQ(world_apic_read(0, HV_APIC_TMCCT), 0);
	kshim_advance(1499);
	CHECK_EQ(world_take(0), -1);
	kshim_advance(1);
	CHECK_EQ(world_take(0), 0x40);
	CHECK_EQ(hv_lapic_get_tscdeadline(v), 0);
	world_eoi(0);
	/* In the past: at once. */
	hv_lapic_set_tscdeadline(v, 5);
	CHECK_EQ(world_take(0), 0x40);
	world_eoi(0);
	/* Disarmed, far away, then moved because the TSC was. */
	hv_lapic_set_tscdeadline(v, kshim_now * 2 + 3000);
	hv_lapic_set_tscdeadline(v, 0);
	kshim_advance(NSEC_PER_SEC);
	CHECK_EQ(world_take(0), -1);
	hv_lapic_set_tscdeadline(v, ~0ULL);
	kshim_advance(NSEC_PER_SEC * 1000);
	CHECK_EQ(world_take(0), -1);
	hv_lapic_set_tscdeadline(v, kshim_now * 2 + 2000000);
	v->pv.tsc_offset += 1000000;
	hv_lapic_timer_restart(v);
	kshim_advance(500000);
	CHECK_EQ(world_take(0), 0x40);
	world_eoi(0);
	/* Leaving the mode stops it. */
	hv_lapic_set_tscdeadline(v, kshim_now * 2 + 5000000);
	world_apic_write(0, HV_APIC_LVT_TIMER, 0x40);
	kshim_advance(NSEC_PER_SEC);
	CHECK_EQ(world_take(0), -1);
}

/* The CPU leaves the guest when it is time; a halted vCPU's timer is the host's again. */
static void test_timer_on_cpu(void)
{
	struct hv_vcpu *v = world_vcpu[0];

	hv_ops.exit_timer = true;
	world_enable_apics();
	world_apic_write(0, HV_APIC_LVT_TIMER, 0x40 | HV_APIC_TIMER_DEADLINE);
	hv_lapic_set_tscdeadline(v, kshim_now * 2 + 3000);
	CHECK_EQ(v->exit_tsc, kshim_now * 2 + 3000);
	kshim_advance(1499);
	hv_lapic_timer_due(v);				/* too early */
	CHECK_EQ(world_take(0), -1);
	kshim_advance(1);
	CHECK_EQ(world_take(0), -1);			/* nobody has looked */
	hv_lapic_timer_due(v);
	CHECK_EQ(world_take(0), 0x40);
	CHECK_EQ(v->exit_tsc, 0);
	world_eoi(0);
	/* Halted before it is time. */
	hv_lapic_set_tscdeadline(v, kshim_now * 2 + 3000);
	hv_lapic_timer_halt(v);
	CHECK_EQ(v->exit_tsc, 0);
	kshim_advance(1500);
	CHECK_EQ(world_take(0), 0x40);
	hv_lapic_timer_unhalt(v);
	CHECK_EQ(v->exit_tsc, 0);
	world_eoi(0);
	/* Halted, and woken by something else. */
	hv_lapic_set_tscdeadline(v, kshim_now * 2 + 3000);
	hv_lapic_timer_halt(v);
	kshim_advance(500);
	hv_lapic_timer_unhalt(v);
	CHECK_EQ(v->exit_tsc, kshim_now * 2 + 2000);
	kshim_advance(1000);
	hv_lapic_timer_due(v);
	CHECK_EQ(world_take(0), 0x40);
	world_eoi(0);
	/* Periods that were missed make one interrupt, and the beat is kept. */
	world_apic_write(0, HV_APIC_TDCR, 0xb);
	world_apic_write(0, HV_APIC_LVT_TIMER, 0x40 | HV_APIC_TIMER_PERIODIC);
	world_apic_write(0, HV_APIC_TMICT, 1000000);
	kshim_advance(3500000);
	hv_lapic_timer_due(v);
	CHECK_EQ(world_take(0), 0x40);
	world_eoi(0);
	CHECK_EQ(v->exit_tsc, (kshim_now + 500000) * 2);
	world_apic_write(0, HV_APIC_TMICT, 0);
	CHECK_EQ(v->exit_tsc, 0);
	hv_ops.exit_timer = false;
}

static void test_timer_masked(void)
{
	world_enable_apics();
	world_apic_write(0, HV_APIC_LVT_TIMER, 0x40 | HV_APIC_LVT_MASKED);
	world_apic_write(0, HV_APIC_TMICT, 1000);
	kshim_advance(10000);
	CHECK(!hv_lapic_timer_pending(world_vcpu[0]));
	CHECK_EQ(world_take(0), -1);
}

static void test_software_disable(void)
{
	world_enable_apics();
	world_apic_write(0, HV_APIC_LVT_TIMER, 0x40);
	send(0, 0, FIXED(0x50) | SELF);
	world_apic_write(0, HV_APIC_SPIV, 0xff);
	CHECK_EQ(world_apic_read(0, HV_APIC_LVT_TIMER), 0x40 | HV_APIC_LVT_MASKED);
	world_apic_write(0, HV_APIC_LVT_ERROR, 0x33);	/* stays masked */
	CHECK_EQ(world_apic_read(0, HV_APIC_LVT_ERROR), 0x33 | HV_APIC_LVT_MASKED);
	CHECK_EQ(world_take(0), 0x50);	/* was pending before */
	send(0, 0, FIXED(0x51) | SELF);
	CHECK_EQ(world_take(0), -1);
}

static void test_errors(void)
{
	world_enable_apics();
	world_apic_write(0, HV_APIC_LVT_ERROR, 0xfe);
	send(0, 1, FIXED(5));
	CHECK_EQ(world_take(1), -1);
	CHECK_EQ(world_take(0), 0xfe);
	world_eoi(0);
	CHECK_EQ(world_apic_read(0, HV_APIC_ESR), 0);
	world_apic_write(0, HV_APIC_ESR, 0);
	CHECK_EQ(world_apic_read(0, HV_APIC_ESR), HV_APIC_ESR_SEND_ILLEGAL);
	world_apic_write(0, HV_APIC_ESR, 0);
	CHECK_EQ(world_apic_read(0, HV_APIC_ESR), 0);
	world_apic_write(0, 0x2f0, 1);		/* no such register */
	CHECK_EQ(world_take(0), 0xfe);
	world_eoi(0);
	world_apic_write(0, HV_APIC_ESR, 0);
	CHECK_EQ(world_apic_read(0, HV_APIC_ESR), HV_APIC_ESR_ILLEGAL_REG);
	/* An illegal vector in the error entry itself must not go round in circles. */
	world_apic_write(0, HV_APIC_LVT_ERROR, 3);
	send(0, 1, FIXED(5));
	CHECK_EQ(world_take(0), -1);
}

static void test_mmio_forms(void)
{
	struct hv_vcpu *v = world_vcpu[0];
	u64 base = HV_APIC_DEFAULT_BASE;
	u8 data[8];
	u32 value = 0x1ff;

	/* Only aligned 32-bit writes count. */
	CHECK_EQ(hv_lapic_mmio_write(v, base + HV_APIC_SPIV, 2, &value), 0);
	CHECK_EQ(hv_lapic_mmio_write(v, base + HV_APIC_SPIV + 4, 4, &value), 0);
	CHECK_EQ(world_apic_read(0, HV_APIC_SPIV), 0xff);
	CHECK_EQ(hv_lapic_mmio_read(v, base + HV_APIC_VERSION + 2, 1, data), 0);
	CHECK_EQ(data[0], 5);
	memset(data, 0xaa, sizeof(data));
	CHECK_EQ(hv_lapic_mmio_read(v, base + HV_APIC_VERSION, 8, data), 0);
	CHECK_EQ(data[0], 0);
	CHECK_EQ(data[7], 0);
	CHECK_EQ(hv_lapic_mmio_read(v, base + 0xffc, 4, data), 0);
	/* Globally disabled: floating bus, and user space if the quirk is off. */
	CHECK_EQ(hv_lapic_set_base(v, base | HV_APIC_BASE_BSP, false), 0);
	CHECK_EQ(hv_lapic_mmio_read(v, base + HV_APIC_VERSION, 4, data), 0);
	CHECK_EQ(data[0], 0xff);
	world.disabled_quirks = KVM_X86_QUIRK_LAPIC_MMIO_HOLE;
	CHECK_EQ(hv_lapic_mmio_read(v, base + HV_APIC_VERSION, 4, data), -EOPNOTSUPP);
}

static void test_base_transitions(void)
{
	struct hv_vcpu *v = world_vcpu[0];
	u64 addr = HV_APIC_DEFAULT_BASE | HV_APIC_BASE_BSP;
	u64 off = addr, x1 = addr | HV_APIC_BASE_ENABLE, x2 = x1 | HV_APIC_BASE_X2APIC;

	CHECK_EQ(hv_lapic_set_base(v, addr | HV_APIC_BASE_X2APIC, false), 1);
	CHECK_EQ(hv_lapic_set_base(v, x1 | 1, false), 1);
	CHECK_EQ(hv_lapic_set_base(v, x1 | 1ULL << 40, false), 1);
	CHECK_EQ(hv_lapic_set_base(v, off, false), 0);
	CHECK(!hv_lapic_enabled(v));
	CHECK_EQ(hv_lapic_set_base(v, x2, false), 1);	/* not from disabled */
	CHECK_EQ(hv_lapic_set_base(v, x2, true), 0);	/* but user space restores */
	CHECK_EQ(hv_lapic_set_base(v, x1, false), 1);	/* not back to xAPIC */
	CHECK_EQ(hv_lapic_set_base(v, off, false), 0);
	CHECK_EQ(hv_lapic_set_base(v, x1, false), 0);
	CHECK_EQ(hv_lapic_set_base(v, x2, false), 0);
	v->cpuid->has_x2apic = false;
	CHECK_EQ(hv_lapic_set_base(v, x2, false), 1);
}

static void test_x2apic_faults(void)
{
	struct hv_vcpu *v = world_vcpu[0];
	u64 value;

	CHECK_EQ(hv_lapic_msr_get(v, 0x802, &value), 1);	/* xAPIC mode */
	world_enable_x2apic();
	CHECK_EQ(hv_lapic_msr_get(v, 0x802, &value), 0);
	CHECK_EQ(hv_lapic_msr_set(v, 0x802, 1), 1);		/* id: read-only */
	CHECK_EQ(hv_lapic_msr_set(v, 0x80d, 1), 1);		/* LDR: read-only */
	CHECK_EQ(hv_lapic_msr_get(v, 0x80e, &value), 1);	/* no DFR */
	CHECK_EQ(hv_lapic_msr_get(v, 0x831, &value), 1);	/* no ICR2 */
	CHECK_EQ(hv_lapic_msr_set(v, 0x808, 1ULL << 32), 1);
	CHECK_EQ(hv_lapic_msr_set(v, 0x80b, 1), 1);		/* EOI: 0 only */
	CHECK_EQ(hv_lapic_msr_set(v, 0x828, 1), 1);		/* ESR: 0 only */
	CHECK_EQ(hv_lapic_msr_set(v, 0x830, 1 << 20), 1);
	CHECK_EQ(hv_lapic_msr_get(v, 0x83f, &value), 1);	/* self IPI: write-only */
	CHECK_EQ(hv_lapic_msr_set(v, 0x83f, 0x100), 1);
	CHECK_EQ(hv_lapic_msr_get(v, 0x8ff, &value), 1);
	CHECK_EQ(hv_lapic_msr_set(v, 0x830, 7ULL << 32 | FIXED(0x40)), 0);
	CHECK_EQ(hv_lapic_msr_get(v, 0x830, &value), 0);
	CHECK_EQ(value, 7ULL << 32 | FIXED(0x40));
}

static void test_state_roundtrip(void)
{
	struct kvm_lapic_state state, again;
	u32 count;

	world_enable_apics();
	world_apic_write(1, HV_APIC_LVT_TIMER, 0x40);
	world_apic_write(1, HV_APIC_TMICT, 1000000);	/* 2 ms: divisor 2 */
	world_apic_write(1, HV_APIC_TPR, 0x20);
	send(0, 1, FIXED(0x51));
	send(0, 1, FIXED(0x33));
	CHECK_EQ(world_take(1), 0x51);
	kshim_advance(500000);
	CHECK_EQ(hv_lapic_get_state(world_vcpu[1], &state), 0);
	memcpy(&count, state.regs + HV_APIC_TMCCT, 4);
	CHECK_EQ(count, 750000);
	hv_vcpu_reset(world_vcpu[1], false);
	kshim_advance(NSEC_PER_SEC);
	CHECK_EQ(hv_lapic_set_state(world_vcpu[1], &state), 0);
	CHECK_EQ(hv_lapic_get_state(world_vcpu[1], &again), 0);
	CHECK(!memcmp(&state, &again, sizeof(state)));
	CHECK_EQ(world_take(1), -1);		/* 0x51 is in service */
	world_eoi(1);
	CHECK_EQ(world_take(1), 0x33);
	world_eoi(1);
	kshim_advance(1499999);
	CHECK_EQ(world_take(1), -1);
	kshim_advance(1);
	CHECK_EQ(world_take(1), 0x40);
}

static void test_state_x2apic(void)
{
	struct kvm_lapic_state state;
	u32 value;

	world_enable_x2apic();
	CHECK_EQ(hv_lapic_get_state(world_vcpu[3], &state), 0);
	memcpy(&value, state.regs + HV_APIC_ID, 4);
	CHECK_EQ(value, 3U << 24);
	memset(state.regs + HV_APIC_ID, 0xff, 4);
	memset(state.regs + HV_APIC_LDR, 0xff, 4);
	CHECK_EQ(hv_lapic_set_state(world_vcpu[3], &state), 0);
	CHECK_EQ(world_apic_read(3, HV_APIC_ID), 3);
	CHECK_EQ(world_apic_read(3, HV_APIC_LDR), 8);
	/* Anything can be restored; nothing breaks. */
	memset(&state, 0xff, sizeof(state));
	CHECK_EQ(hv_lapic_set_state(world_vcpu[3], &state), 0);
	kshim_advance(NSEC_PER_SEC);
	world_take(3);
	world_eoi(3);
}

static void test_no_memory_for_map(void)
{
	world_enable_apics();
	kshim_fail_alloc = true;
	world_apic_write(0, HV_APIC_LDR, 1U << 24);
	kshim_fail_alloc = false;
	CHECK(!world.apic_map);
	send(1, 1, FIXED(0x50) | HV_APIC_ICR_LOGICAL);
	CHECK_EQ(world_take(0), 0x50);
	send(1, 0, FIXED(0x60));
	CHECK_EQ(world_take(0), 0x60);
}

int main(void)
{
	static const struct world_test tests[] = {
		{ "reset values", 2, test_reset_values },
		{ "CMCI", 2, test_cmci },
		{ "a disabled APIC takes no vectors", 2, test_disabled_takes_nothing },
		{ "priority order and PPR", 1, test_priority_order },
		{ "every vector", 1, test_every_vector },
		{ "TPR, CR8 and the threshold", 1, test_tpr },
		{ "IRR and ISR registers", 1, test_irr_isr_tmr_registers },
		{ "physical destinations", 4, test_physical },
		{ "shorthands", 3, test_shorthands },
		{ "logical flat destinations", 4, test_logical_flat },
		{ "logical cluster destinations", 6, test_logical_cluster },
		{ "x2APIC destinations", 20, test_x2apic_cluster },
		{ "xAPIC and x2APIC mixed", 2, test_mixed_modes },
		{ "lowest priority", 4, test_lowest_priority },
		{ "NMI and SMI messages", 3, test_nmi_and_smi },
		{ "INIT and SIPI", 2, test_init_sipi },
		{ "INIT cancels SIPI", 2, test_init_cancels_sipi },
		{ "timer: one shot", 1, test_timer_oneshot },
		{ "timer: periodic", 1, test_timer_periodic },
		{ "timer: shortest period", 1, test_timer_storm },
		{ "timer: divisors", 1, test_timer_divisors },
		{ "timer: TSC deadline", 1, test_timer_deadline },
		{ "timer: kept by the CPU", 1, test_timer_on_cpu },
		{ "timer: masked", 1, test_timer_masked },
		{ "software disable", 1, test_software_disable },
		{ "error status", 2, test_errors },
		{ "forms of MMIO access", 1, test_mmio_forms },
		{ "APIC_BASE transitions", 1, test_base_transitions },
		{ "x2APIC faults", 1, test_x2apic_faults },
		{ "saved state, timer running", 2, test_state_roundtrip },
		{ "saved state in x2APIC mode", 4, test_state_x2apic },
		{ "no memory for the destination map", 2, test_no_memory_for_map },
	};

	return world_run(tests, ARRAY_SIZE(tests));
}
