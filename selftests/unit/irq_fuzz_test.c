// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Random guests and random user spaces against all interrupt controllers at once. Nothing may
 * crash, deadlock or run out of bounds (sanitizers and the locks of the shim see to that), and two
 * promises must hold: what is pending is always announced by a request, and the summaries of IRR
 * and ISR agree with the registers.
 */
#include "irq_world.h"
#include "x86/x86.h"

#define VCPUS	3
#define STEPS	150000

static u64 state;

static u32 rnd(void)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return state >> 33;
}

static void random_bytes(void *p, size_t n)
{
	u8 *b = p;

	while (n--)
		*b++ = rnd();
}

/* Mostly plausible values: random ones hardly ever enable anything. */
static u32 value_for(u32 reg)
{
	static const u32 timers[] = { 0, 0x20000, 0x40000, 0x10000 };

	switch (reg) {
	case HV_APIC_SPIV:
		return rnd() % 4 ? 0x1ff : rnd();
	case HV_APIC_LVT_TIMER:
		return timers[rnd() % 4] | rnd() % 256;
	case HV_APIC_LVT_LINT0:
		return rnd() % 2 ? 0x700 : rnd() & 0x1ffff;
	case HV_APIC_TMICT:
		return rnd() % 100000;
	case HV_APIC_TPR:
		return rnd() % 3 ? 0 : rnd() % 256;
	case HV_APIC_ICR:
		return (rnd() & 0xcc8ff) | 0x4000;
	case HV_APIC_LDR:
		return BIT(24 + rnd() % 8);
	case HV_APIC_ICR2:
		return (rnd() % 3 ? rnd() % 4 : rnd()) << 24;
	}
	return rnd() % 4 ? rnd() % 256 : rnd();
}

static void apic_access(unsigned int nr)
{
	struct hv_vcpu *v = world_vcpu[nr];
	u32 reg = (rnd() % 70) << 4, value = value_for(reg);
	u8 buf[8];
	u64 msr;

	switch (rnd() % 8) {
	case 0:
		hv_lapic_mmio_read(v, 0xfee00000 + rnd() % 4096, 1 << rnd() % 4, buf);
		break;
	case 1:
		hv_lapic_msr_get(v, 0x800 + rnd() % 256, &msr);
		break;
	case 2:
		hv_lapic_set_cr8(v, rnd() % 16);
		break;
	case 3:
		hv_lapic_set_tscdeadline(v, rnd() % 3 ? hv_tsc_read(v) + rnd() % 100000 : rnd());
		break;
	default:
		if (v->lapic->x2apic)
			hv_lapic_msr_set(v, 0x800 + (reg >> 4), reg == HV_APIC_ICR ?
					 value | (u64)(rnd() % 5) << 32 : value);
		else
			hv_lapic_mmio_write(v, 0xfee00000 + reg, 4, &value);
	}
}

static void change_base(unsigned int nr)
{
	struct hv_vcpu *v = world_vcpu[nr];
	static const u32 modes[] = { 0, 0x800, 0x800, 0xc00, 0xc00 };
	u64 base = (v->msrs.apic_base & 0x100) | 0xfee00000 | modes[rnd() % 5];

	if (rnd() % 20 == 0)
		hv_lapic_set_base(v, base, rnd() % 2);
}

static void ports(void)
{
	static const u16 list[] = {
		0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x40, 0x41, 0x42, 0x43, 0x61,
	};
	u16 port = list[rnd() % ARRAY_SIZE(list)];

	if (rnd() % 2)
		world_in(port);
	else
		world_out(port, rnd() % 8 ? rnd() : 0x11);
}

static void ioapic(void)
{
	u32 reg = rnd() % 70;

	if (rnd() % 2)
		world_ioapic_read(reg);
	else
		world_ioapic_write(reg, reg & 1 ? rnd() << 24 : rnd() % 3 ? rnd() & 0xa0ff : rnd());
}

static void lines(void)
{
	struct kvm_msi msi = { .address_lo = rnd(), .data = rnd() & 0xc7ff };

	if (rnd() % 4)
		hv_irq_set_level(&world, rnd() % 2, rnd() % 30, rnd() % 2, false);
	else
		hv_irq_signal_msi(&world, &msi);
}

/* User space restores whatever it likes. */
static void restore(unsigned int nr)
{
	struct kvm_lapic_state lapic;
	struct kvm_irqchip chip;
	struct kvm_pit_state2 pit;

	switch (rnd() % 400) {
	case 0:
		random_bytes(&lapic, sizeof(lapic));
		hv_lapic_set_state(world_vcpu[nr], &lapic);
		break;
	case 1:
		random_bytes(&chip, sizeof(chip));
		chip.chip_id = rnd() % 3;
		hv_irqchip_set(&world, &chip);
		break;
	case 2:
		random_bytes(&pit, sizeof(pit));
		hv_pit_set(&world, &pit);
		break;
	case 3:
		hv_lapic_get_state(world_vcpu[nr], &lapic);
		hv_vcpu_reset(world_vcpu[nr], rnd() % 2);
		hv_lapic_set_state(world_vcpu[nr], &lapic);
		break;
	case 4:
		hv_pit_reinject(&world, &(struct kvm_reinject_control){.pit_reinject = rnd() % 2});
		break;
	}
}

static void check_summaries(const struct hv_lapic *l)
{
	unsigned int word;

	for (word = 0; word < 8; word++) {
		u32 irr = hv_apic_read(l, HV_APIC_IRR + word * 0x10);
		u32 isr = hv_apic_read(l, HV_APIC_ISR + word * 0x10);

		CHECK(!irr || (l->irr_words & BIT(word)));
		CHECK(!isr == !(l->isr_words & BIT(word)));
	}
}

static void step(void)
{
	unsigned int nr = rnd() % VCPUS;

	switch (rnd() % 10) {
	case 0:
	case 1:
	case 2:
		apic_access(nr);
		break;
	case 3:
		ports();
		break;
	case 4:
		ioapic();
		break;
	case 5:
		lines();
		break;
	case 6:
		kshim_advance(rnd() % 200000);
		break;
	case 7:
		restore(nr);
		change_base(nr);
		break;
	default:
		/* Without a request, world_take() checks that nothing is pending. */
		if (world_take(nr) >= 0 && rnd() % 4) {
			if (world_vcpu[nr]->lapic->x2apic)
				hv_lapic_msr_set(world_vcpu[nr], 0x80b, 0);
			else
				hv_lapic_eoi(world_vcpu[nr]->lapic);
			world_out(0xa0, 0x20);
			world_out(0x20, 0x20);
		}
	}
	for (nr = 0; nr < VCPUS; nr++)
		check_summaries(world_vcpu[nr]->lapic);
}

static void test_fuzz(void)
{
	unsigned int i;

	for (i = 0; i < STEPS && !test_failures; i++)
		step();
	if (test_failures)
		printf("# at step %u\n", i - 1);
}

int main(int argc, char **argv)
{
	static const struct world_test tests[] = {
		{ "random accesses and states", VCPUS, test_fuzz },
	};

	state = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	return world_run(tests, ARRAY_SIZE(tests));
}
