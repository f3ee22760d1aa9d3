// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The state of a vCPU: what it is at power-on, back to that, and where a boot protocol starts.
 *
 * The kernel creates a vCPU in the state after power-on, so that a reset is putting back what was
 * there at creation.
 */
#include "vcpu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bits of control registers and EFER (AMD APM volume 2, 3.1). */
#define CR0_PE		(1u << 0)
#define CR0_ET		(1u << 4)
#define CR0_NE		(1u << 5)
#define CR0_PG		(1u << 31)
#define CR4_PAE		(1u << 5)
#define EFER_LME	(1u << 8)
#define EFER_LMA	(1u << 10)
#define RFLAGS_FIXED	(1u << 1)

/* Segment types (AMD APM volume 2, 4.8). */
#define SEG_CODE_XRA	0xb
#define SEG_DATA_RWA	0x3
#define SEG_TSS_BUSY	0xb

#define MSR_IA32_TSC		0x10
#define MSR_IA32_TSC_ADJUST	0x3b
#define MSR_IA32_TSC_DEADLINE	0x6e0
#define MSR_IA32_APICBASE	0x1b

struct hvm_vcpu_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_fpu fpu;
	struct kvm_xsave xsave;
	struct kvm_xcrs xcrs;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp;
	struct kvm_vcpu_events events;
	struct kvm_debugregs debug;
	struct kvm_msrs *msrs;
};

static int state_failed(struct hvm_vcpu *vcpu, int ret, const char *what, struct hv_err *err)
{
	return hv_err_set(err, ret, "%s: vCPU %u: %s: %s", vcpu->vm->accel.path, vcpu->id, what,
			  strerror(-ret));
}

/* ---- MSRs ---- */

/* Registers that must not be put back: time goes on, and the APIC base is with the segments. */
static bool msr_kept(uint32_t index)
{
	return index != MSR_IA32_TSC && index != MSR_IA32_TSC_ADJUST &&
	       index != MSR_IA32_TSC_DEADLINE && index != MSR_IA32_APICBASE;
}

struct kvm_msr_list *hvm_vcpu_msr_list(struct hvm_vcpu *vcpu, struct hv_err *err)
{
	struct kvm_msr_list probe = { .nmsrs = 0 }, *list;
	int ret = hvm_ioctl(vcpu->vm->accel.fd, KVM_GET_MSR_INDEX_LIST, &probe);

	if (ret && ret != -E2BIG) {
		state_failed(vcpu, ret, "KVM_GET_MSR_INDEX_LIST", err);
		return NULL;
	}
	list = calloc(1, sizeof(*list) + probe.nmsrs * sizeof(list->indices[0]));
	if (!list) {
		hv_err_set(err, -ENOMEM, "vCPU %u: out of memory", vcpu->id);
		return NULL;
	}
	list->nmsrs = probe.nmsrs;
	ret = hvm_ioctl(vcpu->vm->accel.fd, KVM_GET_MSR_INDEX_LIST, list);
	if (ret) {
		state_failed(vcpu, ret, "KVM_GET_MSR_INDEX_LIST", err);
		free(list);
		return NULL;
	}
	return list;
}

/* One by one: the list has registers that this vCPU's CPUID hides. */
static int msrs_capture(struct hvm_vcpu *vcpu, struct hvm_vcpu_state *st, struct hv_err *err)
{
	struct kvm_msr_list *list = hvm_vcpu_msr_list(vcpu, err);
	struct {
		struct kvm_msrs hdr;
		struct kvm_msr_entry entry;
	} one;

	if (!list)
		return -EIO;
	st->msrs = calloc(1, sizeof(*st->msrs) + list->nmsrs * sizeof(st->msrs->entries[0]));
	if (!st->msrs) {
		free(list);
		return hv_err_set(err, -ENOMEM, "vCPU %u: out of memory", vcpu->id);
	}
	for (uint32_t i = 0; i < list->nmsrs; i++) {
		if (!msr_kept(list->indices[i]))
			continue;
		memset(&one, 0, sizeof(one));
		one.hdr.nmsrs = 1;
		one.entry.index = list->indices[i];
		if (hvm_ioctl(vcpu->fd, KVM_GET_MSRS, &one) == 1)
			st->msrs->entries[st->msrs->nmsrs++] = one.entry;
	}
	free(list);
	return 0;
}

/* A register that cannot be set (it is read-only to guests) keeps its value, and that is right. */
static void msrs_restore(struct hvm_vcpu *vcpu, const struct hvm_vcpu_state *st)
{
	struct {
		struct kvm_msrs hdr;
		struct kvm_msr_entry entry;
	} one;

	for (uint32_t i = 0; i < st->msrs->nmsrs; i++) {
		memset(&one, 0, sizeof(one));
		one.hdr.nmsrs = 1;
		one.entry = st->msrs->entries[i];
		hvm_ioctl(vcpu->fd, KVM_SET_MSRS, &one);
	}
}

/* ---- Everything ---- */

static int state_capture(struct hvm_vcpu *vcpu, struct hvm_vcpu_state *st, struct hv_err *err)
{
	const struct hvm_accel *accel = &vcpu->vm->accel;
	const struct {
		unsigned long request;
		void *arg;
		bool wanted;
		const char *name;
	} step[] = {
		{ KVM_GET_REGS, &st->regs, true, "KVM_GET_REGS" },
		{ KVM_GET_SREGS, &st->sregs, true, "KVM_GET_SREGS" },
		{ KVM_GET_XSAVE, &st->xsave, accel->xsave, "KVM_GET_XSAVE" },
		{ KVM_GET_FPU, &st->fpu, !accel->xsave, "KVM_GET_FPU" },
		{ KVM_GET_XCRS, &st->xcrs, accel->xcrs, "KVM_GET_XCRS" },
		{ KVM_GET_LAPIC, &st->lapic, true, "KVM_GET_LAPIC" },
		{ KVM_GET_MP_STATE, &st->mp, true, "KVM_GET_MP_STATE" },
		{ KVM_GET_VCPU_EVENTS, &st->events, true, "KVM_GET_VCPU_EVENTS" },
		{ KVM_GET_DEBUGREGS, &st->debug, true, "KVM_GET_DEBUGREGS" },
	};
	int ret;

	for (size_t i = 0; i < sizeof(step) / sizeof(step[0]); i++) {
		ret = step[i].wanted ? hvm_ioctl(vcpu->fd, step[i].request, step[i].arg) : 0;
		if (ret)
			return state_failed(vcpu, ret, step[i].name, err);
	}
	return msrs_capture(vcpu, st, err);
}

int hvm_vcpu_capture(struct hvm_vcpu *vcpu, struct hv_err *err)
{
	struct hvm_vcpu_state *st = calloc(1, sizeof(*st));
	int ret;

	if (!st)
		return hv_err_set(err, -ENOMEM, "vCPU %u: out of memory", vcpu->id);
	ret = state_capture(vcpu, st, err);
	if (ret) {
		hvm_vcpu_state_free(st);
		return ret;
	}
	/* All but the first wait for a start-up IPI. */
	st->mp.mp_state = vcpu->id ? KVM_MP_STATE_UNINITIALIZED : KVM_MP_STATE_RUNNABLE;
	vcpu->reset = st;
	return 0;
}

int hvm_vcpu_reset(struct hvm_vcpu *vcpu, struct hv_err *err)
{
	const struct hvm_accel *accel = &vcpu->vm->accel;
	struct hvm_vcpu_state *st = vcpu->reset;
	/* The order matters: sregs has the APIC base, without which the APIC takes no state. */
	const struct {
		unsigned long request;
		void *arg;
		bool wanted;
		const char *name;
	} step[] = {
		{ KVM_SET_MP_STATE, &st->mp, true, "KVM_SET_MP_STATE" },
		{ KVM_SET_SREGS, &st->sregs, true, "KVM_SET_SREGS" },
		{ KVM_SET_REGS, &st->regs, true, "KVM_SET_REGS" },
		{ KVM_SET_XCRS, &st->xcrs, accel->xcrs, "KVM_SET_XCRS" },
		{ KVM_SET_XSAVE, &st->xsave, accel->xsave, "KVM_SET_XSAVE" },
		{ KVM_SET_FPU, &st->fpu, !accel->xsave, "KVM_SET_FPU" },
		{ KVM_SET_LAPIC, &st->lapic, true, "KVM_SET_LAPIC" },
		{ KVM_SET_VCPU_EVENTS, &st->events, true, "KVM_SET_VCPU_EVENTS" },
		{ KVM_SET_DEBUGREGS, &st->debug, true, "KVM_SET_DEBUGREGS" },
		{ KVM_SET_MP_STATE, &st->mp, true, "KVM_SET_MP_STATE" },
	};
	int ret;

	for (size_t i = 0; i < sizeof(step) / sizeof(step[0]); i++) {
		ret = step[i].wanted ? hvm_ioctl(vcpu->fd, step[i].request, step[i].arg) : 0;
		if (ret)
			return state_failed(vcpu, ret, step[i].name, err);
	}
	msrs_restore(vcpu, st);
	return 0;
}

void hvm_vcpu_state_free(struct hvm_vcpu_state *state)
{
	if (!state)
		return;
	free(state->msrs);
	free(state);
}

/* ---- Boot ---- */

static struct kvm_segment flat_segment(uint16_t selector, uint8_t type, bool code64)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.db = !code64,
		.l = code64,
		.g = 1,
	};
}

int hvm_vcpu_set_boot_regs(struct hvm_vcpu *vcpu, const struct hvm_boot_regs *b, struct hv_err *err)
{
	struct kvm_sregs s = vcpu->reset->sregs;
	struct kvm_regs r = {
		.rip = b->rip, .rbx = b->rbx, .rsi = b->rsi, .rsp = b->rsp, .rflags = RFLAGS_FIXED,
	};
	struct kvm_segment data = flat_segment(b->ds, SEG_DATA_RWA, false);
	int ret;

	s.cs = flat_segment(b->cs, SEG_CODE_XRA, b->long_mode);
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.tr = (struct kvm_segment){ .limit = 0x67, .type = SEG_TSS_BUSY, .present = 1 };
	s.ldt.unusable = 1;
	s.gdt.base = b->gdt;
	s.gdt.limit = b->gdt_limit;
	s.idt.base = s.idt.limit = 0;
	s.cr0 = CR0_PE | CR0_ET | CR0_NE;
	s.cr4 = 0;
	s.efer = 0;
	if (b->long_mode) {
		s.cr0 |= CR0_PG;
		s.cr3 = b->cr3;
		s.cr4 = CR4_PAE;
		s.efer = EFER_LME | EFER_LMA;
	}
	ret = hvm_ioctl(vcpu->fd, KVM_SET_SREGS, &s);
	if (ret)
		return state_failed(vcpu, ret, "KVM_SET_SREGS", err);
	ret = hvm_ioctl(vcpu->fd, KVM_SET_REGS, &r);
	return ret ? state_failed(vcpu, ret, "KVM_SET_REGS", err) : 0;
}

void hvm_vcpu_describe(struct hvm_vcpu *vcpu, char *buf, size_t len)
{
	struct kvm_regs r;
	struct kvm_sregs s;

	if (hvm_ioctl(vcpu->fd, KVM_GET_REGS, &r) || hvm_ioctl(vcpu->fd, KVM_GET_SREGS, &s)) {
		snprintf(buf, len, "registers unknown");
		return;
	}
	snprintf(buf, len, "rip %04x:%llx rsp %llx rflags %llx rax %llx cr0 %llx cr2 %llx cr3 %llx "
		 "cr4 %llx efer %llx", s.cs.selector, (unsigned long long)r.rip,
		 (unsigned long long)r.rsp, (unsigned long long)r.rflags, (unsigned long long)r.rax,
		 (unsigned long long)s.cr0, (unsigned long long)s.cr2, (unsigned long long)s.cr3,
		 (unsigned long long)s.cr4, (unsigned long long)s.efer);
}
