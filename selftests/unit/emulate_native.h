/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Execute one instruction on the real CPU, in user mode, with every register chosen by the caller.
 *
 * A trap enters the instruction through sigreturn with RFLAGS.TF set, and the next signal (single
 * step or fault) brings the registers back. 64-bit code, and 32 and 16-bit code through
 * compatibility segments, all work the same way.
 */
#ifndef HV_UNIT_EMULATE_NATIVE_H
#define HV_UNIT_EMULATE_NATIVE_H

#include <linux/types.h>

/* Where tests put code and data: low, so that 32-bit code and absolute addresses reach them. */
#define NATIVE_CODE	0x60000000UL
#define NATIVE_DATA	0x10000000UL

/* Selectors of 64-bit Linux: flat 32-bit code, flat data, 64-bit code. */
#define NATIVE_CS32	0x23
#define NATIVE_DS	0x2b
#define NATIVE_CS64	0x33

struct native_state {
	u64 gpr[16];
	u64 rip;
	u64 rflags;
	u16 cs, ss, ds, es;
	u8 xmm[16][32];		/* the upper halves need AVX */
	/* Out: how it ended. Vector 1 is the single step after an instruction that retired. */
	unsigned int vector;
	u32 error;
	u64 cr2;
};

/* Install the signal handlers; the process may not use SIGSEGV and the like for itself then. */
void native_init(void);
bool native_has_avx(void);
/* Step over one instruction. */
void native_step(struct native_state *s);
/* Map @len bytes at exactly @addr; exits the test when that is impossible. */
void *native_map(unsigned long addr, unsigned long len, int prot);
/*
 * Make a 16 or 32-bit segment in the LDT and return its selector, or 0 when the kernel has none.
 * @contents: 0 data, 1 expand-down data, 2 code.
 */
u16 native_segment(unsigned int entry, u32 base, u32 limit, unsigned int contents, bool seg32,
		   bool readonly);

/* Deterministic random numbers; HV_TEST_SEED in the environment chooses another sequence. */
u64 native_random(void);
void native_seed(void);
/* Uniform in 0 .. n - 1 */
static inline unsigned int native_below(unsigned int n)
{
	return native_random() % n;
}

#endif
