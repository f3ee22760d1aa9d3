/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counters of a VM and of a vCPU: the one list that the structures and the stats descriptor share.
 */
#ifndef HV_STATS_H
#define HV_STATS_H

#include <linux/types.h>

struct hv_vm;
struct hv_vcpu;

/* X(name, kind): kind is CUMULATIVE or INSTANT (KVM_STATS_TYPE_*). */
#define HV_VM_STATS(X)			\
	X(pages_4k, INSTANT)		\
	X(pages_2m, INSTANT)		\
	X(pages_1g, INSTANT)		\
	X(mmu_tables, INSTANT)		\
	X(remote_tlb_flush, CUMULATIVE)	\
	X(mmu_invalidations, CUMULATIVE)

#define HV_VCPU_STATS(X)		\
	X(exits, CUMULATIVE)		\
	X(user_exits, CUMULATIVE)	\
	X(io_exits, CUMULATIVE)		\
	X(mmio_exits, CUMULATIVE)	\
	X(fault_exits, CUMULATIVE)	\
	X(faults_fixed, CUMULATIVE)	\
	X(cpuid_exits, CUMULATIVE)	\
	X(rdmsr_exits, CUMULATIVE)	\
	X(wrmsr_exits, CUMULATIVE)	\
	X(halt_exits, CUMULATIVE)	\
	X(hypercall_exits, CUMULATIVE)	\
	X(irq_exits, CUMULATIVE)	\
	X(irq_window_exits, CUMULATIVE)	\
	X(nmi_window_exits, CUMULATIVE)	\
	X(pause_exits, CUMULATIVE)	\
	X(nmi_exits, CUMULATIVE)	\
	X(exception_exits, CUMULATIVE)	\
	X(other_exits, CUMULATIVE)	\
	X(signal_exits, CUMULATIVE)	\
	X(emulated_insns, CUMULATIVE)	\
	X(emulation_failures, CUMULATIVE)	\
	X(irq_injections, CUMULATIVE)	\
	X(nmi_injections, CUMULATIVE)	\
	X(requests, CUMULATIVE)		\
	X(tlb_flushes, CUMULATIVE)	\
	X(inner_leaves, CUMULATIVE)	\
	X(halt_polls_ok, CUMULATIVE)	\
	X(halt_polls_failed, CUMULATIVE)	\
	X(halt_wakeups, CUMULATIVE)	\
	X(preemptions, CUMULATIVE)	\
	X(directed_yields, CUMULATIVE)	\
	X(async_faults, CUMULATIVE)

#define HV_STAT_FIELD(name, kind) u64 name;
struct hv_vm_stats {
	HV_VM_STATS(HV_STAT_FIELD)
};
struct hv_vcpu_stats {
	HV_VCPU_STATS(HV_STAT_FIELD)
};
#undef HV_STAT_FIELD

/* KVM_GET_STATS_FD: a descriptor in the format of the KVM binary statistics, or -errno. */
int hv_vm_stats_fd(struct hv_vm *vm);
int hv_vcpu_stats_fd(struct hv_vcpu *vcpu);

#endif
