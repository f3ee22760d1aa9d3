// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operands of the instruction emulator: registers, segmentation, memory, the stack.
 * APM vol. 2: chapter 4 segmentation, 5.3.1 canonical addresses, 8.2.18 alignment.
 */
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/string.h>
#include <linux/types.h>

#include "emulate_int.h"

int hv_emul_raise(struct hv_emul *e, u8 vector)
{
	e->exc = (struct hv_emul_exc){ .vector = vector };
	return HV_EMUL_FAULT;
}

int hv_emul_raise_code(struct hv_emul *e, u8 vector, u32 error)
{
	/* Real mode pushes no error codes (APM vol. 2, 8.4). */
	e->exc = (struct hv_emul_exc){
		.vector = vector,
		.has_error = e->cr0 & HV_CR0_PE,
		.error = error,
	};
	return HV_EMUL_FAULT;
}

int hv_emul_raise_pf(struct hv_emul *e, u64 la, u32 error)
{
	hv_emul_raise_code(e, HV_EXC_PF, error);
	e->exc.address = la;
	return HV_EMUL_FAULT;
}

enum hv_insn_mode hv_emul_mode(const struct hv_emul *e)
{
	u16 attr = e->seg[HV_SEG_CS].attr;

	if (emul_is_real(e))
		return attr & HV_SEG_ATTR_DB && !(e->rflags & HV_FL_VM) ? HV_INSN_32 : HV_INSN_16;
	if ((e->efer & HV_EFER_LMA) && (attr & HV_SEG_ATTR_L))
		return HV_INSN_64;
	return attr & HV_SEG_ATTR_DB ? HV_INSN_32 : HV_INSN_16;
}

bool emul_is_real(const struct hv_emul *e)
{
	if (!(e->cr0 & HV_CR0_PE))
		return true;
	return (e->rflags & HV_FL_VM) && !(e->efer & HV_EFER_LMA);
}

static bool is_canonical(const struct hv_emul *e, u64 la)
{
	unsigned int shift = e->cr4 & HV_CR4_LA57 ? 64 - 57 : 64 - 48;

	return (u64)((s64)(la << shift) >> shift) == la;
}

static int segment_fault(struct hv_emul *e, unsigned int seg)
{
	return hv_emul_raise_code(e, seg == HV_SEG_SS ? HV_EXC_SS : HV_EXC_GP, 0);
}

static bool segment_allows(const struct hv_emul *e, const struct hv_emul_seg *s, bool write)
{
	if (emul_is_real(e))
		return true;
	if (!(s->attr & HV_SEG_ATTR_P))
		return false;
	if (s->attr & HV_SEG_ATTR_CODE)
		return !write && (s->attr & HV_SEG_ATTR_RW);
	return !write || (s->attr & HV_SEG_ATTR_RW);
}

static bool within_limit(const struct hv_emul *e, const struct hv_emul_seg *s, u64 off,
			 unsigned int len)
{
	u64 last = off + len - 1;

	if (!emul_is_real(e) && !(s->attr & HV_SEG_ATTR_CODE) &&
	    (s->attr & HV_SEG_ATTR_EXPAND_DOWN))
		return off > s->limit && last <= (s->attr & HV_SEG_ATTR_DB ? 0xffffffff : 0xffff);
	return last <= s->limit;
}

/* #AC: unaligned data at CPL 3 with CR0.AM and RFLAGS.AC. 32 bytes need the alignment of 16. */
static bool alignment_is_checked(const struct hv_emul *e, u64 la, unsigned int len)
{
	if (e->cpl != 3 || !(e->cr0 & HV_CR0_AM) || !(e->rflags & HV_FL_AC))
		return false;
	return len <= 32 && !(len & (len - 1)) && (la & (min(len, 16U) - 1));
}

int emul_linear(struct hv_emul *e, unsigned int seg, u64 off, unsigned int len, bool write,
		u64 *la)
{
	const struct hv_emul_seg *s = &e->seg[seg];
	bool ok;

	if (e->mode == HV_INSN_64) {
		*la = seg >= HV_SEG_FS ? s->base + off : off;
		/* The last byte can only differ from the first in another page. */
		ok = is_canonical(e, *la) &&
		     (!((*la ^ (*la + len - 1)) >> 12) || is_canonical(e, *la + len - 1));
	} else {
		off = (u32)off;
		*la = (u32)(s->base + off);
		ok = segment_allows(e, s, write) && within_limit(e, s, off, len);
	}
	if (e->must_align && (*la & (len - 1)))
		return hv_emul_raise_code(e, HV_EXC_GP, 0);
	if (!ok)
		return segment_fault(e, seg);
	if (alignment_is_checked(e, *la, len))
		return hv_emul_raise_code(e, HV_EXC_AC, 0);
	return HV_EMUL_OK;
}

int emul_branch(struct hv_emul *e, u64 target)
{
	bool ok = e->mode == HV_INSN_64 ? is_canonical(e, target) :
		  target <= e->seg[HV_SEG_CS].limit;

	return ok ? HV_EMUL_OK : hv_emul_raise_code(e, HV_EXC_GP, 0);
}

int emul_read(struct hv_emul *e, u64 la, void *buf, unsigned int len, unsigned int access)
{
	return e->ops->read(e, la, buf, len, access);
}

/* A write that user space has yet to see is done as far as the instruction is concerned. */
static int absorb_io(struct hv_emul *e, int ret)
{
	if (ret != HV_EMUL_IO)
		return ret;
	e->write_pending = true;
	e->touched_io = true;
	return HV_EMUL_OK;
}

int emul_write(struct hv_emul *e, u64 la, const void *buf, unsigned int len)
{
	return absorb_io(e, e->ops->write(e, la, buf, len));
}

static bool is_high_byte(const struct hv_emul *e, unsigned int reg, unsigned int size)
{
	return size == 1 && reg >= 4 && reg < 8 && !e->insn.rex;
}

u64 emul_reg_read(const struct hv_emul *e, unsigned int reg, unsigned int size)
{
	if (is_high_byte(e, reg, size))
		return (u8)(e->gpr[reg - 4] >> 8);
	return e->gpr[reg] & hv_alu_mask(size);
}

void emul_reg_write(struct hv_emul *e, unsigned int reg, unsigned int size, u64 val)
{
	if (is_high_byte(e, reg, size))
		e->gpr[reg - 4] = (e->gpr[reg - 4] & ~0xff00ULL) | (u64)(u8)val << 8;
	else if (size >= 4)
		e->gpr[reg] = val & hv_alu_mask(size);	/* 32-bit results are zero-extended */
	else
		e->gpr[reg] = (e->gpr[reg] & ~hv_alu_mask(size)) | (val & hv_alu_mask(size));
}

int emul_rm_address(struct hv_emul *e, u64 extra, unsigned int len, bool write)
{
	u64 off;

	if (!hv_insn_is_mem(&e->insn))
		return HV_EMUL_OK;
	off = hv_insn_ea(&e->insn, e->gpr, e->next_rip) + extra;
	return emul_linear(e, e->insn.seg, off & hv_alu_mask(e->insn.addrsize), len, write,
			   &e->la);
}

int emul_rm_read(struct hv_emul *e, unsigned int size, unsigned int access, u64 *val)
{
	*val = 0;
	if (hv_insn_is_mem(&e->insn))
		return emul_read(e, e->la, val, size, access);
	*val = emul_reg_read(e, e->insn.rm, size);
	return HV_EMUL_OK;
}

int emul_rm_load(struct hv_emul *e, unsigned int size, u64 *val)
{
	int ret = emul_rm_address(e, 0, size, false);

	return ret ? ret : emul_rm_read(e, size, 0, val);
}

int emul_rm_write(struct hv_emul *e, unsigned int size, u64 val)
{
	if (hv_insn_is_mem(&e->insn))
		return emul_write(e, e->la, &val, size);
	emul_reg_write(e, e->insn.rm, size, val);
	return HV_EMUL_OK;
}

int emul_rm_replace(struct hv_emul *e, unsigned int size, u64 old, u64 val, bool locked,
		    bool *done)
{
	*done = true;
	if (locked && hv_insn_is_mem(&e->insn))
		return absorb_io(e, e->ops->cmp_write(e, e->la, &old, &val, size, done));
	return emul_rm_write(e, size, val);
}

int emul_rm_store(struct hv_emul *e, unsigned int size, u64 val)
{
	int ret = emul_rm_address(e, 0, size, true);

	return ret ? ret : emul_rm_write(e, size, val);
}

/* Width of the stack pointer in bytes (APM vol. 2, 2.4.5). */
static unsigned int stack_size(const struct hv_emul *e)
{
	if (e->mode == HV_INSN_64)
		return 8;
	return e->seg[HV_SEG_SS].attr & HV_SEG_ATTR_DB ? 4 : 2;
}

static int push_linear(struct hv_emul *e, unsigned int size, u64 *sp, u64 *la)
{
	*sp = (e->gpr[HV_RSP] - size) & hv_alu_mask(stack_size(e));
	return emul_linear(e, HV_SEG_SS, *sp, size, true, la);
}

int emul_push_probe(struct hv_emul *e, unsigned int size)
{
	u64 sp, la;
	int ret = push_linear(e, size, &sp, &la);

	return ret ? ret : e->ops->probe(e, la, size, HV_EMUL_ACC_WRITE);
}

int emul_push(struct hv_emul *e, unsigned int size, u64 val, u64 *sp)
{
	u64 la;
	int ret = push_linear(e, size, sp, &la);

	return ret ? ret : emul_write(e, la, &val, size);
}

int emul_pop(struct hv_emul *e, unsigned int size, u64 *val, u64 *sp)
{
	u64 mask = hv_alu_mask(stack_size(e));
	u64 la;
	int ret;

	*val = 0;
	*sp = (e->gpr[HV_RSP] + size) & mask;
	ret = emul_linear(e, HV_SEG_SS, e->gpr[HV_RSP] & mask, size, false, &la);
	return ret ? ret : emul_read(e, la, val, size, 0);
}

void emul_stack_set(struct hv_emul *e, u64 sp)
{
	u64 mask = hv_alu_mask(stack_size(e));

	e->gpr[HV_RSP] = (e->gpr[HV_RSP] & ~mask) | (sp & mask);
}

/* Code bytes from the CPU's own record first, then from memory, a page at a time. */
static int fetch_more(struct hv_emul *e)
{
	const struct hv_emul_seg *cs = &e->seg[HV_SEG_CS];
	unsigned int len = HV_INSN_MAX_LEN - e->bytes_len;
	unsigned int got = 0;
	u64 off = e->rip + e->bytes_len;
	u64 la;
	int ret;

	if (e->mode == HV_INSN_64) {
		la = off;
		if (!is_canonical(e, la))
			return hv_emul_raise_code(e, HV_EXC_GP, 0);
	} else {
		off = (u32)off;
		if (off > cs->limit)
			return hv_emul_raise_code(e, HV_EXC_GP, 0);
		len = min_t(u64, len, cs->limit - off + 1);
		la = (u32)(cs->base + off);
	}
	len = min_t(u64, len, 0x1000 - (la & 0xfff));
	ret = e->ops->fetch(e, la, e->bytes + e->bytes_len, len, &got);
	if (ret)
		return ret;
	if (!got || got > len)
		return -EFAULT;
	e->bytes_len += got;
	return HV_EMUL_OK;
}

int hv_emul_decode(struct hv_emul *e)
{
	int err, ret;

	e->mode = hv_emul_mode(e);
	e->bytes_len = min_t(unsigned int, e->code_len, sizeof(e->bytes));
	if (e->bytes_len)
		memcpy(e->bytes, e->code, e->bytes_len);
	for (;;) {
		err = e->bytes_len ?
		      hv_insn_decode(&e->insn, e->bytes, e->bytes_len, e->mode) : -EAGAIN;
		if (err != -EAGAIN)
			break;
		ret = fetch_more(e);
		if (ret)
			return ret;
	}
	if (err == -E2BIG)
		return hv_emul_raise_code(e, HV_EXC_GP, 0);
	if (err)
		return hv_emul_raise(e, HV_EXC_UD);
	e->next_rip = e->rip + e->insn.len;
	if (e->mode != HV_INSN_64)
		e->next_rip = (u32)e->next_rip;
	return HV_EMUL_OK;
}

void hv_emul_skip(struct hv_emul *e)
{
	e->trap = e->rflags & HV_FL_TF;
	e->rip = e->next_rip;
	e->rflags &= ~HV_FL_RF;
}
