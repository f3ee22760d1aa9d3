// SPDX-License-Identifier: GPL-2.0-only
/* Device attributes of the system and the vCPU descriptor: the XSAVE mask, the TSC's offset. */
#include <linux/uaccess.h>

#include "../irq/irq.h"
#include "x86.h"

/* ---- the system: what guests may enable ------------------------------------------------------ */

long hv_dev_has_attr(const struct kvm_device_attr *attr)
{
	return attr->group || attr->attr != KVM_X86_XCOMP_GUEST_SUPP ? -ENXIO : 0;
}

long hv_dev_get_attr(const struct kvm_device_attr *attr)
{
	long r = hv_dev_has_attr(attr);

	if (r)
		return r;
	return put_user(hv_caps.xcr0, (u64 __user *)u64_to_user_ptr(attr->addr)) ? -EFAULT : 0;
}

/* ---- a vCPU: its TSC's offset from the host's ---------------------------------------------- */

static bool hv_is_tsc_offset(const struct kvm_device_attr *attr)
{
	return attr->group == KVM_VCPU_TSC_CTRL && attr->attr == KVM_VCPU_TSC_OFFSET;
}

static long hv_vcpu_tsc_attr(struct hv_vcpu *vcpu, const struct kvm_device_attr *attr, bool set)
{
	u64 __user *to = u64_to_user_ptr(attr->addr);
	u64 offset;

	if (!set)
		return put_user(vcpu->pv.tsc_offset, to) ? -EFAULT : 0;
	if (get_user(offset, to))
		return -EFAULT;
	hv_tsc_set_user_offset(vcpu, offset);
	return 0;
}

long hv_vcpu_attr(struct hv_vcpu *vcpu, unsigned int cmd, const struct kvm_device_attr *attr)
{
	if (!hv_is_tsc_offset(attr))
		return -ENXIO;
	if (cmd == KVM_HAS_DEVICE_ATTR)
		return 0;
	return hv_vcpu_tsc_attr(vcpu, attr, cmd == KVM_SET_DEVICE_ATTR);
}
