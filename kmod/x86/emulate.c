// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instruction emulator: entry point and the one-byte opcode map; see emulate.h.
 *
 * Only instructions that can touch memory are here, as only those can need emulation.
 */
#include <linux/compiler.h>
#include <linux/types.h>

#include "emulate_int.h"

/* Attempts of a locked update before the guest is asked to execute it again. */
#define RMW_TRIES	8

int emul_rmw(struct hv_emul *e, enum hv_alu_op op, u64 src, unsigned int count)
{
	unsigned int size = e->insn.opsize;
	bool writes = hv_alu_writes(op);
	unsigned int tries;
	u64 old, val, flags;
	bool done = true;
	int ret;

	for (tries = 0; tries < RMW_TRIES; tries++) {
		ret = emul_rm_read(e, size, writes ? HV_EMUL_ACC_WRITE : 0, &old);
		if (ret)
			return ret;
		flags = e->rflags;
		val = hv_alu(op, size, old, src, count, &flags);
		if (writes)
			ret = emul_rm_replace(e, size, old, val, emul_locked(e), &done);
		if (ret)
			return ret;
		if (done) {
			e->rflags = flags;
			return HV_EMUL_OK;
		}
	}
	return emul_stay(e);
}

/* Address and read-modify-write in one. */
static int rmw_at_rm(struct hv_emul *e, enum hv_alu_op op, u64 src)
{
	int ret = emul_rm_address(e, 0, e->insn.opsize, hv_alu_writes(op));

	return ret ? ret : emul_rmw(e, op, src, 0);
}

/* reg = reg op rm */
static int alu_reg_rm(struct hv_emul *e, enum hv_alu_op op)
{
	unsigned int size = e->insn.opsize;
	u64 val, res;
	int ret;

	ret = emul_rm_load(e, size, &val);
	if (ret)
		return ret;
	res = hv_alu(op, size, emul_reg_read(e, e->insn.reg, size), val, 0, &e->rflags);
	if (hv_alu_writes(op))
		emul_reg_write(e, e->insn.reg, size, res);
	return HV_EMUL_OK;
}

/* The opcodes below 0x40: eight operations in six forms each, the last two without memory. */
static int exec_alu(struct hv_emul *e)
{
	enum hv_alu_op op = e->insn.opcode >> 3;

	switch (e->insn.opcode & 7) {
	case 0:
	case 1:
		return rmw_at_rm(e, op, emul_reg_read(e, e->insn.reg, e->insn.opsize));
	case 2:
	case 3:
		return alu_reg_rm(e, op);
	default:
		return HV_EMUL_UNHANDLEABLE;
	}
}

static int exec_shift(struct hv_emul *e)
{
	enum hv_alu_op op = HV_ALU_ROL + (e->insn.reg & 7);

	switch (e->insn.opcode) {
	case 0xc0:
	case 0xc1:
		return rmw_at_rm(e, op, (u8)e->insn.imm);
	case 0xd0:
	case 0xd1:
		return rmw_at_rm(e, op, 1);
	default:
		return rmw_at_rm(e, op, (u8)e->gpr[HV_RCX]);
	}
}

/* XCHG with memory locks the bus without a prefix (APM vol. 3, XCHG). */
static int exec_xchg(struct hv_emul *e)
{
	unsigned int size = e->insn.opsize;
	u64 reg = emul_reg_read(e, e->insn.reg, size);
	unsigned int tries;
	bool done;
	u64 old;
	int ret;

	ret = emul_rm_address(e, 0, size, true);
	if (ret)
		return ret;
	for (tries = 0; tries < RMW_TRIES; tries++) {
		ret = emul_rm_read(e, size, HV_EMUL_ACC_WRITE, &old);
		if (ret)
			return ret;
		ret = emul_rm_replace(e, size, old, reg, true, &done);
		if (ret)
			return ret;
		if (done) {
			emul_reg_write(e, e->insn.reg, size, old);
			return HV_EMUL_OK;
		}
	}
	return emul_stay(e);
}

static int exec_mov_load(struct hv_emul *e)
{
	u64 val;
	int ret = emul_rm_load(e, e->insn.opsize, &val);

	if (!ret)
		emul_reg_write(e, e->insn.reg, e->insn.opsize, val);
	return ret;
}

/* MOV between the accumulator and an absolute offset. */
static int exec_mov_moffs(struct hv_emul *e)
{
	unsigned int size = e->insn.opsize;
	bool store = e->insn.opcode & 2;
	u64 la, val = e->gpr[HV_RAX];
	int ret;

	ret = emul_linear(e, e->insn.seg, e->insn.disp, size, store, &la);
	if (ret)
		return ret;
	if (store)
		return emul_write(e, la, &val, size);
	val = 0;
	ret = emul_read(e, la, &val, size, 0);
	if (!ret)
		emul_reg_write(e, HV_RAX, size, val);
	return ret;
}

/* Stores of a selector are 16 bits wide in memory, and zero-extended in a register. */
static int exec_mov_from_sreg(struct hv_emul *e)
{
	unsigned int size = hv_insn_is_mem(&e->insn) ? 2 : e->insn.opsize;

	return emul_rm_store(e, size, e->seg[e->insn.reg & 7].selector);
}

/* The source is 32 bits wide whatever the operand size, on AMD. */
static int exec_movsxd(struct hv_emul *e)
{
	u64 val;
	int ret;

	if (e->mode != HV_INSN_64)
		return HV_EMUL_UNHANDLEABLE;	/* ARPL */
	ret = emul_rm_load(e, 4, &val);
	if (!ret)
		emul_reg_write(e, e->insn.reg, e->insn.opsize, hv_alu_sext(val, 4));
	return ret;
}

static int exec_imul_imm(struct hv_emul *e)
{
	unsigned int size = e->insn.opsize;
	u64 val, lo, hi;
	int ret;

	ret = emul_rm_load(e, size, &val);
	if (ret)
		return ret;
	hv_alu_mul(size, true, val, e->insn.imm, &lo, &hi, &e->rflags);
	emul_reg_write(e, e->insn.reg, size, lo);
	return HV_EMUL_OK;
}

static int exec_push_rm(struct hv_emul *e)
{
	u64 val, sp;
	int ret;

	ret = emul_rm_load(e, e->insn.opsize, &val);
	if (!ret)
		ret = emul_push(e, e->insn.opsize, val, &sp);
	if (!ret)
		emul_stack_set(e, sp);
	return ret;
}

/* The destination's address is computed with the stack pointer already moved (APM vol. 3, POP). */
static int exec_pop_rm(struct hv_emul *e)
{
	u64 old_sp = e->gpr[HV_RSP];
	u64 val, sp;
	int ret;

	ret = emul_pop(e, e->insn.opsize, &val, &sp);
	if (ret)
		return ret;
	emul_stack_set(e, sp);
	ret = emul_rm_store(e, e->insn.opsize, val);
	if (ret)
		e->gpr[HV_RSP] = old_sp;
	return ret;
}

/* Near CALL and JMP through memory. A 16-bit operand in 64-bit code differs between vendors. */
static int exec_branch_rm(struct hv_emul *e, bool call)
{
	unsigned int size = e->insn.opsize;
	u64 target, sp;
	int ret;

	if (e->mode == HV_INSN_64 && size != 8)
		return HV_EMUL_UNHANDLEABLE;
	ret = emul_rm_load(e, size, &target);
	/* A fault of the stack comes before one of the target. */
	if (!ret && call)
		ret = emul_push_probe(e, size);
	if (!ret)
		ret = emul_branch(e, target);
	if (!ret && call)
		ret = emul_push(e, size, e->next_rip, &sp);
	if (ret)
		return ret;
	if (call)
		emul_stack_set(e, sp);
	e->next_rip = target;
	return HV_EMUL_OK;
}

/* MUL, IMUL, DIV and IDIV of rDX:rAX; byte operands use AH:AL. */
static int exec_muldiv(struct hv_emul *e)
{
	unsigned int size = e->insn.opsize;
	bool is_signed = e->insn.reg & 1;
	u64 val, lo, hi;
	int ret;

	ret = emul_rm_load(e, size, &val);
	if (ret)
		return ret;
	lo = e->gpr[HV_RAX] & hv_alu_mask(size);
	hi = size == 1 ? (u8)(e->gpr[HV_RAX] >> 8) : e->gpr[HV_RDX] & hv_alu_mask(size);
	if ((e->insn.reg & 7) < 6)
		hv_alu_mul(size, is_signed, lo, val, &lo, &hi, &e->rflags);
	else if (!hv_alu_div(size, is_signed, val, &lo, &hi))
		return hv_emul_raise(e, HV_EXC_DE);
	if (size == 1) {
		emul_reg_write(e, HV_RAX, 2, hi << 8 | lo);
	} else {
		emul_reg_write(e, HV_RAX, size, lo);
		emul_reg_write(e, HV_RDX, size, hi);
	}
	return HV_EMUL_OK;
}

static int exec_group3(struct hv_emul *e)
{
	switch (e->insn.reg & 7) {
	case 0:
	case 1:
		return rmw_at_rm(e, HV_ALU_TEST, e->insn.imm);
	case 2:
		return rmw_at_rm(e, HV_ALU_NOT, 0);
	case 3:
		return rmw_at_rm(e, HV_ALU_NEG, 0);
	default:
		return exec_muldiv(e);
	}
}

static int exec_group5(struct hv_emul *e)
{
	switch (e->insn.reg & 7) {
	case 0:
		return rmw_at_rm(e, HV_ALU_INC, 0);
	case 1:
		return rmw_at_rm(e, HV_ALU_DEC, 0);
	case 2:
		return exec_branch_rm(e, true);
	case 4:
		return exec_branch_rm(e, false);
	case 6:
		return exec_push_rm(e);
	default:
		return HV_EMUL_UNHANDLEABLE;	/* far CALL and JMP */
	}
}

static int exec_xlat(struct hv_emul *e)
{
	u64 off = (e->gpr[HV_RBX] + (u8)e->gpr[HV_RAX]) & hv_alu_mask(e->insn.addrsize);
	u64 la, val = 0;
	int ret;

	ret = emul_linear(e, e->insn.seg, off, 1, false, &la);
	if (!ret)
		ret = emul_read(e, la, &val, 1, 0);
	if (!ret)
		emul_reg_write(e, HV_RAX, 1, val);
	return ret;
}

int emul_map_one(struct hv_emul *e)
{
	switch (e->insn.opcode) {
	case 0x00 ... 0x3f:
		return exec_alu(e);
	case 0x63:
		return exec_movsxd(e);
	case 0x69:
	case 0x6b:
		return exec_imul_imm(e);
	case 0x6c ... 0x6f:
		return emul_string_io(e);
	case 0x80 ... 0x83:
		return rmw_at_rm(e, HV_ALU_ADD + (e->insn.reg & 7), e->insn.imm);
	case 0x84 ... 0x85:
		return rmw_at_rm(e, HV_ALU_TEST, emul_reg_read(e, e->insn.reg, e->insn.opsize));
	case 0x86 ... 0x87:
		return exec_xchg(e);
	case 0x88 ... 0x89:
		return emul_rm_store(e, e->insn.opsize,
				     emul_reg_read(e, e->insn.reg, e->insn.opsize));
	case 0x8a ... 0x8b:
		return exec_mov_load(e);
	case 0x8c:
		return exec_mov_from_sreg(e);
	case 0x8f:
		return exec_pop_rm(e);
	case 0xa0 ... 0xa3:
		return exec_mov_moffs(e);
	case 0xa4 ... 0xa7:
	case 0xaa ... 0xaf:
		return emul_string(e);
	case 0xc0 ... 0xc1:
	case 0xd0 ... 0xd3:
		return exec_shift(e);
	case 0xc6 ... 0xc7:
		if (e->insn.reg & 7)
			return HV_EMUL_UNHANDLEABLE;	/* XABORT, XBEGIN */
		return emul_rm_store(e, e->insn.opsize, e->insn.imm);
	case 0xd7:
		return exec_xlat(e);
	case 0xe4 ... 0xe7:
	case 0xec ... 0xef:
		return emul_port_io(e);
	case 0xf6 ... 0xf7:
		return exec_group3(e);
	case 0xfe:
		return rmw_at_rm(e, e->insn.reg & 1 ? HV_ALU_DEC : HV_ALU_INC, 0);
	case 0xff:
		return exec_group5(e);
	default:
		return HV_EMUL_UNHANDLEABLE;
	}
}

static int execute(struct hv_emul *e)
{
	switch (e->insn.enc) {
	case HV_ENC_VEX:
		return emul_vector(e);
	case HV_ENC_LEGACY:
		break;
	default:
		return HV_EMUL_UNHANDLEABLE;
	}
	switch (e->insn.map) {
	case HV_MAP_ONE:
		return emul_map_one(e);
	case HV_MAP_0F:
		return emul_map_0f(e);
	case HV_MAP_0F38:
		return emul_map_0f38(e);
	default:
		return HV_EMUL_UNHANDLEABLE;
	}
}

int hv_emul_step(struct hv_emul *e)
{
	int ret;

	e->trap = false;
	e->touched_io = false;
	e->write_pending = false;
	e->must_align = false;
	ret = hv_emul_decode(e);
	if (!ret)
		ret = execute(e);
	if (ret)
		return ret;
	hv_emul_skip(e);
	return e->write_pending ? HV_EMUL_OK_IO : HV_EMUL_OK;
}
