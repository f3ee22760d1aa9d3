// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exit handlers that SVM and VMX share. The contract is enum hv_next: a handler that would have to
 * sleep where it may not changes nothing, returns HV_NEXT_SLEEP and is called again.
 */
#include <linux/kvm_para.h>
#include <linux/mm.h>
#include <asm/processor-flags.h>

#include "compat/kvm_run.h"
#include "hv.h"
#include "irq/irq.h"
#include "mmu/mmu.h"
#include "trace.h"
#include "x86/x86.h"

void hv_retire(struct hv_vcpu *vcpu, u64 next_rip)
{
	vcpu->regs.rip = next_rip;
	hv_call(blocking_set)(vcpu, HV_BLOCK_SHADOW, 0);
	if (unlikely(vcpu->regs.rflags & (X86_EFLAGS_TF | X86_EFLAGS_RF))) {
		vcpu->regs.rflags &= ~X86_EFLAGS_RF;
		if (vcpu->regs.rflags & X86_EFLAGS_TF)
			hv_debug_stepped(vcpu);
	}
}

int hv_internal_error(struct hv_vcpu *vcpu, u32 suberror, u32 ndata, const u64 *data)
{
	struct kvm_run *run = vcpu->run;
	u32 i;

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = suberror;
	run->internal.ndata = ndata;
	for (i = 0; i < ndata; i++)
		run->internal.data[i] = data[i];
	return HV_NEXT_USER;
}

static u8 hv_cpl(struct hv_vcpu *vcpu)
{
	hv_regs_need(vcpu, HV_REGS_CODE);
	return vcpu->regs.seg[HV_SS].dpl;
}

int hv_exit_cpuid(struct hv_vcpu *vcpu, bool may_sleep)
{
	u64 *gpr = vcpu->regs.gpr;
	u32 eax = gpr[HV_RAX], ecx = gpr[HV_RCX], ebx, edx;
	u64 next;
	int r = hv_insn_end(vcpu, may_sleep, &next, NULL);

	if (r != HV_NEXT_NONE)
		return r;
	vcpu->stats.cpuid_exits++;
	if (unlikely(vcpu->msrs.misc_features) && hv_cpl(vcpu)) {
		hv_queue_gp(vcpu);	/* CPUID faulting, SDM vol. 4, table 2-21 */
		return HV_NEXT_RESUME;
	}
	hv_cpuid_query(vcpu, &eax, &ebx, &ecx, &edx);
	gpr[HV_RAX] = eax;
	gpr[HV_RBX] = ebx;
	gpr[HV_RCX] = ecx;
	gpr[HV_RDX] = edx;
	hv_retire(vcpu, next);
	return HV_NEXT_RESUME;
}

int hv_exit_rdmsr(struct hv_vcpu *vcpu, bool may_sleep)
{
	u32 index = vcpu->regs.gpr[HV_RCX];
	u64 next, value = 0;
	int r = hv_insn_end(vcpu, may_sleep, &next, NULL);

	if (r != HV_NEXT_NONE)
		return r;
	vcpu->stats.rdmsr_exits++;
	r = hv_msr_guest_get(vcpu, index, &value);
	trace_hv_msr(vcpu->id, false, index, value, r);
	if (r) {
		if (hv_msr_to_user(vcpu, false, index, 0, r, next))
			return HV_NEXT_USER;
		hv_queue_gp(vcpu);
		return HV_NEXT_RESUME;
	}
	vcpu->regs.gpr[HV_RAX] = (u32)value;
	vcpu->regs.gpr[HV_RDX] = value >> 32;
	hv_retire(vcpu, next);
	return HV_NEXT_RESUME;
}

int hv_exit_wrmsr(struct hv_vcpu *vcpu, bool may_sleep)
{
	u32 index = vcpu->regs.gpr[HV_RCX];
	u64 value = (u32)vcpu->regs.gpr[HV_RAX] | vcpu->regs.gpr[HV_RDX] << 32;
	u64 next;
	int r = hv_insn_end(vcpu, may_sleep, &next, NULL);

	if (r != HV_NEXT_NONE)
		return r;
	r = hv_msr_guest_set(vcpu, index, value, may_sleep);
	if (r == -EAGAIN && !may_sleep)
		return HV_NEXT_SLEEP;
	vcpu->stats.wrmsr_exits++;
	trace_hv_msr(vcpu->id, true, index, value, r);
	if (r) {
		if (hv_msr_to_user(vcpu, true, index, value, r, next))
			return HV_NEXT_USER;
		hv_queue_gp(vcpu);
		return HV_NEXT_RESUME;
	}
	hv_retire(vcpu, next);
	return HV_NEXT_RESUME;
}

int hv_exit_hlt(struct hv_vcpu *vcpu, bool may_sleep)
{
	u64 next;
	int r = hv_insn_end(vcpu, may_sleep, &next, NULL);

	if (r != HV_NEXT_NONE)
		return r;
	vcpu->stats.halt_exits++;
	hv_retire(vcpu, next);
	if (!vcpu->lapic) {
		vcpu->run->exit_reason = KVM_EXIT_HLT;
		return HV_NEXT_USER;
	}
	vcpu->mp_state = KVM_MP_STATE_HALTED;
	if (hv_vcpu_runnable(vcpu)) {
		hv_vcpu_unhalt(vcpu);
		hv_request(vcpu, HV_REQ_EVENT);
	}
	return HV_NEXT_RESUME;
}

int hv_exit_hypercall(struct hv_vcpu *vcpu, bool may_sleep)
{
	bool hyperv = false, xen = false;
	u64 next, result = 0;
	int r = hv_insn_end(vcpu, may_sleep, &next, NULL);

	if (r != HV_NEXT_NONE)
		return r;
	if (unlikely(vcpu->xen) && hv_xen_hypercalls(vcpu)) {
		xen = true;
		r = hv_xen_hypercall(vcpu, &result, may_sleep);
	} else if (hv_hyperv_hypercalls(vcpu)) {
		hyperv = true;
		r = hv_hyperv_hypercall(vcpu, may_sleep);
	} else {
		r = hv_hypercall(vcpu, &result, may_sleep);
	}
	if (r == HV_NEXT_SLEEP)
		return r;
	vcpu->stats.hypercall_exits++;
	if (r == HV_NEXT_RESUME)
		return r;
	if (r == HV_NEXT_USER) {
		vcpu->hcall = (struct hv_hcall) {
			.active = true, .hyperv = hyperv, .xen = xen,
			.rip = vcpu->regs.rip, .next_rip = next,
		};
		return r;
	}
	if (!hyperv)
		vcpu->regs.gpr[HV_RAX] = hv_64bit_mode(vcpu) ? result : (u32)result;
	hv_retire(vcpu, next);
	return HV_NEXT_RESUME;
}

int hv_hypercall_complete(struct hv_vcpu *vcpu)
{
	struct hv_hcall *hcall = &vcpu->hcall;
	u64 result;

	hcall->active = false;
	/* User space may have sent the guest elsewhere. */
	if (vcpu->regs.rip != hcall->rip)
		return HV_NEXT_RESUME;
	if (hcall->hyperv) {
		hv_hyperv_set_result(vcpu, READ_ONCE(vcpu->run->hyperv.u.hcall.result));
	} else {
		result = hcall->xen ? READ_ONCE(vcpu->run->xen.u.hcall.result) :
				      READ_ONCE(vcpu->run->hypercall.ret);
		vcpu->regs.gpr[HV_RAX] = hv_64bit_mode(vcpu) ? result : (u32)result;
	}
	hv_retire(vcpu, hcall->next_rip);
	return HV_NEXT_RESUME;
}

int hv_exit_xsetbv(struct hv_vcpu *vcpu, bool may_sleep)
{
	u64 value = (u32)vcpu->regs.gpr[HV_RAX] | vcpu->regs.gpr[HV_RDX] << 32;
	u64 next;
	int r = hv_insn_end(vcpu, may_sleep, &next, NULL);

	if (r != HV_NEXT_NONE)
		return r;
	if (hv_cpl(vcpu) || hv_fpu_set_xcr(vcpu, vcpu->regs.gpr[HV_RCX], value))
		hv_queue_gp(vcpu);
	else
		hv_retire(vcpu, next);
	return HV_NEXT_RESUME;
}

int hv_exit_skip(struct hv_vcpu *vcpu, bool may_sleep)
{
	u64 next;
	int r = hv_insn_end(vcpu, may_sleep, &next, NULL);

	if (r == HV_NEXT_NONE) {
		hv_retire(vcpu, next);
		r = HV_NEXT_RESUME;
	}
	return r;
}

int hv_exit_ud(struct hv_vcpu *vcpu, bool may_sleep)
{
	hv_queue_exception(vcpu, 6);
	return HV_NEXT_RESUME;
}

/* Nothing waits: both are a NOP, even to a guest that was not offered them. */
int hv_exit_mwait(struct hv_vcpu *vcpu, bool may_sleep)
{
	if (!hv_has_quirk(vcpu->vm, KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS) &&
	    !hv_cpuid_has_mwait(vcpu))
		return hv_exit_ud(vcpu, may_sleep);
	return hv_exit_skip(vcpu, may_sleep);
}

static int hv_set_cr8(struct hv_vcpu *vcpu, u64 value)
{
	if (value & ~0xfULL)
		return 1;
	if (vcpu->lapic)
		hv_lapic_set_cr8(vcpu, value);
	else
		vcpu->user_cr8 = value;
	/* Higher or lower, what was waiting for CR8 is to be looked at anew. */
	hv_request(vcpu, HV_REQ_EVENT);
	return 0;
}

int hv_write_cr(struct hv_vcpu *vcpu, unsigned int cr, u64 value)
{
	switch (cr) {
	case 4:
		return hv_set_cr4(vcpu, value);
	case 8:
		return hv_set_cr8(vcpu, value);
	default:
		return hv_set_cr0(vcpu, value);
	}
}

int hv_exit_mov_cr(struct hv_vcpu *vcpu, unsigned int cr, bool may_sleep)
{
	struct hv_insn insn;
	u64 next, value;
	int r = hv_insn_end(vcpu, may_sleep, &next, &insn);

	if (r != HV_NEXT_NONE)
		return r;
	/* MOV CRn, r is 0F 22 /n; nothing else writes CR4 or CR8. */
	if (insn.map != HV_MAP_0F || insn.opcode != 0x22)
		return hv_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION, 0, NULL);
	value = vcpu->regs.gpr[insn.rm];
	if (!hv_64bit_mode(vcpu))
		value = (u32)value;
	if (hv_write_cr(vcpu, cr, value))
		hv_queue_gp(vcpu);
	else
		hv_retire(vcpu, next);
	return HV_NEXT_RESUME;
}

int hv_exit_mov_dr(struct hv_vcpu *vcpu, bool may_sleep)
{
	struct hv_insn insn;
	u64 next, value;
	int r = hv_insn_end(vcpu, may_sleep, &next, &insn);

	if (r != HV_NEXT_NONE)
		return r;
	/* 0F 21: MOV r, DRn; 0F 23: MOV DRn, r. */
	if (insn.map != HV_MAP_0F || (insn.opcode != 0x21 && insn.opcode != 0x23))
		return hv_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION, 0, NULL);
	if (hv_debug_user_guards(vcpu))
		return HV_NEXT_USER;
	if (insn.opcode == 0x21) {
		if (hv_debug_get_dr(vcpu, insn.reg, &value))
			return HV_NEXT_RESUME;
		vcpu->regs.gpr[insn.rm] = hv_64bit_mode(vcpu) ? value : (u32)value;
	} else {
		value = vcpu->regs.gpr[insn.rm];
		if (hv_debug_set_dr(vcpu, insn.reg, hv_64bit_mode(vcpu) ? value : (u32)value))
			return HV_NEXT_RESUME;
	}
	hv_retire(vcpu, next);
	return HV_NEXT_RESUME;
}

/* ---- ports --------------------------------------------------------------------------------- */

static void hv_pio_to_rax(struct hv_vcpu *vcpu, unsigned int size, u32 value)
{
	u64 *rax = &vcpu->regs.gpr[HV_RAX];

	if (size == 4)
		*rax = value;
	else if (size == 2)
		*rax = (*rax & ~0xffffULL) | (u16)value;
	else
		*rax = (*rax & ~0xffULL) | (u8)value;
}

#define HV_PORT_OUT_7E	0x7e	/* KVM_X86_QUIRK_OUT_7E_INC_RIP */

/* The instruction completes when user space comes back (hv_emulate_complete). */
int hv_exit_pio(struct hv_vcpu *vcpu, bool in, u16 port, unsigned int size, u64 next_rip,
		bool may_sleep)
{
	struct kvm_run *run = vcpu->run;
	u32 value = vcpu->regs.gpr[HV_RAX];
	int r;

	trace_hv_pio(vcpu->id, !in, port, size, value);
	if (in) {
		value = 0;
		r = hv_iobus_read(vcpu, HV_BUS_PIO, port, size, &value);
		if (!r)
			hv_pio_to_rax(vcpu, size, value);
	} else {
		r = hv_iobus_write(vcpu, HV_BUS_PIO, port, size, &value);
		memcpy(vcpu->pio_data, &value, size);
	}
	if (!r) {
		hv_retire(vcpu, next_rip);
		return HV_NEXT_RESUME;
	}
	vcpu->pio = (struct hv_pio) {
		.active = true, .in = in, .size = size, .port = port, .count = 1,
		.rip = vcpu->regs.rip, .next_rip = next_rip,
	};
	/*
	 * User space that resets the vCPU at such an exit sets RIP: retire the instruction before.
	 */
	if (!in && port == HV_PORT_OUT_7E && hv_has_quirk(vcpu->vm, KVM_X86_QUIRK_OUT_7E_INC_RIP)) {
		vcpu->pio.active = false;
		hv_retire(vcpu, next_rip);
	}
	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.size = size;
	run->io.port = port;
	run->io.count = 1;
	run->io.data_offset = KVM_PIO_PAGE_OFFSET * PAGE_SIZE;
	return HV_NEXT_USER;
}

/* ---- second-level faults ------------------------------------------------------------------- */

/* No memory of the process is behind the guest's: say where, besides the errno. */
static void hv_memory_fault(struct kvm_run *run, u64 gpa)
{
	struct hv_memory_fault *fault = (void *)&run->hw;

	run->exit_reason = KVM_EXIT_MEMORY_FAULT;
	*fault = (struct hv_memory_fault) { .gpa = gpa & PAGE_MASK, .size = PAGE_SIZE };
}

int hv_exit_fault(struct hv_vcpu *vcpu, u64 gpa, u32 access, bool may_sleep)
{
	int r = hv_mmu_fault(vcpu, gpa, access, may_sleep);

	if (r == HV_FAULT_SLEEP)
		return HV_NEXT_SLEEP;
	vcpu->stats.fault_exits++;
	trace_hv_fault(vcpu->id, gpa, access, r);
	switch (r) {
	case HV_FAULT_FIXED:
		vcpu->stats.faults_fixed++;
		return HV_NEXT_RESUME;
	case HV_FAULT_MMIO:
		if (access & HV_ACCESS_FETCH)
			break;
		if (hv_apic_page_map(vcpu, gpa))
			return HV_NEXT_RESUME;
		vcpu->stats.mmio_exits++;
		return access & HV_ACCESS_FINAL ? hv_emulate_mmio(vcpu, gpa, may_sleep) :
						  hv_emulate(vcpu, may_sleep);
	case -EFAULT:
		hv_memory_fault(vcpu->run, gpa);
		return r;
	default:
		return r;
	}
	/* Code outside of memory cannot be run. */
	return hv_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION, 0, NULL);
}
