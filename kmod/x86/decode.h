/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * x86 instruction decoder: bytes in, length and operands out.
 *
 * It knows the one-byte map, the 0F, 0F38 and 0F3A maps, VEX, EVEX and XOP, in 16, 32 and 64-bit
 * code. It executes nothing and reads no guest state, so it also answers "how long is this
 * instruction" where the CPU does not report it. Kernel-independent.
 *
 * Where the vendors differ the decoder follows AMD: in 64-bit code an operand-size prefix makes the
 * displacement of a near branch 16 bits wide (Intel ignores the prefix).
 *
 * Manuals: AMD APM vol. 3 chapter 1 and appendix A; Intel SDM vol. 2 chapter 2 and appendix A.
 */
#ifndef HV_X86_DECODE_H
#define HV_X86_DECODE_H

#include <linux/types.h>

/* The longest instruction; a longer one raises #GP (APM vol. 3, 1.2). */
#define HV_INSN_MAX_LEN		15

/* Code segment width. The value is the default address size in bytes. */
enum hv_insn_mode {
	HV_INSN_16 = 2,
	HV_INSN_32 = 4,
	HV_INSN_64 = 8,
};

/* Opcode maps, numbered as VEX.mmmmm and XOP.mmmmm number them. */
enum hv_insn_map {
	HV_MAP_ONE = 0,		/* one-byte opcodes */
	HV_MAP_0F = 1,
	HV_MAP_0F38 = 2,
	HV_MAP_0F3A = 3,
	HV_MAP_EVEX5 = 5,
	HV_MAP_EVEX6 = 6,
	HV_MAP_XOP8 = 8,
	HV_MAP_XOP9 = 9,
	HV_MAP_XOPA = 10,
};

enum hv_insn_enc {
	HV_ENC_LEGACY,
	HV_ENC_VEX,
	HV_ENC_EVEX,
	HV_ENC_XOP,
};

/* Segment registers in their encoding's order (ModRM.reg of MOV Sreg). */
enum hv_seg {
	HV_SEG_ES,
	HV_SEG_CS,
	HV_SEG_SS,
	HV_SEG_DS,
	HV_SEG_FS,
	HV_SEG_GS,
	HV_SEG_COUNT,
};

/* hv_insn.prefixes */
#define HV_PFX_LOCK		0x01
#define HV_PFX_REP		0x02	/* F3 is the last of F2 and F3 */
#define HV_PFX_REPNE		0x04	/* F2 is the last of F2 and F3 */
#define HV_PFX_OPSIZE		0x08
#define HV_PFX_ADDRSIZE		0x10
#define HV_PFX_SEG		0x20	/* hv_insn.seg is from a prefix that counts in this mode */

/* hv_insn.rex; also holds the VEX, XOP and EVEX equivalents (not inverted) */
#define HV_REX_B		0x01
#define HV_REX_X		0x02
#define HV_REX_R		0x04
#define HV_REX_W		0x08
#define HV_REX_PRESENT		0x40	/* a real REX prefix: SPL..DIL instead of AH..BH */

/* hv_insn.pp: the mandatory prefix in VEX.pp's numbering */
#define HV_PP_NONE		0
#define HV_PP_66		1
#define HV_PP_F3		2
#define HV_PP_F2		3

/* hv_insn.flags: properties of the opcode, from the tables in decode.c */
#define HV_INSN_MODRM		0x0001	/* has a ModRM byte */
#define HV_INSN_IMM8		0x0002	/* one immediate byte */
#define HV_INSN_IMM16		0x0004	/* 16 bits; after IMMZ: the selector of a far pointer */
#define HV_INSN_IMMZ		0x0008	/* 16 or 32 bits by operand size */
#define HV_INSN_IMMV		0x0010	/* 16, 32 or 64 bits by operand size */
#define HV_INSN_MOFFS		0x0020	/* an absolute offset, as wide as an address */
#define HV_INSN_IMM8_2		0x0040	/* a second immediate byte (ENTER, EXTRQ, INSERTQ) */
#define HV_INSN_BYTE		0x0080	/* operates on bytes whatever the operand size */
#define HV_INSN_D64		0x0100	/* operand size 64 by default in 64-bit code */
#define HV_INSN_NO64		0x0200	/* #UD in 64-bit code */
#define HV_INSN_UNDEF		0x0400	/* #UD everywhere */
#define HV_INSN_GROUP3		0x0800	/* the immediate is there only for ModRM.reg 0 and 1 */
#define HV_INSN_MEMONLY		0x1000	/* #UD with a register operand */
#define HV_INSN_REGONLY		0x2000	/* ModRM.mod is ignored, the operand is a register */
#define HV_INSN_LOCKABLE	0x4000	/* LOCK is allowed with a memory destination */
#define HV_INSN_GROUP		0x8000	/* some values of ModRM.reg are undefined */

/* No base or no index register. */
#define HV_REG_NONE		0xff
/* The base is the address of the next instruction. */
#define HV_REG_RIP		0xfe

/**
 * struct hv_insn - one decoded instruction
 * @imm:	immediate, sign-extended; a branch displacement; the offset of a far pointer
 * @disp:	displacement of the memory operand, sign-extended; an absolute offset (MOFFS)
 *		zero-extended
 * @imm2:	second immediate: nesting level of ENTER, selector of a far pointer
 * @flags:	HV_INSN_*
 * @len:	length in bytes, prefixes included
 * @mode:	enum hv_insn_mode it was decoded for
 * @opsize:	operand size in bytes: 1 (HV_INSN_BYTE), 2, 4 or 8
 * @addrsize:	address size in bytes: 2, 4 or 8
 * @prefixes:	HV_PFX_*
 * @rex:	HV_REX_*
 * @pp:		HV_PP_*
 * @enc:	enum hv_insn_enc
 * @map:	enum hv_insn_map
 * @opcode:	opcode byte within the map
 * @modrm:	the ModRM byte as it stands in the code
 * @mod:	ModRM.mod; 3 when HV_INSN_REGONLY
 * @reg:	ModRM.reg extended by REX.R
 * @rm:		ModRM.rm extended by REX.B, or the register in the opcode's low bits (no ModRM)
 * @seg:	segment of the memory operand (override or default), enum hv_seg
 * @base:	base register, HV_REG_NONE or HV_REG_RIP
 * @index:	index register or HV_REG_NONE
 * @scale:	log2 of the index's scale
 * @vvvv:	the register of VEX.vvvv (not inverted)
 * @vl:		vector length in bytes: 16, 32 or 64 (VEX, EVEX, XOP), 0 otherwise
 */
struct hv_insn {
	u64 imm;
	u64 disp;
	u16 imm2;
	u16 flags;
	u8 len;
	u8 mode;
	u8 opsize;
	u8 addrsize;
	u8 prefixes;
	u8 rex;
	u8 pp;
	u8 enc;
	u8 map;
	u8 opcode;
	u8 modrm;
	u8 mod;
	u8 reg;
	u8 rm;
	u8 seg;
	u8 base;
	u8 index;
	u8 scale;
	u8 vvvv;
	u8 vl;
};

/**
 * hv_insn_decode() - decode one instruction
 * @insn: result; unspecified on error
 * @buf: the code
 * @avail: bytes available at @buf
 * @mode: width of the code segment
 *
 * Return: 0; -EAGAIN when more than @avail bytes are needed to tell; -EINVAL for an undefined
 * encoding (the CPU raises #UD); -E2BIG when it is longer than 15 bytes (the CPU raises #GP(0)).
 */
int hv_insn_decode(struct hv_insn *insn, const u8 *buf, unsigned int avail,
		   enum hv_insn_mode mode);

/**
 * hv_insn_ea() - offset of the memory operand within its segment
 * @insn: a decoded instruction with a memory operand
 * @gpr: the sixteen general registers in encoding order (RAX, RCX, RDX, RBX, RSP, ...)
 * @next_rip: address of the following instruction
 *
 * Return: the effective address, truncated to the address size.
 */
u64 hv_insn_ea(const struct hv_insn *insn, const u64 *gpr, u64 next_rip);

/** hv_insn_is_mem() - true when the ModRM operand is in memory */
static inline bool hv_insn_is_mem(const struct hv_insn *insn)
{
	return (insn->flags & HV_INSN_MODRM) && insn->mod != 3;
}

#endif
