/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_KSHIM_LINUX_BITOPS_H
#define HV_KSHIM_LINUX_BITOPS_H

#include <linux/bits.h>
#include <linux/types.h>

/* Bit operations on arrays of unsigned long; not atomic, which single-threaded tests may use. */
#define BITS_TO_LONGS(n)	(((n) + BITS_PER_LONG - 1) / BITS_PER_LONG)

static inline void __set_bit(unsigned long nr, volatile unsigned long *p)
{
	p[nr / BITS_PER_LONG] |= 1UL << (nr % BITS_PER_LONG);
}

static inline void __clear_bit(unsigned long nr, volatile unsigned long *p)
{
	p[nr / BITS_PER_LONG] &= ~(1UL << (nr % BITS_PER_LONG));
}

static inline bool test_bit(unsigned long nr, const volatile unsigned long *p)
{
	return p[nr / BITS_PER_LONG] >> (nr % BITS_PER_LONG) & 1;
}

static inline bool __test_and_set_bit(unsigned long nr, volatile unsigned long *p)
{
	bool old = test_bit(nr, p);

	__set_bit(nr, p);
	return old;
}

static inline bool __test_and_clear_bit(unsigned long nr, volatile unsigned long *p)
{
	bool old = test_bit(nr, p);

	__clear_bit(nr, p);
	return old;
}

#define set_bit			__set_bit
#define clear_bit		__clear_bit
#define test_and_set_bit	__test_and_set_bit
#define test_and_clear_bit	__test_and_clear_bit

static inline unsigned long __ffs(unsigned long x)
{
	return __builtin_ctzl(x);
}

static inline unsigned long __fls(unsigned long x)
{
	return BITS_PER_LONG - 1 - __builtin_clzl(x);
}

static inline int fls(unsigned int x)
{
	return x ? 32 - __builtin_clz(x) : 0;
}

static inline int fls64(u64 x)
{
	return x ? 64 - __builtin_clzll(x) : 0;
}

#ifndef ffs
static inline int hv_kshim_ffs(int x)
{
	return __builtin_ffs(x);
}
#define ffs hv_kshim_ffs
#endif

static inline unsigned int hweight32(u32 x)
{
	return __builtin_popcount(x);
}

static inline unsigned int hweight64(u64 x)
{
	return __builtin_popcountll(x);
}

static inline u64 rol64(u64 x, unsigned int n)
{
	return x << (n & 63) | x >> (-n & 63);
}

static inline s64 sign_extend64(u64 x, int bit)
{
	return (s64)(x << (63 - bit)) >> (63 - bit);
}

static inline s32 sign_extend32(u32 x, int bit)
{
	return (s32)(x << (31 - bit)) >> (31 - bit);
}

static inline unsigned long find_first_bit(const unsigned long *p, unsigned long size)
{
	unsigned long i;

	for (i = 0; i < size; i++)
		if (p[i / 64] >> (i % 64) & 1)
			break;
	return i;
}

#endif
