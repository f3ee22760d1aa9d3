// SPDX-License-Identifier: GPL-2.0-only
/*
 * Table-driven x86 instruction decoder; see decode.h.
 *
 * The tables say what follows an opcode (ModRM, immediates) and what restricts it; everything else
 * is the regular part of the encoding.
 */
#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/string.h>
#include <linux/types.h>

#include "decode.h"

#define M	HV_INSN_MODRM
#define I8	HV_INSN_IMM8
#define I16	HV_INSN_IMM16
#define IZ	HV_INSN_IMMZ
#define IV	HV_INSN_IMMV
#define OFS	HV_INSN_MOFFS
#define B	HV_INSN_BYTE
#define D64	HV_INSN_D64
#define N64	HV_INSN_NO64
#define UD	HV_INSN_UNDEF
#define G3	HV_INSN_GROUP3
#define MEM	(HV_INSN_MODRM | HV_INSN_MEMONLY)
#define REG	(HV_INSN_MODRM | HV_INSN_REGONLY)
#define LK	HV_INSN_LOCKABLE
#define GR	HV_INSN_GROUP

/* The six forms of an arithmetic instruction: rm8,r8; rm,r; r8,rm8; r,rm; AL,imm8; eAX,imm. */
#define ALU(op)								\
	[op] = M | B | LK, [op + 1] = M | LK, [op + 2] = M | B,		\
	[op + 3] = M, [op + 4] = I8 | B, [op + 5] = IZ

/* Opcodes left out have no operands beyond those the opcode implies. Prefixes never get here. */
static const u16 map_one[256] = {
	ALU(0x00), [0x06 ... 0x07] = N64,
	ALU(0x08), [0x0e] = N64,
	ALU(0x10), [0x16 ... 0x17] = N64,
	ALU(0x18), [0x1e ... 0x1f] = N64,
	ALU(0x20), [0x27] = N64,
	ALU(0x28), [0x2f] = N64,
	ALU(0x30), [0x37] = N64,
	[0x38] = M | B, [0x39] = M, [0x3a] = M | B, [0x3b] = M, [0x3c] = I8 | B, [0x3d] = IZ,
	[0x3f] = N64,
	[0x50 ... 0x5f] = D64,				/* PUSH, POP */
	[0x60 ... 0x61] = N64,				/* PUSHA, POPA */
	[0x62] = MEM | N64,				/* BOUND; EVEX is told apart before */
	[0x63] = M,					/* ARPL, MOVSXD */
	[0x68] = IZ | D64, [0x69] = M | IZ, [0x6a] = I8 | D64, [0x6b] = M | I8,
	[0x6c] = B, [0x6e] = B,				/* INSB, OUTSB */
	[0x70 ... 0x7f] = I8 | D64,			/* Jcc */
	[0x80] = M | I8 | B | LK, [0x81] = M | IZ | LK,
	[0x82] = M | I8 | B | LK | N64, [0x83] = M | I8 | LK,
	[0x84] = M | B, [0x85] = M, [0x86] = M | B | LK, [0x87] = M | LK,
	[0x88] = M | B, [0x89] = M, [0x8a] = M | B, [0x8b] = M,
	[0x8c] = M | GR, [0x8d] = MEM, [0x8e] = M | GR, [0x8f] = M | D64 | GR,
	[0x9a] = IZ | I16 | N64, [0x9c ... 0x9d] = D64,
	[0xa0] = OFS | B, [0xa1] = OFS, [0xa2] = OFS | B, [0xa3] = OFS,
	[0xa4] = B, [0xa6] = B, [0xa8] = I8 | B, [0xa9] = IZ,
	[0xaa] = B, [0xac] = B, [0xae] = B,
	[0xb0 ... 0xb7] = I8 | B, [0xb8 ... 0xbf] = IV,
	[0xc0] = M | I8 | B, [0xc1] = M | I8,
	[0xc2] = I16 | D64, [0xc3] = D64,		/* RET */
	[0xc4 ... 0xc5] = MEM | N64,			/* LES, LDS; VEX is told apart before */
	[0xc6] = M | I8 | B | GR, [0xc7] = M | IZ | GR,
	[0xc8] = I16 | HV_INSN_IMM8_2 | D64, [0xc9] = D64,	/* ENTER, LEAVE */
	[0xca] = I16, [0xcd] = I8, [0xce] = N64,
	[0xd0] = M | B, [0xd1] = M, [0xd2] = M | B, [0xd3] = M,
	[0xd4 ... 0xd5] = I8 | N64, [0xd6] = N64, [0xd7] = B,
	[0xd8 ... 0xdf] = M,				/* x87 */
	[0xe0 ... 0xe3] = I8 | D64,
	[0xe4] = I8 | B, [0xe5] = I8, [0xe6] = I8 | B, [0xe7] = I8,
	[0xe8 ... 0xe9] = IZ | D64, [0xea] = IZ | I16 | N64, [0xeb] = I8 | D64,
	[0xec] = B, [0xee] = B,
	[0xf6] = M | I8 | B | G3 | LK, [0xf7] = M | IZ | G3 | LK,
	[0xfe] = M | B | LK | GR, [0xff] = M | LK | GR,
};

static const u16 map_0f[256] = {
	[0x00] = M | GR, [0x01 ... 0x03] = M, [0x04] = UD, [0x0a] = UD, [0x0c] = UD,
	[0x0d] = M, [0x0f] = M | I8,			/* PREFETCH, 3DNow! */
	[0x10 ... 0x12] = M, [0x13] = MEM, [0x14 ... 0x16] = M, [0x17] = MEM,
	[0x18 ... 0x1f] = M,
	[0x20 ... 0x23] = REG | D64 | GR, [0x24 ... 0x27] = UD,
	[0x28 ... 0x2a] = M, [0x2b] = MEM, [0x2c ... 0x2f] = M,
	[0x36] = UD, [0x39] = UD, [0x3b ... 0x3f] = UD,
	[0x40 ... 0x4f] = M, [0x50 ... 0x6f] = M,
	[0x70] = M | I8, [0x71 ... 0x73] = M | I8 | GR, [0x74 ... 0x76] = M,
	[0x78] = M | GR, [0x79] = M, [0x7a ... 0x7b] = UD, [0x7c ... 0x7f] = M,
	[0x80 ... 0x8f] = IZ | D64,			/* Jcc */
	[0x90 ... 0x9f] = M | B,			/* SETcc */
	[0xa0 ... 0xa1] = D64, [0xa3] = M, [0xa4] = M | I8, [0xa5] = M, [0xa6 ... 0xa7] = UD,
	[0xa8 ... 0xa9] = D64, [0xab] = M | LK, [0xac] = M | I8, [0xad ... 0xaf] = M,
	[0xb0] = M | B | LK, [0xb1] = M | LK, [0xb2] = MEM, [0xb3] = M | LK, [0xb4 ... 0xb5] = MEM,
	[0xb6 ... 0xb9] = M, [0xba] = M | I8 | LK | GR, [0xbb] = M | LK, [0xbc ... 0xbf] = M,
	[0xc0] = M | B | LK, [0xc1] = M | LK, [0xc2] = M | I8, [0xc3] = MEM,
	[0xc4 ... 0xc6] = M | I8, [0xc7] = M | LK,
	[0xd0 ... 0xe6] = M, [0xe7] = MEM, [0xe8 ... 0xff] = M,
};

static const u16 map_0f38[256] = {
	[0x00 ... 0x0b] = M, [0x0c ... 0x0f] = UD,
	[0x10] = M, [0x11 ... 0x13] = UD, [0x14 ... 0x15] = M, [0x16] = UD, [0x17] = M,
	[0x18 ... 0x1b] = UD, [0x1c ... 0x1e] = M, [0x1f] = UD,
	[0x20 ... 0x25] = M, [0x26 ... 0x27] = UD, [0x28 ... 0x29] = M, [0x2a] = MEM, [0x2b] = M,
	[0x2c ... 0x2f] = UD, [0x30 ... 0x35] = M, [0x36] = UD, [0x37 ... 0x41] = M,
	[0x42 ... 0x7f] = UD,
	[0x80 ... 0x82] = MEM, [0x83 ... 0xc7] = UD,	/* INVEPT, INVVPID, INVPCID */
	[0xc8 ... 0xcd] = M, [0xce] = UD, [0xcf] = M,	/* SHA, GFNI */
	[0xd0 ... 0xda] = UD, [0xdb ... 0xdf] = M, [0xe0 ... 0xef] = UD,
	[0xf0 ... 0xf1] = M, [0xf2 ... 0xf4] = UD, [0xf5] = MEM, [0xf6] = M, [0xf7] = UD,
	[0xf8 ... 0xf9] = MEM, [0xfa ... 0xff] = UD,
};

static const u16 map_0f3a[256] = {
	[0x00 ... 0x07] = UD, [0x08 ... 0x0f] = M | I8, [0x10 ... 0x13] = UD,
	[0x14 ... 0x17] = M | I8, [0x18 ... 0x1f] = UD, [0x20 ... 0x22] = M | I8,
	[0x23 ... 0x3f] = UD, [0x40 ... 0x42] = M | I8, [0x43] = UD, [0x44] = M | I8,
	[0x45 ... 0x5f] = UD, [0x60 ... 0x63] = M | I8, [0x64 ... 0xcb] = UD,
	[0xcc] = M | I8, [0xcd] = UD, [0xce ... 0xcf] = M | I8, [0xd0 ... 0xde] = UD,
	[0xdf] = M | I8, [0xe0 ... 0xff] = UD,
};

#undef M
#undef I8
#undef I16
#undef IZ
#undef IV
#undef OFS
#undef B
#undef D64
#undef N64
#undef UD
#undef G3
#undef MEM
#undef REG
#undef LK
#undef GR
#undef ALU

/* A read position. Every byte comes through cursor_get() or cursor_get_u8(), which bound it. */
struct cursor {
	const u8 *buf;
	unsigned int pos;
	unsigned int limit;	/* bytes available, at most as many as an instruction may have */
};

/* Why @bytes more cannot be had. */
static int cursor_end(const struct cursor *c, unsigned int bytes)
{
	return c->pos + bytes > HV_INSN_MAX_LEN ? -E2BIG : -EAGAIN;
}

static int cursor_get(struct cursor *c, unsigned int bytes, u64 *val)
{
	u64 v = 0;
	unsigned int i;

	if (c->pos + bytes > c->limit)
		return cursor_end(c, bytes);
	for (i = 0; i < bytes; i++)
		v |= (u64)c->buf[c->pos + i] << (8 * i);
	c->pos += bytes;
	*val = v;
	return 0;
}

static int cursor_get_u8(struct cursor *c, u8 *val)
{
	if (c->pos >= c->limit)
		return cursor_end(c, 1);
	*val = c->buf[c->pos++];
	return 0;
}

/* Little-endian value of 1, 2, 4 or 8 bytes, sign-extended. */
static int cursor_get_signed(struct cursor *c, unsigned int bytes, u64 *val)
{
	int err = cursor_get(c, bytes, val);

	if (!err && bytes < 8) {
		unsigned int shift = 64 - 8 * bytes;

		*val = (u64)((s64)(*val << shift) >> shift);
	}
	return err;
}

static int cursor_peek(const struct cursor *c, u8 *val)
{
	struct cursor copy = *c;

	return cursor_get_u8(&copy, val);
}

/* ES, CS, SS and DS overrides are ignored in 64-bit code (APM vol. 3, 1.2.4). */
static void decode_seg_prefix(struct hv_insn *insn, u8 seg)
{
	if (insn->mode == HV_INSN_64 && seg < HV_SEG_FS)
		return;
	insn->seg = seg;
	insn->prefixes |= HV_PFX_SEG;
}

/* Returns true when @byte is a prefix and was taken. A REX only counts right before the opcode. */
static bool decode_prefix(struct hv_insn *insn, u8 byte)
{
	u8 rex = 0;

	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
		decode_seg_prefix(insn, (byte >> 3) & 3);
		break;
	case 0x64:
	case 0x65:
		decode_seg_prefix(insn, byte - 0x64 + HV_SEG_FS);
		break;
	case 0x66:
		insn->prefixes |= HV_PFX_OPSIZE;
		break;
	case 0x67:
		insn->prefixes |= HV_PFX_ADDRSIZE;
		break;
	case 0xf0:
		insn->prefixes |= HV_PFX_LOCK;
		break;
	case 0xf2:
		insn->prefixes = (insn->prefixes & ~HV_PFX_REP) | HV_PFX_REPNE;
		break;
	case 0xf3:
		insn->prefixes = (insn->prefixes & ~HV_PFX_REPNE) | HV_PFX_REP;
		break;
	case 0x40 ... 0x4f:
		if (insn->mode != HV_INSN_64)
			return false;
		rex = HV_REX_PRESENT | (byte & 0xf);
		break;
	default:
		return false;
	}
	insn->rex = rex;
	return true;
}

static u8 vector_length(u8 l)
{
	return 16 << l;
}

/*
 * Is this C4, C5, 62 or 8F byte a vector prefix? In 64-bit code C4, C5 and 62 always are; elsewhere
 * they are only when the next byte would make LDS, LES or BOUND name a register. 8F is XOP when the
 * map field holds 8 or more, which POP (ModRM.reg 0) never does.
 */
static int is_vector_prefix(const struct hv_insn *insn, const struct cursor *c, u8 byte, bool *yes)
{
	u8 next;
	int err;

	*yes = false;
	if (byte != 0xc4 && byte != 0xc5 && byte != 0x62 && byte != 0x8f)
		return 0;
	if (insn->mode == HV_INSN_64 && byte != 0x8f) {
		*yes = true;
		return 0;
	}
	err = cursor_peek(c, &next);
	if (err)
		return err;
	*yes = byte == 0x8f ? (next & 0x1f) >= 8 : next >= 0xc0;
	return 0;
}

static int decode_vex(struct hv_insn *insn, struct cursor *c, u8 first)
{
	u8 p0, p1;
	int err;

	err = cursor_get_u8(c, &p0);
	if (err)
		return err;
	if (first == 0xc5) {
		p1 = p0;
		insn->map = HV_MAP_0F;
		p0 |= 0x60;
		p1 &= 0x7f;
	} else {
		err = cursor_get_u8(c, &p1);
		if (err)
			return err;
		insn->map = p0 & 0x1f;
	}
	insn->enc = first == 0x8f ? HV_ENC_XOP : HV_ENC_VEX;
	insn->rex = ((p0 >> 5) ^ 7) & 7;
	if (p1 & 0x80)
		insn->rex |= HV_REX_W;
	insn->vvvv = ((p1 >> 3) ^ 0xf) & 0xf;
	insn->vl = vector_length((p1 >> 2) & 1);
	insn->pp = p1 & 3;
	if (insn->enc == HV_ENC_XOP)
		return insn->map > HV_MAP_XOPA ? -EINVAL : 0;
	return insn->map < HV_MAP_0F || insn->map > HV_MAP_0F3A ? -EINVAL : 0;
}

/* The registers above 15 are not told apart: nothing that emulates looks at EVEX operands. */
static int decode_evex(struct hv_insn *insn, struct cursor *c)
{
	u64 p;
	int err;

	err = cursor_get(c, 3, &p);
	if (err)
		return err;
	insn->enc = HV_ENC_EVEX;
	insn->map = p & 7;
	insn->rex = ((p >> 5) ^ 7) & 7;
	if (p & BIT(15))
		insn->rex |= HV_REX_W;
	insn->vvvv = ((p >> 11) ^ 0xf) & 0xf;
	insn->pp = (p >> 8) & 3;
	insn->vl = vector_length((p >> 21) & 3 & ~((p >> 22) & 1));
	if (!(p & BIT(10)) || (p & BIT(3)))
		return -EINVAL;
	switch (insn->map) {
	case HV_MAP_0F:
	case HV_MAP_0F38:
	case HV_MAP_0F3A:
	case HV_MAP_EVEX5:
	case HV_MAP_EVEX6:
		return 0;
	default:
		return -EINVAL;
	}
}

/* What follows the opcode of a VEX, EVEX or XOP instruction depends on the map almost alone. */
static u16 vector_flags(const struct hv_insn *insn)
{
	switch (insn->map) {
	case HV_MAP_0F:
		if (insn->opcode == 0x77)	/* VZEROUPPER, VZEROALL */
			return insn->enc == HV_ENC_VEX ? 0 : HV_INSN_UNDEF;
		if (map_0f[insn->opcode] & HV_INSN_IMM8)
			return HV_INSN_MODRM | HV_INSN_IMM8;
		return HV_INSN_MODRM;
	case HV_MAP_0F3A:
	case HV_MAP_XOP8:
		return HV_INSN_MODRM | HV_INSN_IMM8;
	case HV_MAP_XOPA:
		return HV_INSN_MODRM | HV_INSN_IMMZ;
	default:
		return HV_INSN_MODRM;
	}
}

static int decode_vector(struct hv_insn *insn, struct cursor *c, u8 first)
{
	int err;

	/* A prefix that these encodings replace must not come before them. */
	if ((insn->prefixes & (HV_PFX_LOCK | HV_PFX_REP | HV_PFX_REPNE | HV_PFX_OPSIZE)) ||
	    (insn->rex & HV_REX_PRESENT))
		return -EINVAL;
	err = first == 0x62 ? decode_evex(insn, c) : decode_vex(insn, c, first);
	if (err)
		return err;
	if (insn->mode != HV_INSN_64)
		insn->rex &= ~(HV_REX_B | HV_REX_X | HV_REX_R);
	err = cursor_get_u8(c, &insn->opcode);
	if (err)
		return err;
	insn->flags = vector_flags(insn);
	return insn->flags & HV_INSN_UNDEF ? -EINVAL : 0;
}

static int decode_legacy_opcode(struct hv_insn *insn, struct cursor *c, u8 byte)
{
	const u16 *map = map_one;
	int err;

	if (byte == 0x0f) {
		insn->map = HV_MAP_0F;
		map = map_0f;
		err = cursor_get_u8(c, &byte);
		if (err)
			return err;
		if (byte == 0x38 || byte == 0x3a) {
			insn->map = byte == 0x38 ? HV_MAP_0F38 : HV_MAP_0F3A;
			map = byte == 0x38 ? map_0f38 : map_0f3a;
			err = cursor_get_u8(c, &byte);
			if (err)
				return err;
		}
	}
	insn->opcode = byte;
	insn->flags = map[byte];
	if (insn->prefixes & HV_PFX_REP)
		insn->pp = HV_PP_F3;
	else if (insn->prefixes & HV_PFX_REPNE)
		insn->pp = HV_PP_F2;
	else if (insn->prefixes & HV_PFX_OPSIZE)
		insn->pp = HV_PP_66;
	/* SSE4a EXTRQ and INSERTQ put two immediates where VMREAD has none. */
	if (insn->map == HV_MAP_0F && byte == 0x78 &&
	    (insn->prefixes & (HV_PFX_REPNE | HV_PFX_OPSIZE)))
		insn->flags |= HV_INSN_IMM8 | HV_INSN_IMM8_2;
	return insn->flags & HV_INSN_UNDEF ? -EINVAL : 0;
}

static int decode_opcode(struct hv_insn *insn, struct cursor *c)
{
	bool vector;
	u8 byte;
	int err;

	do {
		err = cursor_get_u8(c, &byte);
		if (err)
			return err;
	} while (decode_prefix(insn, byte));

	err = is_vector_prefix(insn, c, byte, &vector);
	if (err)
		return err;
	if (vector)
		return decode_vector(insn, c, byte);
	return decode_legacy_opcode(insn, c, byte);
}

static void decode_sizes(struct hv_insn *insn)
{
	bool op66 = insn->prefixes & HV_PFX_OPSIZE;
	bool op67 = insn->prefixes & HV_PFX_ADDRSIZE;

	switch (insn->mode) {
	case HV_INSN_16:
		insn->opsize = op66 ? 4 : 2;
		insn->addrsize = op67 ? 4 : 2;
		break;
	case HV_INSN_32:
		insn->opsize = op66 ? 2 : 4;
		insn->addrsize = op67 ? 2 : 4;
		break;
	default:
		insn->opsize = op66 ? 2 : insn->flags & HV_INSN_D64 ? 8 : 4;
		if (insn->rex & HV_REX_W)
			insn->opsize = 8;
		insn->addrsize = op67 ? 4 : 8;
		break;
	}
	/* MOV to and from CR and DR ignores the operand-size prefix. */
	if ((insn->flags & HV_INSN_REGONLY) && insn->map == HV_MAP_0F)
		insn->opsize = insn->mode == HV_INSN_64 ? 8 : 4;
	if (insn->flags & HV_INSN_BYTE)
		insn->opsize = 1;
}

static void use_stack_segment(struct hv_insn *insn)
{
	if (!(insn->prefixes & HV_PFX_SEG))
		insn->seg = HV_SEG_SS;
}

/* 16-bit addressing: two of BX, BP, SI, DI (APM vol. 3, 1.4.3). */
static int decode_modrm16(struct hv_insn *insn, struct cursor *c)
{
	static const u8 base[8] = { 3, 3, 5, 5, HV_REG_NONE, HV_REG_NONE, 5, 3 };
	static const u8 index[8] = { 6, 7, 6, 7, 6, 7, HV_REG_NONE, HV_REG_NONE };
	u8 rm = insn->modrm & 7;

	insn->base = base[rm];
	insn->index = index[rm];
	if (insn->mod == 0 && rm == 6) {
		insn->base = HV_REG_NONE;
		return cursor_get_signed(c, 2, &insn->disp);
	}
	if (insn->base == 5)
		use_stack_segment(insn);
	return insn->mod ? cursor_get_signed(c, insn->mod, &insn->disp) : 0;
}

static int decode_sib(struct hv_insn *insn, struct cursor *c)
{
	u8 sib;
	int err;

	err = cursor_get_u8(c, &sib);
	if (err)
		return err;
	insn->scale = sib >> 6;
	insn->index = ((sib >> 3) & 7) | (insn->rex & HV_REX_X ? 8 : 0);
	if (insn->index == 4)
		insn->index = HV_REG_NONE;
	insn->base = (sib & 7) | (insn->rex & HV_REX_B ? 8 : 0);
	if ((sib & 7) == 5 && insn->mod == 0)
		insn->base = HV_REG_NONE;
	return 0;
}

static int decode_modrm32(struct hv_insn *insn, struct cursor *c)
{
	u8 rm = insn->modrm & 7;
	int err;

	if (rm == 4) {
		err = decode_sib(insn, c);
		if (err)
			return err;
	} else if (rm == 5 && insn->mod == 0) {
		insn->base = insn->mode == HV_INSN_64 ? HV_REG_RIP : HV_REG_NONE;
		return cursor_get_signed(c, 4, &insn->disp);
	} else {
		insn->base = insn->rm;
	}
	if (insn->base == 4 || insn->base == 5)
		use_stack_segment(insn);
	if (insn->mod == 1)
		return cursor_get_signed(c, 1, &insn->disp);
	if (insn->mod == 2 || (rm == 4 && insn->base == HV_REG_NONE))
		return cursor_get_signed(c, 4, &insn->disp);
	return 0;
}

static int decode_modrm(struct hv_insn *insn, struct cursor *c)
{
	int err;

	err = cursor_get_u8(c, &insn->modrm);
	if (err)
		return err;
	insn->mod = insn->flags & HV_INSN_REGONLY ? 3 : insn->modrm >> 6;
	insn->reg = ((insn->modrm >> 3) & 7) | (insn->rex & HV_REX_R ? 8 : 0);
	insn->rm = (insn->modrm & 7) | (insn->rex & HV_REX_B ? 8 : 0);
	/*
	 * Near CALL, near JMP and PUSH share their opcode with INC and DEC, which have no 64-bit
	 * default.
	 */
	if (insn->map == HV_MAP_ONE && insn->opcode == 0xff && insn->enc == HV_ENC_LEGACY &&
	    insn->mode == HV_INSN_64 && insn->opsize == 4 &&
	    (insn->reg & 7) >= 2 && (insn->reg & 1) == 0)
		insn->opsize = 8;
	if (insn->mod == 3)
		return 0;
	return insn->addrsize == 2 ? decode_modrm16(insn, c) : decode_modrm32(insn, c);
}

#define ANY_IMM		(HV_INSN_IMM8 | HV_INSN_IMM16 | HV_INSN_IMMZ | HV_INSN_IMMV | HV_INSN_MOFFS)
#define FAR_POINTER	(HV_INSN_IMMZ | HV_INSN_IMM16)

static int decode_immediates(struct hv_insn *insn, struct cursor *c)
{
	u16 flags = insn->flags;
	u64 v = 0;
	int err = 0;

	if (!(flags & ANY_IMM) || ((flags & HV_INSN_GROUP3) && ((insn->modrm >> 3) & 7) > 1))
		return 0;
	if (flags & HV_INSN_IMM8)
		err = cursor_get_signed(c, 1, &insn->imm);
	else if (flags & HV_INSN_IMMZ)
		err = cursor_get_signed(c, insn->opsize == 2 && insn->enc == HV_ENC_LEGACY ? 2 : 4,
					&insn->imm);
	else if (flags & HV_INSN_IMM16)
		err = cursor_get(c, 2, &insn->imm);
	else if (flags & HV_INSN_IMMV)
		err = cursor_get_signed(c, insn->opsize, &insn->imm);
	else
		err = cursor_get(c, insn->addrsize, &insn->disp);
	if (err)
		return err;
	if (flags & HV_INSN_IMM8_2)
		err = cursor_get(c, 1, &v);
	else if ((flags & FAR_POINTER) == FAR_POINTER)
		err = cursor_get(c, 2, &v);
	insn->imm2 = v;
	return err;
}

/* LOCK is allowed on a read-modify-write of memory only (APM vol. 3, 1.2.5). */
static bool lock_is_valid(const struct hv_insn *insn)
{
	u8 ext = insn->reg & 7;

	/* AMD: LOCK MOV CR0 is MOV CR8 (APM vol. 3, MOV CRn). */
	if (insn->map == HV_MAP_0F && (insn->opcode == 0x20 || insn->opcode == 0x22))
		return insn->reg == 0;
	if (!(insn->flags & HV_INSN_LOCKABLE) || insn->mod == 3)
		return false;
	if (insn->map == HV_MAP_0F)
		switch (insn->opcode) {
		case 0xba:
			return ext >= 5;
		case 0xc7:
			return ext == 1;
		default:
			return true;
		}
	switch (insn->opcode) {
	case 0x80 ... 0x83:
		return ext != 7;
	case 0xf6 ... 0xf7:
		return ext == 2 || ext == 3;
	case 0xfe ... 0xff:
		return ext < 2;
	default:
		return true;
	}
}

/* Undefined members of the groups whose other members are defined (APM vol. 3, appendix A.2.4). */
static bool group_is_valid(const struct hv_insn *insn)
{
	u8 ext = insn->reg & 7;
	bool mem = insn->mod != 3;

	if (insn->map == HV_MAP_0F)
		switch (insn->opcode) {
		case 0x00:
			return ext < 6;
		case 0x20:
		case 0x22:
			return insn->reg <= 4 ? insn->reg != 1 : insn->reg == 8;
		case 0xba:
			return ext >= 4;
		case 0x71 ... 0x72:
			return !mem && (ext == 2 || ext == 4 || ext == 6);
		case 0x73:
			return !mem && (ext & 3) >= 2;
		case 0x78:
			return !(insn->flags & HV_INSN_IMM8) || !mem;
		default:
			return true;
		}
	if (insn->map != HV_MAP_ONE)
		return true;
	switch (insn->opcode) {
	case 0x8c:
		return ext < 6;
	case 0x8e:
		return ext < 6 && ext != 1;
	case 0x8f:
		return ext == 0;
	case 0xc6 ... 0xc7:
		return ext == 0 || insn->modrm == 0xf8;	/* MOV; XABORT, XBEGIN */
	case 0xfe:
		return ext < 2;
	case 0xff:
		return ext < 7 && (mem || (ext != 3 && ext != 5));
	default:
		return true;
	}
}

static int decode_check(const struct hv_insn *insn)
{
	if (insn->enc != HV_ENC_LEGACY)
		return 0;
	if ((insn->flags & HV_INSN_MEMONLY) && insn->mod == 3)
		return -EINVAL;
	if ((insn->prefixes & HV_PFX_LOCK) && !lock_is_valid(insn))
		return -EINVAL;
	if ((insn->flags & HV_INSN_GROUP) && !group_is_valid(insn))
		return -EINVAL;
	return 0;
}

int hv_insn_decode(struct hv_insn *insn, const u8 *buf, unsigned int avail,
		   enum hv_insn_mode mode)
{
	struct cursor c = { .buf = buf, .limit = min(avail, HV_INSN_MAX_LEN + 0U) };
	int err;

	memset(insn, 0, sizeof(*insn));
	insn->mode = mode;
	insn->seg = HV_SEG_DS;
	insn->base = HV_REG_NONE;
	insn->index = HV_REG_NONE;

	err = decode_opcode(insn, &c);
	if (err)
		return err;
	if (mode == HV_INSN_64 && (insn->flags & HV_INSN_NO64))
		return -EINVAL;
	decode_sizes(insn);
	if (insn->flags & HV_INSN_MODRM) {
		err = decode_modrm(insn, &c);
		if (err)
			return err;
	} else {
		insn->rm = (insn->opcode & 7) | (insn->rex & HV_REX_B ? 8 : 0);
	}
	err = decode_immediates(insn, &c);
	if (err)
		return err;
	insn->len = c.pos;
	return decode_check(insn);
}

u64 hv_insn_ea(const struct hv_insn *insn, const u64 *gpr, u64 next_rip)
{
	u64 ea = insn->disp;

	if (insn->base == HV_REG_RIP)
		ea += next_rip;
	else if (insn->base != HV_REG_NONE)
		ea += gpr[insn->base & 15];
	if (insn->index != HV_REG_NONE)
		ea += gpr[insn->index & 15] << insn->scale;
	if (insn->addrsize == 4)
		ea = (u32)ea;
	else if (insn->addrsize == 2)
		ea = (u16)ea;
	return ea;
}
