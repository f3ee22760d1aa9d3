// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC: registers, priorities, EOI, what is pending.
 * Delivery is in lapic_ipi.c, the timer in lapic_timer.c, reset and state in lapic_state.c.
 */
#include <linux/bitops.h>
#include <linux/string.h>
#include "chips.h"
#include "trace.h"
#include "x86/x86.h"

/* Highest vector of a 256-bit set, given the summary of its non-zero words. */
static int hv_lapic_highest(const struct hv_lapic *l, u32 set, unsigned long words)
{
	while (words) {
		unsigned int word = __fls(words);
		u32 bits = hv_apic_read(l, set + word * 0x10);

		if (bits)
			return word * 32 + __fls(bits);
		words &= ~BIT(word);
	}
	return -1;
}

/* The summaries are not the CPU's business: it sets and clears bits without them. */
int hv_lapic_highest_irr(struct hv_lapic *l)
{
	return hv_lapic_highest(l, HV_APIC_IRR, l->virtual ? 0xff : READ_ONCE(l->irr_words));
}

int hv_lapic_highest_isr(const struct hv_lapic *l)
{
	return hv_lapic_highest(l, HV_APIC_ISR, l->virtual ? 0xff : l->isr_words);
}

void hv_lapic_recount(struct hv_lapic *l)
{
	unsigned int word;

	l->isr_words = 0;
	l->irr_words = 0;
	for (word = 0; word < 8; word++) {
		if (hv_apic_read(l, HV_APIC_ISR + word * 0x10))
			l->isr_words |= BIT(word);
		if (hv_apic_read(l, HV_APIC_IRR + word * 0x10))
			l->irr_words |= BIT(word);
	}
}

/* Processor priority: the higher of TPR and the class in service (SDM 11.8.3.1). */
static u32 hv_lapic_ppr(const struct hv_lapic *l)
{
	u32 tpr = hv_apic_read(l, HV_APIC_TPR) & 0xff;
	int isr = hv_lapic_highest_isr(l);

	if (isr < 0 || (tpr & 0xf0) >= (isr & 0xf0))
		return tpr;
	return isr & 0xf0;
}

/* This word of IRR may have become empty. */
static void hv_lapic_trim_irr(struct hv_lapic *l, unsigned int word)
{
	if (hv_apic_read(l, HV_APIC_IRR + word * 0x10))
		return;
	clear_bit(word, &l->irr_words);
	/* A sender that still saw the summary bit has set its IRR bit before: look again. */
	smp_mb__after_atomic();
	if (hv_apic_read(l, HV_APIC_IRR + word * 0x10))
		set_bit(word, &l->irr_words);
}

static void hv_lapic_clear_irr(struct hv_lapic *l, u8 vector)
{
	clear_bit(vector & 31, hv_apic_set_word(l, HV_APIC_IRR, vector));
	hv_lapic_trim_irr(l, vector >> 5);
}

/* ---- what is pending ----------------------------------------------------------------------- */

static bool hv_8259_pending(const struct hv_vcpu *vcpu)
{
	const struct hv_vm *vm = vcpu->vm;

	if (vm->pic)
		return unlikely(READ_ONCE(vm->pic->output)) && hv_lapic_takes_pic(vcpu->lapic);
	return unlikely(vcpu->events.user_irq >= 0) && hv_lapic_takes_pic(vcpu->lapic);
}

/* Interrupts that no EOI ends: those of an 8259, and Xen's. */
static bool hv_extint_pending(struct hv_vcpu *vcpu)
{
	return (unlikely(vcpu->xen) && hv_xen_irq_pending(vcpu)) || hv_8259_pending(vcpu);
}

int hv_irq_pending(struct hv_vcpu *vcpu)
{
	struct hv_lapic *l = vcpu->lapic;
	int vector;

	if (!l)
		return -1;
	if (hv_extint_pending(vcpu))
		return 0;
	if ((!READ_ONCE(l->irr_words) && !l->virtual) || !l->hw_enabled)
		return -1;
	vector = hv_lapic_highest_irr(l);
	if (vector < 0 || (vector & 0xf0) <= (hv_lapic_ppr(l) & 0xf0))
		return -1;
	return vector;
}

static int hv_extint_ack(struct hv_vcpu *vcpu)
{
	int vector;

	if (unlikely(vcpu->xen)) {
		if (hv_xen_irq_pending(vcpu))
			return hv_xen_upcall_vector(vcpu);
		/* The guest has taken it back meanwhile. */
		if (!hv_8259_pending(vcpu))
			return -1;
	}
	if (vcpu->vm->pic)
		return hv_pic_inta(vcpu->vm->pic);
	vector = vcpu->events.user_irq;
	vcpu->events.user_irq = -1;
	return vector;
}

int hv_irq_ack(struct hv_vcpu *vcpu)
{
	struct hv_lapic *l = vcpu->lapic;
	int vector;

	if (!l)
		return -1;
	if (hv_extint_pending(vcpu))
		return hv_extint_ack(vcpu);
	vector = hv_irq_pending(vcpu);
	if (vector < 0 || l->virtual)
		return -1;
	hv_lapic_clear_irr(l, vector);
	if (unlikely(vcpu->hyperv) && hv_synic_auto_eoi(vcpu, vector)) {
		/* It ends as it begins; what it kept out may come next. */
		if (READ_ONCE(l->irr_words))
			hv_request(vcpu, HV_REQ_EVENT);
		return vector;
	}
	__set_bit(vector & 31, hv_apic_set_word(l, HV_APIC_ISR, vector));
	l->isr_words |= BIT(vector >> 5);
	return vector;
}

int hv_lapic_tpr_threshold(const struct hv_vcpu *vcpu)
{
	struct hv_lapic *l = vcpu->lapic;
	int vector;

	if (!l || l->virtual || !READ_ONCE(l->irr_words) || !l->hw_enabled)
		return -1;
	vector = hv_lapic_highest_irr(l);
	if (vector < 0 || (hv_apic_read(l, HV_APIC_TPR) & 0xf0) < (vector & 0xf0))
		return -1;
	return vector >> 4;
}

/* ---- TPR and EOI --------------------------------------------------------------------------- */

void hv_lapic_set_tpr(struct hv_lapic *l, u32 tpr)
{
	u32 old = hv_apic_read(l, HV_APIC_TPR);

	hv_apic_write(l, HV_APIC_TPR, tpr);
	if (tpr < old && READ_ONCE(l->irr_words))
		hv_request(l->vcpu, HV_REQ_EVENT);
}

u64 hv_lapic_get_cr8(const struct hv_vcpu *vcpu)
{
	return vcpu->lapic ? hv_apic_read(vcpu->lapic, HV_APIC_TPR) >> 4 & 0xf : 0;
}

void hv_lapic_set_cr8(struct hv_vcpu *vcpu, u64 cr8)
{
	if (vcpu->lapic)
		hv_lapic_set_tpr(vcpu->lapic, (cr8 & 0xf) << 4);
}

/* Those who wait for the end of an interrupt. */
static void hv_lapic_eoi_tell(struct hv_lapic *l, u8 vector)
{
	struct hv_ioapic *ioapic = l->vcpu->vm->ioapic;
	bool level = hv_apic_set_test(l, HV_APIC_TMR, vector);

	trace_hv_eoi(l->vcpu->id, vector);
	if (unlikely(l->vcpu->hyperv) && hv_synic_has_vector(l->vcpu, vector))
		hv_synic_eoi(l->vcpu, vector);
	if (ioapic && (level || test_bit(vector, ioapic->eoi_vectors)))
		hv_ioapic_eoi(ioapic, vector, level);
	else if (!ioapic)
		hv_split_eoi(l->vcpu, vector);
}

void hv_lapic_eoi(struct hv_lapic *l)
{
	int vector = hv_lapic_highest_isr(l);

	if (vector < 0)
		return;
	__clear_bit(vector & 31, hv_apic_set_word(l, HV_APIC_ISR, vector));
	if (!hv_apic_read(l, HV_APIC_ISR + (vector >> 5) * 0x10))
		l->isr_words &= ~BIT(vector >> 5);
	hv_lapic_eoi_tell(l, vector);
	if (READ_ONCE(l->irr_words))
		hv_request(l->vcpu, HV_REQ_EVENT);
	/* It thinks that the vector is in service still. */
	if (l->virtual)
		hv_request(l->vcpu, HV_REQ_APIC);
}

/* ---- a CPU that does the above by itself ----------------------------------------------------- */

/* The CPU did not keep them. */
static void hv_lapic_resume_summaries(struct hv_lapic *l)
{
	unsigned int word;

	l->isr_words = 0;
	for (word = 0; word < 8; word++) {
		if (hv_apic_read(l, HV_APIC_ISR + word * 0x10))
			l->isr_words |= BIT(word);
		/* Others may set bits of IRR meanwhile. */
		set_bit(word, &l->irr_words);
		hv_lapic_trim_irr(l, word);
	}
}

void hv_lapic_set_virtual(struct hv_vcpu *vcpu, bool virtual)
{
	struct hv_lapic *l = vcpu->lapic;

	if (l->virtual == virtual)
		return;
	l->virtual = virtual;
	if (!virtual)
		hv_lapic_resume_summaries(l);
	hv_request(vcpu, HV_REQ_EVENT);
}

bool hv_lapic_x2apic(const struct hv_vcpu *vcpu)
{
	return vcpu->lapic && vcpu->lapic->x2apic;
}

u8 hv_lapic_new_irr(struct hv_vcpu *vcpu)
{
	struct hv_lapic *l = vcpu->lapic;
	unsigned long words = READ_ONCE(l->irr_words);

	while (words) {
		unsigned int word = __fls(words);
		u32 bits = hv_apic_read(l, HV_APIC_IRR + word * 0x10);

		if (bits)
			return word * 32 + __fls(bits);
		/* The CPU has taken the last bit of the word. */
		hv_lapic_trim_irr(l, word);
		words &= ~BIT(word) | READ_ONCE(l->irr_words);
	}
	return 0;
}

void hv_lapic_tops(struct hv_vcpu *vcpu, u8 *irr, u8 *isr)
{
	*irr = max(hv_lapic_highest_irr(vcpu->lapic), 0);
	*isr = max(hv_lapic_highest_isr(vcpu->lapic), 0);
}

void hv_lapic_eoi_vectors(struct hv_vcpu *vcpu, u64 vectors[4])
{
	const struct hv_ioapic *ioapic = vcpu->vm->ioapic;
	struct hv_lapic *l = vcpu->lapic;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		vectors[i] = hv_apic_read(l, HV_APIC_TMR + i * 0x20) |
			     (u64)hv_apic_read(l, HV_APIC_TMR + i * 0x20 + 0x10) << 32;
		if (ioapic)
			vectors[i] |= READ_ONCE(ioapic->eoi_vectors[i]);
		else if (vcpu->vm->split_pins)
			vectors[i] = ~0ULL;	/* the routing table decides */
	}
}

void hv_lapic_eoi_done(struct hv_vcpu *vcpu, u8 vector)
{
	hv_lapic_eoi_tell(vcpu->lapic, vector);
}

bool hv_lapic_lvt_raise(struct hv_lapic *l, u32 reg)
{
	u32 lvt = hv_apic_read(l, reg);
	struct hv_apic_irq irq = {
		.vector = lvt & HV_APIC_LVT_VECTOR,
		.mode = (lvt & HV_APIC_LVT_MODE) >> 8,
		.assert = true,
	};

	if (lvt & HV_APIC_LVT_MASKED)
		return false;
	if (reg == HV_APIC_LVT_TIMER || reg == HV_APIC_LVT_ERROR)
		irq.mode = HV_APIC_FIXED;
	hv_lapic_accept(l, &irq, true);
	return true;
}

void hv_lapic_cmci(struct hv_vcpu *vcpu)
{
	if (vcpu->lapic)
		hv_lapic_lvt_raise(vcpu->lapic, HV_APIC_LVT_CMCI);
}

/* ---- registers ----------------------------------------------------------------------------- */

/* Bits of LVT entries that software can write, by register (SDM figure 11-8). */
static u32 hv_lapic_lvt_writable(const struct hv_lapic *l, u32 reg)
{
	u32 mask = HV_APIC_LVT_VECTOR | HV_APIC_LVT_MASKED;

	switch (reg) {
	case HV_APIC_LVT_TIMER:
		mask |= HV_APIC_TIMER_PERIODIC;
		if (l->vcpu->cpuid && l->vcpu->cpuid->has_tsc_deadline)
			mask |= HV_APIC_TIMER_DEADLINE;
		return mask;
	case HV_APIC_LVT_CMCI:
	case HV_APIC_LVT_THERMAL:
	case HV_APIC_LVT_PERF:
		return mask | HV_APIC_LVT_MODE;
	case HV_APIC_LVT_LINT0:
	case HV_APIC_LVT_LINT1:
		return mask | HV_APIC_LVT_MODE | HV_APIC_LVT_POLARITY | HV_APIC_LVT_LEVEL;
	}
	return mask;		/* HV_APIC_LVT_ERROR */
}

static const u16 hv_lapic_lvts[] = {
	HV_APIC_LVT_TIMER, HV_APIC_LVT_THERMAL, HV_APIC_LVT_PERF,
	HV_APIC_LVT_LINT0, HV_APIC_LVT_LINT1, HV_APIC_LVT_ERROR,
};

static void hv_lapic_write_lvt(struct hv_lapic *l, u32 reg, u32 value)
{
	value &= hv_lapic_lvt_writable(l, reg);
	if (!l->sw_enabled)
		value |= HV_APIC_LVT_MASKED;
	if (reg == HV_APIC_LVT_TIMER)
		hv_lapic_timer_set_lvt(l, value);
	hv_apic_write(l, reg, value);
	/* The PIC's line may reach the CPU now. */
	if (reg == HV_APIC_LVT_LINT0)
		hv_request(l->vcpu, HV_REQ_EVENT);
}

static void hv_lapic_write_spiv(struct hv_lapic *l, u32 value)
{
	u32 mask = 0xff | HV_APIC_SPIV_ENABLE | HV_APIC_SPIV_FOCUS;
	bool enable = value & HV_APIC_SPIV_ENABLE;
	unsigned int i;

	if (hv_apic_read(l, HV_APIC_VERSION) & HV_APIC_VERSION_DIRECTED_EOI)
		mask |= HV_APIC_SPIV_DIRECTED_EOI;
	hv_apic_write(l, HV_APIC_SPIV, value & mask);
	if (enable == l->sw_enabled)
		return;
	WRITE_ONCE(l->sw_enabled, enable);
	if (enable && unlikely(l->vcpu->xen))
		hv_xen_apic_enabled(l->vcpu);
	/* Software disable masks all LVT entries (SDM 11.4.7.2). */
	for (i = 0; !enable && i < ARRAY_SIZE(hv_lapic_lvts); i++)
		hv_apic_write(l, hv_lapic_lvts[i],
			      hv_apic_read(l, hv_lapic_lvts[i]) | HV_APIC_LVT_MASKED);
	if (!enable && hv_mce_has_cmci(l->vcpu))
		hv_apic_write(l, HV_APIC_LVT_CMCI,
			      hv_apic_read(l, HV_APIC_LVT_CMCI) | HV_APIC_LVT_MASKED);
	hv_request(l->vcpu, HV_REQ_EVENT);
}

/* Registers that can be read, as bits of offset / 16. */
#define HV_REG(reg) BIT_ULL((reg) >> 4)
#define HV_REG_SET(reg) (0xffULL << ((reg) >> 4))
#define HV_LAPIC_READABLE							\
	(HV_REG(HV_APIC_ID) | HV_REG(HV_APIC_VERSION) | HV_REG(HV_APIC_TPR) |	\
	 HV_REG(HV_APIC_PPR) | HV_REG(HV_APIC_LDR) | HV_REG(HV_APIC_SPIV) |	\
	 HV_REG_SET(HV_APIC_ISR) | HV_REG_SET(HV_APIC_TMR) | HV_REG_SET(HV_APIC_IRR) | \
	 HV_REG(HV_APIC_ESR) | HV_REG(HV_APIC_ICR) | HV_REG(HV_APIC_LVT_TIMER) | \
	 HV_REG(HV_APIC_LVT_THERMAL) | HV_REG(HV_APIC_LVT_PERF) |		\
	 HV_REG(HV_APIC_LVT_LINT0) | HV_REG(HV_APIC_LVT_LINT1) |		\
	 HV_REG(HV_APIC_LVT_ERROR) | HV_REG(HV_APIC_TMICT) | HV_REG(HV_APIC_TMCCT) | \
	 HV_REG(HV_APIC_TDCR))
/* These exist in xAPIC mode only. */
#define HV_LAPIC_READABLE_XAPIC							\
	(HV_REG(HV_APIC_APR) | HV_REG(HV_APIC_RRD) | HV_REG(HV_APIC_DFR) | HV_REG(HV_APIC_ICR2))

/* @reg is a multiple of 0x10 below 0x400; 0 or 1: no such register. */
int hv_lapic_reg_read(struct hv_lapic *l, u32 reg, u32 *value)
{
	u64 readable = HV_LAPIC_READABLE | (l->x2apic ? 0 : HV_LAPIC_READABLE_XAPIC);

	*value = 0;
	if (unlikely(reg == HV_APIC_LVT_CMCI) && hv_mce_has_cmci(l->vcpu))
		readable |= HV_REG(HV_APIC_LVT_CMCI);
	if (!(readable & HV_REG(reg)))
		return 1;
	switch (reg) {
	case HV_APIC_PPR:
		*value = hv_lapic_ppr(l);
		break;
	case HV_APIC_TMCCT:
		*value = hv_lapic_timer_count(l);
		break;
	case HV_APIC_TPR:
		if (unlikely(l->vcpu->tpr_reporting))
			hv_tpr_accessed(l->vcpu, false);
		*value = hv_apic_read(l, reg);
		break;
	case HV_APIC_APR:
	case HV_APIC_RRD:
		break;
	default:
		*value = hv_apic_read(l, reg);
	}
	return 0;
}

static int hv_lapic_write_esr(struct hv_lapic *l, u32 value)
{
	if (l->x2apic && value)
		return 1;
	/* A write shows the errors gathered since the one before (SDM 11.5.3). */
	hv_apic_write(l, HV_APIC_ESR, atomic_xchg(&l->esr_pending, 0));
	return 0;
}

/* Registers of xAPIC mode that x2APIC mode has not or makes read-only; 1: not writable now. */
static int hv_lapic_write_xapic(struct hv_lapic *l, u32 reg, u32 value)
{
	if (l->x2apic)
		return 1;
	if (reg == HV_APIC_DFR)
		value |= 0x0fffffff;
	else
		value &= 0xff000000;
	hv_apic_write(l, reg, value);
	/* Also if it was that already: the CPU may have put it there. */
	if (reg != HV_APIC_ICR2)
		hv_apic_map_update(l->vcpu->vm);
	return 0;
}

int hv_lapic_reg_write(struct hv_lapic *l, u32 reg, u32 value)
{
	switch (reg) {
	case HV_APIC_TPR:
		if (unlikely(l->vcpu->tpr_reporting))
			hv_tpr_accessed(l->vcpu, true);
		hv_lapic_set_tpr(l, value & 0xff);
		return 0;
	case HV_APIC_EOI:
		if (l->x2apic && value)
			return 1;
		hv_lapic_eoi(l);
		return 0;
	case HV_APIC_ID:
	case HV_APIC_LDR:
	case HV_APIC_DFR:
	case HV_APIC_ICR2:
		return hv_lapic_write_xapic(l, reg, value);
	case HV_APIC_SPIV:
		hv_lapic_write_spiv(l, value);
		return 0;
	case HV_APIC_ESR:
		return hv_lapic_write_esr(l, value);
	case HV_APIC_ICR:
		value &= ~HV_APIC_ICR_BUSY;
		hv_apic_write(l, reg, value);
		hv_lapic_send_ipi(l, value, hv_apic_read(l, HV_APIC_ICR2) >> 24);
		return 0;
	case HV_APIC_LVT_CMCI:
		if (!hv_mce_has_cmci(l->vcpu))
			return 1;
		fallthrough;
	case HV_APIC_LVT_TIMER:
	case HV_APIC_LVT_THERMAL:
	case HV_APIC_LVT_PERF:
	case HV_APIC_LVT_LINT0:
	case HV_APIC_LVT_LINT1:
	case HV_APIC_LVT_ERROR:
		hv_lapic_write_lvt(l, reg, value);
		return 0;
	case HV_APIC_TMICT:
		if (l->timer.mode == HV_APIC_TIMER_DEADLINE)
			value = 0;
		hv_apic_write(l, reg, value);
		if (l->timer.mode == HV_APIC_TIMER_DEADLINE)
			return 0;
		hv_lapic_timer_set_count(l, value, value);
		return 0;
	case HV_APIC_TDCR:
		hv_lapic_timer_set_divisor(l, value);
		return 0;
	}
	return 1;
}

void hv_lapic_written(struct hv_vcpu *vcpu, u32 reg)
{
	struct hv_lapic *l = vcpu->lapic;
	u32 value = hv_apic_read(l, reg);

	if (l->x2apic && reg == HV_APIC_SELF_IPI)
		hv_lapic_send_ipi(l, HV_APIC_SELF << HV_APIC_ICR_SHORTHAND_SHIFT | (u8)value, 0);
	else if (hv_lapic_reg_write(l, reg, value))
		hv_lapic_error(l, HV_APIC_ESR_ILLEGAL_REG, true);
}

/* ---- xAPIC: the MMIO page ------------------------------------------------------------------ */

/* The page is there but the APIC is not listening on it: reads float, writes are lost. */
static int hv_lapic_hole(struct hv_vcpu *vcpu, u32 len, void *data)
{
	if (!hv_has_quirk(vcpu->vm, KVM_X86_QUIRK_LAPIC_MMIO_HOLE))
		return -EOPNOTSUPP;
	if (data)
		memset(data, 0xff, len);
	return 0;
}

int hv_lapic_mmio_read(struct hv_vcpu *vcpu, u64 addr, u32 len, void *data)
{
	struct hv_lapic *l = vcpu->lapic;
	u32 offset = addr & 0xfff, value = 0;

	if (unlikely(!l->hw_enabled || l->x2apic))
		return hv_lapic_hole(vcpu, len, data);
	memset(data, 0, len);
	if ((offset & 0xf) + len > 4)
		return 0;
	if (offset >= 0x400 || hv_lapic_reg_read(l, offset & ~0xf, &value))
		hv_lapic_error(l, HV_APIC_ESR_ILLEGAL_REG, true);
	memcpy(data, (u8 *)&value + (offset & 0xf), len);
	return 0;
}

int hv_lapic_mmio_write(struct hv_vcpu *vcpu, u64 addr, u32 len, const void *data)
{
	struct hv_lapic *l = vcpu->lapic;
	u32 offset = addr & 0xfff, value;

	if (unlikely(!l->hw_enabled || l->x2apic))
		return hv_lapic_hole(vcpu, len, NULL);
	/* Only aligned 32-bit writes are defined (SDM 11.4.1); others do nothing. */
	if (len != 4 || (offset & 0xf))
		return 0;
	memcpy(&value, data, 4);
	if (offset == HV_APIC_EOI)
		hv_lapic_eoi(l);
	else if (offset >= 0x400 || hv_lapic_reg_write(l, offset, value))
		hv_lapic_error(l, HV_APIC_ESR_ILLEGAL_REG, true);
	return 0;
}

/* ---- x2APIC: MSRs 0x800-0x8ff -------------------------------------------------------------- */

int hv_lapic_msr_get(struct hv_vcpu *vcpu, u32 index, u64 *value)
{
	struct hv_lapic *l = vcpu->lapic;
	u32 reg = (index - HV_APIC_MSR_BASE) << 4, low;

	if (!l || !l->hw_enabled || !l->x2apic || reg >= 0x400)
		return 1;
	if (hv_lapic_reg_read(l, reg, &low))
		return 1;
	*value = low;
	if (reg == HV_APIC_ICR)
		*value |= (u64)hv_apic_read(l, HV_APIC_ICR2) << 32;
	return 0;
}

static int hv_lapic_x2_icr(struct hv_lapic *l, u64 value)
{
	value &= ~(u64)HV_APIC_ICR_BUSY;
	if ((u32)value & HV_APIC_ICR_X2_RESERVED)
		return 1;
	hv_apic_write(l, HV_APIC_ICR, value);
	hv_apic_write(l, HV_APIC_ICR2, value >> 32);
	hv_lapic_send_ipi(l, value, value >> 32);
	return 0;
}

int hv_lapic_msr_set(struct hv_vcpu *vcpu, u32 index, u64 value)
{
	struct hv_lapic *l = vcpu->lapic;
	u32 reg = (index - HV_APIC_MSR_BASE) << 4;

	if (!l || !l->hw_enabled || !l->x2apic || reg >= 0x400)
		return 1;
	if (reg == HV_APIC_ICR)
		return hv_lapic_x2_icr(l, value);
	if (value >> 32)
		return 1;
	if (reg == HV_APIC_SELF_IPI) {
		if (value & ~0xffULL)
			return 1;
		hv_lapic_send_ipi(l, HV_APIC_SELF << HV_APIC_ICR_SHORTHAND_SHIFT | value, 0);
		return 0;
	}
	return hv_lapic_reg_write(l, reg, value);
}

/* ---- Hyper-V: three registers as MSRs ------------------------------------------------------ */

int hv_lapic_hyperv_get(struct hv_vcpu *vcpu, enum hv_lapic_hyperv_reg reg, u64 *value)
{
	struct hv_lapic *l = vcpu->lapic;

	if (!l || reg == HV_LAPIC_HYPERV_EOI)
		return 1;
	if (reg == HV_LAPIC_HYPERV_TPR)
		*value = hv_apic_read(l, HV_APIC_TPR);
	else
		*value = hv_apic_read(l, HV_APIC_ICR) | (u64)hv_apic_read(l, HV_APIC_ICR2) << 32;
	return 0;
}

int hv_lapic_hyperv_set(struct hv_vcpu *vcpu, enum hv_lapic_hyperv_reg reg, u64 value)
{
	struct hv_lapic *l = vcpu->lapic;

	if (!l)
		return 1;
	if (reg != HV_LAPIC_HYPERV_ICR) {
		if (value >> 32)
			return 1;
		if (reg == HV_LAPIC_HYPERV_TPR)
			return hv_lapic_reg_write(l, HV_APIC_TPR, value);
		/* Any value, in either mode. */
		hv_lapic_eoi(l);
		return 0;
	}
	if (l->x2apic)
		return hv_lapic_x2_icr(l, value);
	hv_lapic_reg_write(l, HV_APIC_ICR2, value >> 32);
	return hv_lapic_reg_write(l, HV_APIC_ICR, value);
}
