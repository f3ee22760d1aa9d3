// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/srcu.h>
#include "irq_world.h"
#include "x86/x86.h"

struct hv_vm world;
struct hv_vcpu *world_vcpu[256];
unsigned long world_kicks, world_nmis, world_smis;

int kshim_rcu_readers;
struct hlist_head *kshim_hlist = &world.irq_acks;
bool kshim_fail_alloc;
u64 kshim_now;
static struct hrtimer *timers;

/* ---- hrtimers ------------------------------------------------------------------------------ */

void hrtimer_init(struct hrtimer *timer, int clock, enum hrtimer_mode mode)
{
	memset(timer, 0, sizeof(*timer));
}

int hrtimer_cancel(struct hrtimer *timer)
{
	struct hrtimer **p = &timers;

	if (!timer->queued)
		return 0;
	while (*p != timer)
		p = &(*p)->next;
	*p = timer->next;
	timer->queued = false;
	return 1;
}

void hrtimer_start(struct hrtimer *timer, ktime_t expires, enum hrtimer_mode mode)
{
	struct hrtimer **p = &timers;

	hrtimer_cancel(timer);
	while (*p && (*p)->expires <= expires)
		p = &(*p)->next;
	timer->expires = expires;
	timer->next = *p;
	timer->queued = true;
	*p = timer;
}

void kshim_advance(u64 ns)
{
	u64 end = kshim_now + ns;

	while (timers && timers->expires <= (s64)end) {
		struct hrtimer *timer = timers;

		if (timer->expires > (s64)kshim_now)
			kshim_now = timer->expires;
		hrtimer_cancel(timer);
		if (timer->function(timer) == HRTIMER_RESTART)
			hrtimer_start(timer, timer->expires, HRTIMER_MODE_ABS);
	}
	kshim_now = end;
}

/* ---- the rest of the module ---------------------------------------------------------------- */

void hv_vcpu_kick(struct hv_vcpu *vcpu)
{
	world_kicks++;
}

void hv_vcpus_quiesce(struct hv_vm *vm)
{
}

void hv_queue_nmi(struct hv_vcpu *vcpu)
{
	world_nmis |= BIT(vcpu->index);
}

void hv_vcpu_reset(struct hv_vcpu *vcpu, bool init)
{
	memset(&vcpu->regs, 0, sizeof(vcpu->regs));
	vcpu->regs.rip = 0xfff0;
	hv_lapic_reset(vcpu, init);
	hv_request(vcpu, HV_REQ_EVENT);
}

struct hv_x86_ops hv_ops;

unsigned int tsc_khz = 2000000;

u64 rdtsc(void)
{
	return kshim_now * 2;
}

u64 hv_tsc_read(struct hv_vcpu *vcpu)
{
	return rdtsc() + vcpu->pv.tsc_offset;
}

u64 hv_tsc_to_host(struct hv_vcpu *vcpu, u64 guest)
{
	return guest - vcpu->pv.tsc_offset;
}

void hv_op_regs_load(struct hv_vcpu *vcpu, u32 groups)
{
}

void hv_queue_smi(struct hv_vcpu *vcpu)
{
	world_smis |= BIT(vcpu->index);
}

void hv_tpr_accessed(struct hv_vcpu *vcpu, bool write)
{
}

/* No SynIC here. */
int hv_synic_set_irq(struct hv_vm *vm, u32 vp, u32 sint)
{
	return -EINVAL;
}

bool hv_synic_has_vector(const struct hv_vcpu *vcpu, u8 vector)
{
	return false;
}

bool hv_synic_auto_eoi(const struct hv_vcpu *vcpu, u8 vector)
{
	return false;
}

void hv_synic_eoi(struct hv_vcpu *vcpu, u8 vector)
{
}

/* Nor Xen, whose vCPUs have a structure. */
int hv_xen_set_irq(struct hv_vm *vm, u32 vcpu_id, u32 port)
{
	return -EINVAL;
}

bool hv_xen_irq_pending(struct hv_vcpu *vcpu)
{
	return false;
}

u8 hv_xen_upcall_vector(const struct hv_vcpu *vcpu)
{
	return 0;
}

void hv_xen_apic_enabled(struct hv_vcpu *vcpu)
{
}

bool hv_mce_has_cmci(const struct hv_vcpu *vcpu)
{
	return vcpu->msrs.mcg_cap & BIT(10);
}

void hv_irqfd_release(struct hv_vm *vm)
{
}

void hv_irqfd_reroute(struct hv_vm *vm)
{
}

/* ---- the world ----------------------------------------------------------------------------- */

static struct hv_vcpu *world_add_vcpu(u32 id)
{
	struct hv_vcpu *vcpu = calloc(1, sizeof(*vcpu));

	vcpu->vm = &world;
	vcpu->id = id;
	vcpu->index = id;
	vcpu->regs_valid = HV_REGS_ALL;
	vcpu->events.user_irq = -1;
	vcpu->pv.tsc_khz = WORLD_TSC_KHZ;
	vcpu->cpuid = calloc(1, sizeof(*vcpu->cpuid));
	vcpu->cpuid->maxphyaddr = 40;
	vcpu->cpuid->has_x2apic = true;
	vcpu->cpuid->has_tsc_deadline = true;
	vcpu->mp_state = id ? KVM_MP_STATE_UNINITIALIZED : KVM_MP_STATE_RUNNABLE;
	BUG_ON(hv_lapic_create(vcpu));
	hv_vcpu_reset(vcpu, false);
	world.vcpus.slot[id] = vcpu;
	world.created_vcpus++;
	world.online_vcpus++;
	hv_apic_map_update(&world);
	return vcpu;
}

void world_start(unsigned int vcpus)
{
	unsigned int i;

	memset(&world, 0, sizeof(world));
	world.apic_bus_ns = HV_APIC_BUS_NS;
	memset(world_vcpu, 0, sizeof(world_vcpu));
	kshim_now = NSEC_PER_SEC;
	world_kicks = 0;
	world_nmis = 0;
	world_smis = 0;
	INIT_LIST_HEAD(&world.ioeventfds);
	INIT_LIST_HEAD(&world.coalesced_zones);
	world.ring = (void *)get_zeroed_page(0);
	BUG_ON(hv_irq_vm_init(&world));
	BUG_ON(hv_irqchip_create(&world));
	BUG_ON(hv_pit_create(&world, KVM_PIT_SPEAKER_DUMMY));
	for (i = 0; i < vcpus; i++)
		world_vcpu[i] = world_add_vcpu(i);
}

void world_stop(void)
{
	unsigned int i;

	hv_irq_vm_quiesce(&world);
	for (i = 0; i < world.online_vcpus; i++) {
		hv_lapic_free(world_vcpu[i]);
		free(world_vcpu[i]->cpuid);
		free(world_vcpu[i]);
	}
	hv_irq_vm_free(&world);
	free(world.ring);
	BUG_ON(timers || kshim_rcu_readers || world.irq_srcu.readers || world.srcu.readers);
}

void world_enable_apics(void)
{
	unsigned int i;

	for (i = 0; i < world.online_vcpus; i++)
		world_apic_write(i, HV_APIC_SPIV, 0x1ff);
}

void world_enable_x2apic(void)
{
	unsigned int i;

	for (i = 0; i < world.online_vcpus; i++) {
		u64 base = world_vcpu[i]->msrs.apic_base | HV_APIC_BASE_X2APIC;

		BUG_ON(hv_lapic_set_base(world_vcpu[i], base, false));
		BUG_ON(hv_lapic_msr_set(world_vcpu[i], 0x80f, 0x1ff));
	}
}

int world_take(unsigned int nr)
{
	struct hv_vcpu *vcpu = world_vcpu[nr];

	if (hv_request_take(vcpu, HV_REQ_APIC_EVENT))
		hv_lapic_accept_event(vcpu);
	if (hv_request_take(vcpu, HV_REQ_TIMER))
		hv_lapic_timer_inject(vcpu);
	/* Without a request the vCPU does not look: what is pending would be lost. */
	if (!hv_request_take(vcpu, HV_REQ_EVENT)) {
		CHECK(hv_irq_pending(vcpu) < 0);
		return -1;
	}
	if (hv_irq_pending(vcpu) < 0)
		return -1;
	/* As the run loop does: look again once this one is taken. */
	hv_request(vcpu, HV_REQ_EVENT);
	return hv_irq_ack(vcpu);
}

void world_eoi(unsigned int vcpu)
{
	world_apic_write(vcpu, HV_APIC_EOI, 0);
}

u32 world_apic_read(unsigned int nr, u32 reg)
{
	struct hv_vcpu *vcpu = world_vcpu[nr];
	u64 value = 0;
	u32 low = 0;

	if (vcpu->lapic->x2apic) {
		CHECK_EQ(hv_lapic_msr_get(vcpu, 0x800 + (reg >> 4), &value), 0);
		return value;
	}
	CHECK_EQ(hv_lapic_mmio_read(vcpu, HV_APIC_DEFAULT_BASE + reg, 4, &low), 0);
	return low;
}

void world_apic_write(unsigned int nr, u32 reg, u32 value)
{
	struct hv_vcpu *vcpu = world_vcpu[nr];

	if (vcpu->lapic->x2apic)
		CHECK_EQ(hv_lapic_msr_set(vcpu, 0x800 + (reg >> 4), value), 0);
	else
		CHECK_EQ(hv_lapic_mmio_write(vcpu, HV_APIC_DEFAULT_BASE + reg, 4, &value), 0);
}

/* ---- ports and MMIO through the buses ------------------------------------------------------ */

static int world_bus(enum hv_bus_kind kind, u64 addr, u32 len, void *data, bool write)
{
	int idx = srcu_read_lock(&world.srcu);
	int r = write ? hv_iobus_write(world_vcpu[0], kind, addr, len, data) :
			hv_iobus_read(world_vcpu[0], kind, addr, len, data);

	srcu_read_unlock(&world.srcu, idx);
	CHECK_EQ(r, 0);
	return r;
}

u8 world_in(u16 port)
{
	u8 value = 0;

	world_bus(HV_BUS_PIO, port, 1, &value, false);
	return value;
}

void world_out(u16 port, u8 value)
{
	world_bus(HV_BUS_PIO, port, 1, &value, true);
}

u32 world_ioapic_read(u32 reg)
{
	u32 value = 0;

	world_bus(HV_BUS_MMIO, 0xfec00000, 4, &reg, true);
	world_bus(HV_BUS_MMIO, 0xfec00010, 4, &value, false);
	return value;
}

void world_ioapic_write(u32 reg, u32 value)
{
	world_bus(HV_BUS_MMIO, 0xfec00000, 4, &reg, true);
	world_bus(HV_BUS_MMIO, 0xfec00010, 4, &value, true);
}

void world_ioapic_pin(unsigned int pin, u32 low, u32 high)
{
	world_ioapic_write(0x10 + pin * 2 + 1, high);
	world_ioapic_write(0x10 + pin * 2, low);
}

void world_pic_setup(u8 icw4)
{
	static const u16 base[] = { 0x20, 0xa0 };
	unsigned int i;

	for (i = 0; i < 2; i++) {
		world_out(base[i], 0x11);
		world_out(base[i] + 1, i ? 0x70 : 0x08);
		world_out(base[i] + 1, i ? 2 : 4);
		world_out(base[i] + 1, 1 | icw4);
		world_out(base[i] + 1, 0);
	}
}

int world_run(const struct world_test *tests, unsigned int nr)
{
	unsigned int i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 0; i < nr; i++) {
		test_begin();
		world_start(tests[i].vcpus);
		tests[i].fn();
		world_stop();
		test_end(tests[i].name);
	}
	return TEST_EXIT();
}

/* Nobody maps it here. */
void hv_apic_page_free(struct hv_vm *vm)
{
}
