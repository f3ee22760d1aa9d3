/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Arithmetic of the instruction emulator: results and flags as the CPU computes them, nothing
 * else. Kernel-independent.
 */
#ifndef HV_X86_EMULATE_ALU_H
#define HV_X86_EMULATE_ALU_H

#include <linux/types.h>

/* RFLAGS bits (APM vol. 2, 3.1.6). */
#define HV_FL_CF	0x00000001UL
#define HV_FL_PF	0x00000004UL
#define HV_FL_AF	0x00000010UL
#define HV_FL_ZF	0x00000040UL
#define HV_FL_SF	0x00000080UL
#define HV_FL_TF	0x00000100UL
#define HV_FL_DF	0x00000400UL
#define HV_FL_OF	0x00000800UL
#define HV_FL_RF	0x00010000UL
#define HV_FL_VM	0x00020000UL
#define HV_FL_AC	0x00040000UL
#define HV_FL_STATUS	(HV_FL_CF | HV_FL_PF | HV_FL_AF | HV_FL_ZF | HV_FL_SF | HV_FL_OF)

/* The first eight and the shifts follow the instructions' encoding (bits 5:3, ModRM.reg). */
enum hv_alu_op {
	HV_ALU_ADD, HV_ALU_OR, HV_ALU_ADC, HV_ALU_SBB,
	HV_ALU_AND, HV_ALU_SUB, HV_ALU_XOR, HV_ALU_CMP,
	HV_ALU_ROL, HV_ALU_ROR, HV_ALU_RCL, HV_ALU_RCR,
	HV_ALU_SHL, HV_ALU_SHR, HV_ALU_SAL, HV_ALU_SAR,
	HV_ALU_BT, HV_ALU_BTS, HV_ALU_BTR, HV_ALU_BTC,
	HV_ALU_TEST, HV_ALU_INC, HV_ALU_DEC, HV_ALU_NOT, HV_ALU_NEG,
	HV_ALU_SHLD, HV_ALU_SHRD,
};

/**
 * hv_alu() - one operation on operands of 1, 2, 4 or 8 bytes
 * @op: what to do
 * @size: operand size in bytes
 * @dst: first operand
 * @src: second operand; the shift count; the bit number; the bits shifted in (SHLD, SHRD)
 * @count: shift count of SHLD and SHRD, unused otherwise
 * @flags: RFLAGS, updated. Flags that the manual calls undefined get some fixed value.
 *
 * Operands may have garbage above @size. CMP, TEST and BT return @dst.
 *
 * Return: the result, zero-extended.
 */
u64 hv_alu(enum hv_alu_op op, unsigned int size, u64 dst, u64 src, unsigned int count, u64 *flags);

/** hv_alu_writes() - false for the operations that only set flags */
static inline bool hv_alu_writes(enum hv_alu_op op)
{
	return op != HV_ALU_CMP && op != HV_ALU_TEST && op != HV_ALU_BT;
}

/**
 * hv_alu_mul() - widening multiplication
 *
 * *@lo and *@hi get the two halves of the product, @size bytes each, zero-extended. CF and OF tell
 * whether the high half is significant.
 */
void hv_alu_mul(unsigned int size, bool is_signed, u64 a, u64 b, u64 *lo, u64 *hi, u64 *flags);

/**
 * hv_alu_div() - division of the 2 * @size byte number *@hi:*@lo by @divisor
 *
 * *@lo gets the quotient, *@hi the remainder. Return: false when the CPU raises #DE.
 */
bool hv_alu_div(unsigned int size, bool is_signed, u64 divisor, u64 *lo, u64 *hi);

/** hv_alu_condition() - evaluate condition code @cc (low four bits of Jcc, SETcc, CMOVcc) */
bool hv_alu_condition(unsigned int cc, u64 flags);

/** hv_alu_mask() - the bits of an operand of @size bytes */
static inline u64 hv_alu_mask(unsigned int size)
{
	return size == 8 ? ~0ULL : (1ULL << (8 * size)) - 1;
}

/** hv_alu_sext() - sign-extend the low @size bytes of @val */
static inline u64 hv_alu_sext(u64 val, unsigned int size)
{
	unsigned int shift = 64 - 8 * size;

	return (u64)((s64)(val << shift) >> shift);
}

#endif
