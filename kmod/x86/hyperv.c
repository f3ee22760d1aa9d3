// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hyper-V's MSRs (TLFS appendix C) but for those of the SynIC and the timers, and its exits to user
 * space. Values and errors follow KVM's, since user space is made for those.
 */
#include <linux/eventfd.h>
#include <linux/mm.h>
#include <linux/sched/cputime.h>
#include <linux/slab.h>
#include <asm/processor.h>

#include "../irq/irq.h"
#include "../trace.h"
#include "hyperv.h"

/* ---- who may use what ---------------------------------------------------------------------- */

/* Which feature an MSR belongs to: bits of EAX, or of EDX. Neither: there is no such MSR. */
struct hv_hyperv_feature {
	u32 first, last;
	u32 eax, edx;
};

static const struct hv_hyperv_feature hv_hyperv_features[] = {
	{ TLFS_MSR_GUEST_OS_ID, TLFS_MSR_HYPERCALL, TLFS_HYPERCALL_MSRS, 0 },
	{ TLFS_MSR_VP_INDEX, TLFS_MSR_VP_INDEX, TLFS_VP_INDEX, 0 },
	{ TLFS_MSR_RESET, TLFS_MSR_RESET, TLFS_RESET, 0 },
	{ TLFS_MSR_VP_RUNTIME, TLFS_MSR_VP_RUNTIME, TLFS_VP_RUNTIME, 0 },
	{ TLFS_MSR_TIME_REF_COUNT, TLFS_MSR_TIME_REF_COUNT, TLFS_TIME_REF_COUNT, 0 },
	{ TLFS_MSR_REFERENCE_TSC, TLFS_MSR_REFERENCE_TSC, TLFS_REFERENCE_TSC, 0 },
	{ TLFS_MSR_TSC_FREQUENCY, TLFS_MSR_APIC_FREQUENCY, TLFS_FREQUENCY_MSRS, 0 },
	{ TLFS_MSR_EOI, TLFS_MSR_VP_ASSIST_PAGE, TLFS_APIC_MSRS, 0 },
	{ TLFS_MSR_SCONTROL, TLFS_MSR_EOM, TLFS_SYNIC, 0 },
	{ TLFS_MSR_SINT0, TLFS_MSR_SINT15, TLFS_SYNIC, 0 },
	{ TLFS_MSR_STIMER0_CONFIG, TLFS_MSR_STIMER3_COUNT, TLFS_SYNTIMERS, 0 },
	{ TLFS_MSR_SYNDBG_CONTROL, TLFS_MSR_SYNDBG_PENDING, 0, TLFS_DEBUG_MSRS },
	{ TLFS_MSR_SYNDBG_OPTIONS, TLFS_MSR_SYNDBG_OPTIONS, 0, TLFS_DEBUG_MSRS },
	{ TLFS_MSR_CRASH_P0, TLFS_MSR_CRASH_CTL, 0, TLFS_CRASH_MSRS },
	{ TLFS_MSR_REENLIGHTENMENT, TLFS_MSR_TSC_EMUL_STATUS, TLFS_REENLIGHTENMENT, 0 },
	{ TLFS_MSR_TSC_INVARIANT, TLFS_MSR_TSC_INVARIANT, TLFS_TSC_INVARIANT, 0 },
};

static const struct hv_hyperv_feature *hv_hyperv_feature_of(u32 index)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(hv_hyperv_features); i++)
		if (index >= hv_hyperv_features[i].first && index <= hv_hyperv_features[i].last)
			return &hv_hyperv_features[i];
	return NULL;
}

/* -ENOENT: not Hyper-V's; 1: not for the guest; -ENOMEM (user space only); 0: go on. */
static int hv_hyperv_msr_check(struct hv_vcpu *vcpu, u32 index, bool host)
{
	const struct hv_hyperv_feature *f;
	const struct hv_cpuid *cpuid = vcpu->cpuid;

	if (index < TLFS_MSR_FIRST || index > TLFS_MSR_LAST)
		return -ENOENT;
	f = hv_hyperv_feature_of(index);
	if (!f || (!host && !cpuid->has_hyperv))
		return 1;
	/* A guest that has the interface has it since KVM_SET_CPUID2. */
	if (hv_hyperv_vcpu_prepare(vcpu))
		return -ENOMEM;
	if (host || hv_hyperv_has(vcpu, cpuid->hyperv_eax, f->eax) ||
	    hv_hyperv_has(vcpu, cpuid->hyperv_edx, f->edx))
		return 0;
	return 1;
}

bool hv_hyperv_hides_invariant_tsc(const struct hv_vcpu *vcpu)
{
	return vcpu->cpuid->has_hyperv && (vcpu->cpuid->hyperv_eax & TLFS_TSC_INVARIANT) &&
	       !(READ_ONCE(vcpu->vm->hyperv->tsc_invariant) & TLFS_INVARIANT_EXPOSED);
}

bool hv_hyperv_hypercalls(const struct hv_vcpu *vcpu)
{
	return vcpu->cpuid->has_hyperv && READ_ONCE(vcpu->vm->hyperv->guest_os_id);
}

/* ---- exits to user space ------------------------------------------------------------------- */

void hv_hyperv_exit_request(struct hv_vcpu *vcpu, enum hv_hyperv_exit exit, u32 msr)
{
	vcpu->hyperv->exits |= BIT(exit);
	vcpu->hyperv->exit_msr = msr;
	hv_request(vcpu, HV_REQ_HYPERV);
}

static void hv_hyperv_fill_exit(struct hv_vcpu *vcpu, enum hv_hyperv_exit exit)
{
	const struct hv_hyperv_vm *hv = vcpu->vm->hyperv;
	const struct hv_synic *synic = &vcpu->hyperv->synic;
	struct kvm_run *run = vcpu->run;

	switch (exit) {
	case HV_HYPERV_CRASH:
	case HV_HYPERV_RESET:
		run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
		run->system_event.type = exit == HV_HYPERV_CRASH ? KVM_SYSTEM_EVENT_CRASH :
								   KVM_SYSTEM_EVENT_RESET;
		run->system_event.ndata = 0;
		break;
	case HV_HYPERV_SYNIC:
		run->exit_reason = KVM_EXIT_HYPERV;
		run->hyperv = (struct kvm_hyperv_exit) {
			.type = KVM_EXIT_HYPERV_SYNIC,
			.u.synic = {
				.msr = vcpu->hyperv->exit_msr,
				.control = synic->control,
				.evt_page = synic->event_page,
				.msg_page = synic->message_page,
			},
		};
		break;
	case HV_HYPERV_SYNDBG:
		vcpu->hyperv->syndbg_exit = true;
		run->exit_reason = KVM_EXIT_HYPERV;
		run->hyperv = (struct kvm_hyperv_exit) {
			.type = KVM_EXIT_HYPERV_SYNDBG,
			.u.syndbg = {
				.msr = vcpu->hyperv->exit_msr,
				.control = hv->syndbg[0],
				.send_page = hv->syndbg[2],
				.recv_page = hv->syndbg[3],
				.pending_page = hv->syndbg[4],
			},
		};
		break;
	}
}

int hv_hyperv_exit(struct hv_vcpu *vcpu)
{
	struct hv_hyperv *hyperv = hv_hyperv(vcpu);
	enum hv_hyperv_exit exit;

	if (!hyperv || !hyperv->exits)
		return HV_NEXT_RESUME;
	exit = __ffs(hyperv->exits);
	hyperv->exits &= ~BIT(exit);
	if (hyperv->exits)
		hv_request(vcpu, HV_REQ_HYPERV);
	hv_hyperv_fill_exit(vcpu, exit);
	return HV_NEXT_USER;
}

void hv_hyperv_complete(struct hv_vcpu *vcpu)
{
	struct hv_hyperv *hyperv = hv_hyperv(vcpu);
	struct hv_hyperv_vm *hv = vcpu->vm->hyperv;

	if (likely(!hyperv || !hyperv->syndbg_exit))
		return;
	hyperv->syndbg_exit = false;
	if (hyperv->exit_msr == TLFS_MSR_SYNDBG_CONTROL)
		WRITE_ONCE(hv->syndbg[1], READ_ONCE(vcpu->run->hyperv.u.syndbg.status));
}

/* ---- MSRs of the VM ------------------------------------------------------------------------ */

static bool hv_syndbg_offered(const struct hv_vcpu *vcpu)
{
	return vcpu->cpuid->hyperv_debug & TLFS_DEBUG_KERNEL;
}

static u64 *hv_syndbg_reg(struct hv_hyperv_vm *hv, u32 index)
{
	if (index == TLFS_MSR_SYNDBG_OPTIONS)
		return &hv->syndbg_options;
	return &hv->syndbg[index - TLFS_MSR_SYNDBG_CONTROL];
}

/* Plain registers of the VM that read as they were written. */
static u64 *hv_hyperv_vm_reg(struct hv_hyperv_vm *hv, u32 index)
{
	switch (index) {
	case TLFS_MSR_GUEST_OS_ID:	return &hv->guest_os_id;
	case TLFS_MSR_HYPERCALL:	return &hv->hypercall;
	case TLFS_MSR_REFERENCE_TSC:	return &hv->msr_tsc_page;
	case TLFS_MSR_CRASH_CTL:	return &hv->crash_ctl;
	case TLFS_MSR_REENLIGHTENMENT:	return &hv->reenlightenment;
	case TLFS_MSR_TSC_EMUL_CONTROL:	return &hv->tsc_emul_control;
	case TLFS_MSR_TSC_EMUL_STATUS:	return &hv->tsc_emul_status;
	case TLFS_MSR_TSC_INVARIANT:	return &hv->tsc_invariant;
	case TLFS_MSR_CRASH_P0 ... TLFS_MSR_CRASH_P4:
		return &hv->crash_param[index - TLFS_MSR_CRASH_P0];
	case TLFS_MSR_SYNDBG_CONTROL ... TLFS_MSR_SYNDBG_PENDING:
	case TLFS_MSR_SYNDBG_OPTIONS:
		return hv_syndbg_reg(hv, index);
	default:
		return NULL;
	}
}

/*
 * The instruction for a hypercall, and a return; the guest calls it. Where Xen's calls are there,
 * too, a bit of EAX that neither uses is set before: or $0x80000000, %eax.
 */
static int hv_hyperv_set_hypercall(struct hv_vcpu *vcpu, u64 value)
{
	bool intel = boot_cpu_data.x86_vendor == X86_VENDOR_INTEL;
	const u8 code[] = { 0x0d, 0, 0, 0, 0x80, 0x0f, 0x01, intel ? 0xc1 : 0xd9, 0xc3 };
	unsigned int skip = hv_xen_intercepts(vcpu->vm) ? 0 : 5;
	struct hv_hyperv_vm *hv = vcpu->vm->hyperv;

	/* Not before the guest has said who it is (TLFS 3.13). */
	if (!hv->guest_os_id)
		return 0;
	if ((value & TLFS_PAGE_ENABLE) &&
	    hv_guest_write(vcpu->vm, value & TLFS_PAGE_ADDR, code + skip, sizeof(code) - skip))
		return 1;
	WRITE_ONCE(hv->hypercall, value);
	return 0;
}

static int hv_hyperv_set_crash_ctl(struct hv_vcpu *vcpu, u64 value, bool host)
{
	if (host)
		vcpu->vm->hyperv->crash_ctl = value & TLFS_CRASH_NOTIFY;
	else if (value & TLFS_CRASH_NOTIFY)
		hv_hyperv_exit_request(vcpu, HV_HYPERV_CRASH, TLFS_MSR_CRASH_CTL);
	return 0;
}

static int hv_syndbg_set(struct hv_vcpu *vcpu, u32 index, u64 value, bool host)
{
	if (!host && !hv_syndbg_offered(vcpu))
		return 1;
	WRITE_ONCE(*hv_syndbg_reg(vcpu->vm->hyperv, index), value);
	if (!host && (index == TLFS_MSR_SYNDBG_CONTROL || index == TLFS_MSR_SYNDBG_PENDING))
		hv_hyperv_exit_request(vcpu, HV_HYPERV_SYNDBG, index);
	return 0;
}

/* hyperv lock held. */
static int hv_hyperv_vm_set(struct hv_vcpu *vcpu, u32 index, u64 value, bool host)
{
	struct hv_hyperv_vm *hv = vcpu->vm->hyperv;

	switch (index) {
	case TLFS_MSR_GUEST_OS_ID:
		WRITE_ONCE(hv->guest_os_id, value);
		if (!value)
			WRITE_ONCE(hv->hypercall, hv->hypercall & ~TLFS_PAGE_ENABLE);
		return 0;
	case TLFS_MSR_HYPERCALL:
		return hv_hyperv_set_hypercall(vcpu, value);
	case TLFS_MSR_REFERENCE_TSC:
		hv_hyperv_tsc_page_set(vcpu, value, host);
		return 0;
	case TLFS_MSR_CRASH_CTL:
		return hv_hyperv_set_crash_ctl(vcpu, value, host);
	case TLFS_MSR_TSC_EMUL_STATUS:
		if (value && !host)
			return 1;
		break;
	case TLFS_MSR_TSC_INVARIANT:
		/* The guest cannot take it back. */
		if ((value & ~TLFS_INVARIANT_EXPOSED) ||
		    (!host && hv->tsc_invariant && !value))
			return 1;
		break;
	case TLFS_MSR_SYNDBG_CONTROL ... TLFS_MSR_SYNDBG_PENDING:
	case TLFS_MSR_SYNDBG_OPTIONS:
		return hv_syndbg_set(vcpu, index, value, host);
	}
	WRITE_ONCE(*hv_hyperv_vm_reg(hv, index), value);
	return 0;
}

/* ---- MSRs of a vCPU ------------------------------------------------------------------------ */

/* What the vCPU's thread has run, 100 ns. */
static u64 hv_hyperv_runtime(void)
{
	u64 user, system;

	task_cputime_adjusted(current, &user, &system);
	return div_u64(user + system, 100);
}

static int hv_hyperv_set_assist_page(struct hv_vcpu *vcpu, u64 value, bool may_sleep)
{
	static const u32 none;
	u64 gpa = value & TLFS_PAGE_ADDR;
	int r;

	/* Only the first word: the rest may hold what is to survive a migration. */
	if ((value & TLFS_PAGE_ENABLE) && hv_guest_write(vcpu->vm, gpa, &none, sizeof(none)))
		return 1;
	r = hv_pv_eoi_set_msr(vcpu, value & TLFS_PAGE_ENABLE ? gpa | 1 : 0, may_sleep);
	if (!r)
		vcpu->hyperv->assist_page = value;
	return r;
}

static int hv_hyperv_vcpu_set(struct hv_vcpu *vcpu, u32 index, u64 value, bool host, bool may_sleep)
{
	switch (index) {
	case TLFS_MSR_VP_INDEX:
		if (!host || (u32)value >= HV_MAX_VCPUS)
			return 1;
		WRITE_ONCE(vcpu->vp_index, (u32)value);
		return 0;
	case TLFS_MSR_RESET:
		if (value == 1)
			hv_hyperv_exit_request(vcpu, HV_HYPERV_RESET, index);
		return 0;
	case TLFS_MSR_VP_RUNTIME:
		if (!host)
			return 1;
		vcpu->hyperv->runtime_offset = value - hv_hyperv_runtime();
		return 0;
	case TLFS_MSR_TIME_REF_COUNT:
	case TLFS_MSR_TSC_FREQUENCY:
	case TLFS_MSR_APIC_FREQUENCY:
		return !host;		/* read-only; restoring it changes nothing */
	case TLFS_MSR_EOI:
	case TLFS_MSR_ICR:
	case TLFS_MSR_TPR:
		return hv_lapic_hyperv_set(vcpu, index - TLFS_MSR_EOI, value);
	case TLFS_MSR_VP_ASSIST_PAGE:
		return may_sleep ? hv_hyperv_set_assist_page(vcpu, value, may_sleep) : -EAGAIN;
	default:
		return 1;
	}
}

static int hv_hyperv_vcpu_get(struct hv_vcpu *vcpu, u32 index, u64 *value)
{
	switch (index) {
	case TLFS_MSR_VP_INDEX:
		*value = vcpu->vp_index;
		return 0;
	case TLFS_MSR_RESET:
		*value = 0;
		return 0;
	case TLFS_MSR_VP_RUNTIME:
		*value = hv_hyperv_runtime() + vcpu->hyperv->runtime_offset;
		return 0;
	case TLFS_MSR_TIME_REF_COUNT:
		*value = hv_hyperv_time(vcpu);
		return 0;
	case TLFS_MSR_TSC_FREQUENCY:
		*value = (u64)vcpu->pv.tsc_khz * 1000;
		return 0;
	case TLFS_MSR_APIC_FREQUENCY:
		*value = div_u64(NSEC_PER_SEC, vcpu->vm->apic_bus_ns);
		return 0;
	case TLFS_MSR_EOI:
	case TLFS_MSR_ICR:
	case TLFS_MSR_TPR:
		return hv_lapic_hyperv_get(vcpu, index - TLFS_MSR_EOI, value);
	case TLFS_MSR_VP_ASSIST_PAGE:
		*value = vcpu->hyperv->assist_page;
		return 0;
	default:
		return 1;
	}
}

/* ---- all of them --------------------------------------------------------------------------- */

static bool hv_is_stimer_msr(u32 index)
{
	return index >= TLFS_MSR_STIMER0_CONFIG && index <= TLFS_MSR_STIMER3_COUNT;
}

static bool hv_is_synic_msr(u32 index)
{
	return index >= TLFS_MSR_SCONTROL && index <= TLFS_MSR_SINT15;
}

int hv_hyperv_msr_get(struct hv_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	const u64 *reg;
	int r = hv_hyperv_msr_check(vcpu, index, host);

	if (r)
		return r;
	if (hv_is_stimer_msr(index))
		return hv_stimer_msr_get(vcpu, index, value, host);
	if (hv_is_synic_msr(index))
		return hv_synic_msr_get(vcpu, index, value, host);
	reg = hv_hyperv_vm_reg(vcpu->vm->hyperv, index);
	if (!reg)
		return hv_hyperv_vcpu_get(vcpu, index, value);
	if ((index >= TLFS_MSR_SYNDBG_CONTROL && index <= TLFS_MSR_SYNDBG_OPTIONS) && !host &&
	    !hv_syndbg_offered(vcpu))
		return 1;
	*value = READ_ONCE(*reg);
	return 0;
}

int hv_hyperv_msr_set(struct hv_vcpu *vcpu, u32 index, u64 value, bool host, bool may_sleep)
{
	int r = hv_hyperv_msr_check(vcpu, index, host);

	if (r)
		return r;
	if (hv_is_stimer_msr(index))
		return hv_stimer_msr_set(vcpu, index, value, host);
	if (hv_is_synic_msr(index))
		return hv_synic_msr_set(vcpu, index, value, host, may_sleep);
	if (!hv_hyperv_vm_reg(vcpu->vm->hyperv, index))
		return hv_hyperv_vcpu_set(vcpu, index, value, host, may_sleep);
	if (!may_sleep)
		return -EAGAIN;
	mutex_lock(&vcpu->vm->hyperv->lock);
	r = hv_hyperv_vm_set(vcpu, index, value, host);
	mutex_unlock(&vcpu->vm->hyperv->lock);
	return r;
}

/* ---- KVM_HYPERV_EVENTFD -------------------------------------------------------------------- */

static int hv_hyperv_connect(struct hv_vm *vm, u32 id, int fd)
{
	struct hv_hyperv_vm *hv = vm->hyperv;
	struct eventfd_ctx *event = eventfd_ctx_fdget(fd);
	int r;

	if (IS_ERR(event))
		return PTR_ERR(event);
	mutex_lock(&hv->lock);
	r = xa_insert(&hv->connections, id, event, GFP_KERNEL_ACCOUNT);
	mutex_unlock(&hv->lock);
	if (r)
		eventfd_ctx_put(event);
	return r == -EBUSY ? -EEXIST : r;
}

static int hv_hyperv_disconnect(struct hv_vm *vm, u32 id)
{
	struct hv_hyperv_vm *hv = vm->hyperv;
	struct eventfd_ctx *event;

	mutex_lock(&hv->lock);
	event = xa_erase(&hv->connections, id);
	mutex_unlock(&hv->lock);
	if (!event)
		return -ENOENT;
	/* Who is signalling it has found it under irq_srcu. */
	synchronize_srcu_expedited(&vm->irq_srcu);
	eventfd_ctx_put(event);
	return 0;
}

int hv_hyperv_eventfd(struct hv_vm *vm, const struct kvm_hyperv_eventfd *args)
{
	if ((args->flags & ~KVM_HYPERV_EVENTFD_DEASSIGN) ||
	    (args->conn_id & ~KVM_HYPERV_CONN_ID_MASK))
		return -EINVAL;
	return args->flags ? hv_hyperv_disconnect(vm, args->conn_id) :
			     hv_hyperv_connect(vm, args->conn_id, args->fd);
}

/* ---- life ---------------------------------------------------------------------------------- */

int hv_hyperv_vcpu_prepare(struct hv_vcpu *vcpu)
{
	struct hv_hyperv *hyperv;

	if (likely(vcpu->hyperv))
		return 0;
	hyperv = kzalloc(sizeof(*hyperv), GFP_KERNEL_ACCOUNT);
	if (!hyperv)
		return -ENOMEM;
	hv_synic_init(&hyperv->synic);
	hv_stimer_init(vcpu, hyperv);
	smp_store_release(&vcpu->hyperv, hyperv);
	/* A CPU that has the LAPIC to itself knows nothing of the SynIC. */
	hv_request(vcpu, HV_REQ_APIC);
	return 0;
}

int hv_hyperv_set_enforce(struct hv_vcpu *vcpu, bool enforce)
{
	if (hv_hyperv_vcpu_prepare(vcpu))
		return -ENOMEM;
	vcpu->hyperv->enforce = enforce;
	return 0;
}

int hv_hyperv_enable_synic(struct hv_vcpu *vcpu, bool keep_pages)
{
	if (!vcpu->lapic)
		return -EINVAL;
	if (hv_hyperv_vcpu_prepare(vcpu))
		return -ENOMEM;
	vcpu->hyperv->synic.active = true;
	vcpu->hyperv->synic.keep_pages = keep_pages;
	vcpu->hyperv->synic.control = TLFS_SCONTROL_ENABLE;
	return 0;
}

void hv_hyperv_vcpu_free(struct hv_vcpu *vcpu)
{
	if (!vcpu->hyperv)
		return;
	hv_stimer_stop_all(vcpu);
	kfree(vcpu->hyperv);
	vcpu->hyperv = NULL;
}

int hv_hyperv_vm_init(struct hv_vm *vm)
{
	vm->hyperv = kzalloc(sizeof(*vm->hyperv), GFP_KERNEL_ACCOUNT);
	if (!vm->hyperv)
		return -ENOMEM;
	mutex_init(&vm->hyperv->lock);
	xa_init(&vm->hyperv->connections);
	return 0;
}

void hv_hyperv_vm_free(struct hv_vm *vm)
{
	struct eventfd_ctx *event;
	unsigned long id;

	xa_for_each(&vm->hyperv->connections, id, event)
		eventfd_ctx_put(event);
	xa_destroy(&vm->hyperv->connections);
	kfree(vm->hyperv);
}
