// SPDX-License-Identifier: GPL-2.0-only
/*
 * String instructions and port I/O of the instruction emulator (APM vol. 3: MOVSx, CMPSx, STOSx,
 * LODSx, SCASx, INSx, OUTSx, and 1.2.6 on repeat prefixes).
 */
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/types.h>

#include "emulate_int.h"

static bool is_repeated(const struct hv_emul *e)
{
	return e->insn.prefixes & (HV_PFX_REP | HV_PFX_REPNE);
}

/* RCX, RSI and RDI are as wide as an address. */
static u64 index_read(const struct hv_emul *e, unsigned int reg)
{
	return e->gpr[reg] & hv_alu_mask(e->insn.addrsize);
}

static void index_write(struct hv_emul *e, unsigned int reg, u64 val)
{
	emul_reg_write(e, reg, e->insn.addrsize, val);
}

static void index_advance(struct hv_emul *e, unsigned int reg, unsigned int bytes)
{
	u64 step = e->rflags & HV_FL_DF ? -(u64)bytes : bytes;

	index_write(e, reg, index_read(e, reg) + step);
}

/* The source may have a segment override, the destination is always in ES. */
static int source_linear(struct hv_emul *e, unsigned int len, u64 *la)
{
	return emul_linear(e, e->insn.seg, index_read(e, HV_RSI), len, false, la);
}

static int dest_linear(struct hv_emul *e, unsigned int len, bool write, u64 *la)
{
	return emul_linear(e, HV_SEG_ES, index_read(e, HV_RDI), len, write, la);
}

/*
 * When both operands of MOVS or CMPS fault, CPUs differ on which fault is reported. MOVS looks at
 * the destination first: a device must not be read in vain.
 */
static int iterate_movs(struct hv_emul *e, unsigned int size)
{
	u64 src, dst, val = 0;
	int ret;

	ret = source_linear(e, size, &src);
	if (!ret)
		ret = dest_linear(e, size, true, &dst);
	if (!ret)
		ret = e->ops->probe(e, dst, size, HV_EMUL_ACC_WRITE);
	if (!ret)
		ret = emul_read(e, src, &val, size, 0);
	if (!ret)
		ret = emul_write(e, dst, &val, size);
	if (ret)
		return ret;
	index_advance(e, HV_RSI, size);
	index_advance(e, HV_RDI, size);
	return HV_EMUL_OK;
}

static int iterate_cmps(struct hv_emul *e, unsigned int size)
{
	u64 src, dst, a = 0, b = 0;
	int ret;

	ret = source_linear(e, size, &src);
	if (!ret)
		ret = dest_linear(e, size, false, &dst);
	if (!ret)
		ret = emul_read(e, src, &a, size, 0);
	if (!ret)
		ret = emul_read(e, dst, &b, size, 0);
	if (ret)
		return ret;
	hv_alu(HV_ALU_CMP, size, a, b, 0, &e->rflags);
	index_advance(e, HV_RSI, size);
	index_advance(e, HV_RDI, size);
	return HV_EMUL_OK;
}

static int iterate_stos(struct hv_emul *e, unsigned int size)
{
	u64 la;
	int ret;

	ret = dest_linear(e, size, true, &la);
	if (!ret)
		ret = emul_write(e, la, &e->gpr[HV_RAX], size);
	if (!ret)
		index_advance(e, HV_RDI, size);
	return ret;
}

static int iterate_lods(struct hv_emul *e, unsigned int size)
{
	u64 la, val = 0;
	int ret;

	ret = source_linear(e, size, &la);
	if (!ret)
		ret = emul_read(e, la, &val, size, 0);
	if (ret)
		return ret;
	emul_reg_write(e, HV_RAX, size, val);
	index_advance(e, HV_RSI, size);
	return HV_EMUL_OK;
}

static int iterate_scas(struct hv_emul *e, unsigned int size)
{
	u64 la, val = 0;
	int ret;

	ret = dest_linear(e, size, false, &la);
	if (!ret)
		ret = emul_read(e, la, &val, size, 0);
	if (ret)
		return ret;
	hv_alu(HV_ALU_CMP, size, e->gpr[HV_RAX], val, 0, &e->rflags);
	index_advance(e, HV_RDI, size);
	return HV_EMUL_OK;
}

static int iterate(struct hv_emul *e)
{
	unsigned int size = e->insn.opsize;

	switch (e->insn.opcode & ~1) {
	case 0xa4:
		return iterate_movs(e, size);
	case 0xa6:
		return iterate_cmps(e, size);
	case 0xaa:
		return iterate_stos(e, size);
	case 0xac:
		return iterate_lods(e, size);
	case 0xae:
		return iterate_scas(e, size);
	default:
		return HV_EMUL_UNHANDLEABLE;
	}
}

/* CMPS and SCAS also end when ZF no longer matches the prefix. */
static bool condition_ended(const struct hv_emul *e)
{
	u8 op = e->insn.opcode & ~1;

	if (op != 0xa6 && op != 0xae)
		return false;
	return !(e->rflags & HV_FL_ZF) == !!(e->insn.prefixes & HV_PFX_REP);
}

int emul_string(struct hv_emul *e)
{
	unsigned int most = e->max_iterations && !(e->rflags & HV_FL_TF) ? e->max_iterations : 1;
	unsigned int done = 0;
	u64 count;
	int ret;

	if (!is_repeated(e))
		return iterate(e);
	for (;;) {
		count = index_read(e, HV_RCX);
		if (!count)
			return HV_EMUL_OK;
		if (done == most || e->touched_io)
			return emul_stay(e);
		ret = iterate(e);
		/* Iterations already committed must reach the vCPU; the error will come again. */
		if (done && (ret < 0 || ret == HV_EMUL_UNHANDLEABLE))
			return emul_stay(e);
		if (ret)
			return ret;
		done++;
		index_write(e, HV_RCX, count - 1);
		if (condition_ended(e))
			return HV_EMUL_OK;
	}
}

/*
 * How many elements INS or OUTS can move at once: ascending, within a page, without wrapping the
 * index register, and at least one. It depends only on state that re-execution finds unchanged.
 */
static unsigned int batch_size(const struct hv_emul *e, unsigned int reg, u64 la,
			       unsigned int size)
{
	u64 room = 0x1000 - (la & 0xfff);
	u64 n = index_read(e, HV_RCX);
	u64 wrap = hv_alu_mask(e->insn.addrsize) - index_read(e, reg);

	if (!is_repeated(e) || (e->rflags & (HV_FL_DF | HV_FL_TF)))
		return 1;
	n = min(n, room / size);
	n = min(n, wrap / size);
	n = min(n, (u64)(e->pio_buf_len / size));
	return n ? n : 1;
}

static int string_commit(struct hv_emul *e, unsigned int reg, unsigned int size, unsigned int n)
{
	u64 left;

	index_advance(e, reg, n * size);
	if (!is_repeated(e))
		return HV_EMUL_OK;
	left = index_read(e, HV_RCX) - n;
	index_write(e, HV_RCX, left);
	return left ? emul_stay(e) : HV_EMUL_OK;
}

/* Check the segment for a batch; one element is enough when the rest would be outside of it. */
static int batch_linear(struct hv_emul *e, bool in, unsigned int size, unsigned int *n, u64 *la)
{
	unsigned int reg = in ? HV_RDI : HV_RSI;
	unsigned int seg = in ? HV_SEG_ES : e->insn.seg;
	u64 off = index_read(e, reg);
	u64 whole;
	int ret;

	ret = emul_linear(e, seg, off, size, in, la);
	if (ret)
		return ret;
	*n = batch_size(e, reg, *la, size);
	if (*n > 1 && (emul_linear(e, seg, off, *n * size, in, &whole) ||
		       (e->ops->batch && !e->ops->batch(e, *la, in))))
		*n = 1;
	return HV_EMUL_OK;
}

static int emul_ins(struct hv_emul *e, unsigned int size)
{
	unsigned int n;
	u64 la;
	int ret;

	ret = batch_linear(e, true, size, &n, &la);
	/* What was read from the port would be lost if the store faulted afterwards. */
	if (!ret)
		ret = e->ops->probe(e, la, n * size, HV_EMUL_ACC_WRITE);
	if (!ret)
		ret = e->ops->pio(e, true, (u16)e->gpr[HV_RDX], size, n, e->pio_buf);
	if (!ret)
		ret = emul_write(e, la, e->pio_buf, n * size);
	return ret ? ret : string_commit(e, HV_RDI, size, n);
}

static int port_write(struct hv_emul *e, u16 port, unsigned int size, unsigned int n)
{
	int ret = e->ops->pio(e, false, port, size, n, e->pio_buf);

	if (ret != HV_EMUL_IO)
		return ret;
	e->write_pending = true;
	return HV_EMUL_OK;
}

static int emul_outs(struct hv_emul *e, unsigned int size)
{
	unsigned int n;
	u64 la;
	int ret;

	ret = batch_linear(e, false, size, &n, &la);
	if (!ret)
		ret = emul_read(e, la, e->pio_buf, n * size, 0);
	if (!ret)
		ret = port_write(e, (u16)e->gpr[HV_RDX], size, n);
	return ret ? ret : string_commit(e, HV_RSI, size, n);
}

/* Ports are at most 32 bits wide. */
static unsigned int port_size(const struct hv_emul *e)
{
	return min_t(unsigned int, e->insn.opsize, 4);
}

int emul_string_io(struct hv_emul *e)
{
	bool in = e->insn.opcode < 0x6e;

	if (!e->pio_buf || e->pio_buf_len < 4)
		return -EINVAL;
	if (is_repeated(e) && !index_read(e, HV_RCX))
		return HV_EMUL_OK;
	return in ? emul_ins(e, port_size(e)) : emul_outs(e, port_size(e));
}

int emul_port_io(struct hv_emul *e)
{
	u16 port = e->insn.opcode & 8 ? (u16)e->gpr[HV_RDX] : (u8)e->insn.imm;
	unsigned int size = port_size(e);
	u32 val = 0;
	int ret;

	if (e->insn.opcode & 2) {
		val = (u32)e->gpr[HV_RAX];
		ret = e->ops->pio(e, false, port, size, 1, &val);
		if (ret == HV_EMUL_IO)
			e->write_pending = true;
		return ret == HV_EMUL_IO ? HV_EMUL_OK : ret;
	}
	ret = e->ops->pio(e, true, port, size, 1, &val);
	if (!ret)
		emul_reg_write(e, HV_RAX, size, val);
	return ret;
}
