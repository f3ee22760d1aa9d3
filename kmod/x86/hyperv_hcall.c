// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hyper-V hypercalls (TLFS 3): TLB flush, IPIs, events and messages, spin waits.
 *
 * A call's input is in registers ("fast": two, and for some calls XMM0-5) or in guest memory. Which
 * vCPU is meant is said by VP indexes, a mask of 64 or banks of 64.
 */
#include <linux/bitmap.h>
#include <linux/eventfd.h>
#include <linux/mm.h>
#include <asm/processor-flags.h>

#include "../compat/eventfd.h"
#include "../irq/lapic.h"
#include "../trace.h"
#include "hyperv.h"

#define HV_XMM_QWORDS	12		/* XMM0-5 */
#define HV_VP_BANKS	DIV_ROUND_UP(HV_MAX_VCPUS, 64)	/* that can name a VP of ours */

/* A call on its way. */
struct hv_hc {
	struct hv_vcpu *vcpu;
	bool may_sleep, sleep;	/* sleep: it cannot go on without */
	u64 control;		/* as the guest gave it */
	u64 in, out;		/* addresses; or, fast, the input itself */
	u16 code, var, reps, start;
	bool fast;
	u64 xmm[HV_XMM_QWORDS];
	/* What comes next of the input: an offset from @in or, fast, a place in xmm[]. */
	unsigned int pos;
};

/* ---- input --------------------------------------------------------------------------------- */

/* Guest memory at @in + pos; pos moves on. */
static bool hv_hc_read(struct hv_hc *hc, void *data, unsigned int len)
{
	struct hv_vm *vm = hc->vcpu->vm;
	u64 gpa = hc->in + hc->pos;

	if (hv_guest_read_nofault(vm, gpa, data, len)) {
		if (!hc->may_sleep)
			hc->sleep = true;
		if (!hc->may_sleep || hv_guest_read(vm, gpa, data, len))
			return false;
	}
	hc->pos += len;
	return true;
}

/* The next @nr 64-bit values, of which the first @keep are wanted. */
static bool hv_hc_read_list(struct hv_hc *hc, u64 *list, unsigned int nr, unsigned int keep)
{
	unsigned int skip = hc->pos;

	keep = min(keep, nr);
	if (!hc->fast) {
		if (!hv_hc_read(hc, list, keep * sizeof(*list)))
			return false;
		hc->pos = skip + nr * sizeof(*list);
		return true;
	}
	if (nr > HV_XMM_QWORDS - hc->pos)
		return false;
	memcpy(list, &hc->xmm[hc->pos], keep * sizeof(*list));
	hc->pos += nr;
	return true;
}

static bool hv_hc_uses_xmm(const struct hv_hc *hc)
{
	switch (hc->code) {
	case TLFS_HC_FLUSH_SPACE:
	case TLFS_HC_FLUSH_LIST:
	case TLFS_HC_FLUSH_SPACE_EX:
	case TLFS_HC_FLUSH_LIST_EX:
	case TLFS_HC_SEND_IPI_EX:
		return hc->fast;
	default:
		return false;
	}
}

/* ---- sets of VPs --------------------------------------------------------------------------- */

/* A sparse set's banks as a bitmap of VP indexes. */
static bool hv_hc_read_banks(struct hv_hc *hc, u64 valid, unsigned long *vps)
{
	u64 banks[HV_VP_BANKS];
	unsigned int bank, n = 0;

	BUILD_BUG_ON(BITS_PER_LONG != 64);
	bitmap_zero(vps, HV_VP_BANKS * 64);
	if (hc->var > TLFS_SET_BANKS || !hv_hc_read_list(hc, banks, hc->var, HV_VP_BANKS))
		return false;
	for (bank = 0; bank < HV_VP_BANKS; bank++)
		if (valid & BIT_ULL(bank))
			vps[bank] = banks[n++];
	return true;
}

/* The vCPUs (by index) whose VP index is in @vps. */
static void hv_hc_find_vcpus(struct hv_vm *vm, const unsigned long *vps, unsigned long *mask)
{
	struct hv_vcpu *vcpu;
	unsigned long i;

	bitmap_zero(mask, HV_MAX_VCPUS);
	hv_for_each_vcpu(vm, vcpu, i)
		if (test_bit(READ_ONCE(vcpu->vp_index), vps))
			__set_bit(i, mask);
}

/* ---- TLB flush ----------------------------------------------------------------------------- */

/* Whom, up to the list of addresses. False: bad input. */
static bool hv_flush_target(struct hv_hc *hc, bool *all, unsigned long *vps)
{
	struct tlfs_flush flush = { .address_space = hc->in, .flags = hc->out,
				    .vp_mask = hc->xmm[0] };

	hc->pos = hc->fast ? 1 : 0;
	if (!hc->fast && !hv_hc_read(hc, &flush, sizeof(flush)))
		return false;
	/* Windows Server 2012 flushes an empty set and does not survive if nothing happens. */
	*all = (flush.flags & TLFS_FLUSH_ALL_VPS) || !flush.vp_mask;
	bitmap_zero(vps, HV_VP_BANKS * 64);
	vps[0] = flush.vp_mask;
	return true;
}

static bool hv_flush_target_ex(struct hv_hc *hc, bool *all, unsigned long *vps)
{
	struct tlfs_flush_ex flush = {
		.address_space = hc->in, .flags = hc->out,
		.vps = { .format = hc->xmm[0], .valid_banks = hc->xmm[1] },
	};

	hc->pos = hc->fast ? 2 : 0;
	if (!hc->fast && !hv_hc_read(hc, &flush, sizeof(flush)))
		return false;
	*all = flush.vps.format != TLFS_SET_SPARSE;
	if (hc->var != hweight64(flush.vps.valid_banks))
		return false;
	if (!*all)
		return hv_hc_read_banks(hc, flush.vps.valid_banks, vps);
	/* Banks may be given all the same. */
	hc->pos += hc->fast ? hc->var : hc->var * sizeof(u64);
	return true;
}

/*
 * All translations of the vCPUs are flushed, whatever list is given: with second-level paging the
 * hardware has no cheaper way for another CPU's. When this returns, none of them uses an old one.
 */
static u64 hv_hc_flush(struct hv_hc *hc, bool ex, bool list)
{
	DECLARE_BITMAP(vps, HV_VP_BANKS * 64);
	DECLARE_BITMAP(mask, HV_MAX_VCPUS);
	struct hv_vcpu *vcpu = hc->vcpu;
	u64 address;
	bool all;

	if ((!ex && hc->var) || (list ? !hc->reps || hc->start : hc->reps || hc->start))
		return TLFS_INVALID_HYPERCALL_INPUT;
	if (!(ex ? hv_flush_target_ex(hc, &all, vps) : hv_flush_target(hc, &all, vps)))
		return TLFS_INVALID_HYPERCALL_INPUT;
	/* The list must be there. */
	if (list && hc->fast && hc->reps > HV_XMM_QWORDS - hc->pos)
		return TLFS_INVALID_HYPERCALL_INPUT;
	if (list && !hc->fast && !hv_hc_read_list(hc, &address, hc->reps, 1))
		return TLFS_INVALID_HYPERCALL_INPUT;
	if (all) {
		hv_request_all(vcpu->vm, HV_REQ_TLB_FLUSH);
	} else {
		hv_hc_find_vcpus(vcpu->vm, vps, mask);
		hv_request_some(vcpu->vm, mask, HV_REQ_TLB_FLUSH);
	}
	return TLFS_SUCCESS | (u64)hc->reps << TLFS_HC_REP_SHIFT;
}

/* ---- IPIs ---------------------------------------------------------------------------------- */

static bool hv_ipi_target(struct hv_hc *hc, u32 *vector, unsigned long *vps)
{
	struct tlfs_ipi ipi = { .vector = hc->in, .reserved = hc->in >> 32, .vp_mask = hc->out };

	if (!hc->fast && !hv_hc_read(hc, &ipi, sizeof(ipi)))
		return false;
	if (hc->fast && ipi.reserved)
		return false;
	*vector = ipi.vector;
	bitmap_zero(vps, HV_VP_BANKS * 64);
	vps[0] = ipi.vp_mask;
	return true;
}

static bool hv_ipi_target_ex(struct hv_hc *hc, u32 *vector, bool *all, unsigned long *vps)
{
	struct tlfs_ipi_ex ipi = {
		.vector = hc->in,
		.vps = { .format = hc->out, .valid_banks = hc->xmm[0] },
	};

	hc->pos = hc->fast ? 1 : 0;
	if (!hc->fast && !hv_hc_read(hc, &ipi, sizeof(ipi)))
		return false;
	*vector = ipi.vector;
	*all = ipi.vps.format == TLFS_SET_ALL;
	if (hc->var != hweight64(ipi.vps.valid_banks))
		return false;
	return *all || hv_hc_read_banks(hc, ipi.vps.valid_banks, vps);
}

static u64 hv_hc_ipi(struct hv_hc *hc, bool ex)
{
	DECLARE_BITMAP(vps, HV_VP_BANKS * 64);
	struct hv_apic_irq irq = { .mode = HV_APIC_FIXED, .assert = true };
	struct hv_vcpu *vcpu;
	bool all = false;
	unsigned long i;
	u32 vector;

	if ((!ex && hc->var) || hc->reps || hc->start || !hc->vcpu->lapic)
		return TLFS_INVALID_HYPERCALL_INPUT;
	if (!(ex ? hv_ipi_target_ex(hc, &vector, &all, vps) : hv_ipi_target(hc, &vector, vps)))
		return TLFS_INVALID_HYPERCALL_INPUT;
	if (!all && ex && !hc->var)
		return TLFS_SUCCESS;		/* to nobody */
	if (vector < 16 || vector > 255)
		return TLFS_INVALID_HYPERCALL_INPUT;
	irq.vector = vector;
	hv_for_each_vcpu(hc->vcpu->vm, vcpu, i)
		if (vcpu->lapic && (all || test_bit(READ_ONCE(vcpu->vp_index), vps)))
			hv_lapic_accept(vcpu->lapic, &irq, vcpu == hc->vcpu);
	return TLFS_SUCCESS;
}

/* ---- events and messages ------------------------------------------------------------------- */

#define HV_HC_USER	(~0ULL)		/* in place of a result: user space decides */

static u64 hv_hc_signal_event(struct hv_hc *hc)
{
	struct hv_vm *vm = hc->vcpu->vm;
	struct eventfd_ctx *event;
	u64 id = hc->in;
	int idx;

	if (!hc->fast) {
		if ((hc->in & 7) || offset_in_page(hc->in) + sizeof(id) > PAGE_SIZE ||
		    !hv_hc_read(hc, &id, sizeof(id)))
			return TLFS_INVALID_ALIGNMENT;
	}
	/* Bits 47:32 are the number of the flag: there is one per connection. */
	if (id & GENMASK_ULL(47, 32))
		return TLFS_INVALID_PORT_ID;
	if (id & ~(u64)KVM_HYPERV_CONN_ID_MASK)
		return TLFS_INVALID_HYPERCALL_INPUT;
	idx = srcu_read_lock(&vm->irq_srcu);
	event = xa_load(&vm->hyperv->connections, id);
	if (event)
		hv_eventfd_signal(event);
	srcu_read_unlock(&vm->irq_srcu, idx);
	return event ? TLFS_SUCCESS : TLFS_INVALID_PORT_ID;
}

static u64 hv_hc_signal_or_post(struct hv_hc *hc)
{
	u64 r;

	if (hc->reps || hc->start || hc->var)
		return TLFS_INVALID_HYPERCALL_INPUT;
	if (hc->code == TLFS_HC_SIGNAL_EVENT) {
		r = hv_hc_signal_event(hc);
		if (r != TLFS_INVALID_PORT_ID)
			return r;
	}
	/* User space may know it, if it knows of the SynIC at all. */
	return hc->vcpu->hyperv->synic.active ? HV_HC_USER : TLFS_INVALID_HYPERCALL_INPUT;
}

static u64 hv_hc_debug(struct hv_hc *hc)
{
	if (hc->code != TLFS_HC_RESET_DEBUG_SESSION && hc->fast)
		return TLFS_INVALID_PARAMETER;
	if (!(hc->vcpu->cpuid->hyperv_debug & TLFS_DEBUG_KERNEL))
		return TLFS_INVALID_HYPERCALL_CODE;
	if (!(READ_ONCE(hc->vcpu->vm->hyperv->syndbg_options) & TLFS_SYNDBG_BY_HYPERCALLS))
		return TLFS_OPERATION_DENIED;
	return HV_HC_USER;
}

static u64 hv_hc_spin_wait(struct hv_hc *hc)
{
	if (hc->reps || hc->start || hc->var)
		return TLFS_INVALID_HYPERCALL_INPUT;
	if (!hc->may_sleep) {
		hc->sleep = true;
		return TLFS_SUCCESS;
	}
	hc->vcpu->stats.directed_yields++;
	hv_vcpu_yield_to_displaced(hc->vcpu);
	return TLFS_SUCCESS;
}

/* ---- the call ------------------------------------------------------------------------------ */

/* May the guest make this call, as far as user space wants that to follow CPUID? */
static bool hv_hc_allowed(const struct hv_hc *hc)
{
	const struct hv_cpuid *c = hc->vcpu->cpuid;
	u32 hints = c->hyperv_hints;

	if (!hc->vcpu->hyperv->enforce)
		return true;
	switch (hc->code) {
	case TLFS_HC_LONG_SPIN_WAIT:
		return c->hyperv_spins && c->hyperv_spins != U32_MAX;
	case TLFS_HC_POST_MESSAGE:
		return c->hyperv_ebx & TLFS_POST_MESSAGES;
	case TLFS_HC_SIGNAL_EVENT:
		return c->hyperv_ebx & TLFS_SIGNAL_EVENTS;
	case TLFS_HC_POST_DEBUG_DATA:
	case TLFS_HC_RETRIEVE_DEBUG_DATA:
	case TLFS_HC_RESET_DEBUG_SESSION:
		/* Without the debugger there is no such call; hv_hc_debug() says so. */
		return !(c->hyperv_debug & TLFS_DEBUG_KERNEL) || (c->hyperv_ebx & TLFS_DEBUGGING);
	case TLFS_HC_FLUSH_LIST_EX:
	case TLFS_HC_FLUSH_SPACE_EX:
		return (hints & TLFS_HINT_EX_MASKS) && (hints & TLFS_HINT_REMOTE_TLB_FLUSH);
	case TLFS_HC_FLUSH_LIST:
	case TLFS_HC_FLUSH_SPACE:
		return hints & TLFS_HINT_REMOTE_TLB_FLUSH;
	case TLFS_HC_SEND_IPI_EX:
		return (hints & TLFS_HINT_EX_MASKS) && (hints & TLFS_HINT_CLUSTER_IPI);
	case TLFS_HC_SEND_IPI:
		return hints & TLFS_HINT_CLUSTER_IPI;
	case TLFS_HC_EXT_FIRST ... TLFS_HC_EXT_LAST:
		return c->hyperv_ebx & TLFS_EXTENDED_HYPERCALLS;
	default:
		return true;
	}
}

static u64 hv_hc_dispatch(struct hv_hc *hc)
{
	switch (hc->code) {
	case TLFS_HC_FLUSH_SPACE:
	case TLFS_HC_FLUSH_LIST:
		return hv_hc_flush(hc, false, hc->code == TLFS_HC_FLUSH_LIST);
	case TLFS_HC_FLUSH_SPACE_EX:
	case TLFS_HC_FLUSH_LIST_EX:
		return hv_hc_flush(hc, true, hc->code == TLFS_HC_FLUSH_LIST_EX);
	case TLFS_HC_SEND_IPI:
	case TLFS_HC_SEND_IPI_EX:
		return hv_hc_ipi(hc, hc->code == TLFS_HC_SEND_IPI_EX);
	case TLFS_HC_LONG_SPIN_WAIT:
		return hv_hc_spin_wait(hc);
	case TLFS_HC_POST_MESSAGE:
	case TLFS_HC_SIGNAL_EVENT:
		return hv_hc_signal_or_post(hc);
	case TLFS_HC_POST_DEBUG_DATA:
	case TLFS_HC_RETRIEVE_DEBUG_DATA:
	case TLFS_HC_RESET_DEBUG_SESSION:
		return hv_hc_debug(hc);
	case TLFS_HC_EXT_FIRST ... TLFS_HC_EXT_LAST:
		return hc->fast ? TLFS_INVALID_PARAMETER : HV_HC_USER;
	default:
		return TLFS_INVALID_HYPERCALL_CODE;
	}
}

static void hv_hc_decode(struct hv_hc *hc)
{
	const u64 *gpr = hc->vcpu->regs.gpr;

	if (hv_64bit_mode(hc->vcpu)) {
		hc->control = gpr[HV_RCX];
		hc->in = gpr[HV_RDX];
		hc->out = gpr[HV_R8];
	} else {
		hc->control = gpr[HV_RDX] << 32 | (u32)gpr[HV_RAX];
		/* It says only that this is no call of Xen's. */
		if (hv_xen_intercepts(hc->vcpu->vm))
			hc->control &= ~TLFS_HC_NOT_XEN;
		hc->in = gpr[HV_RBX] << 32 | (u32)gpr[HV_RCX];
		hc->out = gpr[HV_RDI] << 32 | (u32)gpr[HV_RSI];
	}
	hc->code = hc->control & TLFS_HC_CODE;
	hc->fast = hc->control & TLFS_HC_FAST;
	hc->var = hc->control >> TLFS_HC_VAR_SHIFT & TLFS_HC_VAR_MASK;
	hc->reps = hc->control >> TLFS_HC_REP_SHIFT & TLFS_HC_REP_MASK;
	hc->start = hc->control >> TLFS_HC_START_SHIFT & TLFS_HC_REP_MASK;
}

void hv_hyperv_set_result(struct hv_vcpu *vcpu, u64 result)
{
	u64 *gpr = vcpu->regs.gpr;

	if (hv_64bit_mode(vcpu)) {
		gpr[HV_RAX] = result;
	} else {
		gpr[HV_RAX] = (u32)result;
		gpr[HV_RDX] = result >> 32;
	}
}

static void hv_hc_user(struct hv_hc *hc)
{
	struct kvm_run *run = hc->vcpu->run;

	run->exit_reason = KVM_EXIT_HYPERV;
	run->hyperv = (struct kvm_hyperv_exit) {
		.type = KVM_EXIT_HYPERV_HCALL,
		.u.hcall = { .input = hc->control, .params = { hc->in, hc->out } },
	};
}

int hv_hyperv_hypercall(struct hv_vcpu *vcpu, bool may_sleep)
{
	struct hv_hc hc = { .vcpu = vcpu, .may_sleep = may_sleep };
	unsigned int i;
	u64 result;

	hv_regs_need(vcpu, HV_REGS_CODE | HV_REGS_CR);
	if (vcpu->regs.seg[HV_SS].dpl || !(vcpu->regs.cr0 & X86_CR0_PE)) {
		hv_queue_exception(vcpu, 6);
		return HV_NEXT_RESUME;
	}
	hv_hc_decode(&hc);
	trace_hv_hyperv_hypercall(vcpu->id, hc.control, hc.in, hc.out);
	if (!hv_hc_allowed(&hc)) {
		result = TLFS_ACCESS_DENIED;
	} else if (hc.control & TLFS_HC_RESERVED) {
		result = TLFS_INVALID_HYPERCALL_INPUT;
	} else {
		if (hv_hc_uses_xmm(&hc)) {
			if (!hv_hyperv_has(vcpu, vcpu->cpuid->hyperv_edx, TLFS_XMM_INPUT)) {
				hv_queue_exception(vcpu, 6);
				return HV_NEXT_RESUME;
			}
			for (i = 0; i < HV_XMM_QWORDS / 2; i++)
				hv_fpu_read_xmm(vcpu, i, &hc.xmm[2 * i]);
		}
		result = hv_hc_dispatch(&hc);
	}
	if (hc.sleep)
		return HV_NEXT_SLEEP;
	if (result == HV_HC_USER) {
		hv_hc_user(&hc);
		return HV_NEXT_USER;
	}
	hv_hyperv_set_result(vcpu, result);
	return HV_NEXT_NONE;
}
