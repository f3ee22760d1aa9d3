// SPDX-License-Identifier: GPL-2.0-only
/*
 * User-mode instruction prevention (CR4.UMIP, SDM vol. 3, 2.5) on CPUs that lack it.
 *
 * While the guest has it on, the CPU leaves the guest at every instruction that stores or loads
 * GDTR, IDTR, LDTR or TR. User code gets #GP. The kernel's instruction is executed by the CPU
 * itself, in one step without these exits, so that nothing has to be emulated. SMSW has no exit: it
 * remains allowed to user code, as it does on KVM.
 */
#include <asm/processor-flags.h>

#include "../x86/x86.h"
#include "vmx.h"

u32 vmx_umip_ctl(const struct vmx_vcpu *vmx)
{
	bool on = vmx_caps.umip && (vmx->cr4_shadow & X86_CR4_UMIP) && !vmx->umip_step;

	return on ? VMX_CPU2_DESC_TABLE : 0;
}

void vmx_umip_update(struct vmx_vcpu *vmx)
{
	u32 cpu2 = (vmx->cpu2_ctls & ~VMX_CPU2_DESC_TABLE) | vmx_umip_ctl(vmx);

	if (vmx->cpu2_ctls == cpu2)
		return;
	vmx->cpu2_ctls = cpu2;
	vmx_write(VMX_CPU2_CONTROLS, cpu2);
}

static void vmx_umip_step(struct vmx_vcpu *vmx, bool step)
{
	vmx->umip_step = step;
	vmx_cpu_ctls_set(vmx, step ? vmx->cpu_ctls | VMX_CPU_MONITOR_TRAP :
				     vmx->cpu_ctls & ~VMX_CPU_MONITOR_TRAP);
	vmx_umip_update(vmx);
}

void vmx_umip_reset(struct vmx_vcpu *vmx)
{
	vmx_umip_step(vmx, false);
}

/*
 * Faults for want of privilege come before the exit (25.1.1), so user code gets here by the
 * instructions that store only.
 */
int vmx_exit_desc_table(struct hv_vcpu *vcpu, bool may_sleep)
{
	hv_regs_need(vcpu, HV_REGS_CODE);
	if (vcpu->regs.seg[HV_SS].dpl)
		hv_queue_gp(vcpu);
	else
		vmx_umip_step(to_vmx(vcpu), true);
	return HV_NEXT_RESUME;
}

/*
 * The step is over. If an event was delivered in its place, the instruction comes again, with its
 * exit.
 */
int vmx_exit_monitor_trap(struct hv_vcpu *vcpu, bool may_sleep)
{
	vmx_umip_step(to_vmx(vcpu), false);
	return HV_NEXT_RESUME;
}
