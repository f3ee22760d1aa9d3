// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_IRQFD: an eventfd that raises a GSI.
 *
 * A signal is turned into an interrupt in the wake-up callback itself, with IRQs off under the
 * eventfd's wait-queue lock: all chips can be driven from there. The callback finds its route in a
 * cached copy (single MSI) or walks the table under irq_srcu.
 *
 * An irqfd dies by KVM_IRQFD_FLAG_DEASSIGN, by the last close of its eventfd (EPOLLHUP, in the
 * callback) or with the VM's descriptor; whoever takes it off vm->irqfds (under irqfds_lock) queues
 * its shutdown, which does what has to sleep.
 */
#include <linux/eventfd.h>
#include <linux/poll.h>
#include <linux/rculist.h>
#include <linux/seqlock.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/workqueue.h>
#include "chips.h"
#include "compat/eventfd.h"
#include "compat/file.h"

static struct workqueue_struct *hv_irqfd_wq;

/* All resample irqfds of one GSI: their line goes down when the guest acknowledges it. */
struct hv_resampler {
	struct hv_vm *vm;
	struct list_head link;		/* vm->resamplers, under irq_lock */
	struct list_head irqfds;	/* changed under irq_lock, read under irq_srcu */
	struct hv_irq_ack ack;
};

struct hv_irqfd {
	struct hv_vm *vm;
	struct list_head link;		/* vm->irqfds, under irqfds_lock; empty: dying */
	u32 gsi;
	struct eventfd_ctx *event;
	wait_queue_entry_t wait;
	poll_table pt;
	seqcount_spinlock_t route_seq;	/* writers hold irqfds_lock */
	bool is_msi;
	struct hv_apic_irq msi;
	struct eventfd_ctx *resample;	/* NULL: edge */
	struct hv_resampler *resampler;
	struct list_head resample_link;
	struct work_struct shutdown;
};

/* ---- signals ------------------------------------------------------------------------------- */

static void hv_irqfd_inject(struct hv_irqfd *irqfd)
{
	struct hv_apic_irq msi;
	unsigned int seq;
	bool is_msi;

	if (irqfd->resample) {
		hv_irq_set_level(irqfd->vm, HV_IRQ_RESAMPLE, irqfd->gsi, 1, false);
		return;
	}
	do {
		seq = read_seqcount_begin(&irqfd->route_seq);
		is_msi = irqfd->is_msi;
		msi = irqfd->msi;
	} while (read_seqcount_retry(&irqfd->route_seq, seq));
	if (is_msi) {
		hv_apic_deliver(irqfd->vm, NULL, &msi);
		return;
	}
	hv_irq_set_level(irqfd->vm, HV_IRQ_USER, irqfd->gsi, 1, false);
	hv_irq_set_level(irqfd->vm, HV_IRQ_USER, irqfd->gsi, 0, false);
}

/* irqfds_lock held. */
static void hv_irqfd_deactivate(struct hv_irqfd *irqfd)
{
	list_del_init(&irqfd->link);
	queue_work(hv_irqfd_wq, &irqfd->shutdown);
}

static int hv_irqfd_wakeup(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct hv_irqfd *irqfd = container_of(wait, struct hv_irqfd, wait);
	__poll_t events = key_to_poll(key);
	struct hv_vm *vm = irqfd->vm;
	unsigned long flags;
	int ret = 0;
	u64 count;

	if (events & EPOLLIN) {
		eventfd_ctx_do_read(irqfd->event, &count);
		hv_irqfd_inject(irqfd);
		ret = 1;
	}
	if (events & EPOLLHUP) {
		/* The last user of the eventfd is gone. Lock order: wait queue, irqfds_lock. */
		spin_lock_irqsave(&vm->irqfds_lock, flags);
		if (!list_empty(&irqfd->link))
			hv_irqfd_deactivate(irqfd);
		spin_unlock_irqrestore(&vm->irqfds_lock, flags);
	}
	return ret;
}

static void hv_irqfd_queue(struct file *file, wait_queue_head_t *wqh, poll_table *pt)
{
	struct hv_irqfd *irqfd = container_of(pt, struct hv_irqfd, pt);

	add_wait_queue_priority(wqh, &irqfd->wait);
}

/* irqfds_lock held. */
static void hv_irqfd_cache_route(struct hv_irqfd *irqfd, const struct hv_irq_routing *routing)
{
	write_seqcount_begin(&irqfd->route_seq);
	irqfd->is_msi = hv_irq_route_msi(routing, irqfd->gsi, &irqfd->msi);
	write_seqcount_end(&irqfd->route_seq);
}

void hv_irqfd_reroute(struct hv_vm *vm)
{
	const struct hv_irq_routing *routing;
	struct hv_irqfd *irqfd;
	unsigned long flags;

	routing = rcu_dereference_protected(vm->routing, lockdep_is_held(&vm->irq_lock));
	spin_lock_irqsave(&vm->irqfds_lock, flags);
	list_for_each_entry(irqfd, &vm->irqfds, link)
		hv_irqfd_cache_route(irqfd, routing);
	spin_unlock_irqrestore(&vm->irqfds_lock, flags);
}

/* ---- resampling ---------------------------------------------------------------------------- */

/* The guest acknowledged the GSI: lower the line, then ask its users whether it should be up. */
static void hv_resampler_acked(struct hv_irq_ack *ack)
{
	struct hv_resampler *r = container_of(ack, struct hv_resampler, ack);
	struct hv_irqfd *irqfd;

	hv_irq_set_level(r->vm, HV_IRQ_RESAMPLE, ack->gsi, 0, false);
	list_for_each_entry_srcu(irqfd, &r->irqfds, resample_link,
				 srcu_read_lock_held(&r->vm->irq_srcu))
		hv_eventfd_signal(irqfd->resample);
}

static struct hv_resampler *hv_resampler_find(struct hv_vm *vm, u32 gsi)
{
	struct hv_resampler *r;

	list_for_each_entry(r, &vm->resamplers, link) {
		if (r->ack.gsi == gsi)
			return r;
	}
	r = kzalloc(sizeof(*r), GFP_KERNEL_ACCOUNT);
	if (!r)
		return NULL;
	r->vm = vm;
	r->ack.gsi = gsi;
	r->ack.fn = hv_resampler_acked;
	INIT_LIST_HEAD(&r->irqfds);
	list_add(&r->link, &vm->resamplers);
	hv_irq_ack_add(vm, &r->ack);
	return r;
}

static int hv_resampler_join(struct hv_irqfd *irqfd)
{
	struct hv_vm *vm = irqfd->vm;
	struct hv_resampler *r;

	mutex_lock(&vm->irq_lock);
	r = hv_resampler_find(vm, irqfd->gsi);
	if (r) {
		irqfd->resampler = r;
		list_add_rcu(&irqfd->resample_link, &r->irqfds);
	}
	mutex_unlock(&vm->irq_lock);
	return r ? 0 : -ENOMEM;
}

static void hv_resampler_leave(struct hv_irqfd *irqfd)
{
	struct hv_resampler *r = irqfd->resampler;
	struct hv_vm *vm = irqfd->vm;

	if (!r)
		return;
	mutex_lock(&vm->irq_lock);
	list_del_rcu(&irqfd->resample_link);
	if (list_empty(&r->irqfds)) {
		list_del(&r->link);
		hv_irq_ack_del(vm, &r->ack);
		/* Nobody is left to lower it. */
		hv_irq_set_level(vm, HV_IRQ_RESAMPLE, r->ack.gsi, 0, false);
		kfree(r);
	} else {
		synchronize_srcu_expedited(&vm->irq_srcu);
	}
	mutex_unlock(&vm->irq_lock);
}

/* ---- life ---------------------------------------------------------------------------------- */

static void hv_irqfd_free(struct hv_irqfd *irqfd)
{
	if (irqfd->resample)
		eventfd_ctx_put(irqfd->resample);
	if (irqfd->event)
		eventfd_ctx_put(irqfd->event);
	kfree(irqfd);
}

static void hv_irqfd_shutdown(struct work_struct *work)
{
	struct hv_irqfd *irqfd = container_of(work, struct hv_irqfd, shutdown);
	u64 count;

	/* hv_irqfd_assign() may still be putting it on the wait queue. */
	synchronize_srcu_expedited(&irqfd->vm->irq_srcu);
	eventfd_ctx_remove_wait_queue(irqfd->event, &irqfd->wait, &count);
	hv_resampler_leave(irqfd);
	hv_irqfd_free(irqfd);
}

/* Publish it and start to listen; -EBUSY: the eventfd has an irqfd already. */
static int hv_irqfd_attach(struct hv_irqfd *irqfd, struct file *file)
{
	struct hv_vm *vm = irqfd->vm;
	struct hv_irqfd *other;
	unsigned long flags;
	__poll_t events;
	int idx;

	idx = srcu_read_lock(&vm->irq_srcu);
	spin_lock_irqsave(&vm->irqfds_lock, flags);
	list_for_each_entry(other, &vm->irqfds, link) {
		if (other->event == irqfd->event) {
			spin_unlock_irqrestore(&vm->irqfds_lock, flags);
			srcu_read_unlock(&vm->irq_srcu, idx);
			return -EBUSY;
		}
	}
	hv_irqfd_cache_route(irqfd, srcu_dereference(vm->routing, &vm->irq_srcu));
	list_add_tail(&irqfd->link, &vm->irqfds);
	spin_unlock_irqrestore(&vm->irqfds_lock, flags);

	/* It may have been signalled before there was anybody to hear it. */
	events = vfs_poll(file, &irqfd->pt);
	if (events & EPOLLIN)
		hv_irqfd_inject(irqfd);
	srcu_read_unlock(&vm->irq_srcu, idx);
	return 0;
}

static int hv_irqfd_assign(struct hv_vm *vm, const struct kvm_irqfd *args)
{
	struct hv_irqfd *irqfd;
	struct fd f;
	int err;

	irqfd = kzalloc(sizeof(*irqfd), GFP_KERNEL_ACCOUNT);
	if (!irqfd)
		return -ENOMEM;
	irqfd->vm = vm;
	irqfd->gsi = args->gsi;
	INIT_LIST_HEAD(&irqfd->link);
	INIT_WORK(&irqfd->shutdown, hv_irqfd_shutdown);
	seqcount_spinlock_init(&irqfd->route_seq, &vm->irqfds_lock);
	init_waitqueue_func_entry(&irqfd->wait, hv_irqfd_wakeup);
	init_poll_funcptr(&irqfd->pt, hv_irqfd_queue);

	f = fdget(args->fd);
	err = -EBADF;
	if (!hv_fd_file(f))
		goto free;
	irqfd->event = eventfd_ctx_fileget(hv_fd_file(f));
	if (IS_ERR(irqfd->event)) {
		err = PTR_ERR(irqfd->event);
		irqfd->event = NULL;
		goto put;
	}
	if (args->flags & KVM_IRQFD_FLAG_RESAMPLE) {
		irqfd->resample = eventfd_ctx_fdget(args->resamplefd);
		if (IS_ERR(irqfd->resample)) {
			err = PTR_ERR(irqfd->resample);
			irqfd->resample = NULL;
			goto put;
		}
		err = hv_resampler_join(irqfd);
		if (err)
			goto put;
	}
	err = hv_irqfd_attach(irqfd, hv_fd_file(f));
	if (err)
		goto leave;
	fdput(f);
	return 0;

leave:
	hv_resampler_leave(irqfd);
put:
	fdput(f);
free:
	hv_irqfd_free(irqfd);
	return err;
}

static int hv_irqfd_deassign(struct hv_vm *vm, const struct kvm_irqfd *args)
{
	struct hv_irqfd *irqfd, *next;
	struct eventfd_ctx *event;
	unsigned long flags;

	event = eventfd_ctx_fdget(args->fd);
	if (IS_ERR(event))
		return PTR_ERR(event);
	spin_lock_irqsave(&vm->irqfds_lock, flags);
	list_for_each_entry_safe(irqfd, next, &vm->irqfds, link) {
		if (irqfd->event == event && irqfd->gsi == args->gsi)
			hv_irqfd_deactivate(irqfd);
	}
	spin_unlock_irqrestore(&vm->irqfds_lock, flags);
	eventfd_ctx_put(event);
	/* When this returns, no interrupt comes from it any more. */
	flush_workqueue(hv_irqfd_wq);
	return 0;
}

int hv_irqfd(struct hv_vm *vm, const struct kvm_irqfd *args)
{
	if (args->flags & ~(KVM_IRQFD_FLAG_DEASSIGN | KVM_IRQFD_FLAG_RESAMPLE))
		return -EINVAL;
	if (args->flags & KVM_IRQFD_FLAG_DEASSIGN)
		return hv_irqfd_deassign(vm, args);
	if (!hv_irqchip_in_kernel(vm))
		return -EINVAL;
	if ((args->flags & KVM_IRQFD_FLAG_RESAMPLE) && !vm->ioapic)
		return -EINVAL;
	return hv_irqfd_assign(vm, args);
}

void hv_irqfd_release(struct hv_vm *vm)
{
	struct hv_irqfd *irqfd, *next;
	unsigned long flags;

	spin_lock_irqsave(&vm->irqfds_lock, flags);
	list_for_each_entry_safe(irqfd, next, &vm->irqfds, link)
		hv_irqfd_deactivate(irqfd);
	spin_unlock_irqrestore(&vm->irqfds_lock, flags);
	/* Also those that died by themselves: they use the VM. */
	flush_workqueue(hv_irqfd_wq);
}

int hv_irqfd_init(void)
{
	hv_irqfd_wq = alloc_workqueue("hv-irqfd", 0, 0);
	return hv_irqfd_wq ? 0 : -ENOMEM;
}

void hv_irqfd_exit(void)
{
	destroy_workqueue(hv_irqfd_wq);
}
