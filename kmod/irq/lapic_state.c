// SPDX-License-Identifier: GPL-2.0-only
/* The local APIC as an object: life, reset, APIC_BASE, INIT and SIPI, saved state. */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "chips.h"
#include "x86/x86.h"

int hv_lapic_create(struct hv_vcpu *vcpu)
{
	struct hv_lapic *l;

	l = kzalloc(sizeof(*l), GFP_KERNEL_ACCOUNT);
	if (!l)
		return -ENOMEM;
	l->regs = (u8 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!l->regs) {
		kfree(l);
		return -ENOMEM;
	}
	l->vcpu = vcpu;
	hv_lapic_timer_init(l);
	/* The creator resets the vCPU, and with it this, before anybody else sees it. */
	vcpu->lapic = l;
	return 0;
}

void hv_lapic_free(struct hv_vcpu *vcpu)
{
	struct hv_lapic *l = vcpu->lapic;

	if (!l)
		return;
	hrtimer_cancel(&l->timer.timer);
	if (l->page_unused)
		atomic_dec(&vcpu->vm->apic_page_others);
	vcpu->lapic = NULL;
	free_page((unsigned long)l->regs);
	kfree(l);
}

bool hv_lapic_enabled(const struct hv_vcpu *vcpu)
{
	return vcpu->lapic && vcpu->lapic->hw_enabled;
}

bool hv_lapic_at_default(const struct hv_vcpu *vcpu)
{
	return hv_lapic_enabled(vcpu) && !vcpu->lapic->x2apic &&
	       (vcpu->msrs.apic_base & HV_APIC_BASE_ADDR) == HV_APIC_DEFAULT_BASE;
}

void *hv_lapic_page(const struct hv_vcpu *vcpu)
{
	return vcpu->lapic->regs;
}

u8 hv_lapic_eoi_vector(const struct hv_vcpu *vcpu)
{
	return vcpu->lapic->eoi_vector;
}

/* x2APIC derives the logical id from the APIC id (SDM 11.12.10.2). */
u32 hv_lapic_x2_ldr(u32 id)
{
	return id >> 4 << 16 | BIT(id & 0xf);
}

/* ---- APIC_BASE ----------------------------------------------------------------------------- */

static void hv_lapic_apply_base(struct hv_vcpu *vcpu, u64 value)
{
	struct hv_lapic *l = vcpu->lapic;
	u64 changed = vcpu->msrs.apic_base ^ value;

	vcpu->msrs.apic_base = value;
	if (changed & HV_APIC_BASE_ADDR)
		hv_request(vcpu, HV_REQ_APIC);
	WRITE_ONCE(l->hw_enabled, !!(value & HV_APIC_BASE_ENABLE));
	WRITE_ONCE(l->x2apic, l->hw_enabled && (value & HV_APIC_BASE_X2APIC));
	if (!(changed & (HV_APIC_BASE_ENABLE | HV_APIC_BASE_X2APIC)))
		return;
	if (l->x2apic) {
		hv_apic_write(l, HV_APIC_ID, vcpu->id);
		hv_apic_write(l, HV_APIC_LDR, hv_lapic_x2_ldr(vcpu->id));
	} else if (l->hw_enabled) {
		hv_apic_write(l, HV_APIC_ID, vcpu->id << 24);
		if (changed & HV_APIC_BASE_X2APIC)
			hv_apic_write(l, HV_APIC_LDR, 0);
	}
	hv_request(vcpu, HV_REQ_APIC);
	hv_request(vcpu, HV_REQ_EVENT);
	hv_apic_map_update(vcpu->vm);
}

int hv_lapic_set_base(struct hv_vcpu *vcpu, u64 value, bool host_initiated)
{
	u64 old = vcpu->msrs.apic_base, reserved = HV_APIC_BASE_RESERVED;
	bool x2apic = value & HV_APIC_BASE_X2APIC, enable = value & HV_APIC_BASE_ENABLE;

	if (vcpu->cpuid->maxphyaddr && vcpu->cpuid->maxphyaddr < 64)
		reserved |= ~0ULL << vcpu->cpuid->maxphyaddr;
	if (!vcpu->cpuid->has_x2apic)
		reserved |= HV_APIC_BASE_X2APIC;
	if ((value & reserved) || (x2apic && !enable))
		return 1;
	/* SDM 11.12.5: x2APIC is entered from xAPIC only and left to "disabled" only. */
	if (!host_initiated) {
		if ((old & HV_APIC_BASE_X2APIC) && enable && !x2apic)
			return 1;
		if (!(old & HV_APIC_BASE_ENABLE) && x2apic)
			return 1;
	}
	if (vcpu->lapic)
		hv_lapic_apply_base(vcpu, value);
	else
		vcpu->msrs.apic_base = value;
	return 0;
}

/* ---- reset, INIT, SIPI --------------------------------------------------------------------- */

static void hv_lapic_set_version(struct hv_lapic *l)
{
	u32 version = HV_APIC_VERSION_VALUE;

	if (!l->vcpu->vm->ioapic)
		version |= HV_APIC_VERSION_DIRECTED_EOI;
	if (hv_mce_has_cmci(l->vcpu))
		version += HV_APIC_VERSION_ONE_LVT;
	hv_apic_write(l, HV_APIC_VERSION, version);
}

void hv_lapic_cmci_changed(struct hv_vcpu *vcpu)
{
	struct hv_lapic *l = vcpu->lapic;
	u32 lvt;

	if (!l)
		return;
	lvt = hv_apic_read(l, HV_APIC_LVT_CMCI);
	if (!hv_mce_has_cmci(vcpu))
		hv_apic_write(l, HV_APIC_LVT_CMCI, 0);
	else if (!lvt)
		hv_apic_write(l, HV_APIC_LVT_CMCI, HV_APIC_LVT_MASKED);
	hv_lapic_set_version(l);
}

static void hv_lapic_reset_regs(struct hv_lapic *l)
{
	static const u16 lvts[] = {
		HV_APIC_LVT_TIMER, HV_APIC_LVT_THERMAL, HV_APIC_LVT_PERF,
		HV_APIC_LVT_LINT0, HV_APIC_LVT_LINT1, HV_APIC_LVT_ERROR,
	};
	struct hv_vm *vm = l->vcpu->vm;
	u32 id = hv_apic_read(l, HV_APIC_ID);
	unsigned int i;

	memset(l->regs, 0, PAGE_SIZE);
	hv_apic_write(l, HV_APIC_ID, id);
	if (l->x2apic)
		hv_apic_write(l, HV_APIC_LDR, hv_lapic_x2_ldr(id));
	hv_lapic_cmci_changed(l->vcpu);
	hv_apic_write(l, HV_APIC_DFR, HV_APIC_DFR_FLAT);
	hv_apic_write(l, HV_APIC_SPIV, 0xff);
	for (i = 0; i < ARRAY_SIZE(lvts); i++)
		hv_apic_write(l, lvts[i], HV_APIC_LVT_MASKED);
	/* Firmware that does not know the APIC gets its PIC interrupts through the BSP. */
	if (l->vcpu->id == vm->bsp_id && hv_has_quirk(vm, KVM_X86_QUIRK_LINT0_REENABLED))
		hv_apic_write(l, HV_APIC_LVT_LINT0, HV_APIC_EXTINT << 8);
}

void hv_lapic_reset(struct hv_vcpu *vcpu, bool init)
{
	struct hv_lapic *l = vcpu->lapic;
	u64 base = HV_APIC_DEFAULT_BASE | HV_APIC_BASE_ENABLE;

	if (vcpu->id == vcpu->vm->bsp_id)
		base |= HV_APIC_BASE_BSP;
	if (!l) {
		if (!init)
			vcpu->msrs.apic_base = base;
		return;
	}
	hv_lapic_timer_stop(l);
	l->timer.mode = HV_APIC_TIMER_ONESHOT;
	l->timer.period = 0;
	l->timer.divisor = 2;
	if (!init) {
		vcpu->msrs.apic_base = base;
		l->hw_enabled = true;
		l->x2apic = false;
		hv_apic_write(l, HV_APIC_ID, vcpu->id << 24);
		WRITE_ONCE(l->pending_events, 0);
	}
	WRITE_ONCE(l->sw_enabled, false);
	hv_lapic_reset_regs(l);
	l->irr_words = 0;
	l->isr_words = 0;
	atomic_set(&l->esr_pending, 0);
	hv_apic_map_update(vcpu->vm);
}

bool hv_lapic_has_event(const struct hv_vcpu *vcpu)
{
	unsigned long events = vcpu->lapic ? READ_ONCE(vcpu->lapic->pending_events) : 0;

	/* In SMM an INIT stays latched (APM volume 2, 10.3.2). */
	return vcpu->smm.active ? events & ~BIT(HV_LAPIC_INIT) : events;
}

bool hv_lapic_init_latched(const struct hv_vcpu *vcpu)
{
	return vcpu->lapic && test_bit(HV_LAPIC_INIT, &vcpu->lapic->pending_events);
}

void hv_lapic_latch_init(struct hv_vcpu *vcpu, bool latched)
{
	if (!vcpu->lapic)
		return;
	if (latched)
		set_bit(HV_LAPIC_INIT, &vcpu->lapic->pending_events);
	else
		clear_bit(HV_LAPIC_INIT, &vcpu->lapic->pending_events);
	hv_request(vcpu, HV_REQ_APIC_EVENT);
}

/* Start in real mode at the page the message names (SDM 9.4.4.2). */
static void hv_lapic_start(struct hv_vcpu *vcpu, u8 vector)
{
	struct kvm_segment *cs;

	hv_regs_need(vcpu, HV_REGS_SEG);
	cs = &vcpu->regs.seg[HV_CS];
	cs->selector = vector << 8;
	cs->base = vector << 12;
	vcpu->regs.rip = 0;
	hv_regs_dirty(vcpu, HV_REGS_SEG);
}

void hv_lapic_accept_event(struct hv_vcpu *vcpu)
{
	struct hv_lapic *l = vcpu->lapic;

	if (!l)
		return;
	if (vcpu->smm.active) {
		clear_bit(HV_LAPIC_SIPI, &l->pending_events);
		return;
	}
	if (test_and_clear_bit(HV_LAPIC_INIT, &l->pending_events)) {
		hv_vcpu_reset(vcpu, true);
		vcpu->mp_state = vcpu->msrs.apic_base & HV_APIC_BASE_BSP ?
				 KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_INIT_RECEIVED;
	}
	if (!test_and_clear_bit(HV_LAPIC_SIPI, &l->pending_events))
		return;
	if (vcpu->mp_state != KVM_MP_STATE_INIT_RECEIVED)
		return;		/* not waiting for one: ignored */
	/* test_and_clear_bit() orders this after the event; pairs with hv_lapic_accept(). */
	hv_lapic_start(vcpu, READ_ONCE(l->sipi_vector));
	vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
}

/* ---- saved state --------------------------------------------------------------------------- */

/*
 * The format of KVM_GET_LAPIC: the ID register in its xAPIC form, unless KVM_CAP_X2APIC_API asks
 * for that of the mode in force.
 */
int hv_lapic_get_state(struct hv_vcpu *vcpu, struct kvm_lapic_state *state)
{
	struct hv_lapic *l = vcpu->lapic;
	u32 value;

	if (!l)
		return -EINVAL;
	memcpy(state->regs, l->regs, sizeof(state->regs));
	if (!vcpu->vm->x2apic_ids) {
		value = hv_apic_id(l) << 24;
		memcpy(state->regs + HV_APIC_ID, &value, 4);
	}
	hv_lapic_reg_read(l, HV_APIC_PPR, &value);
	memcpy(state->regs + HV_APIC_PPR, &value, 4);
	value = hv_lapic_timer_count(l);
	memcpy(state->regs + HV_APIC_TMCCT, &value, 4);
	return 0;
}

static void hv_lapic_set_timer_state(struct hv_lapic *l)
{
	u32 lvt = hv_apic_read(l, HV_APIC_LVT_TIMER);

	l->timer.mode = lvt & HV_APIC_LVT_TIMER_MODE;
	l->timer.period = 0;
	hv_lapic_timer_set_divisor(l, hv_apic_read(l, HV_APIC_TDCR));
	/* A deadline comes with its MSR. */
	if (l->timer.mode != HV_APIC_TIMER_DEADLINE)
		hv_lapic_timer_set_count(l, hv_apic_read(l, HV_APIC_TMICT),
					 hv_apic_read(l, HV_APIC_TMCCT));
}

int hv_lapic_set_state(struct hv_vcpu *vcpu, const struct kvm_lapic_state *state)
{
	struct hv_lapic *l = vcpu->lapic;
	u32 version, id;

	if (!l)
		return -EINVAL;
	memcpy(&id, state->regs + HV_APIC_ID, 4);
	if (l->x2apic && vcpu->vm->x2apic_ids && id != vcpu->id)
		return -EINVAL;		/* an x2APIC's id cannot be changed */
	hv_lapic_timer_stop(l);
	version = hv_apic_read(l, HV_APIC_VERSION);
	memcpy(l->regs, state->regs, sizeof(state->regs));
	hv_apic_write(l, HV_APIC_VERSION, version);
	if (l->x2apic) {
		hv_apic_write(l, HV_APIC_ID, vcpu->id);
		hv_apic_write(l, HV_APIC_LDR, hv_lapic_x2_ldr(vcpu->id));
	}
	WRITE_ONCE(l->sw_enabled, !!(hv_apic_read(l, HV_APIC_SPIV) & HV_APIC_SPIV_ENABLE));
	hv_lapic_recount(l);
	atomic_set(&l->esr_pending, 0);
	hv_lapic_set_timer_state(l);
	hv_apic_map_update(vcpu->vm);
	hv_request(vcpu, HV_REQ_APIC);
	hv_request(vcpu, HV_REQ_EVENT);
	return 0;
}
