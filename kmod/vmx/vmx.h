/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the VMX backend share. */
#ifndef HV_VMX_H
#define HV_VMX_H

#include <linux/list.h>
#include <asm/asm.h>
#include <asm/processor-flags.h>

#include "../hv.h"
#include "vmx_defs.h"

/* What this host's CPUs offer; read once at load (caps.c). The controls are the values to use. */
struct vmx_caps {
	u32 revision;
	u32 pin, cpu, cpu2, exit, entry;
	u64 ept_vpid;			/* IA32_VMX_EPT_VPID_CAP */
	u64 cr0_fixed1, cr4_fixed0, cr4_fixed1;
	u64 host_pat, host_efer;
	u64 syscall[3];			/* the host's STAR, LSTAR, FMASK: the same on all CPUs */
	bool virtual_intr;		/* ...is there, wanted or not */
	u8 exit_timer_shift;		/* it counts this bit of the TSC */
	bool apicv;			/* APIC registers and interrupts by the CPU */
	bool apic_access;		/* xAPIC accesses found by their page */
	bool umip;			/* CR4.UMIP is emulated: umip.c */
	bool pmu;			/* the host may have counters that must not count guests */
};
extern struct vmx_caps vmx_caps;

/* Those of a guest that are switched with its inner loop, in the order of vmx_caps.syscall. */
enum vmx_syscall_msr { VMX_STAR, VMX_LSTAR, VMX_FMASK, VMX_NR_SYSCALL };

/* What the world switch needs in one place; enter.S uses the offsets. */
struct vmx_world {
	u64 host_rsp;			/* what the VMCS has */
	u32 guest_spec_ctrl;
	u32 host_spec_ctrl;
	u8 launched;			/* VMRESUME, not VMLAUNCH */
	u8 spec_ctrl_direct;		/* the guest writes SPEC_CTRL without an exit */
};
static_assert(offsetof(struct vmx_world, host_rsp) == 0);
static_assert(offsetof(struct vmx_world, guest_spec_ctrl) == 8);
static_assert(offsetof(struct vmx_world, host_spec_ctrl) == 12);
static_assert(offsetof(struct vmx_world, launched) == 16);
static_assert(offsetof(struct vmx_world, spec_ctrl_direct) == 17);

/* What vmx_enter() returns. */
#define VMX_ENTERED	0
#define VMX_FAILED	1	/* VMX_INSN_ERROR has the reason */
#define VMX_OFF		2	/* a restart has turned VMX off under us */

/* Reasons that hv makes up, beyond those of the CPU. */
#define VMX_EXIT_FAILED		0xff00	/* the entry instruction failed */
#define VMX_EXIT_OFF		0xff01
#define VMX_EXIT_LOAD_PDPTES	0xff02	/* not entered: see vmx_pdptes_load() */

/* Host state that entries clobber, saved by inner_enter and put back by inner_leave. */
struct vmx_host {
	u64 cr3, cr4, fs_base;		/* what the VMCS has */
	u64 kernel_gs_base;
	u64 debugctl;
	u16 ds, es, fs, gs, ldt;
};

#define VMX_MSR_LIST_MAX 8

/*
 * CR0 bits the guest changes without an exit. Not PG and PE, on which EFER.LMA depends; not CD and
 * NW, which would turn off the caches for the host as well; not NE, which must be set (23.8).
 */
#define VMX_CR0_OWNED	((u64)(X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_WP | X86_CR0_AM))

struct vmx_vcpu {
	struct hv_vcpu vcpu;		/* first: hv allocates by ops->vcpu_size */
	struct page *vmcs;
	int loaded_cpu;			/* the CPU that has the VMCS in its cache, -1: none */
	struct list_head loaded_link;	/* in that CPU's list */
	struct vmx_world world;
	struct vmx_host host;
	struct vmx_msr_bitmap *msr_bitmap;
	u16 vpid;

	/* What the VMCS has: fields are written only when they change. */
	u64 hw_rip, hw_rsp, hw_rflags;
	u32 pin, cpu_ctls, cpu2_ctls, entry_ctls, exceptions;
	u64 cr0_shadow, cr4_shadow, cr4_owned;
	u64 efer;
	u64 tsc_offset, tsc_ratio;
	u32 tpr_threshold;
	u32 exit_msrs;			/* entries in the MSR lists */
	struct page *pml;		/* page-modification log */
	u32 pml_index;			/* where it began, or VMX_PML_STALE */
	bool perf_global;		/* PERF_GLOBAL_CTRL is switched by entry and exit */

	u64 cr2;
	u64 syscall[VMX_NR_SYSCALL], cstar;
	u64 kernel_gs_base;
	bool msrs_loaded;		/* the guest's KERNEL_GS_BASE is in the CPU */
	bool syscall_loaded;		/* ...and the SYSCALL registers are */

	u32 exit_reason;
	u32 blocking;			/* VMX_GUEST_INTERRUPTIBILITY, if blocking_valid */
	bool blocking_valid;
	bool event_set;			/* the last entry injected something */
	bool flush;			/* INVEPT before the next entry */
	bool pdptes_stale;		/* CR3 was changed by software in PAE paging */
	bool apicv;			/* the CPU delivers interrupts from the LAPIC's page */
	u32 apic_ctls;			/* VMX_CPU2_* of the LAPIC's mode */
	bool smm;			/* the EPT pointer is SMM's */
	bool msrs_filtered;		/* the MSR bitmap follows user space's filter */
	bool umip_step;			/* one instruction without exits for its tables */
	bool dr_direct;			/* the guest moves to and from DRs without an exit */

	struct vmx_msr_entry host_list[VMX_MSR_LIST_MAX] __aligned(16);
	struct vmx_msr_entry guest_list[VMX_MSR_LIST_MAX] __aligned(16);
};

static inline struct vmx_vcpu *to_vmx(struct hv_vcpu *vcpu)
{
	return container_of(vcpu, struct vmx_vcpu, vcpu);
}

/*
 * The instructions. A restart turns VMX off under running vCPUs (hv_reboot, the emergency
 * callback); from then on they fault, and are skipped. VMREAD then reads 0; the next entry reports
 * VMX_OFF.
 */
static __always_inline u64 vmx_read(u32 field)
{
	u64 value;

	asm volatile("1: vmread %1, %0\n2:"
		     _ASM_EXTABLE_TYPE_REG(1b, 2b, EX_TYPE_ZERO_REG, %0)
		     : "=r"(value) : "r"((u64)field) : "cc");
	return value;
}

static __always_inline void vmx_write(u32 field, u64 value)
{
	asm volatile("1: vmwrite %1, %0\n2:" _ASM_EXTABLE(1b, 2b)
		     : : "r"((u64)field), "rm"(value) : "cc", "memory");
}

/* caps.c */
int vmx_hw_setup(void);
void vmx_hw_unsetup(void);

/* cpu.c: VMX operation of a CPU, and which VMCS it has */
int vmx_cpu_init(void);
void vmx_cpu_exit(void);
int vmx_cpu_enable(void);
void vmx_cpu_disable(void);
void vmx_vcpu_load(struct hv_vcpu *vcpu, int cpu);
void vmx_vmcs_unload(struct vmx_vcpu *vmx);	/* out of whichever CPU has it; may wait */
void vmx_cpu_forget(struct hv_vcpu *vcpu);
void vmx_flush(struct vmx_vcpu *vmx);

/* vmcs.c */
int vmx_vcpu_init(struct hv_vcpu *vcpu);
void vmx_vcpu_free(struct hv_vcpu *vcpu);
void vmx_vcpu_reset(struct hv_vcpu *vcpu, bool init);
void vmx_update(struct hv_vcpu *vcpu);
void vmx_msr_intercept(struct vmx_vcpu *vmx, u32 msr, bool read, bool write);
void vmx_dump(struct vmx_vcpu *vmx);

/* regs.c */
void vmx_regs_load(struct hv_vcpu *vcpu, u32 groups);
void vmx_regs_store(struct hv_vcpu *vcpu, u32 groups);
int vmx_msr_get(struct hv_vcpu *vcpu, u32 index, u64 *value);
int vmx_msr_set(struct hv_vcpu *vcpu, u32 index, u64 value);
void vmx_syscall_load(struct vmx_vcpu *vmx);
/*
 * PAE paging keeps the four entries CR3 points to in the CPU. Read them from the guest's memory at
 * @cr3: 0, 1 (reserved bits are set: the guest gets #GP), -EAGAIN if it would have to sleep and may
 * not, -EFAULT.
 */
int vmx_pdptes_read(struct hv_vcpu *vcpu, u64 cr3, bool may_sleep, u64 pdpte[4]);
void vmx_pdptes_write(const u64 pdpte[4]);

/* apic.c */
#define VMX_CPU2_APICV	(VMX_CPU2_X2APIC | VMX_CPU2_APIC_REGISTERS | VMX_CPU2_VIRTUAL_INTR)
int vmx_apic_init(struct vmx_vcpu *vmx);
void vmx_apic_update(struct vmx_vcpu *vmx);
void vmx_apic_enter(struct vmx_vcpu *vmx);
int vmx_exit_eoi(struct hv_vcpu *vcpu, bool may_sleep);
int vmx_exit_apic_access(struct hv_vcpu *vcpu, bool may_sleep);
int vmx_exit_apic_write(struct hv_vcpu *vcpu, bool may_sleep);

/* pml.c */
#define VMX_PML_STALE	(~0U)
int vmx_pml_init(struct vmx_vcpu *vmx);
void vmx_pml_free(struct vmx_vcpu *vmx);
void vmx_pml_enter(struct vmx_vcpu *vmx);
void vmx_pml_flush(struct vmx_vcpu *vmx);

/* umip.c */
u32 vmx_umip_ctl(const struct vmx_vcpu *vmx);	/* its bit in the secondary controls */
void vmx_umip_update(struct vmx_vcpu *vmx);	/* CR4 has changed */
void vmx_umip_reset(struct vmx_vcpu *vmx);
int vmx_exit_desc_table(struct hv_vcpu *vcpu, bool may_sleep);
int vmx_exit_monitor_trap(struct hv_vcpu *vcpu, bool may_sleep);

/* events.c */
void vmx_inject(struct hv_vcpu *vcpu);
bool vmx_event_allowed(struct hv_vcpu *vcpu, enum hv_event_kind kind);
void vmx_event_window(struct hv_vcpu *vcpu, enum hv_event_kind kind);
u32 vmx_blocking_get(struct hv_vcpu *vcpu);
void vmx_blocking_set(struct hv_vcpu *vcpu, u32 mask, u32 bits);
void vmx_requeue_event(struct hv_vcpu *vcpu);
/* RFLAGS or the interrupt shadow are not as the last exit left them: make the pair acceptable. */
void vmx_flags_fix(struct vmx_vcpu *vmx);

/* run.c, enter.S */
void vmx_inner_enter(struct hv_vcpu *vcpu);
void vmx_inner_leave(struct hv_vcpu *vcpu);
void vmx_run(struct hv_vcpu *vcpu);
u8 vmx_insn_len(struct hv_vcpu *vcpu);
int vmx_enter(u64 *gpr, struct vmx_world *world);
extern const char vmx_exit_point[];	/* HOST_RIP */

/* exits.c */
int vmx_handle_exit(struct hv_vcpu *vcpu, bool may_sleep);

/* Controls that change while the vCPU lives. */
static inline void vmx_cpu_ctls_set(struct vmx_vcpu *vmx, u32 ctls)
{
	if (vmx->cpu_ctls == ctls)
		return;
	vmx->cpu_ctls = ctls;
	vmx_write(VMX_CPU_CONTROLS, ctls);
}

static inline u32 vmx_blocking(struct vmx_vcpu *vmx)
{
	if (!vmx->blocking_valid) {
		vmx->blocking = vmx_read(VMX_GUEST_INTERRUPTIBILITY);
		vmx->blocking_valid = true;
	}
	return vmx->blocking;
}

static inline void vmx_blocking_write(struct vmx_vcpu *vmx, u32 blocking)
{
	if (vmx_blocking(vmx) == blocking)
		return;
	vmx->blocking = blocking;
	vmx_write(VMX_GUEST_INTERRUPTIBILITY, blocking);
}

#endif
