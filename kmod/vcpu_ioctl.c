// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctls of a vCPU descriptor. Each one copies its argument in once, works on the vCPU with its
 * mutex held and its state on this CPU (hv_vcpu_load), and copies the answer out of a zeroed
 * buffer.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "hv.h"
#include "irq/irq.h"
#include "mmu/mmu.h"
#include "vcpu_ioctl.h"
#include "x86/x86.h"

/* ---- lists: CPUID and MSRs ------------------------------------------------------------------- */

static long hv_ioctl_set_cpuid(struct hv_vcpu *vcpu, const struct kvm_cpuid2 __user *arg)
{
	struct kvm_cpuid_entry2 *entries = NULL;
	struct kvm_cpuid2 head;
	long r;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.nent > HV_MAX_CPUID_ENTRIES)
		return -E2BIG;
	if (head.nent) {
		entries = vmemdup_user(arg->entries, array_size(sizeof(*entries), head.nent));
		if (IS_ERR(entries))
			return PTR_ERR(entries);
	}
	r = hv_cpuid_set(vcpu, entries, head.nent);
	kvfree(entries);
	return r;
}

static long hv_ioctl_get_cpuid(struct hv_vcpu *vcpu, struct kvm_cpuid2 __user *arg)
{
	const struct hv_cpuid *cpuid = vcpu->cpuid;
	struct kvm_cpuid2 head;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.nent < cpuid->nr)
		return -E2BIG;
	head.nent = cpuid->nr;
	if (copy_to_user(arg, &head, sizeof(head)) ||
	    copy_to_user(arg->entries, cpuid->entry, cpuid->nr * sizeof(cpuid->entry[0])))
		return -EFAULT;
	return 0;
}

long hv_copy_hyperv_cpuid(const struct hv_vcpu *vcpu, struct kvm_cpuid2 __user *arg)
{
	struct kvm_cpuid_entry2 entries[HV_HYPERV_LEAVES];
	struct kvm_cpuid2 head;
	int n;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	n = hv_hyperv_cpuid(vcpu, entries, min_t(u32, head.nent, HV_HYPERV_LEAVES));
	if (n < 0)
		return n;
	head.nent = n;
	if (copy_to_user(arg, &head, sizeof(head)) ||
	    copy_to_user(arg->entries, entries, n * sizeof(entries[0])))
		return -EFAULT;
	return 0;
}

/*
 * The number of MSRs handled before the first that could not be: what KVM returns. Or -errno, if
 * that has nothing to do with the MSR.
 */
static long hv_ioctl_msrs(struct hv_vcpu *vcpu, struct kvm_msrs __user *arg, bool set)
{
	struct kvm_msr_entry entry;
	struct kvm_msrs head;
	int r;
	u32 i;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.nmsrs >= HV_MAX_IO_MSRS)
		return -E2BIG;
	for (i = 0; i < head.nmsrs; i++) {
		if (copy_from_user(&entry, &arg->entries[i], sizeof(entry)))
			return -EFAULT;
		if (set)
			r = hv_msr_set(vcpu, entry.index, entry.data, true, true);
		else
			r = hv_msr_get(vcpu, entry.index, &entry.data, true);
		if (r < 0)
			return r;
		if (r)
			break;
		if (!set && copy_to_user(&arg->entries[i], &entry, sizeof(entry)))
			return -EFAULT;
	}
	return i;
}

/* ---- state that fits a structure ----------------------------------------------------------- */

#define HV_COPY_IN(type, name)					\
	type name;						\
								\
	if (copy_from_user(&(name), argp, sizeof(name)))	\
		return -EFAULT

static long hv_copy_out(void __user *argp, const void *data, size_t size)
{
	return copy_to_user(argp, data, size) ? -EFAULT : 0;
}

static long hv_ioctl_get_regs(struct hv_vcpu *vcpu, void __user *argp)
{
	struct kvm_regs regs = {};

	hv_regs_get(vcpu, &regs);
	return hv_copy_out(argp, &regs, sizeof(regs));
}

static long hv_ioctl_set_regs(struct hv_vcpu *vcpu, void __user *argp)
{
	HV_COPY_IN(struct kvm_regs, regs);
	hv_regs_set(vcpu, &regs);
	return 0;
}

static long hv_ioctl_get_sregs(struct hv_vcpu *vcpu, void __user *argp)
{
	struct kvm_sregs sregs = {};

	hv_sregs_get(vcpu, &sregs);
	return hv_copy_out(argp, &sregs, sizeof(sregs));
}

static long hv_ioctl_set_sregs(struct hv_vcpu *vcpu, void __user *argp)
{
	HV_COPY_IN(struct kvm_sregs, sregs);
	return hv_sregs_set(vcpu, &sregs);
}

static long hv_ioctl_get_sregs2(struct hv_vcpu *vcpu, void __user *argp)
{
	struct kvm_sregs2 sregs;

	hv_sregs2_get(vcpu, &sregs);
	return hv_copy_out(argp, &sregs, sizeof(sregs));
}

static long hv_ioctl_set_sregs2(struct hv_vcpu *vcpu, void __user *argp)
{
	HV_COPY_IN(struct kvm_sregs2, sregs);
	return hv_sregs2_set(vcpu, &sregs);
}

static long hv_ioctl_attr(struct hv_vcpu *vcpu, unsigned int cmd, void __user *argp)
{
	HV_COPY_IN(struct kvm_device_attr, attr);
	return hv_vcpu_attr(vcpu, cmd, &attr);
}

static long hv_ioctl_get_fpu(struct hv_vcpu *vcpu, void __user *argp)
{
	struct kvm_fpu fpu = {};

	hv_fpu_get(vcpu, &fpu);
	return hv_copy_out(argp, &fpu, sizeof(fpu));
}

static long hv_ioctl_set_fpu(struct hv_vcpu *vcpu, void __user *argp)
{
	HV_COPY_IN(struct kvm_fpu, fpu);
	return hv_fpu_set(vcpu, &fpu);
}

static long hv_ioctl_get_xsave(struct hv_vcpu *vcpu, void __user *argp, u32 size)
{
	void *buf = kvzalloc(size, GFP_KERNEL_ACCOUNT);
	long r;

	if (!buf)
		return -ENOMEM;
	hv_fpu_get_xsave(vcpu, buf, size);
	r = hv_copy_out(argp, buf, size);
	kvfree(buf);
	return r;
}

static long hv_ioctl_set_xsave(struct hv_vcpu *vcpu, void __user *argp)
{
	/* As long as KVM_CAP_XSAVE2 says, at least a struct kvm_xsave. */
	u32 size = max_t(u32, hv_xsave2_size(), sizeof(struct kvm_xsave));
	void *buf = vmemdup_user(argp, size);
	long r;

	if (IS_ERR(buf))
		return PTR_ERR(buf);
	r = hv_fpu_set_xsave(vcpu, buf, size);
	kvfree(buf);
	return r;
}

static long hv_ioctl_get_xcrs(struct hv_vcpu *vcpu, void __user *argp)
{
	struct kvm_xcrs xcrs = {};
	int r = hv_fpu_get_xcrs(vcpu, &xcrs);

	return r ?: hv_copy_out(argp, &xcrs, sizeof(xcrs));
}

static long hv_ioctl_set_xcrs(struct hv_vcpu *vcpu, void __user *argp)
{
	HV_COPY_IN(struct kvm_xcrs, xcrs);
	return hv_fpu_set_xcrs(vcpu, &xcrs);
}

static long hv_ioctl_get_lapic(struct hv_vcpu *vcpu, void __user *argp)
{
	struct kvm_lapic_state *state;
	long r;

	if (!vcpu->lapic)
		return -EINVAL;
	state = kzalloc(sizeof(*state), GFP_KERNEL_ACCOUNT);
	if (!state)
		return -ENOMEM;
	r = hv_lapic_get_state(vcpu, state);
	if (!r)
		r = hv_copy_out(argp, state, sizeof(*state));
	kfree(state);
	return r;
}

static long hv_ioctl_set_lapic(struct hv_vcpu *vcpu, void __user *argp)
{
	struct kvm_lapic_state *state;
	long r;

	if (!vcpu->lapic)
		return -EINVAL;
	state = memdup_user(argp, sizeof(*state));
	if (IS_ERR(state))
		return PTR_ERR(state);
	r = hv_lapic_set_state(vcpu, state);
	kfree(state);
	return r;
}

static long hv_ioctl_get_mp_state(struct hv_vcpu *vcpu, void __user *argp)
{
	struct kvm_mp_state mp = {};
	int r = hv_mp_state_get(vcpu, &mp);

	return r ?: hv_copy_out(argp, &mp, sizeof(mp));
}

static long hv_ioctl_set_mp_state(struct hv_vcpu *vcpu, void __user *argp)
{
	HV_COPY_IN(struct kvm_mp_state, mp);
	return hv_mp_state_set(vcpu, &mp);
}

static long hv_ioctl_get_events(struct hv_vcpu *vcpu, void __user *argp)
{
	struct kvm_vcpu_events events = {};

	hv_events_get(vcpu, &events);
	return hv_copy_out(argp, &events, sizeof(events));
}

static long hv_ioctl_set_events(struct hv_vcpu *vcpu, void __user *argp)
{
	HV_COPY_IN(struct kvm_vcpu_events, events);
	return hv_events_set(vcpu, &events);
}

static long hv_ioctl_get_debugregs(struct hv_vcpu *vcpu, void __user *argp)
{
	struct kvm_debugregs dbg = {};

	hv_debugregs_get(vcpu, &dbg);
	return hv_copy_out(argp, &dbg, sizeof(dbg));
}

static long hv_ioctl_set_debugregs(struct hv_vcpu *vcpu, void __user *argp)
{
	HV_COPY_IN(struct kvm_debugregs, dbg);
	return hv_debugregs_set(vcpu, &dbg);
}

static long hv_ioctl_guest_debug(struct hv_vcpu *vcpu, void __user *argp)
{
	HV_COPY_IN(struct kvm_guest_debug, dbg);
	return hv_debug_set_guest_debug(vcpu, &dbg);
}

static long hv_ioctl_translate(struct hv_vcpu *vcpu, void __user *argp)
{
	HV_COPY_IN(struct kvm_translation, tr);
	int r = hv_translate(vcpu, &tr);

	return r ?: hv_copy_out(argp, &tr, sizeof(tr));
}

static long hv_ioctl_setup_mce(struct hv_vcpu *vcpu, void __user *argp)
{
	HV_COPY_IN(u64, mcg_cap);
	return hv_mce_setup(vcpu, mcg_cap);
}

/* KVM_INTERRUPT is for user space's own interrupt controller. */
static long hv_ioctl_interrupt(struct hv_vcpu *vcpu, void __user *argp)
{
	HV_COPY_IN(struct kvm_interrupt, irq);
	if (irq.irq > 255)
		return -EINVAL;
	if (vcpu->vm->pic)
		return -ENXIO;
	if (vcpu->lapic && vcpu->events.user_irq >= 0)
		return -EEXIST;
	vcpu->events.user_irq = irq.irq;
	hv_request(vcpu, HV_REQ_EVENT);
	return 0;
}

static long hv_ioctl_signal_mask(struct hv_vcpu *vcpu, struct kvm_signal_mask __user *arg)
{
	struct kvm_signal_mask head;

	if (!arg) {
		vcpu->sigset_active = false;
		return 0;
	}
	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.len != sizeof(sigset_t))
		return -EINVAL;
	if (copy_from_user(&vcpu->sigset, arg->sigset, sizeof(sigset_t)))
		return -EFAULT;
	sigdelsetmask(&vcpu->sigset, sigmask(SIGKILL) | sigmask(SIGSTOP));
	vcpu->sigset_active = true;
	return 0;
}

static long hv_ioctl_vapic_addr(struct hv_vcpu *vcpu, void __user *argp)
{
	struct kvm_vapic_addr vapic;

	if (!vcpu->lapic)
		return -EINVAL;
	if (copy_from_user(&vapic, argp, sizeof(vapic)))
		return -EFAULT;
	return hv_vapic_set_addr(vcpu, vapic.vapic_addr);
}

static long hv_ioctl_tpr_reporting(struct hv_vcpu *vcpu, void __user *argp)
{
	HV_COPY_IN(struct kvm_tpr_access_ctl, ctl);
	if (ctl.flags)
		return -EINVAL;
	vcpu->tpr_reporting = ctl.enabled;
	hv_request(vcpu, HV_REQ_APIC);
	return hv_copy_out(argp, &ctl, sizeof(ctl));
}

static long hv_ioctl_set_mce(struct hv_vcpu *vcpu, void __user *argp)
{
	HV_COPY_IN(struct kvm_x86_mce, mce);
	return hv_mce_inject(vcpu, &mce);
}

static long hv_ioctl_clock_ctrl(struct hv_vcpu *vcpu)
{
	if (!(vcpu->pv.msr_system_time & 1))
		return -EINVAL;
	vcpu->pv.guest_stopped = true;
	hv_request(vcpu, HV_REQ_CLOCK);
	return 0;
}

static long hv_ioctl_enable_cap(struct hv_vcpu *vcpu, void __user *argp)
{
	HV_COPY_IN(struct kvm_enable_cap, cap);
	if (cap.flags)
		return -EINVAL;
	switch (cap.cap) {
	case KVM_CAP_ENFORCE_PV_FEATURE_CPUID:
		vcpu->para.enforce = cap.args[0];
		return 0;
	case KVM_CAP_HYPERV_SYNIC:
	case KVM_CAP_HYPERV_SYNIC2:
		if (cap.cap == KVM_CAP_HYPERV_SYNIC2 && cap.args[0])
			return -EINVAL;
		return hv_hyperv_enable_synic(vcpu, cap.cap == KVM_CAP_HYPERV_SYNIC2);
	case KVM_CAP_HYPERV_ENFORCE_CPUID:
		return hv_hyperv_set_enforce(vcpu, cap.args[0]);
	default:
		return -EINVAL;
	}
}

/*
 * Map a range before the guest touches it. What was done is taken off the range, so that user space
 * can go on after a signal.
 */
static long hv_ioctl_pre_fault(struct hv_vcpu *vcpu, struct kvm_pre_fault_memory __user *argp)
{
	u64 whole, end;
	long r = 0;

	HV_COPY_IN(struct kvm_pre_fault_memory, range);
	if (range.flags || offset_in_page(range.gpa | range.size) ||
	    range.gpa + range.size <= range.gpa)
		return -EINVAL;
	whole = range.size;
	while (range.size && !r) {
		r = hv_mmu_prefault(vcpu, range.gpa, &end);
		if (r == -EAGAIN) {
			hv_srcu_relock(vcpu);
			r = 0;
			continue;
		}
		if (r)
			break;
		end = min(end, range.gpa + range.size);
		range.size -= end - range.gpa;
		range.gpa = end;
	}
	if (copy_to_user(argp, &range, sizeof(range)))
		return -EFAULT;
	return range.size < whole ? 0 : r;
}

/* ---- the table ----------------------------------------------------------------------------- */

static long hv_ioctl_state(struct hv_vcpu *vcpu, unsigned int cmd, void __user *argp)
{
	switch (cmd) {
	case KVM_GET_REGS:		return hv_ioctl_get_regs(vcpu, argp);
	case KVM_SET_REGS:		return hv_ioctl_set_regs(vcpu, argp);
	case KVM_GET_SREGS:		return hv_ioctl_get_sregs(vcpu, argp);
	case KVM_SET_SREGS:		return hv_ioctl_set_sregs(vcpu, argp);
	case KVM_GET_SREGS2:		return hv_ioctl_get_sregs2(vcpu, argp);
	case KVM_SET_SREGS2:		return hv_ioctl_set_sregs2(vcpu, argp);
	case KVM_GET_FPU:		return hv_ioctl_get_fpu(vcpu, argp);
	case KVM_SET_FPU:		return hv_ioctl_set_fpu(vcpu, argp);
	case KVM_GET_XSAVE:
		return hv_ioctl_get_xsave(vcpu, argp, sizeof(struct kvm_xsave));
	case KVM_GET_XSAVE2:
		return hv_ioctl_get_xsave(vcpu, argp, max_t(u32, hv_xsave2_size(),
							     sizeof(struct kvm_xsave)));
	case KVM_SET_XSAVE:		return hv_ioctl_set_xsave(vcpu, argp);
	case KVM_GET_XCRS:		return hv_ioctl_get_xcrs(vcpu, argp);
	case KVM_SET_XCRS:		return hv_ioctl_set_xcrs(vcpu, argp);
	case KVM_GET_LAPIC:		return hv_ioctl_get_lapic(vcpu, argp);
	case KVM_SET_LAPIC:		return hv_ioctl_set_lapic(vcpu, argp);
	case KVM_GET_MP_STATE:		return hv_ioctl_get_mp_state(vcpu, argp);
	case KVM_SET_MP_STATE:		return hv_ioctl_set_mp_state(vcpu, argp);
	case KVM_GET_VCPU_EVENTS:	return hv_ioctl_get_events(vcpu, argp);
	case KVM_SET_VCPU_EVENTS:	return hv_ioctl_set_events(vcpu, argp);
	case KVM_GET_DEBUGREGS:		return hv_ioctl_get_debugregs(vcpu, argp);
	case KVM_SET_DEBUGREGS:		return hv_ioctl_set_debugregs(vcpu, argp);
	default:			return -EINVAL;
	}
}

static long hv_ioctl_loaded(struct hv_vcpu *vcpu, unsigned int cmd, unsigned long arg)
{
	void __user *argp = (void __user *)arg;

	switch (cmd) {
	case KVM_RUN:			return arg ? -EINVAL : hv_vcpu_run(vcpu);
	case KVM_GET_MSRS:		return hv_ioctl_msrs(vcpu, argp, false);
	case KVM_SET_MSRS:		return hv_ioctl_msrs(vcpu, argp, true);
	case KVM_SET_CPUID2:		return hv_ioctl_set_cpuid(vcpu, argp);
	case KVM_GET_CPUID2:		return hv_ioctl_get_cpuid(vcpu, argp);
	case KVM_GET_SUPPORTED_HV_CPUID: return hv_copy_hyperv_cpuid(vcpu, argp);
	case KVM_SET_SIGNAL_MASK:	return hv_ioctl_signal_mask(vcpu, argp);
	case KVM_SET_GUEST_DEBUG:	return hv_ioctl_guest_debug(vcpu, argp);
	case KVM_TRANSLATE:		return hv_ioctl_translate(vcpu, argp);
	case KVM_X86_SETUP_MCE:		return hv_ioctl_setup_mce(vcpu, argp);
	case KVM_INTERRUPT:		return hv_ioctl_interrupt(vcpu, argp);
	case KVM_NMI:			hv_queue_nmi(vcpu); return 0;
	case KVM_X86_SET_MCE:		return hv_ioctl_set_mce(vcpu, argp);
	case KVM_TPR_ACCESS_REPORTING:	return hv_ioctl_tpr_reporting(vcpu, argp);
	case KVM_SMI:			hv_queue_smi(vcpu); return 0;
	case KVM_SET_VAPIC_ADDR:	return hv_ioctl_vapic_addr(vcpu, argp);
	case KVM_PRE_FAULT_MEMORY:	return hv_ioctl_pre_fault(vcpu, argp);
	case KVM_KVMCLOCK_CTRL:		return hv_ioctl_clock_ctrl(vcpu);
	case KVM_ENABLE_CAP:		return hv_ioctl_enable_cap(vcpu, argp);
	case KVM_XEN_VCPU_GET_ATTR:
	case KVM_XEN_VCPU_SET_ATTR:	return hv_xen_vcpu_ioctl(vcpu, cmd, argp);
	case KVM_GET_TSC_KHZ:		return vcpu->pv.tsc_khz;
	case KVM_SET_TSC_KHZ:		return hv_tsc_set_khz(vcpu, arg);
	case KVM_HAS_DEVICE_ATTR:
	case KVM_GET_DEVICE_ATTR:
	case KVM_SET_DEVICE_ATTR:	return hv_ioctl_attr(vcpu, cmd, argp);
	default:			return hv_ioctl_state(vcpu, cmd, argp);
	}
}

long hv_vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct hv_vcpu *vcpu = file->private_data;
	struct hv_vm *vm = vcpu->vm;
	long r;
	int idx;

	if (vm->mm != current->mm || READ_ONCE(vm->dead))
		return -EIO;
	if (_IOC_TYPE(cmd) != KVMIO)
		return -EINVAL;
	if (cmd == KVM_GET_STATS_FD)
		return hv_vcpu_stats_fd(vcpu);
	/* It concerns the whole VM, whose lock comes before the vCPU's. */
	if (cmd == KVM_XEN_VCPU_GET_ATTR || cmd == KVM_XEN_VCPU_SET_ATTR) {
		r = hv_xen_vm_prepare(vm);
		if (r)
			return r;
	}
	if (mutex_lock_killable(&vcpu->mutex))
		return -EINTR;
	hv_vcpu_load(vcpu);
	idx = srcu_read_lock(&vm->srcu);
	vcpu->srcu_idx = idx;
	r = hv_ioctl_loaded(vcpu, cmd, arg);
	srcu_read_unlock(&vm->srcu, vcpu->srcu_idx);
	hv_vcpu_put(vcpu);
	mutex_unlock(&vcpu->mutex);
	return r;
}
