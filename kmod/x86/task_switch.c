// SPDX-License-Identifier: GPL-2.0-only
/*
 * A hardware task switch (SDM volume 3, 7.3): the state of a task goes to its TSS and that of
 * another comes from there. VMX exits for each; SVM has the CPU do it.
 *
 * Until the new task's registers are in place, a fault is the old task's and nothing has changed
 * but what is in memory. From then on it is the new one's: its segments are loaded one by one, and
 * the first that is wrong raises #TS, #NP or #SS there.
 */
#include <linux/mm.h>
#include <asm/processor-flags.h>

#include "../mmu/gva.h"
#include "../mmu/mmu.h"
#include "task_switch.h"
#include "x86.h"

/* Exceptions */
#define HV_TS	10
#define HV_NP	11
#define HV_SS_FAULT 12
#define HV_GP	13

/* SDM figure 7-2. */
struct hv_tss32 {
	u32 link;
	u32 stacks[6];
	u32 cr3, eip, eflags;
	u32 gpr[8];		/* as enum hv_gpr */
	u32 seg[6];		/* as enum hv_segreg */
	u32 ldt;
	u16 trap, io_map;
};
static_assert(sizeof(struct hv_tss32) == 0x68);
static_assert(offsetof(struct hv_tss32, eip) == 0x20);

/* SDM figure 7-10. */
struct hv_tss16 {
	u16 link;
	u16 stacks[6];
	u16 ip, flags;
	u16 gpr[8];
	u16 seg[4];		/* ES, CS, SS, DS */
	u16 ldt;
};
static_assert(sizeof(struct hv_tss16) == 0x2c);

/* A task's state in one form. */
struct hv_task {
	u32 cr3, eip, eflags, gpr[8];
	u16 seg[6], ldt;
	bool wide;		/* a 32-bit TSS */
	bool trap;
};

/* A segment descriptor, SDM 3.4.5. */
struct hv_desc {
	u64 raw;
	u64 la;			/* where it is */
};

#define HV_DESC_BUSY	BIT_ULL(41)
#define HV_DESC_ACCESSED BIT_ULL(40)

static u32 hv_desc_base(u64 d)
{
	return (d >> 16 & 0xffffff) | (d >> 32 & 0xff000000);
}

static u32 hv_desc_limit(u64 d)
{
	u32 limit = (d & 0xffff) | (d >> 32 & 0xf0000);

	return d >> 55 & 1 ? limit << 12 | 0xfff : limit;
}

static u8 hv_desc_type(u64 d)
{
	return d >> 40 & 0xf;
}

static bool hv_desc_code_or_data(u64 d)
{
	return d >> 44 & 1;
}

static u8 hv_desc_dpl(u64 d)
{
	return d >> 45 & 3;
}

static bool hv_desc_present(u64 d)
{
	return d >> 47 & 1;
}

/*
 * An exception of the task. This and the functions below return HV_NEXT_NONE to go on, or what the
 * exit handler must return.
 */
static int hv_task_fault(struct hv_vcpu *vcpu, u8 vector, u16 selector)
{
	hv_queue_exception_error(vcpu, vector, selector & ~3);
	return HV_NEXT_RESUME;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* As the CPU itself accesses tables: as supervisor, whatever the CPL. */
static int hv_task_copy(struct hv_vcpu *vcpu, u64 la, void *data, unsigned int len, bool write)
{
	u32 access = HV_WALK_IMPLICIT | (write ? HV_WALK_WRITE : 0), error = 0;
	unsigned int part;
	u64 gpa;
	int r;

	for (; len; len -= part, la += part, data += part) {
		la = (u32)la;
		part = min_t(unsigned int, len, PAGE_SIZE - offset_in_page(la));
		r = hv_gva_translate(vcpu, la, access, true, &gpa, &error);
		if (r == HV_WALK_FAULT) {
			hv_queue_page_fault(vcpu, la, error);
			return HV_NEXT_RESUME;
		}
		if (!r)
			r = write ? hv_guest_write(vcpu->vm, gpa, data, part) :
				    hv_guest_read(vcpu->vm, gpa, data, part);
		/* Nor can a switch be broken off and begun anew if the tables do not hold still. */
		if (r)
			return hv_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION, 0, NULL);
	}
	return HV_NEXT_NONE;
}

/* A descriptor by its selector; @vector is raised if there is none. */
static int hv_desc_read(struct hv_vcpu *vcpu, u16 selector, u8 vector, struct hv_desc *desc)
{
	const struct kvm_segment *ldt = &vcpu->regs.seg[HV_LDTR];
	u32 offset = selector & ~7u, limit = vcpu->regs.gdt.limit;
	u64 base = vcpu->regs.gdt.base;

	if (selector & 4) {
		base = ldt->base;
		limit = ldt->limit;
		if (ldt->unusable || !ldt->present)
			return hv_task_fault(vcpu, vector, selector);
	}
	if (offset + 7 > limit)
		return hv_task_fault(vcpu, vector, selector);
	desc->la = base + offset;
	return hv_task_copy(vcpu, desc->la, &desc->raw, sizeof(desc->raw), false);
}

/* Set or clear bits of a descriptor where it is. */
static int hv_desc_change(struct hv_vcpu *vcpu, struct hv_desc *desc, u64 set, u64 clear)
{
	u64 raw = (desc->raw | set) & ~clear;

	if (raw == desc->raw)
		return HV_NEXT_NONE;
	desc->raw = raw;
	return hv_task_copy(vcpu, desc->la, &desc->raw, sizeof(desc->raw), true);
}

static void hv_desc_load(struct kvm_segment *seg, u16 selector, u64 raw)
{
	*seg = (struct kvm_segment) {
		.base = hv_desc_base(raw), .limit = hv_desc_limit(raw), .selector = selector,
		.type = hv_desc_type(raw), .s = hv_desc_code_or_data(raw), .dpl = hv_desc_dpl(raw),
		.present = hv_desc_present(raw), .avl = raw >> 52 & 1, .l = raw >> 53 & 1,
		.db = raw >> 54 & 1, .g = raw >> 55 & 1,
	};
}

/* ---- the TSS --------------------------------------------------------------------------------- */

static bool hv_tss_wide(u8 type)
{
	return type & 8;
}

/* What a switch writes: from EIP to the selectors, no more (7.3, table 7-2). */
static int hv_task_save(struct hv_vcpu *vcpu, u32 eip, u32 eflags)
{
	const struct hv_regs *r = &vcpu->regs;
	struct hv_tss32 wide = { .eip = eip, .eflags = eflags };
	struct hv_tss16 narrow = { .ip = eip, .flags = eflags };
	unsigned int i;

	for (i = 0; i < 8; i++)
		narrow.gpr[i] = wide.gpr[i] = r->gpr[i];
	for (i = 0; i < 6; i++)
		wide.seg[i] = r->seg[i].selector;
	for (i = 0; i < 4; i++)
		narrow.seg[i] = r->seg[i].selector;
	if (hv_tss_wide(r->seg[HV_TR].type))
		return hv_task_copy(vcpu, r->seg[HV_TR].base + offsetof(struct hv_tss32, eip),
				    &wide.eip, offsetof(struct hv_tss32, ldt) -
				    offsetof(struct hv_tss32, eip), true);
	return hv_task_copy(vcpu, r->seg[HV_TR].base + offsetof(struct hv_tss16, ip), &narrow.ip,
			    offsetof(struct hv_tss16, ldt) - offsetof(struct hv_tss16, ip), true);
}

static int hv_task_read(struct hv_vcpu *vcpu, u64 base, struct hv_task *task)
{
	struct hv_tss32 wide;
	struct hv_tss16 narrow;
	unsigned int i;
	int next;

	if (task->wide)
		next = hv_task_copy(vcpu, base, &wide, sizeof(wide), false);
	else
		next = hv_task_copy(vcpu, base, &narrow, sizeof(narrow), false);
	if (next != HV_NEXT_NONE)
		return next;
	for (i = 0; i < 8; i++)		/* a 16-bit TSS leaves the upper halves undefined */
		task->gpr[i] = task->wide ? wide.gpr[i] : narrow.gpr[i] | 0xffff0000;
	for (i = 0; i < 6; i++)
		task->seg[i] = task->wide ? wide.seg[i] : i < 4 ? narrow.seg[i] : 0;
	task->cr3 = task->wide ? wide.cr3 : vcpu->regs.cr3;
	task->eip = task->wide ? wide.eip : narrow.ip;
	task->eflags = task->wide ? wide.eflags : narrow.flags;
	task->ldt = task->wide ? wide.ldt : narrow.ldt;
	task->trap = task->wide && (wide.trap & 1);
	return HV_NEXT_NONE;
}

/* ---- the new task's segments ----------------------------------------------------------------- */

static int hv_task_load_ldt(struct hv_vcpu *vcpu, u16 selector)
{
	struct kvm_segment *ldt = &vcpu->regs.seg[HV_LDTR];
	struct hv_desc desc;
	int next;

	*ldt = (struct kvm_segment) { .selector = selector, .type = 2, .unusable = 1 };
	if (!(selector & ~3))
		return HV_NEXT_NONE;
	if (selector & 4)
		return hv_task_fault(vcpu, HV_TS, selector);
	next = hv_desc_read(vcpu, selector, HV_TS, &desc);
	if (next != HV_NEXT_NONE)
		return next;
	if (hv_desc_code_or_data(desc.raw) || hv_desc_type(desc.raw) != 2 ||
	    !hv_desc_present(desc.raw))
		return hv_task_fault(vcpu, HV_TS, selector);
	hv_desc_load(ldt, selector, desc.raw);
	return HV_NEXT_NONE;
}

/* The rules of 7.3, table 7-1, for one segment. */
static bool hv_task_segment_fits(unsigned int n, u16 selector, u64 raw, u8 cpl)
{
	u8 type = hv_desc_type(raw), dpl = hv_desc_dpl(raw), rpl = selector & 3;
	bool code = type & 8, readable = type & 2, conforming = type & 4;

	if (!hv_desc_code_or_data(raw))
		return false;
	switch (n) {
	case HV_CS:
		return code && (conforming ? dpl <= rpl : dpl == rpl);
	case HV_SS:
		return !code && readable && rpl == cpl && dpl == cpl;	/* i.e. writable */
	default:
		if (code && !readable)
			return false;
		return (code && conforming) || dpl >= max(cpl, rpl);
	}
}

static int hv_task_load_segment(struct hv_vcpu *vcpu, unsigned int n, u16 selector, u8 cpl)
{
	struct kvm_segment *seg = &vcpu->regs.seg[n];
	struct hv_desc desc;
	int next;

	if (vcpu->regs.rflags & X86_EFLAGS_VM) {
		*seg = (struct kvm_segment) {
			.selector = selector, .base = selector << 4, .limit = 0xffff, .type = 3,
			.s = 1, .dpl = 3, .present = 1,
		};
		return HV_NEXT_NONE;
	}
	if (!(selector & ~3)) {
		if (n == HV_CS || n == HV_SS)
			return hv_task_fault(vcpu, HV_TS, selector);
		return HV_NEXT_NONE;		/* null, as it was set before */
	}
	next = hv_desc_read(vcpu, selector, HV_TS, &desc);
	if (next != HV_NEXT_NONE)
		return next;
	if (!hv_task_segment_fits(n, selector, desc.raw, cpl))
		return hv_task_fault(vcpu, HV_TS, selector);
	if (!hv_desc_present(desc.raw))
		return hv_task_fault(vcpu, n == HV_SS ? HV_SS_FAULT : HV_NP, selector);
	next = hv_desc_change(vcpu, &desc, HV_DESC_ACCESSED, 0);
	if (next == HV_NEXT_NONE)
		hv_desc_load(seg, selector, desc.raw);
	return next;
}

static int hv_task_load_segments(struct hv_vcpu *vcpu, const struct hv_task *task)
{
	static const u8 order[] = { HV_CS, HV_SS, HV_ES, HV_DS, HV_FS, HV_GS };
	u8 cpl = task->eflags & X86_EFLAGS_VM ? 3 : task->seg[HV_CS] & 3;
	struct hv_regs *r = &vcpu->regs;
	unsigned int i;
	int next;

	/* The selectors first: a handler of the faults below looks at them. CPL is that of SS. */
	for (i = 0; i < 6; i++)
		r->seg[i] = (struct kvm_segment) { .selector = task->seg[i], .unusable = 1 };
	r->seg[HV_CS] = (struct kvm_segment) {
		.selector = task->seg[HV_CS], .limit = 0xffffffff, .type = 11, .s = 1, .dpl = cpl,
		.present = 1, .db = 1, .g = 1,
	};
	r->seg[HV_SS].dpl = cpl;
	next = hv_task_load_ldt(vcpu, task->ldt);
	for (i = 0; i < ARRAY_SIZE(order) && next == HV_NEXT_NONE; i++)
		next = hv_task_load_segment(vcpu, order[i], task->seg[order[i]], cpl);
	return next;
}

/* ---- the switch ------------------------------------------------------------------------------ */

static int hv_task_check(struct hv_vcpu *vcpu, const struct hv_task_switch *ts,
			 const struct hv_desc *desc)
{
	u8 type = hv_desc_type(desc->raw), rpl = ts->selector & 3;
	u8 busy = ts->source == HV_TASK_IRET ? 2 : 0;
	u8 fault = ts->source == HV_TASK_IRET ? HV_TS : HV_GP;

	/* TSS types are 1, 3 (busy), 9 and 11 (busy). */
	if (hv_desc_code_or_data(desc->raw) || (type & 7) != (1 | busy))
		return hv_task_fault(vcpu, fault, ts->selector);
	if ((ts->source == HV_TASK_CALL || ts->source == HV_TASK_JMP) &&
	    hv_desc_dpl(desc->raw) < max(rpl, vcpu->regs.seg[HV_SS].dpl))
		return hv_task_fault(vcpu, HV_GP, ts->selector);
	if (!hv_desc_present(desc->raw))
		return hv_task_fault(vcpu, HV_NP, ts->selector);
	if (hv_desc_limit(desc->raw) < (hv_tss_wide(type) ? 0x67 : 0x2b))
		return hv_task_fault(vcpu, HV_TS, ts->selector);
	return HV_NEXT_NONE;
}

/* The old task is left: its state and its descriptor. */
static int hv_task_leave(struct hv_vcpu *vcpu, const struct hv_task_switch *ts)
{
	u64 eflags = vcpu->regs.rflags;
	struct hv_desc desc;
	int next;

	if (ts->source == HV_TASK_IRET || ts->source == HV_TASK_JMP) {
		next = hv_desc_read(vcpu, vcpu->regs.seg[HV_TR].selector, HV_GP, &desc);
		if (next == HV_NEXT_NONE)
			next = hv_desc_change(vcpu, &desc, 0, HV_DESC_BUSY);
		if (next != HV_NEXT_NONE)
			return next;
	}
	if (ts->source == HV_TASK_IRET)
		eflags &= ~X86_EFLAGS_NT;
	return hv_task_save(vcpu, ts->next_rip, eflags);
}

/* The new task's TSS: nested in the old one, and busy. */
static int hv_task_link(struct hv_vcpu *vcpu, const struct hv_task_switch *ts,
			struct hv_desc *desc, struct hv_task *task)
{
	u16 old = vcpu->regs.seg[HV_TR].selector;
	int next;

	if (ts->source == HV_TASK_CALL || ts->source == HV_TASK_GATE) {
		next = hv_task_copy(vcpu, hv_desc_base(desc->raw), &old, sizeof(old), true);
		if (next != HV_NEXT_NONE)
			return next;
		task->eflags |= X86_EFLAGS_NT;
	}
	return ts->source == HV_TASK_IRET ? HV_NEXT_NONE :
					    hv_desc_change(vcpu, desc, HV_DESC_BUSY, 0);
}

static void hv_task_load(struct hv_vcpu *vcpu, const struct hv_task_switch *ts, u64 tss,
			 const struct hv_task *task)
{
	struct hv_regs *r = &vcpu->regs;
	unsigned int i;

	hv_desc_load(&r->seg[HV_TR], ts->selector, tss | HV_DESC_BUSY);
	r->cr0 |= X86_CR0_TS;
	if ((r->cr0 & X86_CR0_PG) && r->cr3 != task->cr3) {
		r->cr3 = task->cr3;
		hv_request(vcpu, HV_REQ_TLB_FLUSH);
	}
	r->rip = task->eip;
	r->rflags = (task->eflags & 0x003f7fd5) | X86_EFLAGS_FIXED;
	for (i = 0; i < 8; i++)
		r->gpr[i] = task->gpr[i];
	r->dr7 &= ~0x155ULL;		/* L0 to L3, LE: they are the old task's */
	hv_regs_dirty(vcpu, HV_REGS_ALL);
	hv_call(blocking_set)(vcpu, HV_BLOCK_SHADOW, 0);
}

/* An exception's error code goes on the new task's stack, in the new TSS's width. */
static int hv_task_push(struct hv_vcpu *vcpu, const struct hv_task *task, u32 error)
{
	const struct kvm_segment *ss = &vcpu->regs.seg[HV_SS];
	unsigned int size = task->wide ? 4 : 2;
	u32 mask = ss->db ? ~0U : 0xffff;
	u32 sp = ((u32)vcpu->regs.gpr[HV_RSP] - size) & mask;
	bool down = ss->type & 4;
	int next;

	if (down ? sp <= ss->limit || sp + size - 1 > mask : sp + size - 1 > ss->limit) {
		hv_queue_exception_error(vcpu, HV_SS_FAULT, 0);
		return HV_NEXT_RESUME;
	}
	next = hv_task_copy(vcpu, ss->base + sp, &error, size, true);
	if (next == HV_NEXT_NONE)
		vcpu->regs.gpr[HV_RSP] = ((u32)vcpu->regs.gpr[HV_RSP] & ~mask) | sp;
	return next;
}

/* From here on faults are the new task's: the switch is done, whatever comes of them. */
static int hv_task_begin(struct hv_vcpu *vcpu, const struct hv_task_switch *ts,
			 const struct hv_task *task)
{
	int next = hv_task_load_segments(vcpu, task);

	if (next == HV_NEXT_NONE && ts->has_error)
		next = hv_task_push(vcpu, task, ts->error);
	if (next != HV_NEXT_NONE)
		return next;
	if (vcpu->regs.rip > vcpu->regs.seg[HV_CS].limit)
		return hv_task_fault(vcpu, HV_GP, 0);
	if (task->trap)
		hv_queue_exception_payload(vcpu, 1, BIT(15));	/* DR6.BT */
	return HV_NEXT_RESUME;
}

int hv_task_switch(struct hv_vcpu *vcpu, const struct hv_task_switch *ts)
{
	struct hv_task task;
	struct hv_desc desc;
	int next;

	hv_regs_need(vcpu, HV_REGS_ALL);
	if (ts->selector & 4)
		return hv_task_fault(vcpu, HV_TS, ts->selector);
	next = hv_desc_read(vcpu, ts->selector, HV_TS, &desc);
	if (next == HV_NEXT_NONE)
		next = hv_task_check(vcpu, ts, &desc);
	if (next != HV_NEXT_NONE)
		return next;
	task.wide = hv_tss_wide(hv_desc_type(desc.raw));
	/* It must be readable before the old task is taken apart. */
	next = hv_task_read(vcpu, hv_desc_base(desc.raw), &task);
	if (next == HV_NEXT_NONE)
		next = hv_task_leave(vcpu, ts);
	if (next == HV_NEXT_NONE)
		next = hv_task_link(vcpu, ts, &desc, &task);
	if (next != HV_NEXT_NONE)
		return next;
	hv_task_load(vcpu, ts, desc.raw, &task);
	return hv_task_begin(vcpu, ts, &task);
}
