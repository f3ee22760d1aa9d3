/* SPDX-License-Identifier: GPL-2.0-only */
/* CPUID, MSR, FPU, clock, debug-register and register-state policy that both vendors share. */
#ifndef HV_X86_X86_H
#define HV_X86_X86_H

#include <linux/math64.h>

#include "../hv.h"

/* What this host can give to guests; filled once at load (x86/cpuid.c, x86/fpu.c). */
struct hv_caps {
	u64 xcr0;		/* XSAVE components guests may enable; 0 without XSAVE */
	u32 xsave_size;		/* bytes of a standard-format area with all of them, >= 512 + 64 */
	u8 maxphyaddr;
	bool rdtscp, rdpid;	/* TSC_AUX must be switched */
	bool pku;
	bool spec_ctrl;
	u64 cr4, efer;		/* bits a guest may set if its CPUID has the feature */
};
extern struct hv_caps hv_caps;
int hv_x86_init(void);		/* after ops->hw_setup() */
void hv_x86_exit(void);

/* ---- cpuid.c ------------------------------------------------------------------------------- */

#define HV_MAX_CPUID_ENTRIES 256
#define HV_CPUID_DIRECT 0x30

/* The vCPU's table, plus what hot paths ask of it. */
struct hv_cpuid {
	struct rcu_head rcu;
	u32 nr;
	u8 maxphyaddr;
	bool has_rdtscp, has_rdpid, has_xsave, has_x2apic, has_tsc_deadline, has_fsgsbase;
	bool has_nx, has_1g, has_lm, has_smep, has_smap, has_umip, has_pku, has_la57, has_pcid;
	bool has_svm, has_vmx, has_mtrr, has_pat, has_mce, has_kvmclock, has_steal, has_pku_os;
	bool vendor_amd;		/* AuthenticAMD or HygonGenuine: AMD flavour of MSR rules */
	u32 kvm_features;		/* EAX of the leaf after KVM's signature */
	bool has_hyperv;		/* Hyper-V's signature is in leaf 0x40000001 */
	u32 hyperv_eax, hyperv_ebx, hyperv_edx;	/* its features, leaf 0x40000003 */
	u32 hyperv_hints, hyperv_spins;	/* leaf 0x40000004, EAX and EBX */
	u32 hyperv_debug;		/* leaf 0x40000082, EAX */
	u64 cr4_reserved, efer_reserved;/* bits the guest may not set */
	u64 xcr0;			/* components leaf 0xd offers */
	/* Position + 1 of a leaf's first entry, 0: none. Leaves outside are searched for. */
	u16 basic[HV_CPUID_DIRECT], extended[HV_CPUID_DIRECT];
	/* Those with dynamic bits, likewise + 1. */
	u16 leaf_1, leaf_7, leaf_d0, leaf_d1, leaf_pv, leaf_xen_rate, leaf_xen_khz;
	struct kvm_cpuid_entry2 entry[];
};

/*
 * KVM_GET_SUPPORTED_CPUID / KVM_GET_EMULATED_CPUID: fills at most @nr, returns the number or
 * -E2BIG.
 */
int hv_cpuid_supported(struct kvm_cpuid_entry2 *entries, u32 nr);
int hv_cpuid_emulated(struct kvm_cpuid_entry2 *entries, u32 nr);
/*
 * KVM_SET_CPUID2: validates, replaces vcpu->cpuid, updates CR4/XCR0-dependent bits and
 * ops->update().
 */
int hv_cpuid_set(struct hv_vcpu *vcpu, const struct kvm_cpuid_entry2 *entries, u32 nr);
int hv_cpuid_init(struct hv_vcpu *vcpu);	/* empty table at creation */
const struct kvm_cpuid_entry2 *hv_cpuid_find(const struct hv_cpuid *cpuid, u32 function, u32 index);
/* What the guest's CPUID instruction returns, dynamic bits included. Does not sleep. */
void hv_cpuid_query(struct hv_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);
void hv_cpuid_free(struct hv_vcpu *vcpu);
/* CR4, XCR0, APIC_BASE or MISC_ENABLE changed: the bits of the table that follow them. */
void hv_cpuid_refresh(struct hv_vcpu *vcpu);
bool hv_cpuid_has_mwait(const struct hv_vcpu *vcpu);

/* ---- msr.c --------------------------------------------------------------------------------- */

/*
 * One MSR access: 0, 1 (#GP for the guest, "not set" for the ioctl), HV_NEXT_SLEEP is encoded as
 * -EAGAIN when @may_sleep is false and the access must sleep. @host: from the ioctl; then -ENOMEM,
 * too.
 */
#define HV_MSR_UNKNOWN	2	/* like 1: hv has no such MSR */
#define HV_MSR_FILTERED	3	/* like 1: user space does not let the guest have it */
int hv_msr_get(struct hv_vcpu *vcpu, u32 index, u64 *value, bool host);
int hv_msr_set(struct hv_vcpu *vcpu, u32 index, u64 value, bool host, bool may_sleep);
/* KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_FEATURE_INDEX_LIST, feature MSRs of the system descriptor. */
u32 hv_msr_list(const u32 **indices);
u32 hv_msr_feature_list(const u32 **indices);
int hv_msr_feature_get(u32 index, u64 *value);
void hv_msr_module_init(void);	/* which of the lists' MSRs this host offers */
int hv_msr_vcpu_init(struct hv_vcpu *vcpu);
void hv_msr_vcpu_free(struct hv_vcpu *vcpu);
void hv_msr_reset(struct hv_vcpu *vcpu, bool init);
u64 hv_mce_supported(void);			/* bits of MCG_CAP, and the number of banks */
int hv_mce_setup(struct hv_vcpu *vcpu, u64 mcg_cap);	/* KVM_X86_SETUP_MCE */
bool hv_mce_has_cmci(const struct hv_vcpu *vcpu);
int hv_mce_inject(struct hv_vcpu *vcpu, struct kvm_x86_mce *mce);	/* KVM_X86_SET_MCE */
/* msr_mem.c, msr_mce.c: -ENOENT: not one of these; else 0 or 1 (#GP). */
int hv_mtrr_get(struct hv_vcpu *vcpu, u32 index, u64 *value);
int hv_mtrr_set(struct hv_vcpu *vcpu, u32 index, u64 value);
bool hv_pat_valid(u64 pat);
int hv_mce_get(struct hv_vcpu *vcpu, u32 index, u64 *value, bool host);
int hv_mce_set(struct hv_vcpu *vcpu, u32 index, u64 value, bool host);

/* ---- fpu.c --------------------------------------------------------------------------------- */

int hv_fpu_init(struct hv_vcpu *vcpu);
void hv_fpu_free(struct hv_vcpu *vcpu);
void hv_fpu_reset(struct hv_vcpu *vcpu, bool init);
int hv_fpu_module_init(void);	/* fills its part of hv_caps */
void hv_fpu_module_exit(void);
/*
 * Inner loop: guest FPU registers, XCR0, PKRU and TSC_AUX into the CPU and back. Called with
 * preemption off and IRQs on; between enter and leave preemption stays off
 * (kernel_fpu_begin_mask(0) / kernel_fpu_end()).
 */
void hv_fpu_enter(struct hv_vcpu *vcpu);
void hv_fpu_leave(struct hv_vcpu *vcpu);
int hv_fpu_set_xcr(struct hv_vcpu *vcpu, u32 index, u64 xcr);	/* 0 or 1: #GP */
bool hv_xcr0_valid(u64 xcr0, u64 allowed);
void hv_fpu_set_tsc_aux(struct hv_vcpu *vcpu, u64 value);
u32 hv_fpu_pkru(struct hv_vcpu *vcpu);
void hv_fpu_get(struct hv_vcpu *vcpu, struct kvm_fpu *fpu);
int hv_fpu_set(struct hv_vcpu *vcpu, const struct kvm_fpu *fpu);
/* KVM_GET_XSAVE (4096 bytes) and KVM_GET_XSAVE2 (hv_xsave2_size()); buffer zeroed by the callee. */
void hv_fpu_get_xsave(struct hv_vcpu *vcpu, void *buf, u32 size);
int hv_fpu_set_xsave(struct hv_vcpu *vcpu, const void *buf, u32 size);
u32 hv_xsave2_size(void);
int hv_fpu_get_xcrs(struct hv_vcpu *vcpu, struct kvm_xcrs *xcrs);
int hv_fpu_set_xcrs(struct hv_vcpu *vcpu, const struct kvm_xcrs *xcrs);
/* The emulator's access to XMM registers, in the area or (loaded) in the CPU. */
void hv_fpu_read_xmm(struct hv_vcpu *vcpu, unsigned int nr, void *data16);
void hv_fpu_write_xmm(struct hv_vcpu *vcpu, unsigned int nr, const void *data16);

/* ---- clock.c ------------------------------------------------------------------------------- */

int hv_clock_init(void);
void hv_clock_exit(void);
void hv_clock_vm_init(struct hv_vm *vm);
void hv_clock_vcpu_init(struct hv_vcpu *vcpu);
u64 hv_clock_get(struct hv_vm *vm);		/* kvmclock of the VM now, ns */
void hv_clock_get_ioctl(struct hv_vm *vm, struct kvm_clock_data *data);
int hv_clock_set_ioctl(struct hv_vm *vm, const struct kvm_clock_data *data);
/* HV_REQ_CLOCK: write the vCPU's pvclock pages; may sleep. */
void hv_clock_update(struct hv_vcpu *vcpu);
/* One of them: where it is in the guest's memory, or in the process's. 0 or -EFAULT. */
struct hv_clock_page {
	u64 gpa;
	void __user *hva;		/* NULL: gpa counts */
	bool unstable;			/* never say that the clock is stable */
};
int hv_clock_write(struct hv_vcpu *vcpu, const struct hv_clock_page *page);
/* What turns the ticks of the guest's TSC into nanoseconds, as in the page. */
void hv_clock_rate(const struct hv_vcpu *vcpu, u32 *mul, s8 *shift);
bool hv_clock_stale(const struct hv_vcpu *vcpu);	/* it is time for HV_REQ_CLOCK again */
int hv_clock_set_msr(struct hv_vcpu *vcpu, u64 value);		/* MSR_KVM_SYSTEM_TIME(_NEW) */
int hv_clock_set_wall(struct hv_vcpu *vcpu, u64 value);		/* MSR_KVM_WALL_CLOCK(_NEW) */
u64 hv_tsc_read(struct hv_vcpu *vcpu);				/* guest TSC now */
u64 hv_tsc_to_host(struct hv_vcpu *vcpu, u64 guest);	/* host TSC when the guest's is @guest */
void hv_tsc_write(struct hv_vcpu *vcpu, u64 value, bool host);	/* keeps vCPUs' TSCs in step */
void hv_tsc_set_offset(struct hv_vcpu *vcpu, u64 offset);
int hv_tsc_set_khz(struct hv_vcpu *vcpu, u32 khz);
int hv_tsc_set_default_khz(struct hv_vm *vm, u32 khz);		/* of vCPUs made after this */
/* kvm-clock as a line: ns at a guest TSC, and the slope. False: the TSC is no measure of it. */
/* Farther than any time that matters, and harmless to add to one. */
#define HV_FAR_FUTURE	BIT_ULL(62)

/*
 * @value * @mul / @div, HV_FAR_FUTURE at most. User space and guests choose what goes in, and a
 * quotient that does not fit is an exception of the CPU's in mul_u64_u64_div_u64().
 */
static inline u64 hv_rescale(u64 value, u32 mul, u32 div)
{
	u64 rest, whole = div64_u64_rem(value, div, &rest);

	if (mul && whole >= HV_FAR_FUTURE / mul)
		return HV_FAR_FUTURE;
	return whole * mul + div64_u64(rest * mul, div);
}

struct hv_clock_line {
	u64 tsc, ns;
	u32 mul;
	s8 shift;
};
bool hv_clock_line_get(struct hv_vm *vm, struct hv_clock_line *line);
/* The vCPU runs on another host CPU now (load path, preemption off). */
void hv_clock_vcpu_load(struct hv_vcpu *vcpu, int cpu);

/* The offset itself (KVM_VCPU_TSC_OFFSET): vCPUs that are given the same one are in step. */
void hv_tsc_set_user_offset(struct hv_vcpu *vcpu, u64 offset);

/* ---- attr.c: device attributes ------------------------------------------------------------- */

long hv_dev_has_attr(const struct kvm_device_attr *attr);	/* system descriptor: 0, -ENXIO */
long hv_dev_get_attr(const struct kvm_device_attr *attr);
/* @cmd: KVM_HAS_, KVM_GET_ or KVM_SET_DEVICE_ATTR. */
long hv_vcpu_attr(struct hv_vcpu *vcpu, unsigned int cmd, const struct kvm_device_attr *attr);

/* ---- pv.c, pv_msr.c ------------------------------------------------------------------------ */

/* May the guest use this feature (HV_PV_* of cpuid_policy.h)? */
static inline bool hv_pv_has(const struct hv_vcpu *vcpu, u32 feature)
{
	return !vcpu->para.enforce || (vcpu->cpuid->kvm_features & feature);
}

/* KVM's MSRs: -ENOENT: not one of them; else as hv_msr_get() and hv_msr_set(). */
int hv_pv_msr_get(struct hv_vcpu *vcpu, u32 index, u64 *value, bool host);
int hv_pv_msr_set(struct hv_vcpu *vcpu, u32 index, u64 value, bool host, bool may_sleep);
void hv_pv_reset(struct hv_vcpu *vcpu, bool init);
/*
 * A KVM hypercall: HV_NEXT_NONE and the value for RAX, HV_NEXT_USER with vcpu->run filled in, or
 * HV_NEXT_SLEEP.
 */
int hv_hypercall(struct hv_vcpu *vcpu, u64 *result, bool may_sleep);

/* ---- pv_steal.c ---------------------------------------------------------------------------- */

void hv_steal_update(struct hv_vcpu *vcpu);			/* HV_REQ_STEAL; may sleep */
bool hv_steal_due(const struct hv_vcpu *vcpu);	/* there is something to report */
int hv_steal_set_msr(struct hv_vcpu *vcpu, u64 value);
/* The vCPU's thread leaves the CPU or KVM_RUN: tell the other vCPUs. Does not sleep. */
void hv_steal_leave(struct hv_vcpu *vcpu);

/* ---- pv_eoi.c ------------------------------------------------------------------------------ */

/* Address, and bit 0: enabled. 0, 1 or -EAGAIN as hv_msr_set(). */
int hv_pv_eoi_set_msr(struct hv_vcpu *vcpu, u64 value, bool may_sleep);
/* @vector is about to be injected, eoi_on is set. */
void hv_pv_eoi_arm(struct hv_vcpu *vcpu, u8 vector);
/* After an exit and before events are injected, when eoi_armed. Does not sleep. */
void hv_pv_eoi_exit(struct hv_vcpu *vcpu);
/* Before user space looks at the vCPU; may sleep. */
void hv_pv_eoi_disarm(struct hv_vcpu *vcpu);

/* ---- async_pf.c ---------------------------------------------------------------------------- */

/* Does the guest take part, and could the access that faults be put off now? */
bool hv_apf_possible(struct hv_vcpu *vcpu);
/*
 * The page is not there without waiting: fetch it in the background. True: the guest was told of
 * it or the vCPU halts; false: wait for it.
 */
bool hv_apf_start(struct hv_vcpu *vcpu, hv_gfn_t gfn, u64 hva, bool write);
void hv_apf_update(struct hv_vcpu *vcpu);			/* HV_REQ_APF; may sleep */
int hv_apf_set_enable(struct hv_vcpu *vcpu, u64 value);		/* MSRs: 0 or 1 */
int hv_apf_set_vector(struct hv_vcpu *vcpu, u64 value);
int hv_apf_acknowledge(struct hv_vcpu *vcpu, u64 value);
void hv_apf_reset(struct hv_vcpu *vcpu);
void hv_apf_vcpu_init(struct hv_vcpu *vcpu);
void hv_apf_vcpu_free(struct hv_vcpu *vcpu);
int hv_apf_init(void);			/* module load: work queue */
void hv_apf_exit(void);

/* ---- hyperv*.c, synic.c, stimer.c: more is in hyperv.h ------------------------------------- */

#define HV_HYPERV_LEAVES	10
/* KVM_GET_SUPPORTED_HV_CPUID: the number of leaves, or -E2BIG. @vcpu may be NULL. */
int hv_hyperv_cpuid(const struct hv_vcpu *vcpu, struct kvm_cpuid_entry2 *entries, u32 nr);
int hv_hyperv_vm_init(struct hv_vm *vm);
void hv_hyperv_vm_free(struct hv_vm *vm);
int hv_hyperv_vcpu_prepare(struct hv_vcpu *vcpu);	/* 0, -ENOMEM; the first may sleep */
void hv_hyperv_vcpu_free(struct hv_vcpu *vcpu);
int hv_hyperv_set_enforce(struct hv_vcpu *vcpu, bool enforce);
int hv_hyperv_enable_synic(struct hv_vcpu *vcpu, bool keep_pages);
int hv_hyperv_eventfd(struct hv_vm *vm, const struct kvm_hyperv_eventfd *args);
/* -ENOENT: not one of these; else as hv_msr_get() and hv_msr_set(). */
int hv_hyperv_msr_get(struct hv_vcpu *vcpu, u32 index, u64 *value, bool host);
int hv_hyperv_msr_set(struct hv_vcpu *vcpu, u32 index, u64 value, bool host, bool may_sleep);
/* Does the guest call hypercalls by Hyper-V's rules? */
bool hv_hyperv_hypercalls(const struct hv_vcpu *vcpu);
/* Such a call: HV_NEXT_NONE: done; _RESUME: an exception was queued; _USER; _SLEEP. */
int hv_hyperv_hypercall(struct hv_vcpu *vcpu, bool may_sleep);
void hv_hyperv_set_result(struct hv_vcpu *vcpu, u64 result);
int hv_hyperv_exit(struct hv_vcpu *vcpu);		/* HV_REQ_HYPERV: HV_NEXT_USER, _RESUME */
void hv_hyperv_complete(struct hv_vcpu *vcpu);		/* KVM_RUN after KVM_EXIT_HYPERV_SYNDBG */
void hv_stimers_run(struct hv_vcpu *vcpu);		/* HV_REQ_STIMER; may sleep */
/* The VM's clock changed: must its reference TSC page be written again (HV_REQ_CLOCK)? */
bool hv_hyperv_clock_changed(struct hv_vm *vm);
void hv_hyperv_clock_update(struct hv_vcpu *vcpu);	/* HV_REQ_CLOCK; may sleep */
/* The invariant TSC stays hidden until the guest asks for it. */
bool hv_hyperv_hides_invariant_tsc(const struct hv_vcpu *vcpu);

/* ---- xen*.c: more is in xen.h --------------------------------------------------------------- */

/* What the ioctls need: of the VM and of all its vCPUs. 0 or -ENOMEM; takes vm->lock. */
int hv_xen_vm_prepare(struct hv_vm *vm);
void hv_xen_vm_free(struct hv_vm *vm);
int hv_xen_vcpu_create(struct hv_vcpu *vcpu);
void hv_xen_vcpu_free(struct hv_vcpu *vcpu);
long hv_xen_vm_ioctl(struct hv_vm *vm, unsigned int cmd, void __user *argp);
long hv_xen_vcpu_ioctl(struct hv_vcpu *vcpu, unsigned int cmd, void __user *argp);
/* -ENOENT: not the one that fills the hypercall page; else as hv_msr_set(). */
int hv_xen_msr_set(struct hv_vcpu *vcpu, u32 index, u64 value, bool host, bool may_sleep);
bool hv_xen_intercepts(const struct hv_vm *vm);	/* hypercalls are Xen's, or Hyper-V's with a mark */
/* Is this hypercall one by Xen's rules? As hv_hypercall(), with KVM_EXIT_XEN. */
bool hv_xen_hypercalls(const struct hv_vcpu *vcpu);
int hv_xen_hypercall(struct hv_vcpu *vcpu, u64 *result, bool may_sleep);
/* Of vCPUs that have vcpu->xen. KVM_RUN begins; a halt, or a poll for events, has ended. */
void hv_xen_run_begin(struct hv_vcpu *vcpu);
void hv_xen_poll_end(struct hv_vcpu *vcpu);
bool hv_xen_polling(const struct hv_vcpu *vcpu);
void hv_xen_update(struct hv_vcpu *vcpu);		/* HV_REQ_XEN; may sleep */
/* The thread runs, and will enter the guest; it is preempted (under the scheduler's locks). */
bool hv_xen_accounts(const struct hv_vcpu *vcpu);
void hv_xen_enter(struct hv_vcpu *vcpu);		/* HV_REQ_STEAL; may sleep */
void hv_xen_preempted(struct hv_vcpu *vcpu);
/* Any vCPU: has it a clock page by Xen's rules? HV_REQ_CLOCK: write it; may sleep. */
bool hv_xen_has_clock(const struct hv_vcpu *vcpu);
void hv_xen_clock_update(struct hv_vcpu *vcpu);

/* ---- debug.c ------------------------------------------------------------------------------- */

/* Guest DR0-3/6 into the CPU and back (inner loop); cheap when DR7 has nothing enabled. */
void hv_debug_enter(struct hv_vcpu *vcpu);
void hv_debug_leave(struct hv_vcpu *vcpu);
/* MOV DR emulation: 0, or an exception was queued (1). */
int hv_debug_get_dr(struct hv_vcpu *vcpu, unsigned int dr, u64 *value);
int hv_debug_set_dr(struct hv_vcpu *vcpu, unsigned int dr, u64 value);
#define HV_GUESTDBG_VALID (KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP |			\
			   KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_USE_HW_BP |			\
			   KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP |			\
			   KVM_GUESTDBG_BLOCKIRQ)
int hv_debug_set_guest_debug(struct hv_vcpu *vcpu, const struct kvm_guest_debug *dbg);
#define HV_DR6_BS	BIT_ULL(14)	/* a single step, SDM vol. 3, 17.2.3 */
/* KVM_RUN begins: set TF for user space's single step. True: take it away afterwards. */
bool hv_debug_step_begin(struct hv_vcpu *vcpu);
/* An emulated instruction ended with TF set: #DB, or KVM_EXIT_DEBUG if user space steps. */
void hv_debug_stepped(struct hv_vcpu *vcpu);
/* Fill in kvm_run for KVM_EXIT_DEBUG. */
void hv_debug_exit(struct hv_vcpu *vcpu, u32 exception, u64 dr6);
/* DR7 or whose debug registers are in force changed; HV_REGS_DR is valid. */
void hv_debug_changed(struct hv_vcpu *vcpu);
/* DR7 in force: the guest's or, under KVM_GUESTDBG_USE_HW_BP, user space's. */
u64 hv_debug_dr7(const struct hv_vcpu *vcpu);
/* Is user space to see the guest's access to a debug register (its DR7.GD)? The exit is set. */
bool hv_debug_user_guards(struct hv_vcpu *vcpu);

/* ---- smm.c: system management mode --------------------------------------------------------- */

void hv_queue_smi(struct hv_vcpu *vcpu);		/* any context */
bool hv_smi_waiting(struct hv_vcpu *vcpu);		/* there is one, and it may be taken */
void hv_smm_enter(struct hv_vcpu *vcpu);		/* HV_REQ_SMI; may sleep */
void hv_smm_set_active(struct hv_vcpu *vcpu, bool active);
void hv_smm_reset(struct hv_vcpu *vcpu, bool init);
void hv_smm_get(struct hv_vcpu *vcpu, struct kvm_vcpu_events *e);
int hv_smm_set(struct hv_vcpu *vcpu, const struct kvm_vcpu_events *e);	/* 0 or -ENOMEM */

/* ---- sync.c: kvm_run's copy of the registers ----------------------------------------------- */

int hv_sync_check(const struct kvm_run *run);		/* -EINVAL: asks for what there is not */
int hv_sync_load(struct hv_vcpu *vcpu);			/* -EINVAL: values that cannot be */
void hv_sync_store(struct hv_vcpu *vcpu);

/* ---- msr_filter.c -------------------------------------------------------------------------- */

/* Which MSRs the guest's accesses reach; vm->srcu held. @access: KVM_MSR_FILTER_READ or _WRITE. */
bool hv_msr_allowed(const struct hv_vm *vm, u32 index, u32 access);
int hv_msr_filter_set(struct hv_vm *vm, const struct kvm_msr_filter __user *arg);
void hv_msr_filter_free(struct hv_vm *vm);
/* Accesses of the guest's, filter included: 0, 1, HV_MSR_UNKNOWN, HV_MSR_FILTERED, -EAGAIN. */
int hv_msr_guest_get(struct hv_vcpu *vcpu, u32 index, u64 *value);
int hv_msr_guest_set(struct hv_vcpu *vcpu, u32 index, u64 value, bool may_sleep);
/* An access failed with @why: does user space want to see it? Then kvm_run is filled in. */
bool hv_msr_to_user(struct hv_vcpu *vcpu, bool write, u32 index, u64 value, int why, u64 next_rip);
int hv_msr_complete(struct hv_vcpu *vcpu);		/* KVM_RUN after that exit */

/* ---- regs.c: the state ioctls; vCPU loaded, mutex held ------------------------------------- */

void hv_regs_get(struct hv_vcpu *vcpu, struct kvm_regs *regs);
void hv_regs_set(struct hv_vcpu *vcpu, const struct kvm_regs *regs);
void hv_sregs_get(struct hv_vcpu *vcpu, struct kvm_sregs *sregs);
/* -EINVAL: a state that cannot be */
int hv_sregs_set(struct hv_vcpu *vcpu, const struct kvm_sregs *sregs);
/* With the PDPTEs of PAE paging, and without pending interrupts. */
void hv_sregs2_get(struct hv_vcpu *vcpu, struct kvm_sregs2 *sregs);
int hv_sregs2_set(struct hv_vcpu *vcpu, const struct kvm_sregs2 *sregs);
void hv_events_get(struct hv_vcpu *vcpu, struct kvm_vcpu_events *events);
int hv_events_set(struct hv_vcpu *vcpu, const struct kvm_vcpu_events *events);
void hv_debugregs_get(struct hv_vcpu *vcpu, struct kvm_debugregs *dbg);
int hv_debugregs_set(struct hv_vcpu *vcpu, const struct kvm_debugregs *dbg);
int hv_mp_state_get(struct hv_vcpu *vcpu, struct kvm_mp_state *mp);
int hv_mp_state_set(struct hv_vcpu *vcpu, const struct kvm_mp_state *mp);
int hv_translate(struct hv_vcpu *vcpu, struct kvm_translation *tr);
/* Control registers as the guest writes them: 0 or 1 (#GP). Side effects included. */
int hv_set_cr0(struct hv_vcpu *vcpu, u64 cr0);
int hv_set_cr4(struct hv_vcpu *vcpu, u64 cr4);
int hv_set_efer(struct hv_vcpu *vcpu, u64 efer, bool host);
/* Register values of RESET or INIT (SDM vol. 3, 10.1.1). */
void hv_regs_reset(struct hv_vcpu *vcpu, bool init);

static inline bool hv_long_mode(struct hv_vcpu *vcpu)
{
	hv_regs_need(vcpu, HV_REGS_CR);
	return vcpu->regs.efer & BIT(10);	/* EFER.LMA */
}

static inline bool hv_64bit_mode(struct hv_vcpu *vcpu)
{
	hv_regs_need(vcpu, HV_REGS_CR | HV_REGS_CODE);
	return (vcpu->regs.efer & BIT(10)) && vcpu->regs.seg[HV_CS].l;
}

#endif
