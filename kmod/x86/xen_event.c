// SPDX-License-Identifier: GPL-2.0-only
/*
 * Xen's event channels, with two levels: a bit per port in the VM's shared page says that it is
 * pending, another one there that it is masked; a bit per word of those, in the vCPU's info area,
 * says where to look, and a byte that there is anything at all.
 *
 * All these are in guest memory and change by atomic operations, of the guest's vCPUs too. Nothing
 * of it goes into the dirty log, as KVM says of its own: user space takes both for always dirty.
 */
#include <linux/eventfd.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/uaccess.h>

#include "../compat/eventfd.h"
#include "../irq/lapic.h"
#include "xen.h"

/* ---- bits and bytes in guest memory -------------------------------------------------------- */

void __user *hv_xen_user(struct hv_vm *vm, hv_xen_area_t area, u32 offset)
{
	u64 addr = (area & HV_XEN_AREA_ADDR) + offset;
	const struct hv_memslot *slot;

	if (!(area & HV_XEN_AREA_ON))
		return NULL;
	if (area & HV_XEN_AREA_HVA)
		return (void __user *)(unsigned long)addr;
	slot = hv_slot_find_as(vm, 0, addr >> PAGE_SHIFT);
	if (!slot || (slot->flags & KVM_MEM_READONLY))
		return NULL;
	return (void __user *)(hv_slot_hva(slot, addr >> PAGE_SHIFT) + offset_in_page(addr));
}

/* A bit of the bitmap at @offset of an area: 1: it is set, 0: it is not, -EFAULT. */
static int hv_xen_bit_test(struct hv_vm *vm, hv_xen_area_t area, u32 offset, u32 bit)
{
	u32 __user *word = hv_xen_user(vm, area, offset + bit / 32 * sizeof(u32));
	u32 value;

	if (!word || __get_user(value, word))
		return -EFAULT;
	return value >> (bit & 31) & 1;
}

/* Set it: 1: it was set already, 0: it was not, -EFAULT. */
static int hv_xen_bit_set(struct hv_vm *vm, hv_xen_area_t area, u32 offset, u32 bit)
{
	u32 __user *word = hv_xen_user(vm, area, offset + bit / 32 * sizeof(u32));
	u32 old, mask = BIT(bit & 31);
	int r;

	if (!word || __get_user(old, word))
		return -EFAULT;
	do {
		if (old & mask)
			return 1;
		r = __try_cmpxchg_user(word, &old, old | mask, fault);
	} while (r > 0);
	return r;
}

/* ---- telling a vCPU ------------------------------------------------------------------------ */

u8 hv_xen_upcall_vector(const struct hv_vcpu *vcpu)
{
	return READ_ONCE(vcpu->vm->xen->upcall_vector);
}

/*
 * The VM's vector is an interrupt like those of an 8259: it is there as long as the byte is set,
 * and no EOI ends it. That of a vCPU is a message to its local APIC.
 */
static void hv_xen_notify(struct hv_xen *xen)
{
	struct hv_vcpu *vcpu = xen->vcpu;
	struct hv_apic_irq irq = {
		.vector = READ_ONCE(xen->upcall_vector), .mode = HV_APIC_FIXED, .assert = true,
	};

	if (!irq.vector)
		hv_request_kick(vcpu, HV_REQ_EVENT);
	else if (vcpu->lapic)
		hv_lapic_accept(vcpu->lapic, &irq, false);
}

/* The byte of the info area: 0 or -EFAULT. */
static int hv_xen_upcall_read(const struct hv_xen *xen, u8 *pending)
{
	u8 __user *byte = hv_xen_user(xen->vcpu->vm, READ_ONCE(xen->info), XEN_INFO_UPCALL);

	return byte ? __get_user(*pending, byte) : -EFAULT;
}

/* A bit of the info area, then its byte; 1: the bit was set, so that the byte is or was. */
static int hv_xen_info_mark(struct hv_xen *xen, u32 word)
{
	hv_xen_area_t area = READ_ONCE(xen->info);
	struct hv_vm *vm = xen->vcpu->vm;
	u32 sel = READ_ONCE(vm->xen->long_mode) ? XEN_INFO_SEL_64 : XEN_INFO_SEL_32;
	u8 __user *byte;
	int r = hv_xen_bit_set(vm, area, sel, word);

	if (r)
		return r;
	byte = hv_xen_user(vm, area, XEN_INFO_UPCALL);
	return byte ? __put_user(1, byte) : -EFAULT;
}

/* @word of the shared page has news. What the info area does not take waits in xen->sel. */
static void hv_xen_mark(struct hv_xen *xen, u32 word)
{
	int r = hv_xen_info_mark(xen, word);

	if (!r) {
		hv_xen_notify(xen);
	} else if (r < 0) {
		atomic_long_or(BIT(word), &xen->sel);
		hv_request_kick(xen->vcpu, HV_REQ_XEN);
	}
}

/* Those that wait; what is still not taken is not asked for again before something happens. */
static void hv_xen_mark_again(struct hv_xen *xen)
{
	unsigned long words = atomic_long_xchg(&xen->sel, 0);
	u8 __user *byte;
	u32 word;

	if (!words)
		return;
	for_each_set_bit(word, &words, BITS_PER_LONG)
		if (hv_xen_info_mark(xen, word) < 0)
			goto later;
	/* Also if all bits were set: then it may have been the byte that could not be. */
	byte = hv_xen_user(xen->vcpu->vm, READ_ONCE(xen->info), XEN_INFO_UPCALL);
	if (!byte || __put_user(1, byte))
		goto later;
	hv_xen_notify(xen);
	return;
later:
	atomic_long_or(words, &xen->sel);
}

/* A vCPU that polls the port, masked or not, need not wait any longer. */
static void hv_xen_poll_wake(struct hv_xen *xen, u32 port)
{
	u32 wanted;

	/* The port's bit before the look at the poll; pairs with hv_xen_poll(). */
	smp_mb();
	if (likely(!READ_ONCE(xen->polling)))
		return;
	wanted = READ_ONCE(xen->poll_port);
	if ((wanted == port || wanted == HV_XEN_ANY_PORT) && xchg(&xen->polling, false))
		hv_request_kick(xen->vcpu, HV_REQ_UNBLOCK);
}

int hv_xen_deliver(struct hv_vcpu *vcpu, u32 port)
{
	struct hv_xen *xen = hv_xen(vcpu);
	struct hv_vm *vm = vcpu->vm;
	hv_xen_area_t shared = READ_ONCE(vm->xen->shared);
	bool wide = READ_ONCE(vm->xen->long_mode);
	int idx, r;

	if (!shared || port >= (wide ? XEN_PORTS_64 : XEN_PORTS_32))
		return -EINVAL;
	idx = srcu_read_lock(&vm->srcu);
	r = hv_xen_bit_set(vm, shared, XEN_SHARED_PENDING, port);
	if (r) {
		r = min(r, 0);
		goto unlock;
	}
	/*
	 * The mask after the port's bit, as a guest that takes the mask away looks at the bit after
	 * that. If the mask is out of reach all of a sudden, the guest looks at it.
	 */
	r = hv_xen_bit_test(vm, shared, wide ? XEN_SHARED_MASK_64 : XEN_SHARED_MASK_32, port);
	if (r > 0) {
		r = -ENOTCONN;
	} else {
		hv_xen_mark(xen, wide ? port / 64 : port / 32);
		r = 1;
	}
	hv_xen_poll_wake(xen, port);
unlock:
	srcu_read_unlock(&vm->srcu, idx);
	return r;
}

bool hv_xen_port_pending(struct hv_vm *vm, u32 port)
{
	int r, idx = srcu_read_lock(&vm->srcu);

	r = hv_xen_bit_test(vm, READ_ONCE(vm->xen->shared), XEN_SHARED_PENDING, port);
	srcu_read_unlock(&vm->srcu, idx);
	return r;
}

/* ---- from any context ----------------------------------------------------------------------- */

int hv_xen_set_irq(struct hv_vm *vm, u32 vcpu_id, u32 port)
{
	struct hv_xen_vm *xv = hv_xen_vm(vm);
	struct hv_vcpu *vcpu = xv ? hv_vcpu_by_id(vm, vcpu_id) : NULL;
	struct hv_xen *xen;
	int r = -EFAULT;

	if (!vcpu || !READ_ONCE(xv->shared) || port >= hv_xen_max_ports(xv))
		return -EINVAL;
	if (in_task() && current->mm == vm->mm) {
		pagefault_disable();
		r = hv_xen_deliver(vcpu, port);
		pagefault_enable();
	}
	if (r != -EFAULT)
		return r;
	xen = hv_xen(vcpu);
	set_bit(port, xen->ports);
	hv_xen_request(xen, HV_XEN_PORTS);
	return 0;
}

/* ---- on the vCPU's thread ------------------------------------------------------------------- */

bool hv_xen_irq_pending(struct hv_vcpu *vcpu)
{
	struct hv_xen *xen = hv_xen(vcpu);
	struct hv_vm *vm = vcpu->vm;
	u8 pending = 0;
	int r, idx;

	if (!READ_ONCE(vm->xen->upcall_vector) || !READ_ONCE(xen->info))
		return false;
	idx = srcu_read_lock(&vm->srcu);
	pagefault_disable();
	r = hv_xen_upcall_read(xen, &pending);
	pagefault_enable();
	srcu_read_unlock(&vm->srcu, idx);
	if (!r)
		return pending;
	if (xen->retry) {
		set_bit(HV_XEN_FAULT_IN, &xen->due);
		hv_request(vcpu, HV_REQ_XEN);
	}
	return false;
}

static void hv_xen_fault_in(struct hv_xen *xen)
{
	u8 pending;

	if (hv_xen_upcall_read(xen, &pending))
		xen->retry = false;	/* no interrupts from there as long as KVM_RUN lasts */
	else
		hv_request(xen->vcpu, HV_REQ_EVENT);
}

static void hv_xen_deliver_waiting(struct hv_xen *xen)
{
	u32 port;

	for_each_set_bit(port, xen->ports, XEN_PORTS_64)
		if (test_and_clear_bit(port, xen->ports))
			hv_xen_deliver(xen->vcpu, port);
}

void hv_xen_update(struct hv_vcpu *vcpu)
{
	struct hv_xen *xen = hv_xen(vcpu);
	u8 pending = 0;

	if (!xen)
		return;
	if (test_and_clear_bit(HV_XEN_TIMER, &xen->due)) {
		xen->timer_expires = 0;
		hv_xen_deliver(vcpu, xen->timer_port);
	}
	if (test_and_clear_bit(HV_XEN_PORTS, &xen->due))
		hv_xen_deliver_waiting(xen);
	hv_xen_mark_again(xen);
	if (test_and_clear_bit(HV_XEN_FAULT_IN, &xen->due))
		hv_xen_fault_in(xen);
	if (test_and_clear_bit(HV_XEN_LOOK, &xen->due) && READ_ONCE(xen->upcall_vector) &&
	    !hv_xen_upcall_read(xen, &pending) && pending)
		hv_xen_notify(xen);
}

void hv_xen_apic_enabled(struct hv_vcpu *vcpu)
{
	set_bit(HV_XEN_LOOK, &hv_xen(vcpu)->due);
	hv_request(vcpu, HV_REQ_XEN);
}

/* ---- ports to which the guest sends ---------------------------------------------------------- */

static void hv_xen_port_free(struct hv_xen_port *port)
{
	if (port->event)
		eventfd_ctx_put(port->event);
	kfree(port);
}

static int hv_xen_port_parse(const struct hv_xen_vm *xv, const struct kvm_xen_hvm_attr *attr,
			     struct hv_xen_port *port)
{
	port->type = attr->u.evtchn.type;
	port->port = attr->u.evtchn.deliver.port.port;
	port->vcpu = attr->u.evtchn.deliver.port.vcpu;
	if (port->type == XEN_PORT_IPI) {
		/* It comes out where it goes in. */
		if (port->port != attr->u.evtchn.send_port)
			return -EINVAL;
	} else if (port->type != XEN_PORT_INTERDOMAIN || port->port >= hv_xen_max_ports(xv)) {
		return -EINVAL;
	}
	if (!port->port) {
		port->event = eventfd_ctx_fdget(attr->u.evtchn.deliver.eventfd.fd);
		if (IS_ERR(port->event)) {
			int r = PTR_ERR(port->event);

			port->event = NULL;
			return r;
		}
	} else if (attr->u.evtchn.deliver.port.priority !=
		   KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL) {
		return -EINVAL;
	}
	return 0;
}

static int hv_xen_port_add(struct hv_xen_vm *xv, const struct kvm_xen_hvm_attr *attr)
{
	struct hv_xen_port *port = kzalloc(sizeof(*port), GFP_KERNEL_ACCOUNT);
	int r;

	if (!port)
		return -ENOMEM;
	r = hv_xen_port_parse(xv, attr, port);
	if (!r)
		r = xa_insert(&xv->ports, attr->u.evtchn.send_port, port, GFP_KERNEL_ACCOUNT);
	if (r)
		hv_xen_port_free(port);
	return r == -EBUSY ? -EEXIST : r;
}

/* Only the vCPU may change. */
static int hv_xen_port_change(struct hv_xen_vm *xv, const struct kvm_xen_hvm_attr *attr)
{
	struct hv_xen_port *port = xa_load(&xv->ports, attr->u.evtchn.send_port);

	if (!port)
		return -ENOENT;
	if (port->type != attr->u.evtchn.type || port->event ||
	    port->port != attr->u.evtchn.deliver.port.port ||
	    attr->u.evtchn.deliver.port.priority != KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL)
		return -EINVAL;
	WRITE_ONCE(port->vcpu, attr->u.evtchn.deliver.port.vcpu);
	return 0;
}

/* Take out one, or (@send_port 0) all of them; who uses them meanwhile is waited for. */
static int hv_xen_port_remove(struct hv_vm *vm, u32 send_port)
{
	struct hv_xen_vm *xv = vm->xen;
	struct hv_xen_port *port, *gone = NULL;
	unsigned long i, last = send_port ?: XEN_PORTS_64;

	xa_for_each_range(&xv->ports, i, port, send_port, last) {
		xa_erase(&xv->ports, i);
		port->next = gone;
		gone = port;
	}
	if (!gone)
		return send_port ? -ENOENT : 0;
	synchronize_srcu_expedited(&vm->irq_srcu);
	while (gone) {
		port = gone;
		gone = port->next;
		hv_xen_port_free(port);
	}
	return 0;
}

int hv_xen_port_set(struct hv_vm *vm, const struct kvm_xen_hvm_attr *attr)
{
	struct hv_xen_vm *xv = vm->xen;
	u32 port = attr->u.evtchn.send_port;

	if (attr->u.evtchn.flags == KVM_XEN_EVTCHN_RESET)
		return hv_xen_port_remove(vm, 0);
	if (!port || port >= hv_xen_max_ports(xv))
		return -EINVAL;
	switch (attr->u.evtchn.flags) {
	case 0:
		return hv_xen_port_add(xv, attr);
	case KVM_XEN_EVTCHN_UPDATE:
		return hv_xen_port_change(xv, attr);
	case KVM_XEN_EVTCHN_DEASSIGN:
		return hv_xen_port_remove(vm, port);
	default:
		return -EINVAL;
	}
}

void hv_xen_ports_free(struct hv_xen_vm *xv)
{
	struct hv_xen_port *port;
	unsigned long i;

	xa_for_each(&xv->ports, i, port)
		hv_xen_port_free(port);
	xa_destroy(&xv->ports);
}

bool hv_xen_port_send(struct hv_vcpu *vcpu, u32 send_port)
{
	struct hv_vm *vm = vcpu->vm;
	struct hv_xen_port *port;
	u32 to = 0, id = 0;
	int r, idx;

	idx = srcu_read_lock(&vm->irq_srcu);
	port = xa_load(&vm->xen->ports, send_port);
	if (port && port->event) {
		hv_eventfd_signal(port->event);
	} else if (port) {
		to = port->port;
		id = READ_ONCE(port->vcpu);
	}
	srcu_read_unlock(&vm->irq_srcu, idx);
	if (!port || !to)
		return port;
	/* Not under the lock, as this may wait for memory. */
	vcpu = hv_vcpu_by_id(vm, id);
	r = vcpu ? hv_xen_deliver(vcpu, to) : -EINVAL;
	return r >= 0 || r == -ENOTCONN;
}
