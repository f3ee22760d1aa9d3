// SPDX-License-Identifier: GPL-2.0-only
/* The two-byte (0F) and 0F38 opcode maps of the instruction emulator, integer instructions. */
#include <linux/string.h>
#include <linux/types.h>

#include "emulate_int.h"

#define CMPXCHG_TRIES	8

/* The condition only decides about the register: memory is read in any case. */
static int exec_cmov(struct hv_emul *e)
{
	unsigned int size = e->insn.opsize;
	u64 val;
	int ret;

	ret = emul_rm_load(e, size, &val);
	if (ret)
		return ret;
	if (!hv_alu_condition(e->insn.opcode, e->rflags))
		val = emul_reg_read(e, e->insn.reg, size);
	emul_reg_write(e, e->insn.reg, size, val);
	return HV_EMUL_OK;
}

static int exec_movx(struct hv_emul *e)
{
	unsigned int from = e->insn.opcode & 1 ? 2 : 1;
	bool sign = e->insn.opcode & 8;
	u64 val;
	int ret;

	ret = emul_rm_load(e, from, &val);
	if (!ret)
		emul_reg_write(e, e->insn.reg, e->insn.opsize,
			       sign ? hv_alu_sext(val, from) : val);
	return ret;
}

/*
 * A bit number in a register may point outside of the operand: memory is then addressed in units
 * of the operand size, the number being signed (APM vol. 3, BT).
 */
static int exec_bit_reg(struct hv_emul *e)
{
	enum hv_alu_op op = HV_ALU_BT + (e->insn.opcode >> 3 & 3);
	unsigned int size = e->insn.opsize;
	u64 bit = emul_reg_read(e, e->insn.reg, size);
	s64 unit = (s64)hv_alu_sext(bit, size) >> (size == 8 ? 6 : size == 4 ? 5 : 4);
	int ret;

	ret = emul_rm_address(e, (u64)unit * size, size, hv_alu_writes(op));
	return ret ? ret : emul_rmw(e, op, bit, 0);
}

static int exec_bit_imm(struct hv_emul *e)
{
	enum hv_alu_op op = HV_ALU_BT + (e->insn.reg & 3);
	int ret = emul_rm_address(e, 0, e->insn.opsize, hv_alu_writes(op));

	return ret ? ret : emul_rmw(e, op, e->insn.imm, 0);
}

static int exec_double_shift(struct hv_emul *e)
{
	enum hv_alu_op op = e->insn.opcode & 8 ? HV_ALU_SHRD : HV_ALU_SHLD;
	unsigned int count = e->insn.opcode & 1 ? (u8)e->gpr[HV_RCX] : (u8)e->insn.imm;
	unsigned int size = e->insn.opsize;
	int ret = emul_rm_address(e, 0, size, true);

	return ret ? ret : emul_rmw(e, op, emul_reg_read(e, e->insn.reg, size), count);
}

static int exec_imul(struct hv_emul *e)
{
	unsigned int size = e->insn.opsize;
	u64 val, lo, hi;
	int ret;

	ret = emul_rm_load(e, size, &val);
	if (ret)
		return ret;
	hv_alu_mul(size, true, emul_reg_read(e, e->insn.reg, size), val, &lo, &hi, &e->rflags);
	emul_reg_write(e, e->insn.reg, size, lo);
	return HV_EMUL_OK;
}

/*
 * The CPU also writes when the comparison fails, the value it has read. That cycle is left out:
 * without LOCK it could undo another processor's store.
 */
static int exec_cmpxchg(struct hv_emul *e)
{
	unsigned int size = e->insn.opsize;
	u64 acc = emul_reg_read(e, HV_RAX, size);
	unsigned int tries;
	u64 old, flags;
	bool done;
	int ret;

	ret = emul_rm_address(e, 0, size, true);
	if (ret)
		return ret;
	for (tries = 0; tries < CMPXCHG_TRIES; tries++) {
		ret = emul_rm_read(e, size, HV_EMUL_ACC_WRITE, &old);
		if (ret)
			return ret;
		flags = e->rflags;
		hv_alu(HV_ALU_CMP, size, acc, old, 0, &flags);
		if (!(flags & HV_FL_ZF)) {
			/* Memory is written in either case, and devices see that (SDM vol. 2). */
			done = true;
			if (hv_insn_is_mem(&e->insn))
				ret = emul_rm_replace(e, size, old, old, emul_locked(e), &done);
			if (ret)
				return ret;
			if (!done)
				continue;
			emul_reg_write(e, HV_RAX, size, old);
			e->rflags = flags;
			return HV_EMUL_OK;
		}
		ret = emul_rm_replace(e, size, old, emul_reg_read(e, e->insn.reg, size),
				      emul_locked(e), &done);
		if (ret)
			return ret;
		if (done) {
			e->rflags = flags;
			return HV_EMUL_OK;
		}
	}
	return emul_stay(e);
}

/* CMPXCHG8B and CMPXCHG16B. Always through ops->cmp_write: two halves must not be torn apart. */
static int exec_cmpxchg_pair(struct hv_emul *e)
{
	unsigned int half = e->insn.opsize == 8 ? 8 : 4;
	u8 old[16], expect[16], new[16];
	u64 lo = 0, hi = 0;
	bool done = true;
	int ret;

	e->must_align = half == 8;
	ret = emul_rm_address(e, 0, 2 * half, true);
	if (ret)
		return ret;
	ret = emul_read(e, e->la, old, 2 * half, HV_EMUL_ACC_WRITE);
	if (ret)
		return ret;
	memcpy(expect, &e->gpr[HV_RAX], half);
	memcpy(expect + half, &e->gpr[HV_RDX], half);
	memcpy(new, &e->gpr[HV_RBX], half);
	memcpy(new + half, &e->gpr[HV_RCX], half);
	if (memcmp(old, expect, 2 * half)) {
		memcpy(&lo, old, half);
		memcpy(&hi, old + half, half);
		emul_reg_write(e, HV_RAX, half, lo);
		emul_reg_write(e, HV_RDX, half, hi);
		e->rflags &= ~HV_FL_ZF;
		return HV_EMUL_OK;
	}
	ret = e->ops->cmp_write(e, e->la, old, new, 2 * half, &done);
	if (ret == HV_EMUL_IO) {
		e->write_pending = true;
		ret = HV_EMUL_OK;
	}
	if (ret)
		return ret;
	if (!done)
		return emul_stay(e);
	e->rflags |= HV_FL_ZF;
	return HV_EMUL_OK;
}

static int exec_xadd(struct hv_emul *e)
{
	unsigned int size = e->insn.opsize;
	unsigned int tries;
	u64 old, sum, flags;
	bool done;
	int ret;

	ret = emul_rm_address(e, 0, size, true);
	if (ret)
		return ret;
	for (tries = 0; tries < CMPXCHG_TRIES; tries++) {
		ret = emul_rm_read(e, size, HV_EMUL_ACC_WRITE, &old);
		if (ret)
			return ret;
		flags = e->rflags;
		sum = hv_alu(HV_ALU_ADD, size, old, emul_reg_read(e, e->insn.reg, size), 0,
			     &flags);
		/* With the same register twice the sum wins, so it is written last. */
		if (!hv_insn_is_mem(&e->insn))
			emul_reg_write(e, e->insn.reg, size, old);
		ret = emul_rm_replace(e, size, old, sum, emul_locked(e), &done);
		if (ret)
			return ret;
		if (done) {
			if (hv_insn_is_mem(&e->insn))
				emul_reg_write(e, e->insn.reg, size, old);
			e->rflags = flags;
			return HV_EMUL_OK;
		}
	}
	return emul_stay(e);
}

/* CLFLUSH, CLFLUSHOPT and CLWB check like a load; there is no cache to flush in a device. */
static int exec_group15(struct hv_emul *e)
{
	u8 ext = e->insn.reg & 7;
	int ret;

	if (!hv_insn_is_mem(&e->insn) || e->insn.pp > HV_PP_66 ||
	    !(ext == 7 || (ext == 6 && e->insn.pp == HV_PP_66)))
		return HV_EMUL_UNHANDLEABLE;
	ret = emul_rm_address(e, 0, 1, false);
	return ret ? ret : e->ops->probe(e, e->la, 1, 0);
}

/* MOVNTI and MOVDIRI have no 16-bit form, not even in 16-bit code. */
static int exec_direct_store(struct hv_emul *e)
{
	unsigned int size = e->insn.opsize == 8 ? 8 : 4;

	if (e->insn.pp != HV_PP_NONE)
		return HV_EMUL_UNHANDLEABLE;
	return emul_rm_store(e, size, emul_reg_read(e, e->insn.reg, size));
}

int emul_map_0f(struct hv_emul *e)
{
	switch (e->insn.opcode) {
	case 0x0d:
	case 0x18 ... 0x1f:
		return HV_EMUL_OK;	/* prefetches and no-operations never fault */
	case 0x40 ... 0x4f:
		return exec_cmov(e);
	case 0x90 ... 0x9f:
		return emul_rm_store(e, 1, hv_alu_condition(e->insn.opcode, e->rflags));
	case 0xa3:
	case 0xab:
	case 0xb3:
	case 0xbb:
		return exec_bit_reg(e);
	case 0xa4 ... 0xa5:
	case 0xac ... 0xad:
		return exec_double_shift(e);
	case 0xae:
		return exec_group15(e);
	case 0xaf:
		return exec_imul(e);
	case 0xb0 ... 0xb1:
		return exec_cmpxchg(e);
	case 0xb6 ... 0xb7:
	case 0xbe ... 0xbf:
		return exec_movx(e);
	case 0xba:
		return exec_bit_imm(e);
	case 0xc0 ... 0xc1:
		return exec_xadd(e);
	case 0xc3:
		return exec_direct_store(e);
	case 0xc7:
		if (!hv_insn_is_mem(&e->insn) || (e->insn.reg & 7) != 1)
			return HV_EMUL_UNHANDLEABLE;
		return exec_cmpxchg_pair(e);
	default:
		return emul_vector(e);
	}
}

static u64 swap_bytes(u64 val, unsigned int size)
{
	return __builtin_bswap64(val) >> (64 - 8 * size);
}

static int exec_movbe(struct hv_emul *e)
{
	unsigned int size = e->insn.opsize;
	u64 val;
	int ret;

	if (!hv_insn_is_mem(&e->insn) || e->insn.pp == HV_PP_F2 || e->insn.pp == HV_PP_F3)
		return HV_EMUL_UNHANDLEABLE;	/* CRC32 */
	if (e->insn.opcode == 0xf1)
		return emul_rm_store(e, size,
				     swap_bytes(emul_reg_read(e, e->insn.reg, size), size));
	ret = emul_rm_load(e, size, &val);
	if (!ret)
		emul_reg_write(e, e->insn.reg, size, swap_bytes(val, size));
	return ret;
}

int emul_map_0f38(struct hv_emul *e)
{
	switch (e->insn.opcode) {
	case 0xf0 ... 0xf1:
		return exec_movbe(e);
	case 0xf9:
		return exec_direct_store(e);
	default:
		return emul_vector(e);
	}
}
