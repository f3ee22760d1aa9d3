// SPDX-License-Identifier: GPL-2.0-only
/* KVM_IOEVENTFD: a write to a port or an MMIO address signals an eventfd, without user space. */
#include <linux/eventfd.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "irq.h"
#include "compat/eventfd.h"

struct hv_ioeventfd {
	struct list_head link;		/* vm->ioeventfds */
	struct hv_iodev dev;
	struct eventfd_ctx *event;
	enum hv_bus_kind kind;
	u64 addr;
	u64 datamatch;
	u32 len;			/* 0: writes of any length */
	bool wildcard;			/* any value */
};

static int hv_ioeventfd_write(struct hv_vcpu *vcpu, struct hv_iodev *dev, u64 addr, u32 len,
			      const void *data)
{
	struct hv_ioeventfd *p = container_of(dev, struct hv_ioeventfd, dev);
	u64 value = 0;

	if (addr != p->addr || (p->len && len != p->len))
		return -EOPNOTSUPP;
	if (!p->wildcard) {
		memcpy(&value, data, min_t(u32, len, sizeof(value)));
		if (value != p->datamatch)
			return -EOPNOTSUPP;
	}
	hv_eventfd_signal(p->event);
	return 0;
}

static void hv_ioeventfd_release(struct hv_iodev *dev)
{
	struct hv_ioeventfd *p = container_of(dev, struct hv_ioeventfd, dev);

	eventfd_ctx_put(p->event);
	kfree(p);
}

static const struct hv_iodev_ops hv_ioeventfd_ops = {
	.write = hv_ioeventfd_write,
	.release = hv_ioeventfd_release,
};

/* Would one write signal both? */
static bool hv_ioeventfd_clash(struct hv_vm *vm, const struct hv_ioeventfd *p)
{
	struct hv_ioeventfd *q;

	list_for_each_entry(q, &vm->ioeventfds, link) {
		if (q->kind == p->kind && q->addr == p->addr &&
		    (!q->len || !p->len ||
		     (q->len == p->len &&
		      (q->wildcard || p->wildcard || q->datamatch == p->datamatch))))
			return true;
	}
	return false;
}

static int hv_ioeventfd_assign(struct hv_vm *vm, const struct kvm_ioeventfd *args)
{
	struct eventfd_ctx *event;
	struct hv_ioeventfd *p;
	int err;

	event = eventfd_ctx_fdget(args->fd);
	if (IS_ERR(event))
		return PTR_ERR(event);
	p = kzalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);
	if (!p) {
		eventfd_ctx_put(event);
		return -ENOMEM;
	}
	p->dev.ops = &hv_ioeventfd_ops;
	p->event = event;
	p->kind = args->flags & KVM_IOEVENTFD_FLAG_PIO ? HV_BUS_PIO : HV_BUS_MMIO;
	p->addr = args->addr;
	p->len = args->len;
	p->wildcard = !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH);
	p->datamatch = p->wildcard ? 0 : args->datamatch;

	mutex_lock(&vm->slots_lock);
	err = hv_ioeventfd_clash(vm, p) ? -EEXIST :
	      hv_iobus_add(vm, p->kind, p->addr, p->len, &p->dev);
	if (!err)
		list_add_tail(&p->link, &vm->ioeventfds);
	mutex_unlock(&vm->slots_lock);
	if (err)
		hv_ioeventfd_release(&p->dev);
	return err;
}

static bool hv_ioeventfd_is(const struct hv_ioeventfd *p, const struct kvm_ioeventfd *args,
			    const struct eventfd_ctx *event)
{
	bool wildcard = !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH);
	enum hv_bus_kind kind = args->flags & KVM_IOEVENTFD_FLAG_PIO ? HV_BUS_PIO : HV_BUS_MMIO;

	return p->event == event && p->kind == kind && p->addr == args->addr &&
	       p->len == args->len && p->wildcard == wildcard &&
	       (wildcard || p->datamatch == args->datamatch);
}

static int hv_ioeventfd_deassign(struct hv_vm *vm, const struct kvm_ioeventfd *args)
{
	struct hv_ioeventfd *p, *next;
	struct eventfd_ctx *event;
	int err = -ENOENT;

	event = eventfd_ctx_fdget(args->fd);
	if (IS_ERR(event))
		return PTR_ERR(event);
	mutex_lock(&vm->slots_lock);
	list_for_each_entry_safe(p, next, &vm->ioeventfds, link) {
		if (!hv_ioeventfd_is(p, args, event))
			continue;
		list_del(&p->link);
		hv_iobus_del(vm, p->kind, &p->dev);
		hv_ioeventfd_release(&p->dev);
		err = 0;
		break;
	}
	mutex_unlock(&vm->slots_lock);
	eventfd_ctx_put(event);
	return err;
}

int hv_ioeventfd(struct hv_vm *vm, const struct kvm_ioeventfd *args)
{
	const u32 flags = KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_PIO |
			  KVM_IOEVENTFD_FLAG_DEASSIGN;

	/* The CCW bus of s390 has no meaning here. */
	if (args->flags & ~flags)
		return -EINVAL;
	if (args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN)
		return hv_ioeventfd_deassign(vm, args);
	switch (args->len) {
	case 0:
		/* No length, so nothing to compare. */
		if (args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH)
			return -EINVAL;
		break;
	case 1:
	case 2:
	case 4:
	case 8:
		break;
	default:
		return -EINVAL;
	}
	if (args->addr + args->len < args->addr)
		return -EINVAL;
	return hv_ioeventfd_assign(vm, args);
}
