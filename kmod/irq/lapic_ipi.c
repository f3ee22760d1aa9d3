// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupt messages: who is addressed, and taking one. Lock-free, callable from any context
 * (SDM 11.6.2 for the destination modes, 11.12.10 for x2APIC's).
 */
#include <linux/bitops.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "chips.h"
#include "trace.h"
#include "x86/x86.h"

/*
 * Destination map of a VM. Present only when every id and logical destination is unique and all
 * APICs use one destination format; else (and when there was no memory) senders ask each APIC.
 */
struct hv_apic_map {
	struct rcu_head rcu;
	u32 nr_vcpus;			/* it knows of; a vCPU created later makes it stale */
	u8 format;			/* enum hv_apic_format */
	u8 logical[16][8];		/* xAPIC cluster, bit: APIC id, HV_APIC_BROADCAST: none */
	u32 nr_ids;			/* APIC ids are below this */
	struct hv_lapic *phys[];
};

enum hv_apic_format { HV_APIC_NO_LOGICAL, HV_APIC_FLAT, HV_APIC_CLUSTER, HV_APIC_X2 };

/* ---- taking a message ---------------------------------------------------------------------- */

void hv_lapic_error(struct hv_lapic *l, u32 bit, bool self)
{
	u32 lvt = hv_apic_read(l, HV_APIC_LVT_ERROR);
	struct hv_apic_irq irq = {
		.vector = lvt & HV_APIC_LVT_VECTOR, .mode = HV_APIC_FIXED, .assert = true,
	};
	int old = atomic_read(&l->esr_pending);

	/* One interrupt per new kind of error; an illegal vector in the LVT itself makes none. */
	if (old & bit)
		return;
	atomic_or(bit, &l->esr_pending);
	if (!(lvt & HV_APIC_LVT_MASKED) && irq.vector >= 16)
		hv_lapic_accept(l, &irq, self);
}

static void hv_lapic_notify(struct hv_lapic *l, enum hv_req req, bool self)
{
	hv_request(l->vcpu, req);
	if (!self)
		hv_vcpu_kick(l->vcpu);
}

static bool hv_lapic_accept_vector(struct hv_lapic *l, const struct hv_apic_irq *irq, bool self)
{
	u8 vector = irq->vector;
	unsigned int word = vector >> 5;

	if ((irq->level && !irq->assert) || !hv_apic_usable(l))
		return false;
	if (vector < 16) {
		hv_lapic_error(l, HV_APIC_ESR_RECV_ILLEGAL, self);
		return false;
	}
	if (irq->level != hv_apic_set_test(l, HV_APIC_TMR, vector)) {
		hv_request(l->vcpu, HV_REQ_APIC);
		if (irq->level)
			set_bit(vector & 31, hv_apic_set_word(l, HV_APIC_TMR, vector));
		else
			clear_bit(vector & 31, hv_apic_set_word(l, HV_APIC_TMR, vector));
	}
	/* Set already: whoever set it has notified, or is about to. */
	if (test_and_set_bit(vector & 31, hv_apic_set_word(l, HV_APIC_IRR, vector)))
		return true;
	/* After the IRR bit; pairs with hv_lapic_clear_irr(). */
	if (!test_bit(word, &l->irr_words))
		set_bit(word, &l->irr_words);
	hv_lapic_notify(l, HV_REQ_EVENT, self);
	return true;
}

bool hv_lapic_accept(struct hv_lapic *l, const struct hv_apic_irq *irq, bool self)
{
	trace_hv_apic_accept(l->vcpu->id, irq->mode, irq->vector, irq->level);
	switch (irq->mode) {
	case HV_APIC_LOWEST:
		WRITE_ONCE(l->arb, l->arb + 1);
		fallthrough;
	case HV_APIC_FIXED:
		return hv_lapic_accept_vector(l, irq, self);
	case HV_APIC_NMI:
		hv_queue_nmi(l->vcpu);
		return true;
	case HV_APIC_SMI:
		hv_queue_smi(l->vcpu);
		return true;
	case HV_APIC_INIT:
		if (irq->level && !irq->assert)
			return false;
		/* INIT forgets a start-up message that was not acted on. */
		xchg(&l->pending_events, BIT(HV_LAPIC_INIT));
		hv_lapic_notify(l, HV_REQ_APIC_EVENT, self);
		return true;
	case HV_APIC_SIPI:
		WRITE_ONCE(l->sipi_vector, irq->vector);
		smp_wmb();	/* the vector before the event; see hv_lapic_accept_event() */
		set_bit(HV_LAPIC_SIPI, &l->pending_events);
		hv_lapic_notify(l, HV_REQ_APIC_EVENT, self);
		return true;
	}
	return false;		/* remote read, ExtINT messages: not implemented by hv */
}

/* ---- asking one APIC whether it is addressed ----------------------------------------------- */

static bool hv_irq_is_broadcast(const struct hv_apic_irq *irq)
{
	return irq->dest == HV_APIC_X2_BROADCAST ||
	       (!irq->dest32 && irq->dest == HV_APIC_BROADCAST);
}

static bool hv_lapic_match_logical(const struct hv_lapic *l, u32 dest)
{
	u32 ldr = hv_apic_read(l, HV_APIC_LDR);

	if (READ_ONCE(l->x2apic))
		return (dest >> 16) == (ldr >> 16) && (dest & ldr & 0xffff);
	ldr >>= 24;
	if (hv_apic_read(l, HV_APIC_DFR) == HV_APIC_DFR_FLAT)
		return dest & ldr & 0xff;
	return ((dest ^ ldr) & 0xf0) == 0 && (dest & ldr & 0xf);
}

static bool hv_lapic_match(const struct hv_lapic *l, const struct hv_lapic *source,
			   const struct hv_apic_irq *irq)
{
	if (!READ_ONCE(l->hw_enabled))
		return false;
	if (irq->shorthand)
		return irq->shorthand == HV_APIC_ALL || l != source;
	/* 0xff in a message's 8-bit destination: everybody, unless user space knows better. */
	if (hv_irq_is_broadcast(irq))
		return irq->dest != HV_APIC_BROADCAST || !READ_ONCE(l->x2apic) ||
		       !l->vcpu->vm->x2apic_no_broadcast_quirk || hv_apic_id(l) == irq->dest;
	return irq->logical ? hv_lapic_match_logical(l, irq->dest) : hv_apic_id(l) == irq->dest;
}

/* ---- delivery ------------------------------------------------------------------------------ */

/* Collects the destinations of one message: all of them, or the best one of them. */
struct hv_delivery {
	const struct hv_apic_irq *irq;
	struct hv_lapic *source, *best;
	bool lowest;
	int result;
};

static void hv_delivery_add(struct hv_delivery *d, struct hv_lapic *l)
{
	if (d->result < 0)
		d->result = 0;
	if (!d->lowest) {
		d->result += hv_lapic_accept(l, d->irq, l == d->source);
		return;
	}
	/* Lowest priority: who was chosen the fewest times; wraps well. */
	if (hv_apic_usable(l) &&
	    (!d->best || (s32)(READ_ONCE(l->arb) - READ_ONCE(d->best->arb)) < 0))
		d->best = l;
}

static void hv_deliver_scan(struct hv_vm *vm, struct hv_delivery *d)
{
	struct hv_vcpu *vcpu;
	unsigned long i;

	hv_for_each_vcpu(vm, vcpu, i) {
		if (vcpu->lapic && hv_lapic_match(vcpu->lapic, d->source, d->irq))
			hv_delivery_add(d, vcpu->lapic);
	}
}

static void hv_delivery_add_id(struct hv_delivery *d, const struct hv_apic_map *map, u32 id)
{
	if (id < map->nr_ids && map->phys[id])
		hv_delivery_add(d, map->phys[id]);
}

/* Through the map; false: the map cannot answer. */
static bool hv_deliver_mapped(struct hv_vm *vm, struct hv_delivery *d)
{
	const struct hv_apic_map *map = rcu_dereference(vm->apic_map);
	const struct hv_apic_irq *irq = d->irq;
	unsigned long bits;
	unsigned int bit, cluster = 0;

	if (!map || map->nr_vcpus != READ_ONCE(vm->online_vcpus))
		return false;
	if (irq->shorthand || hv_irq_is_broadcast(irq))
		return false;
	if (!irq->logical) {
		hv_delivery_add_id(d, map, irq->dest);
		return true;
	}
	switch (map->format) {
	case HV_APIC_FLAT:
		bits = irq->dest & 0xff;
		break;
	case HV_APIC_CLUSTER:
		cluster = irq->dest >> 4 & 0xf;
		bits = irq->dest & 0xf;
		break;
	case HV_APIC_X2:
		/* The logical id is made from the APIC id: see hv_lapic_x2_ldr(). */
		bits = irq->dest & 0xffff;
		for_each_set_bit(bit, &bits, 16)
			hv_delivery_add_id(d, map, (irq->dest >> 16) * 16 + bit);
		return true;
	default:
		return false;
	}
	for_each_set_bit(bit, &bits, 8) {
		if (map->logical[cluster][bit] != HV_APIC_BROADCAST)
			hv_delivery_add_id(d, map, map->logical[cluster][bit]);
	}
	return true;
}

int hv_apic_deliver(struct hv_vm *vm, struct hv_lapic *source, const struct hv_apic_irq *irq)
{
	struct hv_delivery d = {
		.irq = irq,
		.source = source,
		.lowest = irq->mode == HV_APIC_LOWEST || irq->redir_hint,
		.result = -1,
	};
	struct hv_apic_irq one;

	if (irq->shorthand == HV_APIC_SELF)
		return hv_lapic_accept(source, irq, true);

	rcu_read_lock();
	if (!hv_deliver_mapped(vm, &d))
		hv_deliver_scan(vm, &d);
	if (d.best) {
		one = *irq;
		if (one.mode == HV_APIC_FIXED)
			one.mode = HV_APIC_LOWEST;	/* by redirection hint: count it */
		d.result = hv_lapic_accept(d.best, &one, d.best == source);
	}
	rcu_read_unlock();
	return d.result;
}

void hv_lapic_send_ipi(struct hv_lapic *l, u32 icr, u32 dest)
{
	struct hv_apic_irq irq = {
		.dest = dest,
		.vector = icr & 0xff,
		.mode = icr >> 8 & 7,
		.shorthand = icr >> HV_APIC_ICR_SHORTHAND_SHIFT & 3,
		.logical = icr & HV_APIC_ICR_LOGICAL,
		.level = icr & HV_APIC_ICR_LEVEL,
		.assert = icr & HV_APIC_ICR_ASSERT,
		.dest32 = l->x2apic,
	};

	trace_hv_apic_ipi(l->vcpu->id, icr, dest);
	if (irq.mode <= HV_APIC_LOWEST) {
		if (irq.vector < 16) {
			hv_lapic_error(l, HV_APIC_ESR_SEND_ILLEGAL, true);
			return;
		}
		/* The trigger bit means something for INIT only (SDM 11.6.1). */
		irq.level = false;
	}
	hv_apic_deliver(l->vcpu->vm, l, &irq);
}

/* ---- the map ------------------------------------------------------------------------------- */

/* Enter one APIC's logical destination; false: the map cannot express the VM's state. */
static bool hv_map_add_logical(struct hv_apic_map *map, struct hv_lapic *l, u32 id)
{
	u32 ldr = hv_apic_read(l, HV_APIC_LDR), dfr = hv_apic_read(l, HV_APIC_DFR);
	unsigned int cluster = 0, bit;
	unsigned long bits;
	u8 format;

	if (l->x2apic) {
		format = HV_APIC_X2;
		bits = 0;		/* no table is needed */
	} else if (!(ldr >> 24)) {
		return true;		/* not set up yet: no logical message reaches it */
	} else if (dfr == HV_APIC_DFR_FLAT) {
		format = HV_APIC_FLAT;
		bits = ldr >> 24;
	} else {
		format = HV_APIC_CLUSTER;
		cluster = ldr >> 28;
		bits = ldr >> 24 & 0xf;
	}
	if (map->format != HV_APIC_NO_LOGICAL && map->format != format)
		return false;
	map->format = format;
	for_each_set_bit(bit, &bits, 8) {
		if (map->logical[cluster][bit] != HV_APIC_BROADCAST)
			return false;
		map->logical[cluster][bit] = id;
	}
	return true;
}

static bool hv_map_fill(struct hv_apic_map *map, struct hv_vm *vm)
{
	struct hv_vcpu *vcpu;
	unsigned long i;
	u32 id;

	memset(map->logical, HV_APIC_BROADCAST, sizeof(map->logical));
	map->nr_vcpus = READ_ONCE(vm->online_vcpus);
	hv_for_each_vcpu(vm, vcpu, i) {
		struct hv_lapic *l = vcpu->lapic;

		if (i >= map->nr_vcpus)
			return true;
		if (!l || !l->hw_enabled)
			continue;
		id = hv_apic_id(l);
		if (id >= map->nr_ids || map->phys[id])
			return false;
		map->phys[id] = l;
		if (!hv_map_add_logical(map, l, id))
			return false;
	}
	return true;
}

/* An xAPIC's id can be anything below 256, an x2APIC's is that of its vCPU. */
static u32 hv_map_ids(struct hv_vm *vm)
{
	struct hv_vcpu *vcpu;
	unsigned long i;
	u32 nr = 256;

	hv_for_each_vcpu(vm, vcpu, i)
		nr = max(nr, vcpu->id + 1);
	return nr;
}

void hv_apic_map_update(struct hv_vm *vm)
{
	struct hv_apic_map *map, *old;
	u32 nr_ids = hv_map_ids(vm);

	/* GFP_ATOMIC: guests change ids from the inner loop. Failure only costs speed. */
	map = kzalloc(struct_size(map, phys, nr_ids), GFP_ATOMIC | __GFP_ACCOUNT | __GFP_NOWARN);
	if (map)
		map->nr_ids = nr_ids;
	spin_lock(&vm->apic_map_lock);
	if (map && !hv_map_fill(map, vm)) {
		kfree(map);
		map = NULL;
	}
	old = rcu_dereference_protected(vm->apic_map, lockdep_is_held(&vm->apic_map_lock));
	rcu_assign_pointer(vm->apic_map, map);
	spin_unlock(&vm->apic_map_lock);
	if (old)
		kfree_rcu(old, rcu);
}

void hv_apic_map_free(struct hv_vm *vm)
{
	kfree(rcu_dereference_protected(vm->apic_map, true));
	RCU_INIT_POINTER(vm->apic_map, NULL);
}
