/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hyper-V's interface to guests. Off unless the guest's CPUID has its signature: then, or when user
 * space touches its state, a vCPU gets a struct hv_hyperv.
 *
 * The state of a vCPU belongs to its thread (or whoever holds vcpu->mutex). Other threads read the
 * SINT registers and set bits in timers_due. State of the whole VM is written under hyperv.lock and
 * read without it.
 */
#ifndef HV_X86_HYPERV_H
#define HV_X86_HYPERV_H

#include <linux/hrtimer.h>
#include <linux/mutex.h>
#include <linux/xarray.h>

#include "hyperv_defs.h"
#include "x86.h"

/* What the guest's reference TSC page holds. */
enum hv_tsc_page_state {
	HV_TSC_PAGE_OFF,
	HV_TSC_PAGE_NEW,		/* the guest has just given it: to be written */
	HV_TSC_PAGE_STALE,		/* the clock changed: to be written again */
	HV_TSC_PAGE_SET,
	HV_TSC_PAGE_BROKEN,		/* no memory, or no stable TSC: the guest reads the MSR */
};

struct hv_hyperv_vm {
	struct mutex lock;
	u64 guest_os_id, hypercall;
	u64 msr_tsc_page;
	enum hv_tsc_page_state tsc_page_state;
	struct tlfs_tsc_page tsc_page;
	u64 crash_param[5], crash_ctl;
	u64 reenlightenment, tsc_emul_control, tsc_emul_status, tsc_invariant;
	u64 syndbg[5], syndbg_options;	/* control, status, send, recv, pending */
	struct xarray connections;	/* id -> eventfd; irq_srcu to read, lock to write */
};

struct hv_stimer {
	struct hv_vcpu *vcpu;
	struct hrtimer timer;
	u8 index;
	bool message_pending;		/* expired, the message's slot was not free */
	u64 config, count;
	u64 expiry;			/* reference time; 0: not computed yet */
};

struct hv_synic {
	bool active;			/* KVM_CAP_HYPERV_SYNIC was enabled */
	bool keep_pages;		/* _SYNIC2: the guest's pages are not cleared */
	u64 control, version, event_page, message_page;
	atomic64_t sint[TLFS_SINTS];
	DECLARE_BITMAP(vectors, 256);	/* of all SINTs that are not masked */
	DECLARE_BITMAP(auto_eoi, 256);
};

/* What KVM_RUN has to tell user space: bits of hv_hyperv.exits. */
enum hv_hyperv_exit { HV_HYPERV_CRASH, HV_HYPERV_RESET, HV_HYPERV_SYNIC, HV_HYPERV_SYNDBG };

struct hv_hyperv {
	bool enforce;			/* KVM_CAP_HYPERV_ENFORCE_CPUID */
	bool syndbg_exit;		/* KVM_EXIT_HYPERV_SYNDBG is outstanding */
	u32 exits;
	u32 exit_msr;			/* that made the last of them */
	u64 assist_page;
	u64 runtime_offset;
	struct hv_synic synic;
	unsigned long timers_due;	/* bit per timer; with HV_REQ_STIMER */
	struct hv_stimer timer[TLFS_STIMERS];
};

/* NULL: the vCPU has nothing of it. */
static inline struct hv_hyperv *hv_hyperv(const struct hv_vcpu *vcpu)
{
	/* Pairs with the release in hv_hyperv_vcpu_prepare(). */
	return smp_load_acquire(&vcpu->hyperv);
}

/* hyperv.c */
/* Reference time of the VM, in units of 100 ns. */
u64 hv_hyperv_time(struct hv_vcpu *vcpu);
/* Let the next KVM_RUN or this one return to user space. */
void hv_hyperv_exit_request(struct hv_vcpu *vcpu, enum hv_hyperv_exit exit, u32 msr);
/* Does user space's CPUID offer this, as far as it is to be enforced? */
static inline bool hv_hyperv_has(const struct hv_vcpu *vcpu, u32 cpuid_word, u32 bits)
{
	return !vcpu->hyperv->enforce || (cpuid_word & bits);
}

/* hyperv_time.c */
/* A write of the MSR that names the reference TSC page; hyperv lock held. */
void hv_hyperv_tsc_page_set(struct hv_vcpu *vcpu, u64 value, bool host);

/* synic.c: 0 or 1 (#GP); -EAGAIN: @may_sleep is needed */
int hv_synic_msr_get(struct hv_vcpu *vcpu, u32 index, u64 *value, bool host);
int hv_synic_msr_set(struct hv_vcpu *vcpu, u32 index, u64 value, bool host, bool may_sleep);
void hv_synic_init(struct hv_synic *synic);
/*
 * Put a message into a SINT's slot and raise its interrupt; may sleep. 0: delivered; -EAGAIN: the
 * slot is taken, the guest will write EOM; other errors: it cannot be delivered.
 */
int hv_synic_post(struct hv_vcpu *vcpu, unsigned int sint, const struct tlfs_message *msg);

/* stimer.c */
int hv_stimer_msr_get(struct hv_vcpu *vcpu, u32 index, u64 *value, bool host);
int hv_stimer_msr_set(struct hv_vcpu *vcpu, u32 index, u64 value, bool host);
void hv_stimer_init(struct hv_vcpu *vcpu, struct hv_hyperv *hyperv);
void hv_stimer_stop_all(struct hv_vcpu *vcpu);
void hv_stimer_retry(struct hv_vcpu *vcpu, unsigned int sint);	/* its message slot is free */

#endif
