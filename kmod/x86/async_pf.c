// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asynchronous page faults: the guest touches memory that the host has to fetch (swap, a file,
 * userfaultfd). In place of keeping the vCPU waiting, a worker fetches the page and the guest is
 * told, by a #PF that carries a token, so that it can run another of its tasks; an interrupt tells
 * it later which token's page has come. Where the guest cannot be told - it is in its kernel and
 * asked not to be - the vCPU halts until the page is there or an interrupt comes.
 *
 * All of it belongs to the vCPU's thread, but for the list of the pages that have come, which
 * workers fill (apf->lock). A worker holds a reference on the VM, so teardown does not wait for it:
 * what it waits for may itself be about to be torn down. There are never more workers than the
 * queue runs at once (HV_APF_MAX): nobody's page waits for somebody else's.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <asm/processor-flags.h>

#include "../irq/lapic.h"
#include "../trace.h"
#include "async_pf_defs.h"
#include "cpuid_policy.h"
#include "x86.h"

#define HV_APF_PER_VCPU	64
#define HV_APF_MAX	256		/* on this host */

/* One page on its way. */
struct hv_apf_page {
	struct work_struct work;
	struct list_head link;		/* apf->waiting, then apf->done */
	struct hv_vcpu *vcpu;
	hv_gfn_t gfn;
	u64 hva;
	u32 token;
	bool write;
	bool told;			/* the guest knows the token */
};

static struct workqueue_struct *hv_apf_wq;
static atomic_t hv_apf_running;

static bool hv_apf_enabled(const struct hv_vcpu *vcpu)
{
	u64 both = HV_PV_APF_ENABLED | HV_PV_APF_BY_INTERRUPT;

	return (vcpu->apf.msr_enable & both) == both;
}

static u64 hv_apf_gpa(const struct hv_vcpu *vcpu)
{
	return vcpu->apf.msr_enable & HV_PV_APF_ADDR;
}

/* ---- a page comes -------------------------------------------------------------------------- */

static void hv_apf_fetch(struct work_struct *work)
{
	struct hv_apf_page *page = container_of(work, struct hv_apf_page, work);
	struct hv_vcpu *vcpu = page->vcpu;
	struct hv_vm *vm = vcpu->vm;
	bool unlocked = false;

	/* Whether it worked or not, the guest tries again, and fails then as it would have here. */
	if (mmget_not_zero(vm->mm)) {
		mmap_read_lock(vm->mm);
		fixup_user_fault(vm->mm, page->hva, page->write ? FAULT_FLAG_WRITE : 0, &unlocked);
		mmap_read_unlock(vm->mm);
		mmput(vm->mm);
	}
	spin_lock(&vcpu->apf.lock);
	list_move_tail(&page->link, &vcpu->apf.done);
	spin_unlock(&vcpu->apf.lock);
	/* The page may be gone from here on. */
	hv_request_kick(vcpu, HV_REQ_APF);
	atomic_dec(&hv_apf_running);
	hv_vm_put(vm);
}

/* May the guest be told of one more page? It has taken the last one's token. */
static bool hv_apf_can_tell(struct hv_vcpu *vcpu)
{
	struct hv_pv_apf data;

	if (vcpu->apf.ready_pending || !hv_apic_usable(vcpu->lapic))
		return false;
	return !hv_guest_read(vcpu->vm, hv_apf_gpa(vcpu), &data, sizeof(data)) && !data.token;
}

static void hv_apf_tell(struct hv_vcpu *vcpu, u32 token)
{
	struct hv_apic_irq irq = {
		.vector = vcpu->apf.msr_int & HV_PV_APF_VECTOR,
		.mode = HV_APIC_FIXED,
		.assert = true,
	};

	trace_hv_async_pf(vcpu->id, token, true);
	if (hv_guest_write(vcpu->vm, hv_apf_gpa(vcpu) + offsetof(struct hv_pv_apf, token), &token,
			   sizeof(token)))
		return;
	vcpu->apf.ready_pending = true;
	hv_lapic_accept(vcpu->lapic, &irq, true);
}

static struct hv_apf_page *hv_apf_first_done(struct hv_vcpu *vcpu)
{
	struct hv_apf_page *page;

	spin_lock(&vcpu->apf.lock);
	page = list_first_entry_or_null(&vcpu->apf.done, struct hv_apf_page, link);
	spin_unlock(&vcpu->apf.lock);
	return page;
}

static void hv_apf_free(struct hv_vcpu *vcpu, struct hv_apf_page *page)
{
	spin_lock(&vcpu->apf.lock);
	list_del(&page->link);
	vcpu->apf.nr--;
	spin_unlock(&vcpu->apf.lock);
	kfree(page);
}

void hv_apf_update(struct hv_vcpu *vcpu)
{
	struct hv_apf_page *page;

	if (vcpu->apf.wake_all && hv_apf_enabled(vcpu) && hv_apf_can_tell(vcpu)) {
		vcpu->apf.wake_all = false;
		hv_apf_tell(vcpu, HV_PV_APF_WAKE_ALL);
	}
	for (page = hv_apf_first_done(vcpu); page; page = hv_apf_first_done(vcpu)) {
		if (page->told && hv_apf_enabled(vcpu)) {
			/* The guest's acknowledgement brings us here again. */
			if (!hv_apf_can_tell(vcpu))
				return;
			hv_apf_tell(vcpu, page->token);
		}
		vcpu->apf.halted = false;
		hv_apf_free(vcpu, page);
	}
}

/* ---- a page is missing --------------------------------------------------------------------- */

bool hv_apf_possible(struct hv_vcpu *vcpu)
{
	const struct hv_events *ev = &vcpu->events;

	if (likely(!hv_apf_enabled(vcpu)))
		return false;
	/* The access may be the delivery of an event, which cannot be put off. */
	if (ev->exception.pending || ev->exception.injected || ev->interrupt.injected ||
	    ev->nmi_injected)
		return false;
	/* With interrupts off a guest does not expect other tasks to run, nor to be halted. */
	return hv_call(event_allowed)(vcpu, HV_EVENT_IRQ);
}

/* Can the guest be told in this very moment? */
static bool hv_apf_welcome(struct hv_vcpu *vcpu)
{
	hv_regs_need(vcpu, HV_REGS_CODE | HV_REGS_CR);
	if (!(vcpu->regs.cr0 & X86_CR0_PG))
		return false;
	return (vcpu->apf.msr_enable & HV_PV_APF_SEND_ALWAYS) || vcpu->regs.seg[HV_SS].dpl;
}

static struct hv_apf_page *hv_apf_find(struct hv_vcpu *vcpu, hv_gfn_t gfn)
{
	struct hv_apf_page *page, *found = NULL;

	spin_lock(&vcpu->apf.lock);
	list_for_each_entry(page, &vcpu->apf.waiting, link)
		if (page->gfn == gfn)
			found = page;
	spin_unlock(&vcpu->apf.lock);
	return found;
}

static bool hv_apf_announce(struct hv_vcpu *vcpu, u32 token)
{
	u32 flags = HV_PV_APF_NOT_PRESENT;

	if (!hv_apf_welcome(vcpu) ||
	    hv_guest_write(vcpu->vm, hv_apf_gpa(vcpu), &flags, sizeof(flags)))
		return false;
	trace_hv_async_pf(vcpu->id, token, false);
	hv_queue_page_fault(vcpu, token, 0);
	return true;
}

bool hv_apf_start(struct hv_vcpu *vcpu, hv_gfn_t gfn, u64 hva, bool write)
{
	struct hv_apf_page *page;

	if (hv_apf_find(vcpu, gfn)) {
		/* Another task of the guest wants it too; it will have to wait here. */
		vcpu->apf.halted = true;
		return true;
	}
	if (READ_ONCE(vcpu->apf.nr) >= HV_APF_PER_VCPU)
		return false;
	page = kzalloc(sizeof(*page), GFP_NOWAIT | __GFP_ACCOUNT | __GFP_NOWARN);
	if (!page)
		return false;
	if (atomic_inc_return(&hv_apf_running) > HV_APF_MAX) {
		atomic_dec(&hv_apf_running);
		kfree(page);
		return false;
	}
	INIT_WORK(&page->work, hv_apf_fetch);
	page->vcpu = vcpu;
	page->gfn = gfn;
	page->hva = hva;
	page->write = write;
	/* The vCPU's id keeps the tokens of all vCPUs apart; 0 is no token. */
	if (!(++vcpu->apf.next_token & HV_PV_APF_TOKEN_COUNT))
		vcpu->apf.next_token++;
	page->token = (vcpu->apf.next_token & HV_PV_APF_TOKEN_COUNT) << HV_PV_APF_TOKEN_SHIFT |
		      vcpu->id;
	page->told = hv_apf_announce(vcpu, page->token);
	if (!page->told)
		vcpu->apf.halted = true;
	vcpu->stats.async_faults++;
	hv_vm_get(vcpu->vm);
	spin_lock(&vcpu->apf.lock);
	list_add_tail(&page->link, &vcpu->apf.waiting);
	vcpu->apf.nr++;
	spin_unlock(&vcpu->apf.lock);
	queue_work(hv_apf_wq, &page->work);
	return true;
}

/* ---- MSRs ---------------------------------------------------------------------------------- */

/* The guest will not ask for tokens that it was told of before. */
static void hv_apf_forget(struct hv_vcpu *vcpu)
{
	struct hv_apf_page *page;

	spin_lock(&vcpu->apf.lock);
	list_for_each_entry(page, &vcpu->apf.waiting, link)
		page->told = false;
	list_for_each_entry(page, &vcpu->apf.done, link)
		page->told = false;
	spin_unlock(&vcpu->apf.lock);
	vcpu->apf.wake_all = false;
	vcpu->apf.ready_pending = false;
	hv_request(vcpu, HV_REQ_APF);
}

int hv_apf_set_enable(struct hv_vcpu *vcpu, u64 value)
{
	if (value & HV_PV_APF_RESERVED)
		return 1;
	if (!vcpu->lapic)
		return value != 0;
	if ((value & HV_PV_APF_BY_INTERRUPT) && !hv_pv_has(vcpu, HV_PV_ASYNC_PF_INT))
		return 1;
	vcpu->apf.msr_enable = value;
	if (!hv_apf_enabled(vcpu)) {
		hv_apf_forget(vcpu);
		return 0;
	}
	if (!hv_slot_find(vcpu->vm, hv_apf_gpa(vcpu) >> PAGE_SHIFT))
		return 1;
	/* After a migration: tokens that the guest waits for were known to the old host only. */
	vcpu->apf.wake_all = true;
	hv_request(vcpu, HV_REQ_APF);
	return 0;
}

int hv_apf_set_vector(struct hv_vcpu *vcpu, u64 value)
{
	if ((value & ~HV_PV_APF_VECTOR) || (value && !vcpu->lapic))
		return 1;
	vcpu->apf.msr_int = value;
	return 0;
}

int hv_apf_acknowledge(struct hv_vcpu *vcpu, u64 value)
{
	if (value & 1) {
		vcpu->apf.ready_pending = false;
		hv_request(vcpu, HV_REQ_APF);
	}
	return 0;
}

/* ---- life ---------------------------------------------------------------------------------- */

void hv_apf_reset(struct hv_vcpu *vcpu)
{
	vcpu->apf.msr_enable = 0;
	vcpu->apf.msr_int = 0;
	vcpu->apf.halted = false;
	hv_apf_forget(vcpu);
}

void hv_apf_vcpu_init(struct hv_vcpu *vcpu)
{
	spin_lock_init(&vcpu->apf.lock);
	INIT_LIST_HEAD(&vcpu->apf.waiting);
	INIT_LIST_HEAD(&vcpu->apf.done);
}

void hv_apf_vcpu_free(struct hv_vcpu *vcpu)
{
	struct hv_apf_page *page;

	/* Workers hold the VM, so there is none any more. */
	for (page = hv_apf_first_done(vcpu); page; page = hv_apf_first_done(vcpu))
		hv_apf_free(vcpu, page);
}

int hv_apf_init(void)
{
	hv_apf_wq = alloc_workqueue("hv-async-pf", WQ_UNBOUND, HV_APF_MAX);
	return hv_apf_wq ? 0 : -ENOMEM;
}

void hv_apf_exit(void)
{
	destroy_workqueue(hv_apf_wq);
}
