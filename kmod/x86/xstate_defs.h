/* SPDX-License-Identifier: GPL-2.0-only */
/* Extended processor state: SDM vol. 1, chapters 10.5 (FXSAVE) and 13 (XSAVE). */
#ifndef HV_X86_XSTATE_DEFS_H
#define HV_X86_XSTATE_DEFS_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/stddef.h>
#include <linux/types.h>

/* Components of XCR0 (13.1). */
#define HV_XCR0_X87		BIT_ULL(0)
#define HV_XCR0_SSE		BIT_ULL(1)
#define HV_XCR0_AVX		BIT_ULL(2)
#define HV_XCR0_OPMASK		BIT_ULL(5)
#define HV_XCR0_ZMM_HI256	BIT_ULL(6)
#define HV_XCR0_HI16_ZMM	BIT_ULL(7)
#define HV_XCR0_AVX512		(HV_XCR0_OPMASK | HV_XCR0_ZMM_HI256 | HV_XCR0_HI16_ZMM)
#define HV_XCR0_PKRU		BIT_ULL(9)

/*
 * What hv can switch: all of them have fixed places in the standard format. Not AMX, which would
 * need IA32_XFD, nor MPX, which would need IA32_BNDCFGS and which AMD never had.
 */
#define HV_XCR0_KNOWN	(HV_XCR0_X87 | HV_XCR0_SSE | HV_XCR0_AVX | HV_XCR0_AVX512 | HV_XCR0_PKRU)
#define HV_XCR0_COMPONENTS	10	/* numbers 0 to 9 */

#define HV_FXSAVE_SIZE	512
#define HV_XSAVE_HEADER	64
#define HV_XSAVE_MIN	(HV_FXSAVE_SIZE + HV_XSAVE_HEADER)

#define HV_FCW_INIT	0x37f		/* FNINIT */
#define HV_MXCSR_INIT	0x1f80		/* 10.2.3 */
#define HV_MXCSR_MASK_DEFAULT 0xffbf	/* where FXSAVE stores 0 as the mask (11.6.6) */

/* The 64-bit FXSAVE area (table 10-2) and the XSAVE header (13.4.2). */
struct hv_fxsave {
	u16 fcw, fsw;
	u8 ftw;				/* abridged: one bit per register */
	u8 reserved1;
	u16 fop;
	u64 fip, fdp;
	u32 mxcsr, mxcsr_mask;
	u8 st[8][16];
	u8 xmm[16][16];
	u8 reserved2[96];
};
static_assert(sizeof(struct hv_fxsave) == HV_FXSAVE_SIZE);
static_assert(offsetof(struct hv_fxsave, mxcsr) == 24);
static_assert(offsetof(struct hv_fxsave, xmm) == 160);

struct hv_xsave {
	struct hv_fxsave fx;
	u64 xstate_bv;
	u64 xcomp_bv;			/* 0: standard format */
	u64 reserved[6];
};
static_assert(sizeof(struct hv_xsave) == HV_XSAVE_MIN);
static_assert(offsetof(struct hv_xsave, xstate_bv) == 512);

#endif
