/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inside the local APIC: state, register access, delivery.
 *
 * Who writes what: the register page, isr_words, the timer's settings and pending_events' readers
 * belong to the vCPU's own thread (or whoever holds vcpu->mutex). Other threads only set IRR and
 * TMR bits, irr_words, esr_pending and pending_events, all with atomic operations; so delivery
 * takes no lock and works from hard interrupts.
 */
#ifndef HV_IRQ_LAPIC_H
#define HV_IRQ_LAPIC_H

#include "irq.h"
#include "lapic_defs.h"

struct hv_lapic_timer {
	struct hrtimer timer;
	u64 target;		/* expiry, ns of CLOCK_MONOTONIC; 0: not armed */
	u64 period;		/* ns; 0: one shot */
	u64 tsc_deadline;	/* guest TSC; 0: not armed */
	u32 mode;		/* HV_APIC_TIMER_* */
	u32 divisor;		/* 1-128 */
	bool pending;		/* expired, interrupt not raised yet */
};

struct hv_lapic {
	struct hv_vcpu *vcpu;
	u8 *regs;			/* one page in the layout of SDM table 11-1 */
	unsigned long irr_words;	/* bit n: IRR's n-th register may be non-zero */
	unsigned long isr_words;	/* bit n: ISR's n-th register is non-zero */
	unsigned long pending_events;	/* HV_LAPIC_* */
	u8 sipi_vector;
	u8 eoi_vector;			/* for HV_REQ_IOAPIC_EOI */
	bool hw_enabled, x2apic;	/* from APIC_BASE */
	bool sw_enabled;		/* from SPIV */
	bool virtual;			/* hv_lapic_set_virtual() */
	bool page_unused;		/* counted in vm->apic_page_others */
	atomic_t esr_pending;		/* errors since the last write of ESR */
	u32 arb;			/* lowest-priority arbitration: times chosen */
	struct hv_lapic_timer timer;
};

enum { HV_LAPIC_INIT, HV_LAPIC_SIPI };

/* An interrupt message: from an ICR, an MSI, an IOAPIC pin. */
struct hv_apic_irq {
	u32 dest;
	u8 vector;
	u8 mode;		/* enum hv_apic_mode */
	u8 shorthand;		/* enum hv_apic_shorthand */
	bool logical;
	bool level;		/* level triggered */
	bool assert;
	bool redir_hint;	/* MSI: any one of the destinations */
	bool dest32;		/* @dest is an x2APIC destination, 0xff is not broadcast */
};

static inline u32 hv_apic_read(const struct hv_lapic *l, u32 reg)
{
	return READ_ONCE(*(u32 *)(l->regs + reg));
}

static inline void hv_apic_write(struct hv_lapic *l, u32 reg, u32 value)
{
	WRITE_ONCE(*(u32 *)(l->regs + reg), value);
}

/* The 32-bit register of a 256-bit set (IRR, ISR, TMR) as bit operations want it. */
static inline unsigned long *hv_apic_set_word(const struct hv_lapic *l, u32 set, u8 vector)
{
	return (unsigned long *)(l->regs + set + (vector >> 5) * 0x10);
}

static inline bool hv_apic_set_test(const struct hv_lapic *l, u32 set, u8 vector)
{
	return hv_apic_read(l, set + (vector >> 5) * 0x10) >> (vector & 31) & 1;
}

/* APIC id in force: 8 bits in xAPIC mode, 32 in x2APIC mode. */
static inline u32 hv_apic_id(const struct hv_lapic *l)
{
	u32 id = hv_apic_read(l, HV_APIC_ID);

	return READ_ONCE(l->x2apic) ? id : id >> 24;
}

static inline bool hv_apic_usable(const struct hv_lapic *l)
{
	return READ_ONCE(l->hw_enabled) && READ_ONCE(l->sw_enabled);
}

/* Does this vCPU take interrupts from the PIC: LINT0 in ExtINT mode, or no APIC at all? */
static inline bool hv_lapic_takes_pic(const struct hv_lapic *l)
{
	u32 lint0 = hv_apic_read(l, HV_APIC_LVT_LINT0);

	return !READ_ONCE(l->hw_enabled) ||
	       (lint0 & (HV_APIC_LVT_MASKED | HV_APIC_LVT_MODE)) == HV_APIC_EXTINT << 8;
}

/* lapic.c */
int hv_lapic_reg_read(struct hv_lapic *l, u32 reg, u32 *value);
int hv_lapic_reg_write(struct hv_lapic *l, u32 reg, u32 value);
void hv_lapic_eoi(struct hv_lapic *l);
void hv_lapic_set_tpr(struct hv_lapic *l, u32 tpr);
int hv_lapic_highest_irr(struct hv_lapic *l);
int hv_lapic_highest_isr(const struct hv_lapic *l);
void hv_lapic_recount(struct hv_lapic *l);	/* irr_words, isr_words from the registers */
/* Raise the interrupt of an LVT entry on the vCPU's own thread; false: masked. */
bool hv_lapic_lvt_raise(struct hv_lapic *l, u32 reg);

/* lapic_ipi.c */
/*
 * One LAPIC takes a message. @self: on that vCPU's own thread, so no kick is needed. Returns
 * whether it was accepted.
 */
bool hv_lapic_accept(struct hv_lapic *l, const struct hv_apic_irq *irq, bool self);
/* Find the destinations; the number that accepted, -1: nobody was addressed. Any context. */
int hv_apic_deliver(struct hv_vm *vm, struct hv_lapic *source, const struct hv_apic_irq *irq);
void hv_lapic_send_ipi(struct hv_lapic *l, u32 icr, u32 dest);
void hv_lapic_error(struct hv_lapic *l, u32 bit, bool self);
/* Ids, logical destinations or modes changed: rebuild the VM's destination map. Does not sleep. */
void hv_apic_map_update(struct hv_vm *vm);
void hv_apic_map_free(struct hv_vm *vm);

/* lapic_timer.c */
void hv_lapic_timer_init(struct hv_lapic *l);
void hv_lapic_timer_stop(struct hv_lapic *l);
void hv_lapic_timer_set_lvt(struct hv_lapic *l, u32 lvt);
void hv_lapic_timer_set_count(struct hv_lapic *l, u32 count, u32 first);
void hv_lapic_timer_set_divisor(struct hv_lapic *l, u32 tdcr);
u32 hv_lapic_timer_count(const struct hv_lapic *l);

/* lapic_state.c */
u32 hv_lapic_x2_ldr(u32 id);

#endif
