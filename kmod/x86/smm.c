// SPDX-License-Identifier: GPL-2.0-only
/*
 * System management mode (APM volume 2, chapter 10). An SMI saves the vCPU's state in SMRAM and
 * starts the firmware's handler in an address space of its own; RSM brings the state back. The
 * save area has the layout of table 10-1, for 64-bit CPUs.
 */
#include <linux/mm.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "../irq/irq.h"
#include "../mmu/mmu.h"
#include "x86.h"

#define HV_SMM_REVISION		0x00020064	/* 64-bit save area, SMBASE can be moved */
#define HV_SMM_ENTRY		0x8000		/* the handler, from SMBASE */
#define HV_SMM_SAVE_AREA	0xfe00		/* from SMBASE */

struct hv_smm_seg {
	u16 selector, attributes;
	u32 limit;
	u64 base;
};

struct hv_smm_area {
	struct hv_smm_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	u8 reserved1[0x29];
	u8 auto_halt;			/* fec9 */
	u8 reserved2[6];
	u64 efer;			/* fed0 */
	u8 reserved3[0x23];
	u8 shadow;			/* fefb, reserved: hv keeps the interrupt shadow here */
	u32 revision;			/* fefc */
	u32 smbase;			/* ff00 */
	u8 reserved4[0x44];
	u64 cr4, cr3, cr0;		/* ff48 */
	u64 dr7, dr6;
	u64 rflags, rip;
	u64 gpr[HV_NR_GPRS];		/* R15 first, RAX last */
} __packed;
static_assert(sizeof(struct hv_smm_area) == 0x200);
static_assert(offsetof(struct hv_smm_area, tr) == 0x90);
static_assert(offsetof(struct hv_smm_area, auto_halt) == 0xc9);
static_assert(offsetof(struct hv_smm_area, efer) == 0xd0);
static_assert(offsetof(struct hv_smm_area, revision) == 0xfc);
static_assert(offsetof(struct hv_smm_area, smbase) == 0x100);
static_assert(offsetof(struct hv_smm_area, cr4) == 0x148);
static_assert(offsetof(struct hv_smm_area, cr0) == 0x158);
static_assert(offsetof(struct hv_smm_area, rflags) == 0x170);
static_assert(offsetof(struct hv_smm_area, gpr) == 0x180);

/* The save area has them from R15 down to R8, then in an order of its own. */
static const u8 hv_smm_gprs[HV_NR_GPRS] = {
	HV_R15, HV_R14, HV_R13, HV_R12, HV_R11, HV_R10, HV_R9, HV_R8,
	HV_RDI, HV_RSI, HV_RBP, HV_RSP, HV_RBX, HV_RDX, HV_RCX, HV_RAX,
};

/* ---- segments -------------------------------------------------------------------------------- */

static struct hv_smm_seg hv_smm_seg_save(const struct kvm_segment *s)
{
	return (struct hv_smm_seg) {
		.selector = s->selector, .limit = s->limit, .base = s->base,
		.attributes = s->type | s->s << 4 | s->dpl << 5 | s->present << 7 | s->avl << 8 |
			      s->l << 9 | s->db << 10 | s->g << 11,
	};
}

static struct kvm_segment hv_smm_seg_load(const struct hv_smm_seg *s)
{
	u16 a = s->attributes;

	return (struct kvm_segment) {
		.selector = s->selector, .limit = s->limit, .base = s->base,
		.type = a & 0xf, .s = a >> 4 & 1, .dpl = a >> 5 & 3, .present = a >> 7 & 1,
		.avl = a >> 8 & 1, .l = a >> 9 & 1, .db = a >> 10 & 1, .g = a >> 11 & 1,
		.unusable = !(a >> 7 & 1),
	};
}

/* ---- asking for it --------------------------------------------------------------------------- */

void hv_queue_smi(struct hv_vcpu *vcpu)
{
	atomic_set(&vcpu->smm.queued, 1);
	hv_request_kick(vcpu, HV_REQ_EVENT);
}

bool hv_smi_waiting(struct hv_vcpu *vcpu)
{
	/* Any number of SMIs while one is waiting or in service are one. */
	if (atomic_read(&vcpu->smm.queued) && atomic_xchg(&vcpu->smm.queued, 0))
		vcpu->smm.pending = true;
	return vcpu->smm.pending && !vcpu->smm.active;
}

/* The vCPU sees the other memory slots from here on, through the other second-level tables. */
void hv_smm_set_active(struct hv_vcpu *vcpu, bool active)
{
	struct hv_vm *vm = vcpu->vm;

	if (vcpu->smm.active == active)
		return;
	vcpu->smm.active = active;
	atomic_add(active ? 1 : -1, &vm->nr_smm);
	hv_request(vcpu, HV_REQ_TLB_FLUSH);
	hv_ops.update(vcpu);
	/* INIT and SMIs that came meanwhile are looked at. */
	hv_request(vcpu, HV_REQ_EVENT);
	hv_request(vcpu, HV_REQ_APIC_EVENT);
}

/* ---- entering -------------------------------------------------------------------------------- */

static void hv_smm_save(struct hv_vcpu *vcpu, struct hv_smm_area *a)
{
	const struct hv_regs *r = &vcpu->regs;
	unsigned int i;

	hv_regs_need(vcpu, HV_REGS_ALL);
	*a = (struct hv_smm_area) {
		.es = hv_smm_seg_save(&r->seg[HV_ES]), .cs = hv_smm_seg_save(&r->seg[HV_CS]),
		.ss = hv_smm_seg_save(&r->seg[HV_SS]), .ds = hv_smm_seg_save(&r->seg[HV_DS]),
		.fs = hv_smm_seg_save(&r->seg[HV_FS]), .gs = hv_smm_seg_save(&r->seg[HV_GS]),
		.ldtr = hv_smm_seg_save(&r->seg[HV_LDTR]), .tr = hv_smm_seg_save(&r->seg[HV_TR]),
		.gdtr = { .limit = r->gdt.limit, .base = r->gdt.base },
		.idtr = { .limit = r->idt.limit, .base = r->idt.base },
		.efer = r->efer, .cr0 = r->cr0, .cr3 = r->cr3, .cr4 = r->cr4,
		.dr6 = r->dr6, .dr7 = r->dr7, .rflags = r->rflags, .rip = r->rip,
		.revision = HV_SMM_REVISION, .smbase = vcpu->smm.base,
		.shadow = hv_call(blocking_get)(vcpu) & HV_BLOCK_SHADOW,
	};
	for (i = 0; i < HV_NR_GPRS; i++)
		a->gpr[i] = r->gpr[hv_smm_gprs[i]];
}

/* Real mode with 4 GiB segments, everything off (APM volume 2, table 10-2). */
static void hv_smm_state(struct hv_vcpu *vcpu)
{
	struct hv_regs *r = &vcpu->regs;
	unsigned int i;

	for (i = HV_ES; i <= HV_GS; i++)
		r->seg[i] = (struct kvm_segment) {
			.limit = 0xffffffff, .type = 3, .s = 1, .present = 1, .g = 1,
		};
	r->seg[HV_CS].base = vcpu->smm.base;
	r->seg[HV_CS].selector = vcpu->smm.base >> 4;
	r->idt = (struct kvm_dtable) {};
	r->cr0 &= ~(u64)(X86_CR0_PE | X86_CR0_EM | X86_CR0_TS | X86_CR0_PG);
	r->cr4 = 0;
	r->efer = 0;
	r->dr7 = 0x400;
	r->rflags = X86_EFLAGS_FIXED;
	r->rip = HV_SMM_ENTRY;
	hv_regs_dirty(vcpu, HV_REGS_SEG | HV_REGS_CR | HV_REGS_DR | HV_REGS_CODE);
	hv_debug_changed(vcpu);
	hv_cpuid_refresh(vcpu);
}

void hv_smm_enter(struct hv_vcpu *vcpu)
{
	u64 area = vcpu->smm.base + HV_SMM_SAVE_AREA;
	struct hv_smm_area a;

	vcpu->smm.pending = false;
	hv_smm_save(vcpu, &a);
	if (hv_mmu_smm_root(vcpu->vm)) {
		hv_request(vcpu, HV_REQ_TRIPLE_FAULT);
		return;
	}
	hv_smm_set_active(vcpu, true);
	/* Without memory to save its state in the vCPU could never come back. */
	if (hv_guest_write(vcpu->vm, area, &a, sizeof(a))) {
		hv_smm_set_active(vcpu, false);
		hv_request(vcpu, HV_REQ_TRIPLE_FAULT);
		return;
	}
	vcpu->msrs.smi_count++;
	vcpu->smm.inside_nmi = hv_call(blocking_get)(vcpu) & HV_BLOCK_NMI;
	hv_call(blocking_set)(vcpu, HV_BLOCK_NMI | HV_BLOCK_SHADOW, HV_BLOCK_NMI);
	hv_smm_state(vcpu);
	vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
}

/* ---- leaving --------------------------------------------------------------------------------- */

/* What the handler left in the save area, as far as a CPU can be in that state. */
static int hv_smm_restore(struct hv_vcpu *vcpu, const struct hv_smm_area *a)
{
	struct hv_regs *r = &vcpu->regs;
	struct kvm_sregs2 s;
	unsigned int i;

	hv_sregs2_get(vcpu, &s);
	s.flags = 0;
	s.es = hv_smm_seg_load(&a->es);
	s.cs = hv_smm_seg_load(&a->cs);
	s.ss = hv_smm_seg_load(&a->ss);
	s.ds = hv_smm_seg_load(&a->ds);
	s.fs = hv_smm_seg_load(&a->fs);
	s.gs = hv_smm_seg_load(&a->gs);
	s.ldt = hv_smm_seg_load(&a->ldtr);
	s.tr = hv_smm_seg_load(&a->tr);
	s.gdt = (struct kvm_dtable) { .limit = a->gdtr.limit, .base = a->gdtr.base };
	s.idt = (struct kvm_dtable) { .limit = a->idtr.limit, .base = a->idtr.base };
	s.cr0 = a->cr0;
	s.cr3 = a->cr3;
	s.cr4 = a->cr4;
	s.efer = a->efer;
	if (hv_sregs2_set(vcpu, &s))
		return -EINVAL;
	for (i = 0; i < HV_NR_GPRS; i++)
		r->gpr[hv_smm_gprs[i]] = a->gpr[i];
	r->rip = a->rip;
	r->rflags = a->rflags | X86_EFLAGS_FIXED;
	hv_regs_need(vcpu, HV_REGS_DR);
	r->dr6 = (u32)a->dr6;
	r->dr7 = (u32)a->dr7;
	hv_debug_changed(vcpu);
	vcpu->smm.base = a->smbase;
	return 0;
}

int hv_exit_rsm(struct hv_vcpu *vcpu, bool may_sleep)
{
	u64 area = vcpu->smm.base + HV_SMM_SAVE_AREA;
	struct hv_smm_area a;
	u32 blocking;

	if (!vcpu->smm.active)
		return hv_exit_ud(vcpu, may_sleep);
	if (!may_sleep)
		return HV_NEXT_SLEEP;
	blocking = vcpu->smm.inside_nmi ? HV_BLOCK_NMI : 0;
	if (hv_guest_read(vcpu->vm, area, &a, sizeof(a)))
		goto shutdown;
	hv_smm_set_active(vcpu, false);
	if (hv_smm_restore(vcpu, &a))
		goto shutdown;
	blocking |= a.shadow & HV_BLOCK_SHADOW;
	hv_call(blocking_set)(vcpu, HV_BLOCK_NMI | HV_BLOCK_SHADOW, blocking);
	return HV_NEXT_RESUME;

shutdown:
	/* APM volume 2, 10.4.3: a save area that no CPU can be restored from. */
	hv_request(vcpu, HV_REQ_TRIPLE_FAULT);
	return HV_NEXT_RESUME;
}

/* ---- reset and saved state ------------------------------------------------------------------- */

#define HV_SMM_DEFAULT_BASE	0x30000

void hv_smm_reset(struct hv_vcpu *vcpu, bool init)
{
	hv_smm_set_active(vcpu, false);
	vcpu->smm.pending = false;
	atomic_set(&vcpu->smm.queued, 0);
	if (!init)
		vcpu->smm.base = HV_SMM_DEFAULT_BASE;
}

void hv_smm_get(struct hv_vcpu *vcpu, struct kvm_vcpu_events *e)
{
	hv_smi_waiting(vcpu);
	e->smi.smm = vcpu->smm.active;
	e->smi.pending = vcpu->smm.pending;
	e->smi.smm_inside_nmi = vcpu->smm.active && vcpu->smm.inside_nmi;
	e->smi.latched_init = hv_lapic_init_latched(vcpu);
	e->flags |= KVM_VCPUEVENT_VALID_SMM;
}

int hv_smm_set(struct hv_vcpu *vcpu, const struct kvm_vcpu_events *e)
{
	if (e->smi.smm && hv_mmu_smm_root(vcpu->vm))
		return -ENOMEM;
	hv_smm_set_active(vcpu, e->smi.smm);
	atomic_set(&vcpu->smm.queued, 0);
	vcpu->smm.pending = e->smi.pending;
	vcpu->smm.inside_nmi = e->smi.smm && e->smi.smm_inside_nmi;
	hv_lapic_latch_init(vcpu, e->smi.latched_init);
	return 0;
}
