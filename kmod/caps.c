// SPDX-License-Identifier: GPL-2.0-only
/* Capabilities: what KVM_CHECK_EXTENSION answers and KVM_ENABLE_CAP turns on. */
#include <linux/cpumask.h>
#include <linux/kvm_para.h>
#include <asm/cpufeature.h>

#include "hv.h"
#include "irq/irq.h"
#include "irq/lapic_defs.h"
#include "x86/x86.h"

/*
 * Behaviour that user space can turn off. Two of them hv never has: it neither clears CR0.CD and
 * CR0.NW behind the guest's back, nor throws all translations away when a slot goes.
 */
#define HV_QUIRKS (KVM_X86_QUIRK_LINT0_REENABLED | KVM_X86_QUIRK_CD_NW_CLEARED |		\
		   KVM_X86_QUIRK_LAPIC_MMIO_HOLE | KVM_X86_QUIRK_OUT_7E_INC_RIP |		\
		   KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT | KVM_X86_QUIRK_FIX_HYPERCALL_INSN |	\
		   KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS | KVM_X86_QUIRK_SLOT_ZAP_ALL)

#define HV_X2APIC_API_FLAGS (KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)

#define HV_MSR_EXIT_REASONS (KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN |	\
			     KVM_MSR_EXIT_REASON_FILTER)
#define HV_XEN_FEATURES (KVM_XEN_HVM_CONFIG_HYPERCALL_MSR |		\
			 KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL |		\
			 KVM_XEN_HVM_CONFIG_SHARED_INFO |		\
			 KVM_XEN_HVM_CONFIG_RUNSTATE |			\
			 KVM_XEN_HVM_CONFIG_EVTCHN_2LEVEL |		\
			 KVM_XEN_HVM_CONFIG_EVTCHN_SEND |		\
			 KVM_XEN_HVM_CONFIG_RUNSTATE_UPDATE_FLAG |	\
			 KVM_XEN_HVM_CONFIG_PVCLOCK_TSC_UNSTABLE |	\
			 KVM_XEN_HVM_CONFIG_SHARED_INFO_HVA)
#define HV_BUS_LOCK_MODES (KVM_BUS_LOCK_DETECTION_OFF | KVM_BUS_LOCK_DETECTION_EXIT)
#define HV_NOTIFY_FLAGS (KVM_X86_NOTIFY_VMEXIT_ENABLED | KVM_X86_NOTIFY_VMEXIT_USER)
#define HV_HYPERCALL_EXITS BIT_ULL(KVM_HC_MAP_GPA_RANGE)

/*
 * PAUSE never exits. A guest that waits in MWAIT must not stop the CPU's timer for good, nor sleep
 * through the store it waits for.
 */
static u32 hv_disable_exits_supported(void)
{
	u32 bits = KVM_X86_DISABLE_EXITS_PAUSE | KVM_X86_DISABLE_EXITS_HLT;

	if (boot_cpu_has(X86_FEATURE_MWAIT) && boot_cpu_has(X86_FEATURE_ARAT) &&
	    !boot_cpu_has_bug(X86_BUG_MONITOR))
		bits |= KVM_X86_DISABLE_EXITS_MWAIT;
	return bits;
}

/* Either there or not: the answer is 1. */
static const u16 hv_plain_caps[] = {
	KVM_CAP_IRQCHIP, KVM_CAP_HLT, KVM_CAP_USER_MEMORY, KVM_CAP_SET_TSS_ADDR,
	KVM_CAP_EXT_CPUID, KVM_CAP_EXT_EMUL_CPUID, KVM_CAP_CLOCKSOURCE, KVM_CAP_PIT,
	KVM_CAP_NOP_IO_DELAY, KVM_CAP_MP_STATE, KVM_CAP_SYNC_MMU,
	KVM_CAP_DESTROY_MEMORY_REGION_WORKS, KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, KVM_CAP_USER_NMI,
	KVM_CAP_SET_GUEST_DEBUG, KVM_CAP_REINJECT_CONTROL, KVM_CAP_IRQ_INJECT_STATUS,
	KVM_CAP_IRQFD, KVM_CAP_IRQFD_RESAMPLE, KVM_CAP_IOEVENTFD, KVM_CAP_IOEVENTFD_NO_LENGTH,
	KVM_CAP_IOEVENTFD_ANY_LENGTH, KVM_CAP_PIT2, KVM_CAP_PIT_STATE2, KVM_CAP_SET_BOOT_CPU_ID,
	KVM_CAP_SET_IDENTITY_MAP_ADDR, KVM_CAP_INTERNAL_ERROR_DATA, KVM_CAP_VCPU_EVENTS,
	KVM_CAP_DEBUGREGS, KVM_CAP_X86_ROBUST_SINGLESTEP, KVM_CAP_XSAVE, KVM_CAP_GET_TSC_KHZ,
	KVM_CAP_KVMCLOCK_CTRL, KVM_CAP_TSC_DEADLINE_TIMER, KVM_CAP_SIGNAL_MSI,
	KVM_CAP_READONLY_MEM, KVM_CAP_ENABLE_CAP_VM, KVM_CAP_CHECK_EXTENSION_VM,
	KVM_CAP_IMMEDIATE_EXIT, KVM_CAP_GET_MSR_FEATURES, KVM_CAP_STEAL_TIME,
	KVM_CAP_BINARY_STATS_FD, KVM_CAP_PCI_SEGMENT, KVM_CAP_COALESCED_PIO,
	KVM_CAP_EXCEPTION_PAYLOAD, KVM_CAP_X86_TRIPLE_FAULT_EVENT, KVM_CAP_SPLIT_IRQCHIP,
	KVM_CAP_USER_MEMORY2, KVM_CAP_MMU_SHADOW_CACHE_CONTROL, KVM_CAP_DISABLE_QUIRKS,
	KVM_CAP_X86_USER_SPACE_MSR, KVM_CAP_X86_MSR_FILTER, KVM_CAP_EXIT_ON_EMULATION_FAILURE,
	KVM_CAP_MSR_PLATFORM_INFO, KVM_CAP_VCPU_ATTRIBUTES, KVM_CAP_SYS_ATTRIBUTES,
	KVM_CAP_SREGS2, KVM_CAP_PRE_FAULT_MEMORY, KVM_CAP_VAPIC, KVM_CAP_X86_SMM,
	KVM_CAP_ENABLE_CAP, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, KVM_CAP_ASYNC_PF,
	KVM_CAP_ASYNC_PF_INT, KVM_CAP_HYPERV, KVM_CAP_HYPERV_VAPIC, KVM_CAP_HYPERV_SPIN,
	KVM_CAP_HYPERV_TIME, KVM_CAP_HYPERV_SYNIC, KVM_CAP_HYPERV_SYNIC2,
	KVM_CAP_HYPERV_VP_INDEX, KVM_CAP_HYPERV_EVENTFD, KVM_CAP_HYPERV_TLBFLUSH,
	KVM_CAP_HYPERV_SEND_IPI, KVM_CAP_HYPERV_CPUID, KVM_CAP_HYPERV_ENFORCE_CPUID,
	KVM_CAP_SYS_HYPERV_CPUID, KVM_CAP_IOAPIC_POLARITY_IGNORED, KVM_CAP_LAST_CPU,
	KVM_CAP_HALT_POLL, KVM_CAP_SYSTEM_EVENT_DATA, KVM_CAP_MEMORY_FAULT_INFO,
	KVM_CAP_X86_GUEST_MODE,
};

static bool hv_is_plain_cap(long cap)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(hv_plain_caps); i++)
		if (hv_plain_caps[i] == cap)
			return true;
	return false;
}

int hv_check_extension(struct hv_vm *vm, long cap)
{
	if (hv_is_plain_cap(cap))
		return 1;
	switch (cap) {
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		return KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET;
	case KVM_CAP_DIRTY_LOG_RING:
	case KVM_CAP_DIRTY_LOG_RING_ACQ_REL:
		return hv_dirty_ring_max_bytes();
	case KVM_CAP_TSC_CONTROL:
	case KVM_CAP_VM_TSC_CONTROL:
		return hv_ops.tsc_ratio_bits != 0;
	case KVM_CAP_MULTI_ADDRESS_SPACE:
		return HV_NR_AS;
	case KVM_CAP_VM_TYPES:
		return BIT(KVM_X86_DEFAULT_VM);
	case KVM_CAP_SYNC_REGS:
		return KVM_SYNC_X86_VALID_FIELDS;
	case KVM_CAP_EXIT_HYPERCALL:
		return HV_HYPERCALL_EXITS;
	case KVM_CAP_X86_DISABLE_EXITS:
		return hv_disable_exits_supported();
	case KVM_CAP_X86_APIC_BUS_CYCLES_NS:
		return HV_APIC_BUS_NS;
	case KVM_CAP_SET_GUEST_DEBUG2:
		return HV_GUESTDBG_VALID;
	case KVM_CAP_DISABLE_QUIRKS2:
		return HV_QUIRKS;
	case KVM_CAP_X2APIC_API:
		return HV_X2APIC_API_FLAGS;
	case KVM_CAP_COALESCED_MMIO:
		return 2;	/* page of the vCPU mapping that holds the ring */
	case KVM_CAP_ADJUST_CLOCK:
		return KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;
	case KVM_CAP_IRQ_ROUTING:
		return HV_MAX_GSI;
	case KVM_CAP_MCE:
		return HV_MCG_CAP_SUPPORTED & 0xff;
	case KVM_CAP_NR_VCPUS:
		return min_t(int, num_online_cpus(), HV_SOFT_MAX_VCPUS);
	case KVM_CAP_MAX_VCPUS:
		return HV_MAX_VCPUS;
	case KVM_CAP_MAX_VCPU_ID:
		return HV_MAX_VCPU_ID;
	case KVM_CAP_NR_MEMSLOTS:
		return HV_USER_SLOTS;
	case KVM_CAP_X86_BUS_LOCK_EXIT:
		return hv_ops.bus_lock_exit ? HV_BUS_LOCK_MODES : 0;
	case KVM_CAP_X86_NOTIFY_VMEXIT:
		return hv_ops.notify_exit ? HV_NOTIFY_FLAGS : 0;
	case KVM_CAP_XEN_HVM:
		return HV_XEN_FEATURES;
	case KVM_CAP_XCRS:
		return !!hv_caps.xcr0;
	case KVM_CAP_XSAVE2:
		return hv_xsave2_size();
	default:
		return 0;
	}
}

/* vm->lock held. Once, before there are vCPUs. */
static int hv_vm_set_max_vcpu_id(struct hv_vm *vm, u64 max)
{
	if (vm->max_vcpu_id == max)
		return 0;
	if (!max || max < vm->bsp_id || max > HV_MAX_VCPU_ID || vm->created_vcpus ||
	    vm->max_vcpu_id != HV_MAX_VCPU_ID)
		return -EINVAL;
	vm->max_vcpu_id = max;
	return 0;
}

/* Only ever turned on, as in KVM. */
static int hv_vm_set_x2apic_api(struct hv_vm *vm, u64 flags)
{
	if (flags & ~HV_X2APIC_API_FLAGS)
		return -EINVAL;
	if (flags & KVM_X2APIC_API_USE_32BIT_IDS)
		vm->x2apic_ids = true;
	if (flags & KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)
		vm->x2apic_no_broadcast_quirk = true;
	return 0;
}

/* Of vCPUs made from now on. What this host cannot do is accepted and has no effect, as in KVM. */
static int hv_vm_disable_exits(struct hv_vm *vm, u64 bits)
{
	if (bits & ~(u64)(KVM_X86_DISABLE_EXITS_MWAIT | KVM_X86_DISABLE_EXITS_HLT |
			  KVM_X86_DISABLE_EXITS_PAUSE | KVM_X86_DISABLE_EXITS_CSTATE))
		return -EINVAL;
	vm->disabled_exits |= bits & hv_disable_exits_supported();
	return 0;
}

/* Before there are timers. The longest time they can be set to must fit 64 bits of ns. */
static int hv_vm_set_apic_bus(struct hv_vm *vm, u64 ns)
{
	if (!ns || ns > U64_MAX / ((u64)U32_MAX * HV_APIC_MAX_DIVISOR))
		return -EINVAL;
	if (!hv_irqchip_in_kernel(vm))
		return -ENXIO;
	if (vm->created_vcpus)
		return -EINVAL;
	vm->apic_bus_ns = ns;
	return 0;
}

/* One of the two modes. vCPUs that exist already follow. */
static int hv_vm_set_bus_lock(struct hv_vm *vm, u64 mode)
{
	if (!hv_ops.bus_lock_exit ||
	    (mode != KVM_BUS_LOCK_DETECTION_OFF && mode != KVM_BUS_LOCK_DETECTION_EXIT))
		return -EINVAL;
	WRITE_ONCE(vm->bus_lock_exits, mode == KVM_BUS_LOCK_DETECTION_EXIT);
	hv_request_all(vm, HV_REQ_UPDATE);
	return 0;
}

/* How long a guest may keep interrupts out, in the upper half; before there are vCPUs. */
static int hv_vm_set_notify(struct hv_vm *vm, u64 arg)
{
	u32 flags = arg;

	if (!hv_ops.notify_exit || (flags & ~HV_NOTIFY_FLAGS) ||
	    !(flags & KVM_X86_NOTIFY_VMEXIT_ENABLED) || vm->created_vcpus)
		return -EINVAL;
	vm->notify_window = arg >> 32;
	vm->notify_flags = flags;
	return 0;
}

static int hv_vm_set_bits(u64 *to, u64 bits, u64 valid)
{
	if (bits & ~valid)
		return -EINVAL;
	WRITE_ONCE(*to, bits);
	return 0;
}

/* Nanoseconds; instead of the module's parameter from now on. */
static int hv_vm_set_halt_poll(struct hv_vm *vm, u64 ns)
{
	if (ns > U32_MAX)
		return -EINVAL;
	WRITE_ONCE(vm->halt_poll_ns, ns);
	return 0;
}

static int hv_vm_set_emulation_exit(struct hv_vm *vm, u64 on)
{
	if (on > 1)
		return -EINVAL;
	WRITE_ONCE(vm->exit_on_emulation_failure, on);
	return 0;
}

/* KVM_CAP_DISABLE_QUIRKS takes any bits, its successor only those that mean something. */
static int hv_vm_disable_quirks(struct hv_vm *vm, u64 quirks, bool checked)
{
	if (checked && (quirks & ~HV_QUIRKS))
		return -EINVAL;
	WRITE_ONCE(vm->disabled_quirks, vm->disabled_quirks | (quirks & HV_QUIRKS));
	return 0;
}

int hv_vm_enable_cap(struct hv_vm *vm, const struct kvm_enable_cap *cap)
{
	int r = -EINVAL;

	if (cap->flags)
		return -EINVAL;
	mutex_lock(&vm->lock);
	switch (cap->cap) {
	case KVM_CAP_EXCEPTION_PAYLOAD:
		vm->exception_payload = cap->args[0];
		r = 0;
		break;
	case KVM_CAP_X86_TRIPLE_FAULT_EVENT:
		vm->triple_fault_event = cap->args[0];
		r = 0;
		break;
	case KVM_CAP_SPLIT_IRQCHIP:
		r = hv_irqchip_split(vm, cap->args[0]);
		break;
	case KVM_CAP_DISABLE_QUIRKS:
		r = hv_vm_disable_quirks(vm, cap->args[0], false);
		break;
	case KVM_CAP_DISABLE_QUIRKS2:
		r = hv_vm_disable_quirks(vm, cap->args[0], true);
		break;
	case KVM_CAP_X2APIC_API:
		r = hv_vm_set_x2apic_api(vm, cap->args[0]);
		break;
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		r = hv_dirty_set_manual(vm, cap->args[0]);
		break;
	case KVM_CAP_DIRTY_LOG_RING:
	case KVM_CAP_DIRTY_LOG_RING_ACQ_REL:
		r = hv_dirty_ring_enable(vm, cap->args[0]);
		break;
	case KVM_CAP_X86_USER_SPACE_MSR:
		r = hv_vm_set_bits(&vm->user_msr_reasons, cap->args[0], HV_MSR_EXIT_REASONS);
		break;
	case KVM_CAP_EXIT_HYPERCALL:
		r = hv_vm_set_bits(&vm->hypercall_exits, cap->args[0], HV_HYPERCALL_EXITS);
		break;
	case KVM_CAP_EXIT_ON_EMULATION_FAILURE:
		r = hv_vm_set_emulation_exit(vm, cap->args[0]);
		break;
	case KVM_CAP_HALT_POLL:
		r = hv_vm_set_halt_poll(vm, cap->args[0]);
		break;
	case KVM_CAP_X86_DISABLE_EXITS:
		r = hv_vm_disable_exits(vm, cap->args[0]);
		break;
	case KVM_CAP_X86_BUS_LOCK_EXIT:
		r = hv_vm_set_bus_lock(vm, cap->args[0]);
		break;
	case KVM_CAP_X86_NOTIFY_VMEXIT:
		r = hv_vm_set_notify(vm, cap->args[0]);
		break;
	case KVM_CAP_MSR_PLATFORM_INFO:
		vm->no_platform_info = !cap->args[0];
		r = 0;
		break;
	case KVM_CAP_X86_APIC_BUS_CYCLES_NS:
		r = hv_vm_set_apic_bus(vm, cap->args[0]);
		break;
	case KVM_CAP_MAX_VCPU_ID:
		r = hv_vm_set_max_vcpu_id(vm, cap->args[0]);
		break;
	}
	mutex_unlock(&vm->lock);
	return r;
}
