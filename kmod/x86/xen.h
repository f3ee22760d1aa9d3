/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Xen's interface to guests (KVM_CAP_XEN_HVM). User space is the hypervisor that they see; hv has
 * what must be quick: hypercalls on their way to user space, event channels, timers, clocks.
 *
 * Nothing of it exists until user space asks for it by one of its ioctls: then the VM and all its
 * vCPUs get their structures. What the guest sees is in its memory, found anew at each access: a
 * slot that goes away or moves, and pages that the host swaps out, need no attention. Whoever
 * cannot reach the memory, because it is not there now or because another process's thread has the
 * news, leaves them to the thread of the vCPU that they are for (HV_REQ_XEN).
 */
#ifndef HV_X86_XEN_H
#define HV_X86_XEN_H

#include <linux/hrtimer.h>
#include <linux/mutex.h>
#include <linux/xarray.h>

#include "x86.h"
#include "xen_defs.h"

/*
 * An area that any thread may look at: where it is, with two bits below that its alignment leaves
 * free, so that one read has it all. 0: there is none.
 */
typedef u64 hv_xen_area_t;
#define HV_XEN_AREA_ON		BIT_ULL(0)
#define HV_XEN_AREA_HVA		BIT_ULL(1)	/* an address of the process, not of the guest */
#define HV_XEN_AREA_ADDR	(~3ULL)

/* A port to which the guest sends by hypercall. */
struct hv_xen_port {
	u32 type;			/* XEN_PORT_* */
	u32 port;			/* of the receiver; 0: it is an eventfd */
	u32 vcpu;			/* id */
	struct eventfd_ctx *event;
	struct hv_xen_port *next;	/* of those that are taken out together */
};

struct hv_xen_vm {
	struct mutex lock;		/* writers of all this */
	bool complete;			/* all vCPUs have theirs */
	struct kvm_xen_hvm_config config;
	hv_xen_area_t shared;
	bool long_mode;			/* structures have their 64-bit form */
	bool update_flag;		/* XEN_RUNSTATE_UPDATE is set while they are written */
	u8 upcall_vector;		/* of all vCPUs; 0: none */
	u32 version;			/* 0: user space answers */
	struct xarray ports;		/* irq_srcu to read, lock to write */
};

/* Bits of hv_xen.due: what the vCPU's thread has to do, with HV_REQ_XEN. */
enum hv_xen_due {
	HV_XEN_TIMER,			/* the timer has expired */
	HV_XEN_PORTS,			/* there are bits in ports */
	HV_XEN_FAULT_IN,		/* the info area is not in memory now */
	HV_XEN_LOOK,			/* is an event pending already? Raise the vector */
};

#define HV_XEN_ANY_PORT	U32_MAX

struct hv_xen {
	struct hv_vcpu *vcpu;
	u32 id;				/* as the guest numbers vCPUs */
	u8 upcall_vector;		/* its own; 0: none */
	bool retry;			/* the info area has not failed in this KVM_RUN */
	hv_xen_area_t info;
	u64 time_gpa, runstate_gpa;	/* KVM_XEN_INVALID_GPA: none */

	unsigned long due;
	atomic_long_t sel;		/* words to mark in the info area, not reached yet */
	DECLARE_BITMAP(ports, XEN_PORTS_64);	/* events to deliver, not reached yet */

	struct hrtimer timer;
	u32 timer_port;			/* 0: hypercalls for it go to user space */
	u64 timer_expires;		/* system time; 0: not armed */

	struct hrtimer poll_timer;
	bool polling;			/* halted in SCHEDOP_poll; who clears it wakes the vCPU */
	u32 poll_port;			/* or HV_XEN_ANY_PORT */

	u32 runstate;			/* enum xen_runstate */
	struct xen_runstate_times times;
	u64 last_steal;			/* run_delay at the last update, ns */
};

/* NULL: the VM, and so the vCPU, has nothing of it. */
static inline struct hv_xen_vm *hv_xen_vm(const struct hv_vm *vm)
{
	/* Pairs with the release in hv_xen_vm_prepare(). */
	return smp_load_acquire(&vm->xen);
}

static inline struct hv_xen *hv_xen(const struct hv_vcpu *vcpu)
{
	return smp_load_acquire(&vcpu->xen);
}

static inline u32 hv_xen_max_ports(const struct hv_xen_vm *xv)
{
	return READ_ONCE(xv->long_mode) ? XEN_PORTS_64 : XEN_PORTS_32;
}

static inline void hv_xen_request(struct hv_xen *xen, enum hv_xen_due due)
{
	set_bit(due, &xen->due);
	hv_request_kick(xen->vcpu, HV_REQ_XEN);
}

/* ---- xen_event.c: event channels ------------------------------------------------------------ */

/*
 * Where @offset of an area is in the process now, NULL: nowhere, or it is read-only. vm->srcu held
 * as long as the address is used.
 */
void __user *hv_xen_user(struct hv_vm *vm, hv_xen_area_t area, u32 offset);
/*
 * Make a port pending: 1: the vCPU was told; 0: it was pending already; -ENOTCONN: it is masked;
 * -EINVAL: no such port; -EFAULT: the shared page cannot be reached, maybe because page faults are
 * disabled. By threads of the process only.
 */
int hv_xen_deliver(struct hv_vcpu *vcpu, u32 port);
/* Is this port pending? Also if that cannot be seen. */
bool hv_xen_port_pending(struct hv_vm *vm, u32 port);
int hv_xen_port_set(struct hv_vm *vm, const struct kvm_xen_hvm_attr *attr);
void hv_xen_ports_free(struct hv_xen_vm *xv);
/* EVTCHNOP_send to @port; may sleep. False: user space knows. */
bool hv_xen_port_send(struct hv_vcpu *vcpu, u32 port);

/* ---- xen_hcall.c ---------------------------------------------------------------------------- */

/* Let it fire at @expires, on the vCPU's thread. */
void hv_xen_timer_start(struct hv_xen *xen, u64 expires);
void hv_xen_timer_stop(struct hv_xen *xen);
void hv_xen_timers_init(struct hv_xen *xen);

/* ---- xen_time.c ----------------------------------------------------------------------------- */

/* The time of day in the shared page; may sleep. 0 or -EFAULT. */
int hv_xen_wall_write(struct hv_vm *vm);
/* A new state from now on; its area is written to if that needs no sleep, or @may_sleep. */
void hv_xen_runstate_set(struct hv_vcpu *vcpu, u32 state, bool may_sleep);
void hv_xen_runstate_write(struct hv_vcpu *vcpu, bool may_sleep);

#endif
