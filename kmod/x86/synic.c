// SPDX-License-Identifier: GPL-2.0-only
/*
 * The synthetic interrupt controller (TLFS 11): sixteen interrupt sources of a vCPU, each with a
 * slot for a message and 2048 event flags in pages of the guest. User space fills the pages for
 * its devices and raises a source by a routing entry (irqfd); only the timers' messages are put
 * there by the kernel.
 */
#include <linux/bitmap.h>
#include <linux/mm.h>

#include "../irq/chips.h"
#include "../trace.h"
#include "hyperv.h"

static u64 hv_sint_read(const struct hv_synic *synic, unsigned int sint)
{
	return atomic64_read(&synic->sint[sint]);
}

/* -1: masked */
static int hv_sint_vector(u64 value)
{
	return value & TLFS_SINT_MASKED ? -1 : (int)(value & TLFS_SINT_VECTOR);
}

/* Several sources may share a vector. */
static void hv_synic_collect(struct hv_synic *synic)
{
	DECLARE_BITMAP(vectors, 256) = {};
	DECLARE_BITMAP(auto_eoi, 256) = {};
	unsigned int i;

	for (i = 0; i < TLFS_SINTS; i++) {
		u64 value = hv_sint_read(synic, i);
		int vector = hv_sint_vector(value);

		if (vector < TLFS_SINT_MIN_VECTOR)
			continue;
		__set_bit(vector, vectors);
		if (value & TLFS_SINT_AUTO_EOI)
			__set_bit(vector, auto_eoi);
	}
	bitmap_copy(synic->vectors, vectors, 256);
	bitmap_copy(synic->auto_eoi, auto_eoi, 256);
}

/* ---- interrupts ---------------------------------------------------------------------------- */

static struct hv_vcpu *hv_vcpu_by_vp(struct hv_vm *vm, u32 vp)
{
	struct hv_vcpu *vcpu;
	unsigned long i;

	hv_for_each_vcpu(vm, vcpu, i)
		if (READ_ONCE(vcpu->vp_index) == vp)
			return vcpu;
	return NULL;
}

static int hv_synic_raise(struct hv_vcpu *vcpu, unsigned int sint)
{
	struct hv_hyperv *hyperv = hv_hyperv(vcpu);
	struct hv_apic_irq irq = { .mode = HV_APIC_FIXED, .assert = true };
	int vector;

	if (!hyperv || !READ_ONCE(hyperv->synic.active) || sint >= TLFS_SINTS)
		return -EINVAL;
	vector = hv_sint_vector(hv_sint_read(&hyperv->synic, sint));
	if (vector < 0)
		return -ENOENT;
	irq.vector = vector;
	return hv_lapic_accept(vcpu->lapic, &irq, false);
}

int hv_synic_set_irq(struct hv_vm *vm, u32 vp, u32 sint)
{
	struct hv_vcpu *vcpu = hv_vcpu_by_vp(vm, vp);

	return vcpu ? hv_synic_raise(vcpu, sint) : -EINVAL;
}

/* The guest is done with what a source told it. */
static void hv_synic_acked(struct hv_vcpu *vcpu, unsigned int sint)
{
	hv_stimer_retry(vcpu, sint);
	hv_irq_notify_sint(vcpu->vm, vcpu->vp_index, sint);
}

bool hv_synic_has_vector(const struct hv_vcpu *vcpu, u8 vector)
{
	const struct hv_hyperv *hyperv = hv_hyperv(vcpu);

	return hyperv && test_bit(vector, hyperv->synic.vectors);
}

bool hv_synic_auto_eoi(const struct hv_vcpu *vcpu, u8 vector)
{
	const struct hv_hyperv *hyperv = hv_hyperv(vcpu);

	return hyperv && test_bit(vector, hyperv->synic.auto_eoi);
}

void hv_synic_eoi(struct hv_vcpu *vcpu, u8 vector)
{
	struct hv_synic *synic = &vcpu->hyperv->synic;
	unsigned int i;

	for (i = 0; i < TLFS_SINTS; i++)
		if (hv_sint_vector(hv_sint_read(synic, i)) == vector)
			hv_synic_acked(vcpu, i);
}

/* ---- messages ------------------------------------------------------------------------------ */

int hv_synic_post(struct hv_vcpu *vcpu, unsigned int sint, const struct tlfs_message *msg)
{
	struct hv_synic *synic = &vcpu->hyperv->synic;
	u64 gpa = (synic->message_page & TLFS_PAGE_ADDR) + sint * sizeof(*msg);
	u8 flags = TLFS_MESSAGE_PENDING;
	u32 type;
	int r;

	if (!(synic->message_page & TLFS_PAGE_ENABLE))
		return -ENOENT;
	if (hv_guest_read(vcpu->vm, gpa, &type, sizeof(type)))
		return -EFAULT;
	/* The vCPU does not run meanwhile, so the order of look and flag does not matter. */
	if (type) {
		if (hv_guest_write(vcpu->vm, gpa + offsetof(struct tlfs_message, flags), &flags,
				   sizeof(flags)))
			return -EFAULT;
		return -EAGAIN;
	}
	if (hv_guest_write(vcpu->vm, gpa, msg,
			   offsetof(struct tlfs_message, payload) + msg->payload_size))
		return -EFAULT;
	r = hv_synic_raise(vcpu, sint);
	if (r < 0)
		return r;
	return r ? 0 : -EFAULT;
}

/* ---- MSRs ---------------------------------------------------------------------------------- */

static int hv_synic_set_sint(struct hv_synic *synic, unsigned int sint, u64 value, bool host)
{
	/* Masked, any vector goes: guests write the reset value. */
	if ((value & TLFS_SINT_VECTOR) < TLFS_SINT_MIN_VECTOR && !host &&
	    !(value & TLFS_SINT_MASKED))
		return 1;
	atomic64_set(&synic->sint[sint], value);
	hv_synic_collect(synic);
	return 0;
}

static int hv_synic_set_page(struct hv_vcpu *vcpu, u64 *reg, u32 index, u64 value, bool host)
{
	u64 gpa = value & TLFS_PAGE_ADDR;
	unsigned int i;

	if ((value & TLFS_PAGE_ENABLE) && !host && !vcpu->hyperv->synic.keep_pages) {
		static const u8 zeroes[256];

		for (i = 0; i < PAGE_SIZE; i += sizeof(zeroes))
			if (hv_guest_write(vcpu->vm, gpa + i, zeroes, sizeof(zeroes)))
				return 1;
	}
	*reg = value;
	if (!host)
		hv_hyperv_exit_request(vcpu, HV_HYPERV_SYNIC, index);
	return 0;
}

int hv_synic_msr_set(struct hv_vcpu *vcpu, u32 index, u64 value, bool host, bool may_sleep)
{
	struct hv_synic *synic = &vcpu->hyperv->synic;
	unsigned int i;

	if (!synic->active && (!host || value))
		return 1;
	switch (index) {
	case TLFS_MSR_SCONTROL:
		synic->control = value;
		if (!host)
			hv_hyperv_exit_request(vcpu, HV_HYPERV_SYNIC, index);
		return 0;
	case TLFS_MSR_SVERSION:
		if (!host)
			return 1;
		synic->version = value;
		return 0;
	case TLFS_MSR_SIEFP:
	case TLFS_MSR_SIMP:
		if (!may_sleep)
			return -EAGAIN;
		return hv_synic_set_page(vcpu, index == TLFS_MSR_SIMP ? &synic->message_page :
									&synic->event_page,
					 index, value, host);
	case TLFS_MSR_EOM:
		for (i = 0; synic->active && i < TLFS_SINTS; i++)
			hv_synic_acked(vcpu, i);
		return 0;
	case TLFS_MSR_SINT0 ... TLFS_MSR_SINT15:
		return hv_synic_set_sint(synic, index - TLFS_MSR_SINT0, value, host);
	default:
		return 1;
	}
}

int hv_synic_msr_get(struct hv_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	const struct hv_synic *synic = &vcpu->hyperv->synic;

	if (!synic->active && !host)
		return 1;
	switch (index) {
	case TLFS_MSR_SCONTROL:
		*value = synic->control;
		return 0;
	case TLFS_MSR_SVERSION:
		*value = synic->version;
		return 0;
	case TLFS_MSR_SIEFP:
		*value = synic->event_page;
		return 0;
	case TLFS_MSR_SIMP:
		*value = synic->message_page;
		return 0;
	case TLFS_MSR_EOM:
		*value = 0;
		return 0;
	case TLFS_MSR_SINT0 ... TLFS_MSR_SINT15:
		*value = hv_sint_read(synic, index - TLFS_MSR_SINT0);
		return 0;
	default:
		return 1;
	}
}

void hv_synic_init(struct hv_synic *synic)
{
	unsigned int i;

	synic->version = TLFS_SVERSION;
	for (i = 0; i < TLFS_SINTS; i++)
		atomic64_set(&synic->sint[i], TLFS_SINT_MASKED);
}
