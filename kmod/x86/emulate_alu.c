// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arithmetic and flags of the instruction emulator; see emulate_alu.h. APM vol. 3 chapter 3
 * describes each instruction; "undefined" flags are left to whatever the formula gives.
 */
#include <linux/compiler.h>
#include <linux/types.h>

#include "emulate_alu.h"

static void set_flag(u64 *flags, u64 flag, bool on)
{
	*flags = on ? *flags | flag : *flags & ~flag;
}

static bool msb(unsigned int size, u64 val)
{
	return val >> (8 * size - 1) & 1;
}

/* SF, ZF and PF depend on the result alone. */
static u64 result_flags(unsigned int size, u64 res)
{
	return (msb(size, res) ? HV_FL_SF : 0) | (res & hv_alu_mask(size) ? 0 : HV_FL_ZF) |
	       (__builtin_parity((u8)res) ? 0 : HV_FL_PF);
}

static void set_result_flags(u64 *flags, unsigned int size, u64 res)
{
	*flags &= ~(HV_FL_SF | HV_FL_ZF | HV_FL_PF);
	*flags |= result_flags(size, res);
}

/* All six status flags of an addition or subtraction; AF is the carry out of bit 3. */
static void set_sum_flags(u64 *flags, unsigned int size, u64 a, u64 b, u64 res, bool cf, bool of)
{
	*flags &= ~HV_FL_STATUS;
	*flags |= result_flags(size, res) | ((a ^ b ^ res) & HV_FL_AF) | (cf ? HV_FL_CF : 0) |
		  (of ? HV_FL_OF : 0);
}

static u64 alu_add(unsigned int size, u64 a, u64 b, bool carry, u64 *flags)
{
	u64 mask = hv_alu_mask(size);
	u64 res;

	a &= mask;
	b &= mask;
	res = (a + b + carry) & mask;
	set_sum_flags(flags, size, a, b, res, carry ? res <= a : res < a,
		      msb(size, (a ^ res) & (b ^ res)));
	return res;
}

static u64 alu_sub(unsigned int size, u64 a, u64 b, bool borrow, u64 *flags)
{
	u64 mask = hv_alu_mask(size);
	u64 res;

	a &= mask;
	b &= mask;
	res = (a - b - borrow) & mask;
	set_sum_flags(flags, size, a, b, res, borrow ? a <= b : a < b,
		      msb(size, (a ^ b) & (a ^ res)));
	return res;
}

static u64 alu_logic(unsigned int size, u64 res, u64 *flags)
{
	res &= hv_alu_mask(size);
	*flags &= ~HV_FL_STATUS;
	*flags |= result_flags(size, res);
	return res;
}

/* INC and DEC leave CF alone. */
static u64 alu_incdec(unsigned int size, u64 a, bool dec, u64 *flags)
{
	u64 cf = *flags & HV_FL_CF;
	u64 res = dec ? alu_sub(size, a, 1, false, flags) : alu_add(size, a, 1, false, flags);

	set_flag(flags, HV_FL_CF, cf);
	return res;
}

static u64 alu_rotate(enum hv_alu_op op, unsigned int size, u64 a, unsigned int count, u64 *flags)
{
	unsigned int bits = 8 * size;
	u64 mask = hv_alu_mask(size);
	unsigned int n = count % bits;
	u64 res;

	a &= mask;
	if (!count)
		return a;
	if (op == HV_ALU_ROL)
		res = n ? (a << n | a >> (bits - n)) & mask : a;
	else
		res = n ? (a >> n | a << (bits - n)) & mask : a;
	if (op == HV_ALU_ROL) {
		set_flag(flags, HV_FL_CF, res & 1);
		set_flag(flags, HV_FL_OF, msb(size, res) ^ (res & 1));
	} else {
		set_flag(flags, HV_FL_CF, msb(size, res));
		set_flag(flags, HV_FL_OF, msb(size, res ^ res << 1));
	}
	return res;
}

/* Rotates through carry work on bits + 1 bits; at most 63 single steps. */
static u64 alu_rotate_carry(enum hv_alu_op op, unsigned int size, u64 a, unsigned int count,
			    u64 *flags)
{
	u64 mask = hv_alu_mask(size);
	unsigned int n = count % (8 * size + 1);
	bool cf = *flags & HV_FL_CF;

	a &= mask;
	if (!count)
		return a;
	while (n--) {
		bool out = op == HV_ALU_RCL ? msb(size, a) : a & 1;

		if (op == HV_ALU_RCL)
			a = (a << 1 | cf) & mask;
		else
			a = a >> 1 | (u64)cf << (8 * size - 1);
		cf = out;
	}
	set_flag(flags, HV_FL_CF, cf);
	if (op == HV_ALU_RCL)
		set_flag(flags, HV_FL_OF, msb(size, a) ^ cf);
	else
		set_flag(flags, HV_FL_OF, msb(size, a ^ a << 1));
	return a;
}

static u64 alu_shift(enum hv_alu_op op, unsigned int size, u64 a, unsigned int count, u64 *flags)
{
	unsigned int bits = 8 * size;
	u64 mask = hv_alu_mask(size);
	u64 res;

	a &= mask;
	if (!count)
		return a;
	switch (op) {
	case HV_ALU_SHR:
		res = count < bits ? a >> count : 0;
		set_flag(flags, HV_FL_CF, count <= bits && (a >> (count - 1) & 1));
		set_flag(flags, HV_FL_OF, msb(size, a));
		break;
	case HV_ALU_SAR:
		a = hv_alu_sext(a, size);
		res = (u64)((s64)a >> count) & mask;
		set_flag(flags, HV_FL_CF, (s64)a >> (count - 1) & 1);
		set_flag(flags, HV_FL_OF, false);
		break;
	default:	/* SHL, SAL */
		res = count < bits ? a << count & mask : 0;
		set_flag(flags, HV_FL_CF, count <= bits && (a >> (bits - count) & 1));
		set_flag(flags, HV_FL_OF, msb(size, res) ^ !!(*flags & HV_FL_CF));
		break;
	}
	set_result_flags(flags, size, res);
	return res;
}

/* SHLD and SHRD; a count above the operand size is undefined for 16-bit operands. */
static u64 alu_double_shift(enum hv_alu_op op, unsigned int size, u64 a, u64 fill,
			    unsigned int count, u64 *flags)
{
	unsigned int bits = 8 * size;
	u64 mask = hv_alu_mask(size);
	u64 res;

	a &= mask;
	fill &= mask;
	if (!count)
		return a;
	count = (count - 1) % bits + 1;
	if (op == HV_ALU_SHLD) {
		res = count < bits ? (a << count | fill >> (bits - count)) & mask : fill;
		set_flag(flags, HV_FL_CF, a >> (bits - count) & 1);
	} else {
		res = count < bits ? (a >> count | fill << (bits - count)) & mask : fill;
		set_flag(flags, HV_FL_CF, a >> (count - 1) & 1);
	}
	set_flag(flags, HV_FL_OF, msb(size, a ^ res));
	set_result_flags(flags, size, res);
	return res;
}

static u64 alu_bit(enum hv_alu_op op, unsigned int size, u64 a, u64 bit, u64 *flags)
{
	u64 one = 1ULL << (bit & (8 * size - 1));

	a &= hv_alu_mask(size);
	set_flag(flags, HV_FL_CF, a & one);
	switch (op) {
	case HV_ALU_BTS:
		return a | one;
	case HV_ALU_BTR:
		return a & ~one;
	case HV_ALU_BTC:
		return a ^ one;
	default:
		return a;
	}
}

u64 hv_alu(enum hv_alu_op op, unsigned int size, u64 dst, u64 src, unsigned int count, u64 *flags)
{
	/* Counts are masked to the operand, but only 64-bit operands allow more than 31. */
	unsigned int shift = src & (size == 8 ? 63 : 31);
	u64 mask = hv_alu_mask(size);

	switch (op) {
	case HV_ALU_ADD:
		return alu_add(size, dst, src, false, flags);
	case HV_ALU_ADC:
		return alu_add(size, dst, src, *flags & HV_FL_CF, flags);
	case HV_ALU_SUB:
		return alu_sub(size, dst, src, false, flags);
	case HV_ALU_SBB:
		return alu_sub(size, dst, src, *flags & HV_FL_CF, flags);
	case HV_ALU_CMP:
		alu_sub(size, dst, src, false, flags);
		return dst & mask;
	case HV_ALU_NEG:
		return alu_sub(size, 0, dst, false, flags);
	case HV_ALU_INC:
	case HV_ALU_DEC:
		return alu_incdec(size, dst, op == HV_ALU_DEC, flags);
	case HV_ALU_NOT:
		return ~dst & mask;
	case HV_ALU_OR:
		return alu_logic(size, dst | src, flags);
	case HV_ALU_AND:
		return alu_logic(size, dst & src, flags);
	case HV_ALU_XOR:
		return alu_logic(size, dst ^ src, flags);
	case HV_ALU_TEST:
		alu_logic(size, dst & src, flags);
		return dst & mask;
	case HV_ALU_ROL:
	case HV_ALU_ROR:
		return alu_rotate(op, size, dst, shift, flags);
	case HV_ALU_RCL:
	case HV_ALU_RCR:
		return alu_rotate_carry(op, size, dst, shift, flags);
	case HV_ALU_SHL:
	case HV_ALU_SAL:
	case HV_ALU_SHR:
	case HV_ALU_SAR:
		return alu_shift(op, size, dst, shift, flags);
	case HV_ALU_SHLD:
	case HV_ALU_SHRD:
		return alu_double_shift(op, size, dst, src, count & (size == 8 ? 63 : 31), flags);
	case HV_ALU_BT:
	case HV_ALU_BTS:
	case HV_ALU_BTR:
	case HV_ALU_BTC:
		return alu_bit(op, size, dst, src, flags);
	}
	return dst & mask;
}

void hv_alu_mul(unsigned int size, bool is_signed, u64 a, u64 b, u64 *lo, u64 *hi, u64 *flags)
{
	u64 mask = hv_alu_mask(size);
	bool wide;

	if (is_signed) {
		__int128 p = (__int128)(s64)hv_alu_sext(a, size) * (s64)hv_alu_sext(b, size);

		*lo = (u64)p & mask;
		*hi = (u64)(p >> (8 * size)) & mask;
		wide = p != (s64)hv_alu_sext(*lo, size);
	} else {
		unsigned __int128 p = (unsigned __int128)(a & mask) * (b & mask);

		*lo = (u64)p & mask;
		*hi = (u64)(p >> (8 * size)) & mask;
		wide = *hi != 0;
	}
	set_flag(flags, HV_FL_CF, wide);
	set_flag(flags, HV_FL_OF, wide);
}

/* The quotient must fit: the caller has checked that @hi is below @divisor. */
static void divide_128(u64 *lo, u64 *hi, u64 divisor)
{
	asm("divq %2" : "+a" (*lo), "+d" (*hi) : "r" (divisor) : "cc");
}

static bool divide_unsigned(unsigned int size, u64 divisor, u64 *lo, u64 *hi)
{
	u64 n;

	if (*hi >= divisor)
		return false;
	if (size == 8) {
		divide_128(lo, hi, divisor);
		return true;
	}
	n = *hi << (8 * size) | *lo;
	*lo = n / divisor;
	*hi = n % divisor;
	return true;
}

bool hv_alu_div(unsigned int size, bool is_signed, u64 divisor, u64 *lo, u64 *hi)
{
	u64 mask = hv_alu_mask(size);
	u64 half = 1ULL << (8 * size - 1);
	u64 q = *lo & mask, r = *hi & mask;
	bool neg_dividend, neg_divisor;

	divisor &= mask;
	if (!is_signed) {
		if (!divide_unsigned(size, divisor, &q, &r))
			return false;
		*lo = q;
		*hi = r;
		return true;
	}
	/* Divide magnitudes; the remainder takes the dividend's sign. */
	neg_dividend = r & half;
	neg_divisor = divisor & half;
	if (neg_dividend) {
		q = -q & mask;
		r = (~r + (q == 0)) & mask;
	}
	if (neg_divisor)
		divisor = -divisor & mask;
	if (!divide_unsigned(size, divisor, &q, &r))
		return false;
	if (q > (neg_dividend != neg_divisor ? half : half - 1))
		return false;
	*lo = (neg_dividend != neg_divisor ? -q : q) & mask;
	*hi = (neg_dividend ? -r : r) & mask;
	return true;
}

bool hv_alu_condition(unsigned int cc, u64 flags)
{
	bool sf = flags & HV_FL_SF, of = flags & HV_FL_OF;
	bool yes;

	switch (cc >> 1 & 7) {
	case 0:
		yes = of;
		break;
	case 1:
		yes = flags & HV_FL_CF;
		break;
	case 2:
		yes = flags & HV_FL_ZF;
		break;
	case 3:
		yes = flags & (HV_FL_CF | HV_FL_ZF);
		break;
	case 4:
		yes = sf;
		break;
	case 5:
		yes = flags & HV_FL_PF;
		break;
	case 6:
		yes = sf != of;
		break;
	default:
		yes = (flags & HV_FL_ZF) || sf != of;
		break;
	}
	return yes != (cc & 1);
}
