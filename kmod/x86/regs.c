// SPDX-License-Identifier: GPL-2.0-only
/* Register state: the get and set ioctls, what a guest may write to control registers, reset. */
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "../events.h"
#include "../irq/irq.h"
#include "../irq/lapic.h"
#include "../mmu/mmu.h"
#include "../mmu/walk.h"
#include "x86.h"

#define HV_EFER_LME	BIT_ULL(8)
#define HV_EFER_LMA	BIT_ULL(10)
#define HV_CR0_DEFINED	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET |	\
			 X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD |	\
			 X86_CR0_PG)
#define HV_CR0_RESET	(X86_CR0_NW | X86_CR0_CD | X86_CR0_ET)
#define HV_RFLAGS_FIXED	X86_EFLAGS_FIXED

/* ---- general registers ----------------------------------------------------------------------- */

void hv_regs_get(struct hv_vcpu *vcpu, struct kvm_regs *regs)
{
	const u64 *gpr = vcpu->regs.gpr;

	*regs = (struct kvm_regs) {
		.rax = gpr[HV_RAX], .rbx = gpr[HV_RBX], .rcx = gpr[HV_RCX], .rdx = gpr[HV_RDX],
		.rsi = gpr[HV_RSI], .rdi = gpr[HV_RDI], .rsp = gpr[HV_RSP], .rbp = gpr[HV_RBP],
		.r8 = gpr[HV_R8], .r9 = gpr[HV_R9], .r10 = gpr[HV_R10], .r11 = gpr[HV_R11],
		.r12 = gpr[HV_R12], .r13 = gpr[HV_R13], .r14 = gpr[HV_R14], .r15 = gpr[HV_R15],
		.rip = vcpu->regs.rip, .rflags = vcpu->regs.rflags,
	};
}

void hv_regs_set(struct hv_vcpu *vcpu, const struct kvm_regs *regs)
{
	u64 *gpr = vcpu->regs.gpr;

	gpr[HV_RAX] = regs->rax;
	gpr[HV_RBX] = regs->rbx;
	gpr[HV_RCX] = regs->rcx;
	gpr[HV_RDX] = regs->rdx;
	gpr[HV_RSI] = regs->rsi;
	gpr[HV_RDI] = regs->rdi;
	gpr[HV_RSP] = regs->rsp;
	gpr[HV_RBP] = regs->rbp;
	gpr[HV_R8] = regs->r8;
	gpr[HV_R9] = regs->r9;
	gpr[HV_R10] = regs->r10;
	gpr[HV_R11] = regs->r11;
	gpr[HV_R12] = regs->r12;
	gpr[HV_R13] = regs->r13;
	gpr[HV_R14] = regs->r14;
	gpr[HV_R15] = regs->r15;
	vcpu->regs.rip = regs->rip;
	vcpu->regs.rflags = regs->rflags | HV_RFLAGS_FIXED;
	/* Whatever was on its way belonged to the old state. */
	memset(&vcpu->events.exception, 0, sizeof(vcpu->events.exception));
	hv_request(vcpu, HV_REQ_EVENT);
}

/* ---- control registers --------------------------------------------------------------------- */

static bool hv_cr0_valid(u64 cr0)
{
	if (cr0 >> 32)
		return false;
	if ((cr0 & X86_CR0_NW) && !(cr0 & X86_CR0_CD))
		return false;
	return !(cr0 & X86_CR0_PG) || (cr0 & X86_CR0_PE);
}

int hv_set_cr0(struct hv_vcpu *vcpu, u64 cr0)
{
	struct hv_regs *r = &vcpu->regs;

	hv_regs_need(vcpu, HV_REGS_CR | HV_REGS_SEG);
	if (!hv_cr0_valid(cr0))
		return 1;
	cr0 = (cr0 & HV_CR0_DEFINED) | X86_CR0_ET;
	if (!(r->cr0 & X86_CR0_PG) && (cr0 & X86_CR0_PG) && (r->efer & HV_EFER_LME)) {
		if (!(r->cr4 & X86_CR4_PAE) || r->seg[HV_CS].l)
			return 1;
		r->efer |= HV_EFER_LMA;
	} else if ((r->cr0 & X86_CR0_PG) && !(cr0 & X86_CR0_PG)) {
		if (r->efer & HV_EFER_LMA && (r->seg[HV_CS].l || (r->cr4 & X86_CR4_PCIDE)))
			return 1;
		r->efer &= ~HV_EFER_LMA;
	}
	if ((r->cr0 ^ cr0) & (X86_CR0_PG | X86_CR0_WP | X86_CR0_PE))
		hv_request(vcpu, HV_REQ_TLB_FLUSH);
	r->cr0 = cr0;
	hv_regs_dirty(vcpu, HV_REGS_CR);
	return 0;
}

#define HV_CR4_FLUSHES	(X86_CR4_PGE | X86_CR4_PSE | X86_CR4_PAE | X86_CR4_SMEP | X86_CR4_PCIDE | \
			 X86_CR4_LA57)

int hv_set_cr4(struct hv_vcpu *vcpu, u64 cr4)
{
	struct hv_regs *r = &vcpu->regs;

	hv_regs_need(vcpu, HV_REGS_CR);
	if (cr4 & vcpu->cpuid->cr4_reserved)
		return 1;
	if (r->efer & HV_EFER_LMA) {
		if (!(cr4 & X86_CR4_PAE) || ((cr4 ^ r->cr4) & X86_CR4_LA57))
			return 1;
	}
	/* PCIDs can be turned on only in long mode, with PCID 0 (SDM vol. 3, 4.10.1). */
	if ((cr4 & X86_CR4_PCIDE) && !(r->cr4 & X86_CR4_PCIDE) &&
	    (!(r->efer & HV_EFER_LMA) || (r->cr3 & 0xfff)))
		return 1;
	if ((r->cr4 ^ cr4) & HV_CR4_FLUSHES)
		hv_request(vcpu, HV_REQ_TLB_FLUSH);
	r->cr4 = cr4;
	hv_regs_dirty(vcpu, HV_REGS_CR);
	hv_cpuid_refresh(vcpu);
	return 0;
}

int hv_set_efer(struct hv_vcpu *vcpu, u64 efer, bool host)
{
	struct hv_regs *r = &vcpu->regs;

	hv_regs_need(vcpu, HV_REGS_CR);
	if (efer & vcpu->cpuid->efer_reserved & (host ? ~0xd01ULL : ~0ULL))
		return 1;
	if (!host && (r->cr0 & X86_CR0_PG) && ((efer ^ r->efer) & HV_EFER_LME))
		return 1;
	if (!host)
		efer = (efer & ~HV_EFER_LMA) | (r->efer & HV_EFER_LMA);
	if ((efer ^ r->efer) & EFER_NX)
		hv_request(vcpu, HV_REQ_TLB_FLUSH);
	r->efer = efer;
	hv_regs_dirty(vcpu, HV_REGS_CR);
	return 0;
}

/* ---- KVM_GET_SREGS, KVM_SET_SREGS ---------------------------------------------------------- */

/* What both forms of the structure have, by the same names. */
#define HV_SREGS_GET(vcpu, s) do {							\
	const struct hv_regs *r = &(vcpu)->regs;					\
											\
	(s)->cs = r->seg[HV_CS];							\
	(s)->ds = r->seg[HV_DS];							\
	(s)->es = r->seg[HV_ES];							\
	(s)->fs = r->seg[HV_FS];							\
	(s)->gs = r->seg[HV_GS];							\
	(s)->ss = r->seg[HV_SS];							\
	(s)->tr = r->seg[HV_TR];							\
	(s)->ldt = r->seg[HV_LDTR];							\
	(s)->gdt = r->gdt;								\
	(s)->idt = r->idt;								\
	(s)->cr0 = r->cr0;								\
	(s)->cr2 = r->cr2;								\
	(s)->cr3 = r->cr3;								\
	(s)->cr4 = r->cr4;								\
	(s)->cr8 = (vcpu)->lapic ? hv_lapic_get_cr8(vcpu) : (vcpu)->user_cr8;		\
	(s)->efer = r->efer;								\
	(s)->apic_base = (vcpu)->msrs.apic_base;					\
} while (0)

void hv_sregs_get(struct hv_vcpu *vcpu, struct kvm_sregs *s)
{
	hv_regs_need(vcpu, HV_REGS_CR | HV_REGS_SEG);
	memset(s, 0, sizeof(*s));
	HV_SREGS_GET(vcpu, s);
	if (vcpu->events.interrupt.injected && !vcpu->events.interrupt.soft)
		__set_bit(vcpu->events.interrupt.vector, (unsigned long *)s->interrupt_bitmap);
}

static bool hv_pae_paging(u64 cr0, u64 cr4, u64 efer)
{
	return (cr0 & X86_CR0_PG) && (cr4 & X86_CR4_PAE) && !(efer & HV_EFER_LMA);
}

/*
 * With second-level paging the CPU reads the PDPTEs from the guest's memory when it needs them (APM
 * volume 2, 15.25.5) or when CR3 is set; there they are.
 */
void hv_sregs2_get(struct hv_vcpu *vcpu, struct kvm_sregs2 *s)
{
	hv_regs_need(vcpu, HV_REGS_CR | HV_REGS_SEG);
	memset(s, 0, sizeof(*s));
	HV_SREGS_GET(vcpu, s);
	if (hv_pae_paging(s->cr0, s->cr4, s->efer) &&
	    !hv_guest_read(vcpu->vm, s->cr3 & 0xffffffe0, s->pdptrs, sizeof(s->pdptrs)))
		s->flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
}

/* A state that no sequence of instructions reaches. */
static bool hv_sregs_valid(struct hv_vcpu *vcpu, const struct kvm_sregs2 *s)
{
	bool lma = s->efer & HV_EFER_LMA;

	if (!hv_cr0_valid(s->cr0) || (s->cr4 & vcpu->cpuid->cr4_reserved) ||
	    (s->efer & vcpu->cpuid->efer_reserved & ~0xd01ULL))
		return false;
	if ((s->efer & HV_EFER_LME) && (s->cr0 & X86_CR0_PG)) {
		if (!(s->cr4 & X86_CR4_PAE) || !lma)
			return false;
		if (vcpu->cpuid->maxphyaddr < 52 &&
		    (s->cr3 & ~BIT_ULL(63)) >> vcpu->cpuid->maxphyaddr)
			return false;
	} else if (lma || s->cs.l) {
		return false;
	}
	return true;
}

static int hv_sregs_apply(struct hv_vcpu *vcpu, const struct kvm_sregs2 *s)
{
	struct hv_regs *r = &vcpu->regs;

	if (!hv_sregs_valid(vcpu, s))
		return -EINVAL;
	if (vcpu->lapic && hv_lapic_set_base(vcpu, s->apic_base, true))
		return -EINVAL;
	if (!vcpu->lapic)
		vcpu->msrs.apic_base = s->apic_base;
	hv_regs_need(vcpu, HV_REGS_CR | HV_REGS_SEG);
	r->seg[HV_CS] = s->cs;
	r->seg[HV_DS] = s->ds;
	r->seg[HV_ES] = s->es;
	r->seg[HV_FS] = s->fs;
	r->seg[HV_GS] = s->gs;
	r->seg[HV_SS] = s->ss;
	r->seg[HV_TR] = s->tr;
	r->seg[HV_LDTR] = s->ldt;
	r->gdt = s->gdt;
	r->idt = s->idt;
	r->cr0 = s->cr0 | X86_CR0_ET;
	r->cr2 = s->cr2;
	r->cr3 = s->cr3;
	r->cr4 = s->cr4;
	r->efer = s->efer;
	hv_regs_dirty(vcpu, HV_REGS_CR | HV_REGS_SEG);
	hv_cpuid_refresh(vcpu);
	if (vcpu->lapic)
		hv_lapic_set_cr8(vcpu, s->cr8);
	else
		vcpu->user_cr8 = s->cr8 & 0xf;
	hv_request(vcpu, HV_REQ_TLB_FLUSH);
	hv_request(vcpu, HV_REQ_EVENT);
	/* Older user space starts the boot CPU by its registers alone. */
	if (vcpu->id == vcpu->vm->bsp_id && r->rip == 0xfff0 && s->cs.selector == 0xf000 &&
	    !(s->cr0 & X86_CR0_PE))
		vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
	return 0;
}

int hv_sregs_set(struct hv_vcpu *vcpu, const struct kvm_sregs *s)
{
	struct kvm_sregs2 s2 = {};
	int vector, r;

	/* The two begin alike, up to where the second has its flags. */
	BUILD_BUG_ON(offsetof(struct kvm_sregs, interrupt_bitmap) !=
		     offsetof(struct kvm_sregs2, flags));
	memcpy(&s2, s, offsetof(struct kvm_sregs2, flags));
	r = hv_sregs_apply(vcpu, &s2);
	if (r)
		return r;
	vector = find_first_bit((const unsigned long *)s->interrupt_bitmap, KVM_NR_INTERRUPTS);
	if (vector < KVM_NR_INTERRUPTS) {
		vcpu->events.interrupt.injected = true;
		vcpu->events.interrupt.soft = false;
		vcpu->events.interrupt.vector = vector;
	}
	return 0;
}

int hv_sregs2_set(struct hv_vcpu *vcpu, const struct kvm_sregs2 *s)
{
	if (s->flags & ~(u64)KVM_SREGS2_FLAGS_PDPTRS_VALID)
		return -EINVAL;
	if (s->flags && !hv_pae_paging(s->cr0, s->cr4, s->efer))
		return -EINVAL;
	return hv_sregs_apply(vcpu, s);
}

/* ---- KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS ---------------------------------------------- */

void hv_events_get(struct hv_vcpu *vcpu, struct kvm_vcpu_events *e)
{
	struct hv_events *ev = &vcpu->events;
	struct hv_exception *ex = &ev->exception;
	u32 blocking = hv_call(blocking_get)(vcpu);

	if (hv_request_take(vcpu, HV_REQ_NMI))
		hv_take_nmis(vcpu);
	/* Without the capability user space has no place for the payload: let it take effect. */
	if (!vcpu->vm->exception_payload && ex->pending)
		hv_exception_payload_apply(vcpu);
	memset(e, 0, sizeof(*e));
	e->exception.nr = ex->vector;
	e->exception.has_error_code = ex->has_error;
	e->exception.error_code = ex->error_code;
	if (vcpu->vm->exception_payload) {
		e->exception.injected = ex->injected;
		e->exception.pending = ex->pending;
		e->exception_has_payload = ex->has_payload;
		e->exception_payload = ex->payload;
		e->flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	} else {
		e->exception.injected = ex->injected || ex->pending;
	}
	e->interrupt.injected = ev->interrupt.injected && !ev->interrupt.soft;
	e->interrupt.nr = ev->interrupt.vector;
	e->interrupt.shadow = blocking & HV_BLOCK_SHADOW;
	e->nmi.injected = ev->nmi_injected;
	e->nmi.pending = ev->nmi_pending;
	e->nmi.masked = !!(blocking & HV_BLOCK_NMI);
	e->flags |= KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	hv_smm_get(vcpu, e);
	if (vcpu->vm->triple_fault_event) {
		e->triple_fault.pending = test_bit(HV_REQ_TRIPLE_FAULT, &vcpu->requests);
		e->flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	}
}

static bool hv_events_valid(const struct hv_vcpu *vcpu, const struct kvm_vcpu_events *e)
{
	u32 known = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR |
		    KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM;

	if (vcpu->vm->exception_payload)
		known |= KVM_VCPUEVENT_VALID_PAYLOAD;
	if (vcpu->vm->triple_fault_event)
		known |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	if (e->flags & ~known)
		return false;
	/* Whoever waits for a start-up message is not in SMM. */
	if ((e->flags & KVM_VCPUEVENT_VALID_SMM) && (e->smi.smm || e->smi.pending) &&
	    vcpu->mp_state == KVM_MP_STATE_INIT_RECEIVED)
		return false;
	if (e->flags & KVM_VCPUEVENT_VALID_PAYLOAD) {
		if (e->exception.pending && e->exception.injected)
			return false;
	}
	return !((e->exception.injected ||
		  ((e->flags & KVM_VCPUEVENT_VALID_PAYLOAD) && e->exception.pending)) &&
		 (e->exception.nr > 31 || e->exception.nr == 2));
}

int hv_events_set(struct hv_vcpu *vcpu, const struct kvm_vcpu_events *e)
{
	struct hv_events *ev = &vcpu->events;
	struct hv_exception *ex = &ev->exception;
	bool payload = e->flags & KVM_VCPUEVENT_VALID_PAYLOAD;

	if (!hv_events_valid(vcpu, e))
		return -EINVAL;
	if ((e->flags & KVM_VCPUEVENT_VALID_SMM) && hv_smm_set(vcpu, e))
		return -ENOMEM;
	*ex = (struct hv_exception) {
		.injected = e->exception.injected,
		.pending = payload && e->exception.pending,
		.vector = e->exception.nr,
		.has_error = e->exception.has_error_code,
		.error_code = e->exception.error_code,
		.has_payload = payload && e->exception_has_payload,
		.payload = payload ? e->exception_payload : 0,
	};
	ev->interrupt.injected = e->interrupt.injected;
	ev->interrupt.vector = e->interrupt.nr;
	ev->interrupt.soft = e->interrupt.soft;
	if (e->flags & KVM_VCPUEVENT_VALID_SHADOW)
		hv_call(blocking_set)(vcpu, HV_BLOCK_SHADOW, e->interrupt.shadow);
	ev->nmi_injected = e->nmi.injected;
	if (e->flags & KVM_VCPUEVENT_VALID_NMI_PENDING) {
		atomic_set(&ev->nmi_queued, 0);
		ev->nmi_pending = min_t(u8, e->nmi.pending, 2);
	}
	hv_call(blocking_set)(vcpu, HV_BLOCK_NMI, e->nmi.masked ? HV_BLOCK_NMI : 0);
	if (e->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT) {
		if (e->triple_fault.pending)
			hv_request(vcpu, HV_REQ_TRIPLE_FAULT);
		else
			clear_bit(HV_REQ_TRIPLE_FAULT, &vcpu->requests);
	}
	hv_request(vcpu, HV_REQ_EVENT);
	return 0;
}

/* ---- debug registers, multiprocessing state, translation ----------------------------------- */

void hv_debugregs_get(struct hv_vcpu *vcpu, struct kvm_debugregs *dbg)
{
	hv_regs_need(vcpu, HV_REGS_DR);
	memset(dbg, 0, sizeof(*dbg));
	memcpy(dbg->db, vcpu->regs.db, sizeof(dbg->db));
	dbg->dr6 = vcpu->regs.dr6;
	dbg->dr7 = vcpu->regs.dr7;
}

int hv_debugregs_set(struct hv_vcpu *vcpu, const struct kvm_debugregs *dbg)
{
	if (dbg->flags || dbg->dr6 >> 32 || dbg->dr7 >> 32)
		return -EINVAL;
	hv_regs_need(vcpu, HV_REGS_DR);
	memcpy(vcpu->regs.db, dbg->db, sizeof(dbg->db));
	vcpu->regs.dr6 = dbg->dr6;
	vcpu->regs.dr7 = dbg->dr7;
	hv_debug_changed(vcpu);
	return 0;
}

int hv_mp_state_get(struct hv_vcpu *vcpu, struct kvm_mp_state *mp)
{
	if (vcpu->lapic && hv_lapic_has_event(vcpu))
		hv_lapic_accept_event(vcpu);
	mp->mp_state = vcpu->mp_state;
	/* The kick is not part of the state: what it does is. */
	if (vcpu->mp_state == KVM_MP_STATE_HALTED && READ_ONCE(vcpu->para.unhalted))
		mp->mp_state = KVM_MP_STATE_RUNNABLE;
	return 0;
}

int hv_mp_state_set(struct hv_vcpu *vcpu, const struct kvm_mp_state *mp)
{
	switch (mp->mp_state) {
	case KVM_MP_STATE_RUNNABLE:
		break;
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_HALTED:
	case KVM_MP_STATE_INIT_RECEIVED:
		if (!vcpu->lapic)
			return -EINVAL;
		break;
	case KVM_MP_STATE_SIPI_RECEIVED:
		/* The vector it would start at is not in the ABI. */
		if (!vcpu->lapic)
			return -EINVAL;
		vcpu->mp_state = KVM_MP_STATE_INIT_RECEIVED;
		set_bit(HV_LAPIC_SIPI, &vcpu->lapic->pending_events);
		hv_request(vcpu, HV_REQ_APIC_EVENT);
		return 0;
	default:
		return -EINVAL;
	}
	vcpu->mp_state = mp->mp_state;
	hv_request(vcpu, HV_REQ_EVENT);
	return 0;
}

int hv_translate(struct hv_vcpu *vcpu, struct kvm_translation *tr)
{
	u64 gpa = 0;
	int r = hv_gva_to_gpa(vcpu, tr->linear_address, HV_WALK_PEEK, &gpa);

	tr->physical_address = r ? ~0ULL : gpa;
	tr->valid = !r;
	tr->writeable = 1;
	tr->usermode = 0;
	return 0;
}

/* ---- reset --------------------------------------------------------------------------------- */

static struct kvm_segment hv_reset_segment(u16 selector, u64 base, u8 type, bool system)
{
	return (struct kvm_segment) {
		.selector = selector, .base = base, .limit = 0xffff, .type = type,
		.present = 1, .s = !system,
	};
}

/* SDM vol. 3, table 10-1; APM volume 2, table 14-1. */
void hv_regs_reset(struct hv_vcpu *vcpu, bool init)
{
	const struct kvm_cpuid_entry2 *e = hv_cpuid_find(vcpu->cpuid, 1, 0);
	struct hv_regs *r = &vcpu->regs;
	u64 cr0 = 0;
	unsigned int i;

	if (init) {
		hv_regs_need(vcpu, HV_REGS_CR);
		cr0 = r->cr0;
	}
	memset(r, 0, sizeof(*r));
	r->gpr[HV_RDX] = e ? e->eax : 0x600;
	r->rip = 0xfff0;
	r->rflags = HV_RFLAGS_FIXED;
	/* INIT leaves the caching bits alone. */
	r->cr0 = init ? (cr0 & (X86_CR0_NW | X86_CR0_CD)) | X86_CR0_ET : HV_CR0_RESET;
	for (i = HV_ES; i <= HV_GS; i++)
		r->seg[i] = hv_reset_segment(0, 0, 3, false);
	r->seg[HV_CS] = hv_reset_segment(0xf000, 0xffff0000, 0xb, false);
	r->seg[HV_LDTR] = hv_reset_segment(0, 0, 2, true);
	r->seg[HV_TR] = hv_reset_segment(0, 0, 0xb, true);
	r->gdt.limit = 0xffff;
	r->idt.limit = 0xffff;
	r->dr6 = 0xffff0ff0;
	r->dr7 = 0x400;
	vcpu->dr_wanted = false;
	vcpu->regs_valid = HV_REGS_ALL;
	vcpu->regs_dirty = HV_REGS_ALL;
}
