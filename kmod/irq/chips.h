/* SPDX-License-Identifier: GPL-2.0-only */
/* Inside the in-kernel irqchip: PIC, IOAPIC, PIT, the routing table, and who hears of EOIs. */
#ifndef HV_IRQ_CHIPS_H
#define HV_IRQ_CHIPS_H

#include <linux/workqueue.h>
#include "irq.h"
#include "lapic.h"

/*
 * Locks: hv_pic.lock and hv_ioapic.lock are taken with IRQs off and from hard interrupts (timers,
 * irqfd wakeups under the eventfd's wait-queue lock). Inside them: only what hv_apic_deliver() and
 * hv_vcpu_kick() take. They do not nest with each other, and are dropped before acknowledgement
 * listeners are called. hv_pit.lock nests outside both.
 */

/* Who drives a line: a pin is the OR of its sources. */
enum hv_irq_source { HV_IRQ_USER, HV_IRQ_RESAMPLE, HV_IRQ_PIT };

static inline bool hv_line_set(unsigned long *state, enum hv_irq_source source, int level)
{
	if (level)
		*state |= BIT(source);
	else
		*state &= ~BIT(source);
	return *state != 0;
}

/* ---- 8259 pair (pic.c) --------------------------------------------------------------------- */

#define HV_PIC_PINS 16

struct hv_pic {
	spinlock_t lock;
	struct hv_vm *vm;
	bool output;				/* INTR of the master; read without the lock */
	struct kvm_pic_state chip[2];		/* master, slave */
	unsigned long lines[HV_PIC_PINS];
	u16 acked;				/* pins to tell listeners of, once unlocked */
	struct hv_iodev dev;
};

void hv_pic_init(struct hv_pic *pic, struct hv_vm *vm);
/* 1: raised, 0: was raised already, -1: masked. */
int hv_pic_set_irq(struct hv_pic *pic, unsigned int pin, enum hv_irq_source source, int level);
/* INTA cycle: the vector (a spurious one if the request is gone). */
int hv_pic_inta(struct hv_pic *pic);
void hv_pic_get(struct hv_pic *pic, unsigned int chip, struct kvm_pic_state *state);
void hv_pic_set(struct hv_pic *pic, unsigned int chip, const struct kvm_pic_state *state);
int hv_pic_register(struct hv_vm *vm);		/* slots_lock held */

/* ---- IOAPIC (ioapic.c) --------------------------------------------------------------------- */

#define HV_IOAPIC_PINS KVM_IOAPIC_NUM_PINS

struct hv_ioapic {
	spinlock_t lock;
	struct hv_vm *vm;
	u32 select, id;
	u32 irr;			/* level: line asserted; edge: waiting or delivered */
	u32 irr_delivered;		/* edge interrupts in irr that were delivered */
	u64 redir[HV_IOAPIC_PINS];
	unsigned long lines[HV_IOAPIC_PINS];
	u32 eoi_count[HV_IOAPIC_PINS];	/* level interrupts in a row, to catch storms */
	struct delayed_work storm_work;
	/* Vectors whose EOI somebody here wants even if edge triggered; read without the lock. */
	unsigned long eoi_vectors[256 / BITS_PER_LONG];
	u32 eoi_pins;			/* pins with acknowledgement listeners */
	struct hv_iodev dev;
};

void hv_ioapic_init(struct hv_ioapic *ioapic, struct hv_vm *vm);
/* >0: delivered to that many, 0: coalesced, -1: masked or nobody. */
int hv_ioapic_set_irq(struct hv_ioapic *ioapic, unsigned int pin, enum hv_irq_source source,
		      int level);
void hv_ioapic_eoi(struct hv_ioapic *ioapic, u8 vector, bool level);
void hv_ioapic_get(struct hv_ioapic *ioapic, struct kvm_ioapic_state *state);
void hv_ioapic_set(struct hv_ioapic *ioapic, const struct kvm_ioapic_state *state);
/* Listeners or routing changed: which pins' EOIs matter. */
void hv_ioapic_set_eoi_pins(struct hv_ioapic *ioapic, u32 pins);
int hv_ioapic_register(struct hv_vm *vm);	/* slots_lock held */

/* ---- routing (route.c) --------------------------------------------------------------------- */

struct hv_irq_route {
	u32 gsi;
	u32 type;			/* KVM_IRQ_ROUTING_* */
	union {
		struct {
			u32 chip;	/* KVM_IRQCHIP_* */
			u32 pin;	/* of the PIC pair: 0-15 */
		};
		struct {
			u32 vp;		/* Hyper-V: whose... */
			u32 sint;	/* ...synthetic interrupt source */
		};
		struct {
			u32 vcpu;	/* Xen: id of the vCPU... */
			u32 port;	/* ...that gets this event */
		};
		struct hv_apic_irq msi;
	};
};

/*
 * Immutable; entries sorted by GSI, those of @gsi are entry[first[gsi]] .. entry[first[gsi + 1]].
 */
struct hv_irq_routing {
	u32 nr, nr_gsis;
	bool has_sints;
	s16 ioapic_gsi[HV_IOAPIC_PINS];	/* pin -> GSI, -1: none */
	s16 pic_gsi[HV_PIC_PINS];
	u16 *first;
	struct hv_irq_route entry[];
};

int hv_irq_default_routing(struct hv_vm *vm);
/* False: address_hi has bits that mean nothing (KVM_CAP_X2APIC_API only). */
bool hv_msi_decode(const struct hv_vm *vm, u32 addr_lo, u32 addr_hi, u32 data,
		   struct hv_apic_irq *irq);
/* The one MSI a GSI is routed to: fills @irq and returns true. irq_srcu or irq_lock held. */
bool hv_irq_route_msi(const struct hv_irq_routing *routing, u32 gsi, struct hv_apic_irq *irq);

/* EOI with a split irqchip: user space's IOAPIC may have to hear of it. */
void hv_split_eoi(struct hv_vcpu *vcpu, u8 vector);

/* Somebody who wants to hear when the guest acknowledges a GSI (resample irqfds, the PIT). */
struct hv_irq_ack {
	struct hlist_node node;		/* vm->irq_acks: irq_lock to change, irq_srcu to read */
	u32 gsi;
	void (*fn)(struct hv_irq_ack *ack);	/* atomic context, no irqchip lock held */
};

void hv_irq_ack_add(struct hv_vm *vm, struct hv_irq_ack *ack);		/* irq_lock held */
void hv_irq_ack_del(struct hv_vm *vm, struct hv_irq_ack *ack);		/* irq_lock held; waits */
void hv_irq_notify_ack(struct hv_vm *vm, u32 chip, unsigned int pin);
/* A pin went from masked to open: the PIT starts counting lost ticks afresh. */
void hv_irq_notify_unmask(struct hv_vm *vm, u32 chip, unsigned int pin);

/* ---- PIT (pit.c) --------------------------------------------------------------------------- */

void hv_pit_unmasked(struct hv_pit *pit);
void hv_pit_stop(struct hv_vm *vm);
void hv_pit_free(struct hv_vm *vm);

/* ---- eventfds (irqfd.c) -------------------------------------------------------------------- */

void hv_irqfd_release(struct hv_vm *vm);
/* Routing was replaced, irq_lock held: refresh the cached routes. */
void hv_irqfd_reroute(struct hv_vm *vm);

#endif
