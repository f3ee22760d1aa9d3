// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulator's view of a vCPU: guest-virtual memory, devices in the kernel and in user space.
 *
 * An access to a device that only user space has leaves KVM_RUN. Reads are recorded in vcpu->mmio;
 * when user space has answered, the instruction runs again from its start and finds them there (the
 * kernel's own devices are recorded too: their registers may change by reading). Writes come last
 * in an instruction: it retires, and they are handed to user space one by one.
 */
#include <linux/mm.h>
#include <linux/uaccess.h>
#include <asm/processor-flags.h>

#include "hv.h"
#include "irq/irq.h"
#include "mmu/mmu.h"
#include "mmu/gva.h"
#include "trace.h"
#include "x86/x86.h"

/* One run of the emulator. */
struct hv_emul_run {
	struct hv_emul e;
	struct hv_vcpu *vcpu;
	u64 gpa;		/* where the access went that the exit reported, if it did */
	bool gpa_valid;
	bool may_sleep;
	u32 user;		/* HV_WALK_USER at CPL 3 */
};

int hv_gva_to_gpa(struct hv_vcpu *vcpu, u64 gva, u32 access, u64 *gpa)
{
	u32 error;

	return hv_gva_translate(vcpu, gva, access, true, gpa, &error);
}

/* ---- the instruction's bytes and its length ------------------------------------------------ */

static u8 hv_emul_cpl(struct hv_vcpu *vcpu)
{
	return vcpu->regs.seg[HV_SS].dpl;
}

/*
 * Read code at a linear address, up to the page's end at most: 0 and *got, HV_WALK_FAULT, -errno
 * (-ENXIO: no memory slot is there).
 */
static int hv_fetch(struct hv_vcpu *vcpu, u64 la, u8 *buf, unsigned int len, bool may_sleep,
		    unsigned int *got, u32 *error)
{
	u32 access = HV_WALK_FETCH | (hv_emul_cpl(vcpu) == 3 ? HV_WALK_USER : 0);
	u64 gpa;
	int r = hv_gva_translate(vcpu, la, access, may_sleep, &gpa, error);

	if (r)
		return r;
	*got = min_t(unsigned int, len, PAGE_SIZE - offset_in_page(la));
	if (!hv_slot_find(vcpu->vm, gpa >> PAGE_SHIFT))
		return -ENXIO;
	if (!hv_guest_read_nofault(vcpu->vm, gpa, buf, *got))
		return 0;
	return may_sleep ? hv_guest_read(vcpu->vm, gpa, buf, *got) : -EAGAIN;
}

static enum hv_insn_mode hv_code_mode(const struct hv_regs *r)
{
	if ((r->efer & BIT(10)) && r->seg[HV_CS].l)
		return HV_INSN_64;
	if (!(r->cr0 & X86_CR0_PE) || (r->rflags & X86_EFLAGS_VM))
		return HV_INSN_16;
	return r->seg[HV_CS].db ? HV_INSN_32 : HV_INSN_16;
}

static int hv_decode(struct hv_vcpu *vcpu, bool may_sleep, struct hv_insn *insn)
{
	const struct hv_regs *r = &vcpu->regs;
	enum hv_insn_mode mode;
	u32 error = 0;
	u8 code[HV_INSN_MAX_LEN];
	unsigned int got = 0, part;
	u64 la;
	int ret;

	hv_regs_need(vcpu, HV_REGS_CR | HV_REGS_CODE);
	mode = hv_code_mode(r);
	la = r->seg[HV_CS].base + r->rip;
	do {
		u64 at = mode == HV_INSN_64 ? la + got : (u32)(la + got);

		ret = hv_fetch(vcpu, at, code + got, sizeof(code) - got, may_sleep, &part, &error);
		if (ret == HV_WALK_FAULT) {
			hv_queue_page_fault(vcpu, at, error);
			return HV_NEXT_RESUME;
		}
		/* If it may sleep, the tables would not hold still: let the guest try again. */
		if (ret == -EAGAIN)
			return may_sleep ? HV_NEXT_RESUME : HV_NEXT_SLEEP;
		if (ret)
			return hv_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION, 0, NULL);
		got += part;
		ret = hv_insn_decode(insn, code, got, mode);
	} while (ret == -EAGAIN && got < sizeof(code));
	if (ret) {
		/* The CPU executed it a moment ago: another vCPU must have changed the code. */
		hv_queue_exception(vcpu, 6);
		return HV_NEXT_RESUME;
	}
	return HV_NEXT_NONE;
}

int hv_insn_end(struct hv_vcpu *vcpu, bool may_sleep, u64 *next_rip, struct hv_insn *insn)
{
	struct hv_insn local;
	u8 len = insn ? 0 : hv_call(insn_len)(vcpu);
	int r;

	if (len) {
		*next_rip = vcpu->regs.rip + len;
		/* Outside of 64-bit mode RIP wraps at 4 GiB. */
		if (unlikely((*next_rip ^ vcpu->regs.rip) >> 32) && !hv_64bit_mode(vcpu))
			*next_rip = (u32)*next_rip;
		return HV_NEXT_NONE;
	}
	if (!insn)
		insn = &local;
	r = hv_decode(vcpu, may_sleep, insn);
	if (r != HV_NEXT_NONE)
		return r;
	*next_rip = vcpu->regs.rip + insn->len;
	if (insn->mode != HV_INSN_64)
		*next_rip = (u32)*next_rip;
	return HV_NEXT_NONE;
}

/* ---- the other vendor's hypercall instruction ------------------------------------------------ */

/* VMCALL is 0F 01 C1, VMMCALL is 0F 01 D9: the third byte differs in these bits. */
#define HV_HYPERCALL_OTHER	(0xc1 ^ 0xd9)

/* Make the hypercall at RIP the CPU's own; HV_NEXT_NONE: there is none. */
static int hv_patch_hypercall(struct hv_vcpu *vcpu, u8 native, bool may_sleep)
{
	const u8 other[3] = { 0x0f, 0x01, native ^ HV_HYPERCALL_OTHER };
	u32 user = hv_emul_cpl(vcpu) == 3 ? HV_WALK_USER : 0, error = 0;
	u64 la = vcpu->regs.seg[HV_CS].base + vcpu->regs.rip, gpa;
	unsigned int i, got;
	u8 byte;
	int r;

	for (i = 0; i < sizeof(other); i++) {
		r = hv_fetch(vcpu, la + i, &byte, 1, may_sleep, &got, &error);
		if (r == -EAGAIN)
			return may_sleep ? HV_NEXT_RESUME : HV_NEXT_SLEEP;
		if (r)
			return HV_NEXT_NONE;
		if (byte != other[i])
			return HV_NEXT_NONE;
	}
	la += sizeof(other) - 1;
	r = hv_gva_translate(vcpu, la, HV_WALK_WRITE | user, may_sleep, &gpa, &error);
	if (r == HV_WALK_FAULT) {
		hv_queue_page_fault(vcpu, la, error);
		return HV_NEXT_RESUME;
	}
	if (!r && may_sleep)
		r = hv_guest_write(vcpu->vm, gpa, &native, 1);
	else if (!r && hv_guest_write_nofault(vcpu->vm, gpa, &native, 1))
		r = -EAGAIN;
	if (r && r != -EAGAIN)
		return HV_NEXT_NONE;
	return r && !may_sleep ? HV_NEXT_SLEEP : HV_NEXT_RESUME;
}

int hv_exit_undefined(struct hv_vcpu *vcpu, u8 native, bool may_sleep)
{
	int r = HV_NEXT_NONE;

	hv_regs_need(vcpu, HV_REGS_CR | HV_REGS_CODE);
	if (hv_has_quirk(vcpu->vm, KVM_X86_QUIRK_FIX_HYPERCALL_INSN))
		r = hv_patch_hypercall(vcpu, native, may_sleep);
	return r == HV_NEXT_NONE ? hv_exit_ud(vcpu, may_sleep) : r;
}

/* ---- device accesses ----------------------------------------------------------------------- */

/* A device read of at most 8 bytes: from the record, from the kernel's devices, or user space's. */
static int hv_mmio_read(struct hv_vcpu *vcpu, u64 gpa, void *data, unsigned int len)
{
	struct hv_mmio *m = &vcpu->mmio;
	struct hv_mmio_frag *f = &m->frag[m->cur];

	if (m->cur < m->nr) {
		if (f->gpa != gpa || f->len != len)
			return HV_EMUL_UNHANDLEABLE;	/* the guest changed the code meanwhile */
		memcpy(data, f->data, len);
		m->cur++;
		return HV_EMUL_OK;
	}
	if (m->nr == HV_MMIO_FRAGMENTS)
		return HV_EMUL_UNHANDLEABLE;
	*f = (struct hv_mmio_frag) { .gpa = gpa, .len = len };
	m->nr++;
	m->cur++;
	m->is_write = false;
	if (!hv_iobus_read(vcpu, HV_BUS_MMIO, gpa, len, f->data)) {
		memcpy(data, f->data, len);
		return HV_EMUL_OK;
	}
	m->active = true;
	m->cur--;
	return HV_EMUL_IO;
}

static int hv_mmio_write(struct hv_vcpu *vcpu, u64 gpa, const void *data, unsigned int len)
{
	struct hv_mmio *m = &vcpu->mmio;
	struct hv_mmio_frag *f;

	trace_hv_mmio(vcpu->id, true, gpa, len, 0);
	if (!hv_iobus_write(vcpu, HV_BUS_MMIO, gpa, len, data))
		return HV_EMUL_OK;
	if (!m->is_write) {
		/* The reads are over: the instruction will not run again. */
		m->nr = m->cur = 0;
		m->is_write = true;
	}
	if (m->nr == HV_MMIO_FRAGMENTS)
		return HV_EMUL_UNHANDLEABLE;
	f = &m->frag[m->nr++];
	f->gpa = gpa;
	f->len = len;
	memcpy(f->data, data, len);
	return HV_EMUL_IO;
}

static void hv_mmio_exit(struct hv_vcpu *vcpu)
{
	const struct hv_mmio_frag *f = &vcpu->mmio.frag[vcpu->mmio.cur];
	struct kvm_run *run = vcpu->run;

	vcpu->mmio.active = true;
	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = f->gpa;
	run->mmio.len = f->len;
	run->mmio.is_write = vcpu->mmio.is_write;
	memset(run->mmio.data, 0, sizeof(run->mmio.data));
	if (vcpu->mmio.is_write)
		memcpy(run->mmio.data, f->data, f->len);
	else
		trace_hv_mmio(vcpu->id, false, f->gpa, f->len, 0);
}

/* The next piece of a device access within a page: at most 8 bytes, aligned or not, as KVM's. */
static unsigned int hv_mmio_piece(unsigned int len)
{
	return min_t(unsigned int, len, 8);
}

/* ---- the emulator's callbacks -------------------------------------------------------------- */

static struct hv_emul_run *to_run(struct hv_emul *e)
{
	return container_of(e, struct hv_emul_run, e);
}

/*
 * The exit told where its access went. An instruction with one memory operand means that one, if
 * the place in the page agrees; the CPU has checked the rights before it exited.
 */
static bool hv_emul_known_gpa(const struct hv_emul_run *run, u64 la, u64 *gpa)
{
	const struct hv_insn *insn = &run->e.insn;

	if (!run->gpa_valid || offset_in_page(la) != offset_in_page(run->gpa))
		return false;
	/* MOV to and from memory; the rest may have an implied operand on the stack or a string. */
	if (insn->map != HV_MAP_ONE || insn->opcode < 0x88 || insn->opcode > 0x8b)
		return false;
	*gpa = run->gpa;
	return true;
}

static int hv_emul_translate(struct hv_emul *e, u64 la, u32 access, u64 *gpa)
{
	struct hv_emul_run *run = to_run(e);
	u32 error = 0;
	int r;

	if (hv_emul_known_gpa(run, la, gpa))
		return 0;
	r = hv_gva_translate(run->vcpu, la, access | run->user, run->may_sleep, gpa, &error);
	return r == HV_WALK_FAULT ? hv_emul_raise_pf(e, la, error) : r;
}

static int hv_emul_fetch(struct hv_emul *e, u64 la, u8 *buf, unsigned int len, unsigned int *got)
{
	struct hv_emul_run *run = to_run(e);
	u32 error = 0;
	int r = hv_fetch(run->vcpu, la, buf, len, run->may_sleep, got, &error);

	if (r == HV_WALK_FAULT)
		return hv_emul_raise_pf(e, la, error);
	/* Code that no slot holds. */
	return r == -ENXIO ? HV_EMUL_UNHANDLEABLE : r;
}

static bool hv_is_ram(struct hv_vcpu *vcpu, u64 gpa, bool write)
{
	const struct hv_memslot *slot = hv_slot_find(vcpu->vm, gpa >> PAGE_SHIFT);

	return slot && !(write && (slot->flags & KVM_MEM_READONLY));
}

/* What failed on memory whose slot has gone meanwhile is tried again by the guest. */
static int hv_emul_mem_error(struct hv_vcpu *vcpu, u64 gpa, bool write, int r)
{
	return r == -EFAULT && !hv_is_ram(vcpu, gpa, write) ? -EAGAIN : r;
}

/* One page's part of an access. */
static int hv_emul_read_part(struct hv_emul_run *run, u64 gpa, void *buf, unsigned int len)
{
	struct hv_vcpu *vcpu = run->vcpu;
	int r = HV_EMUL_OK;

	if (hv_is_ram(vcpu, gpa, false)) {
		if (!hv_guest_read_nofault(vcpu->vm, gpa, buf, len))
			return HV_EMUL_OK;
		if (!run->may_sleep)
			return -EAGAIN;
		r = hv_guest_read(vcpu->vm, gpa, buf, len);
		return hv_emul_mem_error(vcpu, gpa, false, r);
	}
	run->e.touched_io = true;
	while (len && !r) {
		unsigned int part = hv_mmio_piece(len);

		r = hv_mmio_read(vcpu, gpa, buf, part);
		gpa += part;
		buf += part;
		len -= part;
	}
	return r;
}

static int hv_emul_read(struct hv_emul *e, u64 la, void *buf, unsigned int len,
			unsigned int access)
{
	u32 want = access & HV_EMUL_ACC_WRITE ? HV_WALK_WRITE : 0;
	int r = HV_EMUL_OK;
	u64 gpa;

	while (len && !r) {
		unsigned int part = min_t(unsigned int, len, PAGE_SIZE - offset_in_page(la));

		r = hv_emul_translate(e, la, want, &gpa);
		if (!r)
			r = hv_emul_read_part(to_run(e), gpa, buf, part);
		la += part;
		buf += part;
		len -= part;
	}
	return r;
}

static int hv_emul_write_part(struct hv_emul_run *run, u64 gpa, const void *buf, unsigned int len)
{
	struct hv_vcpu *vcpu = run->vcpu;
	int r, ret = HV_EMUL_OK;

	if (hv_is_ram(vcpu, gpa, true)) {
		if (!hv_guest_write_nofault(vcpu->vm, gpa, buf, len))
			return HV_EMUL_OK;
		if (!run->may_sleep)
			return -EAGAIN;
		r = hv_guest_write(vcpu->vm, gpa, buf, len);
		return hv_emul_mem_error(vcpu, gpa, true, r);
	}
	run->e.touched_io = true;
	while (len) {
		unsigned int part = hv_mmio_piece(len);

		r = hv_mmio_write(vcpu, gpa, buf, part);
		if (r == HV_EMUL_IO)
			ret = r;
		else if (r)
			return r;
		gpa += part;
		buf += part;
		len -= part;
	}
	return ret;
}

static int hv_emul_write(struct hv_emul *e, u64 la, const void *buf, unsigned int len)
{
	unsigned int first = min_t(unsigned int, len, PAGE_SIZE - offset_in_page(la));
	struct hv_emul_run *run = to_run(e);
	u64 gpa[2];
	int r, ret;

	/* Both pages must allow it before the first byte is written. */
	r = hv_emul_translate(e, la, HV_WALK_WRITE, &gpa[0]);
	if (!r && first < len)
		r = hv_emul_translate(e, la + first, HV_WALK_WRITE, &gpa[1]);
	if (r)
		return r;
	if (first < len && !run->may_sleep)
		return -EAGAIN;
	ret = hv_emul_write_part(run, gpa[0], buf, first);
	if (first == len || (ret && ret != HV_EMUL_IO))
		return ret;
	r = hv_emul_write_part(run, gpa[1], buf + first, len - first);
	return r ?: ret;
}

static int hv_emul_cmpxchg(struct hv_emul *e, u64 la, const void *old, const void *new,
			   unsigned int len, bool *ok)
{
	struct hv_emul_run *run = to_run(e);
	u64 expected = 0, value = 0, gpa;
	int r;

	*ok = true;
	/* A device, and what RAM cannot do atomically (16 bytes, split): a plain write. */
	if (len > 8 || (la & (len - 1)))
		return hv_emul_write(e, la, new, len);
	r = hv_emul_translate(e, la, HV_WALK_WRITE, &gpa);
	if (r)
		return r;
	if (!hv_is_ram(run->vcpu, gpa, true))
		return hv_emul_write_part(run, gpa, new, len);
	memcpy(&expected, old, len);
	memcpy(&value, new, len);
	pagefault_disable();
	r = hv_guest_cmpxchg(run->vcpu->vm, gpa, &expected, value, len);
	pagefault_enable();
	if (r == -EFAULT) {
		if (!run->may_sleep)
			return -EAGAIN;
		r = hv_guest_cmpxchg(run->vcpu->vm, gpa, &expected, value, len);
	}
	*ok = !r;
	return r < 0 ? hv_emul_mem_error(run->vcpu, gpa, true, r) : HV_EMUL_OK;
}

static int hv_emul_probe(struct hv_emul *e, u64 la, unsigned int len, unsigned int access)
{
	u32 want = access & HV_EMUL_ACC_WRITE ? HV_WALK_WRITE : 0;
	unsigned int first = min_t(unsigned int, len, PAGE_SIZE - offset_in_page(la));
	u64 gpa;
	int r = hv_emul_translate(e, la, want, &gpa);

	if (!r && first < len)
		r = hv_emul_translate(e, la + first, want, &gpa);
	return r;
}

static bool hv_emul_batch(struct hv_emul *e, u64 la, bool write)
{
	u64 gpa;

	/* A fault here comes again, with the first element. */
	return !hv_emul_translate(e, la, write ? HV_WALK_WRITE : 0, &gpa) &&
	       hv_is_ram(to_run(e)->vcpu, gpa, write);
}

/* INS and OUTS: the data is in vcpu->pio_data already (it is the emulator's buffer). */
static int hv_emul_pio(struct hv_emul *e, bool in, u16 port, unsigned int size, unsigned int count,
		       void *buf)
{
	struct hv_emul_run *run = to_run(e);
	struct hv_vcpu *vcpu = run->vcpu;
	struct hv_pio *pio = &vcpu->pio;
	unsigned int i;
	int r = 0;

	e->touched_io = true;
	/* What a port answered could not be stored without sleeping: do not ask it yet. */
	if (in && !run->may_sleep)
		return -EAGAIN;
	/* Unless user space changed the registers meanwhile: then it is asked anew. */
	if (in && pio->answered && pio->port == port && pio->size == size && pio->count == count)
		return HV_EMUL_OK;
	for (i = 0; i < count && !r; i++)
		r = in ? hv_iobus_read(vcpu, HV_BUS_PIO, port, size, buf + i * size) :
			 hv_iobus_write(vcpu, HV_BUS_PIO, port, size, buf + i * size);
	if (!r)
		return HV_EMUL_OK;
	*pio = (struct hv_pio) {
		.active = true, .in = in, .string = true, .size = size, .port = port,
		.count = count,
	};
	vcpu->run->exit_reason = KVM_EXIT_IO;
	vcpu->run->io.direction = in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	vcpu->run->io.size = size;
	vcpu->run->io.port = port;
	vcpu->run->io.count = count;
	vcpu->run->io.data_offset = KVM_PIO_PAGE_OFFSET * PAGE_SIZE;
	return HV_EMUL_IO;
}

static int hv_emul_fpu_read(struct hv_emul *e, unsigned int reg, void *buf, unsigned int len)
{
	if (len != 16)
		return HV_EMUL_UNHANDLEABLE;
	hv_fpu_read_xmm(to_run(e)->vcpu, reg, buf);
	return HV_EMUL_OK;
}

static int hv_emul_fpu_write(struct hv_emul *e, unsigned int reg, const void *buf,
			     unsigned int len, bool zero)
{
	if (len != 16 || zero)
		return HV_EMUL_UNHANDLEABLE;
	hv_fpu_write_xmm(to_run(e)->vcpu, reg, buf);
	return HV_EMUL_OK;
}

static const struct hv_emul_ops hv_emul_ops = {
	.fetch = hv_emul_fetch,
	.read = hv_emul_read,
	.write = hv_emul_write,
	.cmp_write = hv_emul_cmpxchg,
	.probe = hv_emul_probe,
	.pio = hv_emul_pio,
	.batch = hv_emul_batch,
	.fpu_read = hv_emul_fpu_read,
	.fpu_write = hv_emul_fpu_write,
};

/* ---- one instruction ----------------------------------------------------------------------- */

static void hv_emul_seg(struct hv_emul_seg *to, const struct kvm_segment *from)
{
	to->base = from->base;
	to->limit = from->limit;
	to->selector = from->selector;
	to->attr = (from->type & 0xf) | from->s << 4 | from->dpl << 5 |
		   (from->present && !from->unusable) << 7 | from->avl << 8 | from->l << 9 |
		   from->db << 10 | from->g << 11;
}

static void hv_emul_begin(struct hv_emul_run *run, struct hv_vcpu *vcpu, bool may_sleep)
{
	struct hv_regs *r = &vcpu->regs;
	struct hv_emul *e = &run->e;
	unsigned int i;

	hv_regs_need(vcpu, HV_REGS_CR | HV_REGS_SEG);
	run->vcpu = vcpu;
	run->may_sleep = may_sleep;
	run->user = hv_emul_cpl(vcpu) == 3 ? HV_WALK_USER : 0;
	memcpy(e->gpr, r->gpr, sizeof(e->gpr));
	e->rip = r->rip;
	e->rflags = r->rflags;
	e->ops = &hv_emul_ops;
	e->cr0 = r->cr0;
	e->cr4 = r->cr4;
	e->efer = r->efer;
	e->xcr0 = vcpu->fpu.xcr0;
	e->cpl = hv_emul_cpl(vcpu);
	for (i = 0; i < HV_SEG_COUNT; i++)
		hv_emul_seg(&e->seg[i], &r->seg[i]);
	/* The second run after user space's answer decodes the same bytes. */
	e->code_len = vcpu->mmio.code_len;
	memcpy(e->code, vcpu->mmio.code, sizeof(e->code));
	e->pio_buf = vcpu->pio_data;
	e->pio_buf_len = PAGE_SIZE;
	e->max_iterations = 64;
	vcpu->mmio.cur = 0;
}

static void hv_emul_commit(const struct hv_emul_run *run)
{
	struct hv_vcpu *vcpu = run->vcpu;
	bool moved = run->e.rip != vcpu->regs.rip;

	memcpy(vcpu->regs.gpr, run->e.gpr, sizeof(run->e.gpr));
	vcpu->regs.rip = run->e.rip;
	vcpu->regs.rflags = run->e.rflags;
	if (moved)
		hv_call(blocking_set)(vcpu, HV_BLOCK_SHADOW, 0);
	if (run->e.trap)
		hv_debug_stepped(vcpu);
}

static void hv_emul_forget(struct hv_vcpu *vcpu)
{
	vcpu->mmio.active = false;
	vcpu->mmio.is_write = false;
	vcpu->mmio.nr = vcpu->mmio.cur = 0;
	vcpu->mmio.code_len = 0;
	vcpu->pio.active = vcpu->pio.answered = false;
}

static void hv_emul_fault(struct hv_vcpu *vcpu, const struct hv_emul_exc *exc)
{
	if (exc->vector == 14)
		hv_queue_page_fault(vcpu, exc->address, exc->error);
	else if (exc->has_error)
		hv_queue_exception_error(vcpu, exc->vector, exc->error);
	else
		hv_queue_exception(vcpu, exc->vector);
}

/* The guest's user code gets #UD; its kernel's failure is for the person who runs the VM. */
static int hv_emul_failed(struct hv_emul_run *run)
{
	struct hv_vcpu *vcpu = run->vcpu;
	struct kvm_run *kr = vcpu->run;

	vcpu->stats.emulation_failures++;
	if (run->e.cpl == 3 && !READ_ONCE(vcpu->vm->exit_on_emulation_failure)) {
		hv_queue_exception(vcpu, 6);
		return HV_NEXT_RESUME;
	}
	kr->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	kr->emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	kr->emulation_failure.ndata = 3;
	kr->emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
	kr->emulation_failure.insn_size = run->e.bytes_len;
	memset(kr->emulation_failure.insn_bytes, 0x90, sizeof(kr->emulation_failure.insn_bytes));
	memcpy(kr->emulation_failure.insn_bytes, run->e.bytes, run->e.bytes_len);
	return HV_NEXT_USER;
}

/* A read waits for user space: keep what the second run needs. */
static void hv_emul_keep(const struct hv_emul_run *run)
{
	struct hv_mmio *m = &run->vcpu->mmio;

	m->rip = run->e.rip;
	m->fault_gpa = run->gpa;
	m->fault_gpa_valid = run->gpa_valid;
	m->code_len = run->e.bytes_len;
	memcpy(m->code, run->e.bytes, sizeof(m->code));
}

static int hv_emulate_at(struct hv_vcpu *vcpu, bool gpa_valid, u64 gpa, bool may_sleep)
{
	struct hv_emul_run run;
	int r;

	run.gpa_valid = gpa_valid;
	run.gpa = gpa;
	hv_emul_begin(&run, vcpu, may_sleep);
	r = hv_emul_step(&run.e);
	switch (r) {
	case HV_EMUL_IO:
		hv_emul_commit(&run);	/* earlier iterations of a string instruction */
		hv_emul_keep(&run);
		if (!vcpu->pio.active)
			hv_mmio_exit(vcpu);
		return HV_NEXT_USER;
	case HV_EMUL_OK_IO:
		hv_emul_commit(&run);
		vcpu->stats.emulated_insns++;
		if (!vcpu->pio.active) {
			vcpu->mmio.cur = 0;
			hv_mmio_exit(vcpu);
		}
		return HV_NEXT_USER;
	case HV_EMUL_OK:
		hv_emul_commit(&run);
		vcpu->stats.emulated_insns++;
		hv_emul_forget(vcpu);
		return HV_NEXT_RESUME;
	case HV_EMUL_FAULT:
		hv_emul_commit(&run);
		hv_emul_forget(vcpu);
		hv_emul_fault(vcpu, &run.e.exc);
		return HV_NEXT_RESUME;
	case -EAGAIN:
		if (!may_sleep)
			return HV_NEXT_SLEEP;
		/* The guest's page tables would not hold still: let it try again. */
		hv_emul_forget(vcpu);
		return HV_NEXT_RESUME;
	default:
		hv_emul_forget(vcpu);
		return r < 0 ? r : hv_emul_failed(&run);
	}
}

int hv_emulate(struct hv_vcpu *vcpu, bool may_sleep)
{
	return hv_emulate_at(vcpu, false, 0, may_sleep);
}

int hv_emulate_mmio(struct hv_vcpu *vcpu, u64 gpa, bool may_sleep)
{
	return hv_emulate_at(vcpu, true, gpa, may_sleep);
}

/* ---- user space has answered --------------------------------------------------------------- */

static int hv_emul_again(struct hv_vcpu *vcpu)
{
	if (vcpu->regs.rip != vcpu->mmio.rip) {
		/* User space set the registers: this is another instruction. */
		hv_emul_forget(vcpu);
		return HV_NEXT_RESUME;
	}
	return hv_emulate_at(vcpu, vcpu->mmio.fault_gpa_valid, vcpu->mmio.fault_gpa, true);
}

static int hv_complete_pio(struct hv_vcpu *vcpu)
{
	struct hv_pio *pio = &vcpu->pio;
	u32 value = 0;

	pio->active = false;
	if (pio->string) {
		if (!pio->in) {
			/* OUTS retired before it left, perhaps after reads of device memory. */
			hv_emul_forget(vcpu);
			return HV_NEXT_RESUME;
		}
		pio->answered = true;
		return hv_emul_again(vcpu);
	}
	if (vcpu->regs.rip != pio->rip)
		return HV_NEXT_RESUME;	/* user space set the registers: not ours any more */
	if (pio->in) {
		memcpy(&value, vcpu->pio_data, pio->size);
		if (pio->size == 4)
			vcpu->regs.gpr[HV_RAX] = value;
		else
			memcpy(&vcpu->regs.gpr[HV_RAX], &value, pio->size);
	}
	hv_retire(vcpu, pio->next_rip);
	return HV_NEXT_RESUME;
}

static int hv_complete_mmio(struct hv_vcpu *vcpu)
{
	struct hv_mmio *m = &vcpu->mmio;

	m->active = false;
	if (!m->is_write) {
		memcpy(m->frag[m->cur].data, vcpu->run->mmio.data, m->frag[m->cur].len);
		return hv_emul_again(vcpu);
	}
	if (++m->cur < m->nr) {
		hv_mmio_exit(vcpu);
		return HV_NEXT_USER;
	}
	hv_emul_forget(vcpu);
	return HV_NEXT_RESUME;
}

int hv_emulate_complete(struct hv_vcpu *vcpu)
{
	if (vcpu->pio.active)
		return hv_complete_pio(vcpu);
	if (vcpu->mmio.active)
		return hv_complete_mmio(vcpu);
	if (vcpu->msr_exit.active)
		return hv_msr_complete(vcpu);
	if (vcpu->hcall.active)
		return hv_hypercall_complete(vcpu);
	return HV_NEXT_RESUME;
}
