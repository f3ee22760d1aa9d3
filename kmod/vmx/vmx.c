// SPDX-License-Identifier: GPL-2.0-only
/* Intel VMX: the operations common code calls. */
#include "vmx.h"
#include "vmx_ops.h"

static void vmx_tlb_flush(struct hv_vcpu *vcpu)
{
	/* At the entry: the thread may be on another CPU by then. */
	to_vmx(vcpu)->flush = true;
}

struct hv_x86_ops hv_vmx_ops __initdata = {
	.name = "vmx",
	.vcpu_size = sizeof(struct vmx_vcpu),
	.intel_mce = true,
	.blocks_restart = true,		/* CR4.VMXE cannot be cleared in VMX operation (23.7) */
	.hw_setup = vmx_hw_setup,
	.hw_unsetup = vmx_hw_unsetup,
	.cpu_enable = vmx_cpu_enable,
	.cpu_disable = vmx_cpu_disable,
	.vcpu_init = vmx_vcpu_init,
	.vcpu_free = vmx_vcpu_free,
	.vcpu_reset = vmx_vcpu_reset,
	.vcpu_load = vmx_vcpu_load,
	.inner_enter = vmx_inner_enter,
	.inner_leave = vmx_inner_leave,
	.regs_load = vmx_regs_load,
	.regs_store = vmx_regs_store,
	.run = vmx_run,
	.handle_exit = vmx_handle_exit,
	.inject = vmx_inject,
	.event_allowed = vmx_event_allowed,
	.event_window = vmx_event_window,
	.blocking_get = vmx_blocking_get,
	.blocking_set = vmx_blocking_set,
	.msr_get = vmx_msr_get,
	.msr_set = vmx_msr_set,
	.insn_len = vmx_insn_len,
	.tlb_flush = vmx_tlb_flush,
	.update = vmx_update,
};
