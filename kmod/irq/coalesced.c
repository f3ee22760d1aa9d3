// SPDX-License-Identifier: GPL-2.0-only
/*
 * Coalesced MMIO and PIO: writes to registered zones are put into a ring that user space drains
 * later. The ring is one per VM (vm->ring), mapped through any vCPU descriptor.
 */
#include <linux/kvm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "irq.h"

#define HV_RING_ENTRIES							\
	((PAGE_SIZE - sizeof(struct kvm_coalesced_mmio_ring)) /		\
	 sizeof(struct kvm_coalesced_mmio))

struct hv_coalesced_zone {
	struct list_head link;		/* vm->coalesced_zones */
	struct hv_iodev dev;
	struct hv_vm *vm;
	enum hv_bus_kind kind;
	u64 addr;
	u32 size;
};

static int hv_coalesced_write(struct hv_vcpu *vcpu, struct hv_iodev *dev, u64 addr, u32 len,
			      const void *data)
{
	struct hv_coalesced_zone *zone = container_of(dev, struct hv_coalesced_zone, dev);
	struct kvm_coalesced_mmio_ring *ring = zone->vm->ring;
	u32 last, next;
	int ret = -EOPNOTSUPP;

	/* A zone of size 0 is an address of any length to the bus. */
	if (!zone->size || len > sizeof(ring->coalesced_mmio[0].data))
		return -EOPNOTSUPP;
	spin_lock(&zone->vm->ring_lock);
	/* User space can write the ring: believe no index. A full ring is drained by an exit. */
	last = READ_ONCE(ring->last);
	next = last + 1 < HV_RING_ENTRIES ? last + 1 : 0;
	if (last < HV_RING_ENTRIES && next != READ_ONCE(ring->first)) {
		ring->coalesced_mmio[last].phys_addr = addr;
		ring->coalesced_mmio[last].len = len;
		memcpy(ring->coalesced_mmio[last].data, data, len);
		ring->coalesced_mmio[last].pio = zone->kind == HV_BUS_PIO;
		/* The entry before the index; pairs with user space's reading. */
		smp_store_release(&ring->last, next);
		ret = 0;
	}
	spin_unlock(&zone->vm->ring_lock);
	return ret;
}

static void hv_coalesced_release(struct hv_iodev *dev)
{
	kfree(container_of(dev, struct hv_coalesced_zone, dev));
}

static const struct hv_iodev_ops hv_coalesced_ops = {
	.write = hv_coalesced_write,
	.release = hv_coalesced_release,
};

int hv_coalesced_register(struct hv_vm *vm, const struct kvm_coalesced_mmio_zone *args)
{
	struct hv_coalesced_zone *zone;
	int err;

	if (args->pio > 1 || args->addr + args->size < args->addr)
		return -EINVAL;
	zone = kzalloc(sizeof(*zone), GFP_KERNEL_ACCOUNT);
	if (!zone)
		return -ENOMEM;
	zone->dev.ops = &hv_coalesced_ops;
	zone->vm = vm;
	zone->kind = args->pio ? HV_BUS_PIO : HV_BUS_MMIO;
	zone->addr = args->addr;
	zone->size = args->size;
	mutex_lock(&vm->slots_lock);
	err = hv_iobus_add(vm, zone->kind, zone->addr, zone->size, &zone->dev);
	if (!err)
		list_add_tail(&zone->link, &vm->coalesced_zones);
	mutex_unlock(&vm->slots_lock);
	if (err)
		kfree(zone);
	return err;
}

/* Removes every zone that contains the given one, as KVM does; none is no error. */
int hv_coalesced_unregister(struct hv_vm *vm, const struct kvm_coalesced_mmio_zone *args)
{
	enum hv_bus_kind kind = args->pio ? HV_BUS_PIO : HV_BUS_MMIO;
	struct hv_coalesced_zone *zone, *next;

	if (args->pio > 1)
		return -EINVAL;
	mutex_lock(&vm->slots_lock);
	list_for_each_entry_safe(zone, next, &vm->coalesced_zones, link) {
		if (zone->kind != kind || args->addr < zone->addr ||
		    args->size > zone->size ||
		    args->addr - zone->addr > zone->size - args->size)
			continue;
		list_del(&zone->link);
		hv_iobus_del(vm, kind, &zone->dev);
		kfree(zone);
	}
	mutex_unlock(&vm->slots_lock);
	return 0;
}
