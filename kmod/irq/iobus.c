// SPDX-License-Identifier: GPL-2.0-only
/*
 * The in-kernel I/O buses: ports and MMIO ranges that are answered without user space.
 * A bus is an immutable sorted array, replaced under slots_lock and read under vm->srcu.
 */
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/string.h>
#include "irq.h"
#include "lapic.h"

/* A bound on what one VM may register (ioeventfds, coalesced zones, the irqchip). */
#define HV_IOBUS_MAX		2048

struct hv_iorange {
	u64 addr;
	u32 len;		/* 0: accesses of any length that start at addr */
	struct hv_iodev *dev;
};

struct hv_iobus {
	struct rcu_head rcu;
	u32 nr;
	u32 max_len;		/* of all ranges: how far back an access may find its range */
	struct hv_iorange range[];	/* sorted by addr */
};

/* ---- changes: slots_lock held -------------------------------------------------------------- */

static struct hv_iobus *hv_iobus_of(struct hv_vm *vm, enum hv_bus_kind kind)
{
	return rcu_dereference_protected(vm->buses[kind], lockdep_is_held(&vm->slots_lock));
}

static struct hv_iobus *hv_iobus_alloc(u32 nr)
{
	struct hv_iobus *bus;

	return kzalloc(struct_size(bus, range, nr), GFP_KERNEL_ACCOUNT);
}

static void hv_iobus_append(struct hv_iobus *bus, const struct hv_iorange *range)
{
	bus->range[bus->nr++] = *range;
	bus->max_len = max(bus->max_len, range->len);
}

static void hv_iobus_free_rcu(struct rcu_head *rcu)
{
	kfree(container_of(rcu, struct hv_iobus, rcu));
}

/* Replace a bus. Readers of the old one finish before it is freed; @wait: before this returns. */
static void hv_iobus_replace(struct hv_vm *vm, enum hv_bus_kind kind, struct hv_iobus *bus,
			     bool wait)
{
	struct hv_iobus *old = hv_iobus_of(vm, kind);

	rcu_assign_pointer(vm->buses[kind], bus);
	if (wait) {
		hv_vcpus_quiesce(vm);
		kfree(old);
	} else if (old) {
		call_srcu(&vm->srcu, &old->rcu, hv_iobus_free_rcu);
	}
}

int hv_iobus_add(struct hv_vm *vm, enum hv_bus_kind kind, u64 addr, u32 len, struct hv_iodev *dev)
{
	struct hv_iorange range = { .addr = addr, .len = len, .dev = dev };
	struct hv_iobus *old = hv_iobus_of(vm, kind), *bus;
	u32 nr = old ? old->nr : 0, i;

	if (nr >= HV_IOBUS_MAX)
		return -ENOSPC;
	bus = hv_iobus_alloc(nr + 1);
	if (!bus)
		return -ENOMEM;
	/* Equal addresses stay in the order they were added. */
	for (i = 0; i < nr && old->range[i].addr <= addr; i++)
		hv_iobus_append(bus, &old->range[i]);
	hv_iobus_append(bus, &range);
	for (; i < nr; i++)
		hv_iobus_append(bus, &old->range[i]);
	hv_iobus_replace(vm, kind, bus, false);
	return 0;
}

void hv_iobus_del(struct hv_vm *vm, enum hv_bus_kind kind, struct hv_iodev *dev)
{
	struct hv_iobus *old = hv_iobus_of(vm, kind), *bus;
	u32 i, found = 0;

	for (i = 0; old && i < old->nr; i++)
		found += old->range[i].dev == dev;
	if (!found)
		return;
	/* Removal must not fail, and the array is small. */
	bus = kzalloc(struct_size(bus, range, old->nr - found), GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
	for (i = 0; i < old->nr; i++) {
		if (old->range[i].dev != dev)
			hv_iobus_append(bus, &old->range[i]);
	}
	hv_iobus_replace(vm, kind, bus, true);
}

/* The VM is going: nobody reads the buses any more. */
void hv_iobus_free(struct hv_vm *vm)
{
	struct hv_iobus *bus;
	unsigned int kind;
	u32 i;

	for (kind = 0; kind < ARRAY_SIZE(vm->buses); kind++) {
		bus = rcu_dereference_protected(vm->buses[kind], true);
		RCU_INIT_POINTER(vm->buses[kind], NULL);
		for (i = 0; bus && i < bus->nr; i++) {
			if (bus->range[i].dev->ops->release)
				bus->range[i].dev->ops->release(bus->range[i].dev);
		}
		kfree(bus);
	}
	/*
	 * hv_iobus_free_rcu() of replaced buses: the caller's cleanup_srcu_struct() needs them
	 * done.
	 */
	srcu_barrier(&vm->srcu);
}

/* ---- accesses ------------------------------------------------------------------------------ */

/* Number of ranges that start at or below @addr. */
static u32 hv_iobus_search(const struct hv_iobus *bus, u64 addr)
{
	u32 low = 0, high = bus->nr;

	while (low < high) {
		u32 mid = (low + high) / 2;

		if (bus->range[mid].addr <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/*
 * The next candidate at or below index *@at for an access; NULL: no more. Ranges are searched
 * downwards from the access's address as far as the longest range could reach.
 */
static struct hv_iodev *hv_iobus_next(const struct hv_iobus *bus, u32 *at, u64 addr, u32 len)
{
	while (*at) {
		const struct hv_iorange *r = &bus->range[--*at];
		u64 offset = addr - r->addr;

		if (offset > bus->max_len)
			return NULL;
		if (r->len ? offset + len <= r->len : !offset)
			return r->dev;
	}
	return NULL;
}

static bool hv_is_lapic_page(const struct hv_vcpu *vcpu, u64 addr)
{
	return vcpu->lapic && !((vcpu->msrs.apic_base ^ addr) & HV_APIC_BASE_ADDR);
}

int hv_iobus_read(struct hv_vcpu *vcpu, enum hv_bus_kind kind, u64 addr, u32 len, void *data)
{
	const struct hv_iobus *bus;
	struct hv_iodev *dev;
	u32 at;

	if (kind == HV_BUS_MMIO && hv_is_lapic_page(vcpu, addr))
		return hv_lapic_mmio_read(vcpu, addr, len, data);
	bus = srcu_dereference(vcpu->vm->buses[kind], &vcpu->vm->srcu);
	if (!bus)
		return -EOPNOTSUPP;
	at = hv_iobus_search(bus, addr);
	while ((dev = hv_iobus_next(bus, &at, addr, len))) {
		if (dev->ops->read && !dev->ops->read(vcpu, dev, addr, len, data))
			return 0;
	}
	return -EOPNOTSUPP;
}

int hv_iobus_write(struct hv_vcpu *vcpu, enum hv_bus_kind kind, u64 addr, u32 len,
		   const void *data)
{
	const struct hv_iobus *bus;
	struct hv_iodev *dev;
	u32 at;

	if (kind == HV_BUS_MMIO && hv_is_lapic_page(vcpu, addr))
		return hv_lapic_mmio_write(vcpu, addr, len, data);
	bus = srcu_dereference(vcpu->vm->buses[kind], &vcpu->vm->srcu);
	if (!bus)
		return -EOPNOTSUPP;
	at = hv_iobus_search(bus, addr);
	while ((dev = hv_iobus_next(bus, &at, addr, len))) {
		if (dev->ops->write && !dev->ops->write(vcpu, dev, addr, len, data))
			return 0;
	}
	return -EOPNOTSUPP;
}
