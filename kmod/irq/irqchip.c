// SPDX-License-Identifier: GPL-2.0-only
/* The in-kernel irqchip as a whole: creation, teardown, saved state of the chips. */
#include <linux/slab.h>
#include <linux/string.h>
#include "chips.h"

int hv_irq_vm_init(struct hv_vm *vm)
{
	INIT_LIST_HEAD(&vm->resamplers);
	INIT_HLIST_HEAD(&vm->irq_acks);
	return 0;
}

void hv_irq_vm_release(struct hv_vm *vm)
{
	hv_irqfd_release(vm);
}

void hv_irq_vm_quiesce(struct hv_vm *vm)
{
	hv_pit_stop(vm);
	if (vm->ioapic)
		cancel_delayed_work_sync(&vm->ioapic->storm_work);
}

void hv_irq_vm_free(struct hv_vm *vm)
{
	hv_iobus_free(vm);	/* before the devices on it */
	hv_apic_map_free(vm);
	hv_apic_page_free(vm);
	hv_pit_free(vm);
	kfree(vm->ioapic);
	kfree(vm->pic);
	kvfree(rcu_dereference_protected(vm->routing, true));
}

/* ---- creation ------------------------------------------------------------------------------ */

static int hv_irqchip_register(struct hv_vm *vm)
{
	int err;

	mutex_lock(&vm->slots_lock);
	err = hv_pic_register(vm);
	if (!err)
		err = hv_ioapic_register(vm);
	if (err)
		hv_iobus_del(vm, HV_BUS_PIO, &vm->pic->dev);
	mutex_unlock(&vm->slots_lock);
	return err;
}

static void hv_irqchip_unregister(struct hv_vm *vm)
{
	mutex_lock(&vm->slots_lock);
	hv_iobus_del(vm, HV_BUS_PIO, &vm->pic->dev);
	hv_iobus_del(vm, HV_BUS_MMIO, &vm->ioapic->dev);
	mutex_unlock(&vm->slots_lock);
}

int hv_irqchip_create(struct hv_vm *vm)
{
	struct hv_ioapic *ioapic;
	struct hv_pic *pic;
	int err = -ENOMEM;

	if (hv_irqchip_in_kernel(vm))
		return -EEXIST;
	if (vm->created_vcpus)
		return -EINVAL;

	pic = kzalloc(sizeof(*pic), GFP_KERNEL_ACCOUNT);
	ioapic = kzalloc(sizeof(*ioapic), GFP_KERNEL_ACCOUNT);
	if (!pic || !ioapic)
		goto free;
	hv_pic_init(pic, vm);
	hv_ioapic_init(ioapic, vm);
	vm->pic = pic;
	vm->ioapic = ioapic;
	err = hv_irqchip_register(vm);
	if (err)
		goto forget;
	err = hv_irq_default_routing(vm);
	if (err)
		goto unregister;
	/* Pairs with hv_irqchip_in_kernel(). */
	smp_store_release(&vm->irqchip_mode, HV_IRQCHIP_KERNEL);
	return 0;

unregister:
	hv_irqchip_unregister(vm);
forget:
	vm->pic = NULL;
	vm->ioapic = NULL;
free:
	kfree(pic);
	kfree(ioapic);
	return err;
}

int hv_irqchip_split(struct hv_vm *vm, u64 pins)
{
	if (pins > HV_MAX_GSI)
		return -EINVAL;
	if (hv_irqchip_in_kernel(vm) || vm->created_vcpus)
		return -EEXIST;
	vm->split_pins = pins;
	/* Pairs with hv_irqchip_in_kernel(). */
	smp_store_release(&vm->irqchip_mode, HV_IRQCHIP_SPLIT);
	return 0;
}

/* ---- saved state --------------------------------------------------------------------------- */

int hv_irqchip_get(struct hv_vm *vm, struct kvm_irqchip *chip)
{
	u32 id = chip->chip_id;

	if (!hv_irqchip_in_kernel(vm) || !vm->pic)
		return -ENXIO;
	memset(chip, 0, sizeof(*chip));
	chip->chip_id = id;
	switch (id) {
	case KVM_IRQCHIP_PIC_MASTER:
	case KVM_IRQCHIP_PIC_SLAVE:
		hv_pic_get(vm->pic, id, &chip->chip.pic);
		return 0;
	case KVM_IRQCHIP_IOAPIC:
		hv_ioapic_get(vm->ioapic, &chip->chip.ioapic);
		return 0;
	}
	return -EINVAL;
}

int hv_irqchip_set(struct hv_vm *vm, const struct kvm_irqchip *chip)
{
	if (!hv_irqchip_in_kernel(vm) || !vm->pic)
		return -ENXIO;
	switch (chip->chip_id) {
	case KVM_IRQCHIP_PIC_MASTER:
	case KVM_IRQCHIP_PIC_SLAVE:
		hv_pic_set(vm->pic, chip->chip_id, &chip->chip.pic);
		return 0;
	case KVM_IRQCHIP_IOAPIC:
		hv_ioapic_set(vm->ioapic, &chip->chip.ioapic);
		return 0;
	}
	return -EINVAL;
}
