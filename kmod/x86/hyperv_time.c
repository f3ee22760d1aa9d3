// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hyper-V's reference time: kvm-clock in units of 100 ns, by an MSR or, without an exit, by a page
 * that says how to compute it from the TSC (TLFS 12.7).
 *
 * The page is written when the guest names it and again when the VM's clock is set or its TSCs
 * change, by whichever vCPU comes first (HV_REQ_CLOCK). While it is not valid its sequence number
 * is 0 and the guest reads the MSR.
 */
#include <linux/math64.h>

#include "hyperv.h"

u64 hv_hyperv_time(struct hv_vcpu *vcpu)
{
	const struct hv_hyperv_vm *hv = vcpu->vm->hyperv;

	if (READ_ONCE(hv->tsc_page_state) != HV_TSC_PAGE_SET)
		return div_u64(hv_clock_get(vcpu->vm), 100);
	/* What the guest computes, so that both ways agree. */
	return mul_u64_u64_shr(hv_tsc_read(vcpu), READ_ONCE(hv->tsc_page.scale), 64) +
	       READ_ONCE(hv->tsc_page.offset);
}

void hv_hyperv_tsc_page_set(struct hv_vcpu *vcpu, u64 value, bool host)
{
	struct hv_hyperv_vm *hv = vcpu->vm->hyperv;
	enum hv_tsc_page_state state = HV_TSC_PAGE_OFF;

	if (value & TLFS_PAGE_ENABLE)
		state = host ? HV_TSC_PAGE_STALE : HV_TSC_PAGE_NEW;
	WRITE_ONCE(hv->msr_tsc_page, value);
	WRITE_ONCE(hv->tsc_page_state, state);
	if (state != HV_TSC_PAGE_OFF)
		hv_request(vcpu, HV_REQ_CLOCK);
}

/*
 * The guest was told, after a migration, that reads of the TSC are emulated until it is done with
 * the change; it counts on its page staying as it is.
 */
static bool hv_tsc_page_frozen(const struct hv_hyperv_vm *hv)
{
	return hv->tsc_page_state != HV_TSC_PAGE_NEW && hv->tsc_emul_control;
}

bool hv_hyperv_clock_changed(struct hv_vm *vm)
{
	struct hv_hyperv_vm *hv = vm->hyperv;

	if (cmpxchg(&hv->tsc_page_state, HV_TSC_PAGE_SET, HV_TSC_PAGE_STALE) == HV_TSC_PAGE_SET)
		return true;
	return READ_ONCE(hv->tsc_page_state) == HV_TSC_PAGE_STALE;
}

/* ns * 2^32 = (tsc << shift) * mul; the page wants 100 ns * 2^64 = tsc * scale. */
static bool hv_tsc_page_compute(struct hv_vm *vm, struct tlfs_tsc_page *page)
{
	struct hv_clock_line line;

	if (!hv_clock_line_get(vm, &line) || line.mul >= 100ULL << (32 - line.shift))
		return false;
	page->scale = mul_u64_u32_div(1ULL << (32 + line.shift), line.mul, 100);
	page->offset = div_u64(line.ns, 100) - mul_u64_u64_shr(line.tsc, page->scale, 64);
	return true;
}

static int hv_tsc_page_write(struct hv_vm *vm, u64 gpa)
{
	struct hv_hyperv_vm *hv = vm->hyperv;
	struct tlfs_tsc_page page = {};
	u32 sequence, none = 0;

	if (hv_guest_read(vm, gpa, &sequence, sizeof(sequence)))
		return -EFAULT;
	if (sequence && hv_tsc_page_frozen(hv)) {
		if (hv_guest_read(vm, gpa, &page, sizeof(page)))
			return -EFAULT;
		goto adopt;
	}
	/* Not valid, then the new values, then valid under another number. */
	if (hv_guest_write(vm, gpa, &none, sizeof(none)) || !hv_tsc_page_compute(vm, &page))
		return -EFAULT;
	smp_wmb();
	if (hv_guest_write(vm, gpa, &page, sizeof(page)))
		return -EFAULT;
	smp_wmb();
	sequence++;
	if (!sequence || sequence == U32_MAX)
		sequence = 1;
	if (hv_guest_write(vm, gpa, &sequence, sizeof(sequence)))
		return -EFAULT;
adopt:
	WRITE_ONCE(hv->tsc_page.scale, page.scale);
	WRITE_ONCE(hv->tsc_page.offset, page.offset);
	return 0;
}

void hv_hyperv_clock_update(struct hv_vcpu *vcpu)
{
	struct hv_hyperv_vm *hv = vcpu->vm->hyperv;
	enum hv_tsc_page_state state = READ_ONCE(hv->tsc_page_state);

	if (state != HV_TSC_PAGE_NEW && state != HV_TSC_PAGE_STALE)
		return;
	mutex_lock(&hv->lock);
	state = READ_ONCE(hv->tsc_page_state);
	if (state == HV_TSC_PAGE_NEW || state == HV_TSC_PAGE_STALE) {
		if (hv_tsc_page_write(vcpu->vm, hv->msr_tsc_page & TLFS_PAGE_ADDR))
			WRITE_ONCE(hv->tsc_page_state, HV_TSC_PAGE_BROKEN);
		else
			smp_store_release(&hv->tsc_page_state, HV_TSC_PAGE_SET);
	}
	mutex_unlock(&hv->lock);
}
