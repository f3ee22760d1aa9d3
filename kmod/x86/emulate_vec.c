// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves between vector registers and memory (APM vol. 4): the SSE encodings and their VEX forms
 * with two operands. These are what compilers and memcpy() use on device memory.
 */
#include <linux/string.h>
#include <linux/types.h>

#include "emulate_int.h"

#define VEC_LOAD	0x01
#define VEC_STORE	0x02
#define VEC_ALIGNED	0x04	/* #GP(0) unless naturally aligned */
#define VEC_FULL	0x08	/* as wide as the vector */
#define VEC_HIGH	0x10	/* the upper eight bytes of the register */
#define VEC_MERGE	0x20	/* a load that keeps the rest; VEX has three operands */
#define VEC_GPR		0x40	/* four bytes, or eight with REX.W */
#define VEC_SCALAR	0x80	/* VEX.L is ignored */

struct vec_move {
	u8 map;
	u8 pp;
	u8 opcode;
	u8 size;	/* bytes in memory, 0 with VEC_FULL or VEC_GPR */
	u8 how;		/* VEC_* */
};

static const struct vec_move vec_moves[] = {
	{ HV_MAP_0F, HV_PP_NONE, 0x10, 0, VEC_LOAD | VEC_FULL },			/* MOVUPS */
	{ HV_MAP_0F, HV_PP_NONE, 0x11, 0, VEC_STORE | VEC_FULL },
	{ HV_MAP_0F, HV_PP_66, 0x10, 0, VEC_LOAD | VEC_FULL },				/* MOVUPD */
	{ HV_MAP_0F, HV_PP_66, 0x11, 0, VEC_STORE | VEC_FULL },
	{ HV_MAP_0F, HV_PP_F3, 0x10, 4, VEC_LOAD | VEC_SCALAR },			/* MOVSS */
	{ HV_MAP_0F, HV_PP_F3, 0x11, 4, VEC_STORE | VEC_SCALAR },
	{ HV_MAP_0F, HV_PP_F2, 0x10, 8, VEC_LOAD | VEC_SCALAR },			/* MOVSD */
	{ HV_MAP_0F, HV_PP_F2, 0x11, 8, VEC_STORE | VEC_SCALAR },
	{ HV_MAP_0F, HV_PP_NONE, 0x12, 8, VEC_LOAD | VEC_MERGE },			/* MOVLPS */
	{ HV_MAP_0F, HV_PP_NONE, 0x13, 8, VEC_STORE },
	{ HV_MAP_0F, HV_PP_66, 0x12, 8, VEC_LOAD | VEC_MERGE },				/* MOVLPD */
	{ HV_MAP_0F, HV_PP_66, 0x13, 8, VEC_STORE },
	{ HV_MAP_0F, HV_PP_NONE, 0x16, 8, VEC_LOAD | VEC_MERGE | VEC_HIGH },		/* MOVHPS */
	{ HV_MAP_0F, HV_PP_NONE, 0x17, 8, VEC_STORE | VEC_HIGH },
	{ HV_MAP_0F, HV_PP_66, 0x16, 8, VEC_LOAD | VEC_MERGE | VEC_HIGH },		/* MOVHPD */
	{ HV_MAP_0F, HV_PP_66, 0x17, 8, VEC_STORE | VEC_HIGH },
	{ HV_MAP_0F, HV_PP_NONE, 0x28, 0, VEC_LOAD | VEC_FULL | VEC_ALIGNED },		/* MOVAPS */
	{ HV_MAP_0F, HV_PP_NONE, 0x29, 0, VEC_STORE | VEC_FULL | VEC_ALIGNED },
	{ HV_MAP_0F, HV_PP_66, 0x28, 0, VEC_LOAD | VEC_FULL | VEC_ALIGNED },		/* MOVAPD */
	{ HV_MAP_0F, HV_PP_66, 0x29, 0, VEC_STORE | VEC_FULL | VEC_ALIGNED },
	{ HV_MAP_0F, HV_PP_NONE, 0x2b, 0, VEC_STORE | VEC_FULL | VEC_ALIGNED }, /* MOVNTPS */
	{ HV_MAP_0F, HV_PP_66, 0x2b, 0, VEC_STORE | VEC_FULL | VEC_ALIGNED }, /* MOVNTPD */
	{ HV_MAP_0F, HV_PP_66, 0x6e, 0, VEC_LOAD | VEC_GPR }, /* MOVD, MOVQ */
	{ HV_MAP_0F, HV_PP_66, 0x7e, 0, VEC_STORE | VEC_GPR },
	{ HV_MAP_0F, HV_PP_66, 0x6f, 0, VEC_LOAD | VEC_FULL | VEC_ALIGNED },		/* MOVDQA */
	{ HV_MAP_0F, HV_PP_66, 0x7f, 0, VEC_STORE | VEC_FULL | VEC_ALIGNED },
	{ HV_MAP_0F, HV_PP_F3, 0x6f, 0, VEC_LOAD | VEC_FULL },				/* MOVDQU */
	{ HV_MAP_0F, HV_PP_F3, 0x7f, 0, VEC_STORE | VEC_FULL },
	{ HV_MAP_0F, HV_PP_F3, 0x7e, 8, VEC_LOAD },					/* MOVQ */
	{ HV_MAP_0F, HV_PP_66, 0xd6, 8, VEC_STORE },
	{ HV_MAP_0F, HV_PP_66, 0xe7, 0, VEC_STORE | VEC_FULL | VEC_ALIGNED }, /* MOVNTDQ */
	{ HV_MAP_0F, HV_PP_F2, 0xf0, 0, VEC_LOAD | VEC_FULL },				/* LDDQU */
	{ HV_MAP_0F38, HV_PP_66, 0x2a, 0, VEC_LOAD | VEC_FULL | VEC_ALIGNED }, /* MOVNTDQA */
};

static const struct vec_move *find_move(const struct hv_insn *insn)
{
	unsigned int i;

	for (i = 0; i < sizeof(vec_moves) / sizeof(vec_moves[0]); i++) {
		const struct vec_move *m = &vec_moves[i];

		if (m->map == insn->map && m->opcode == insn->opcode && m->pp == insn->pp)
			return m;
	}
	return NULL;
}

/* Is the instruction enabled (APM vol. 2, 11.3 and 11.5)? */
static int check_enabled(struct hv_emul *e, const struct vec_move *m)
{
	bool vex = e->insn.enc == HV_ENC_VEX;

	if (vex) {
		if (emul_is_real(e) || !(e->cr4 & HV_CR4_OSXSAVE) ||
		    (e->xcr0 & HV_XCR0_AVX) != HV_XCR0_AVX || e->insn.vvvv)
			return hv_emul_raise(e, HV_EXC_UD);
		/* 256 bits make sense only where the move is as wide as the vector. */
		if (e->insn.vl == 32 && !(m->how & (VEC_FULL | VEC_SCALAR)))
			return hv_emul_raise(e, HV_EXC_UD);
	} else if ((e->cr0 & HV_CR0_EM) || !(e->cr4 & HV_CR4_OSFXSR)) {
		return hv_emul_raise(e, HV_EXC_UD);
	}
	if (e->cr0 & HV_CR0_TS)
		return hv_emul_raise(e, HV_EXC_NM);
	return HV_EMUL_OK;
}

static unsigned int move_size(const struct hv_emul *e, const struct vec_move *m)
{
	if (m->how & VEC_FULL)
		return e->insn.enc == HV_ENC_VEX ? e->insn.vl : 16;
	if (m->how & VEC_GPR)
		return e->insn.rex & HV_REX_W && e->mode == HV_INSN_64 ? 8 : 4;
	return m->size;
}

static int vec_store(struct hv_emul *e, const struct vec_move *m, unsigned int size)
{
	u8 reg[32];
	int ret;

	ret = e->ops->fpu_read(e, e->insn.reg, reg, size > 16 ? 32 : 16);
	if (ret)
		return ret;
	return emul_write(e, e->la, reg + (m->how & VEC_HIGH ? 8 : 0), size);
}

/* Short loads clear the rest of the 128 bits; VEX also clears everything above. */
static int vec_load(struct hv_emul *e, const struct vec_move *m, unsigned int size)
{
	u8 reg[32] = { 0 };
	u8 data[32];
	int ret;

	ret = emul_read(e, e->la, data, size, 0);
	if (ret)
		return ret;
	if (m->how & VEC_MERGE) {
		ret = e->ops->fpu_read(e, e->insn.reg, reg, 16);
		if (ret)
			return ret;
	}
	memcpy(reg + (m->how & VEC_HIGH ? 8 : 0), data, size);
	return e->ops->fpu_write(e, e->insn.reg, reg, size > 16 ? 32 : 16,
				 e->insn.enc == HV_ENC_VEX);
}

int emul_vector(struct hv_emul *e)
{
	const struct vec_move *m = find_move(&e->insn);
	unsigned int size;
	int ret;

	if (!m || !hv_insn_is_mem(&e->insn))
		return HV_EMUL_UNHANDLEABLE;
	if (e->insn.enc == HV_ENC_VEX && (m->how & VEC_MERGE))
		return HV_EMUL_UNHANDLEABLE;
	ret = check_enabled(e, m);
	if (ret)
		return ret;
	size = move_size(e, m);
	e->must_align = m->how & VEC_ALIGNED;
	ret = emul_rm_address(e, 0, size, m->how & VEC_STORE);
	if (ret)
		return ret;
	return m->how & VEC_STORE ? vec_store(e, m, size) : vec_load(e, m, size);
}
