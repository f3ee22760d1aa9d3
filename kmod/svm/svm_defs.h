/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * AMD SVM as the hardware defines it: AMD64 Architecture Programmer's Manual, volume 2 (APM2),
 * chapter 15 and appendices B (VMCB layout) and C (exit codes).
 */
#ifndef HV_SVM_DEFS_H
#define HV_SVM_DEFS_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/stddef.h>
#include <linux/types.h>

/* MSRs, APM2 15.30 */
#define SVM_MSR_VM_CR			0xc0010114
#define SVM_VM_CR_SVMDIS		BIT(4)
#define SVM_MSR_VM_HSAVE_PA		0xc0010117

/* CPUID 0x8000000a, APM3 E.4.9 */
#define SVM_CPUID_LEAF			0x8000000a
#define SVM_FEAT_NPT			BIT(0)	/* EDX from here on */
#define SVM_FEAT_LBRV			BIT(1)
#define SVM_FEAT_NRIPS			BIT(3)
#define SVM_FEAT_TSC_RATE		BIT(4)
#define SVM_FEAT_VMCB_CLEAN		BIT(5)
#define SVM_FEAT_FLUSH_BY_ASID		BIT(6)
#define SVM_FEAT_DECODE_ASSISTS		BIT(7)
#define SVM_FEAT_PAUSE_FILTER		BIT(10)
#define SVM_FEAT_PAUSE_THRESHOLD	BIT(12)

/* Intercept words, APM2 table B-1 */
#define SVM_CR_READ(n)			BIT(n)
#define SVM_CR_WRITE(n)			BIT(16 + (n))
#define SVM_DR_ALL			0xffffffffu

#define SVM_I1_INTR			BIT(0)
#define SVM_I1_NMI			BIT(1)
#define SVM_I1_SMI			BIT(2)
#define SVM_I1_INIT			BIT(3)
#define SVM_I1_VINTR			BIT(4)
#define SVM_I1_RDTSC			BIT(14)
#define SVM_I1_RDPMC			BIT(15)
#define SVM_I1_CPUID			BIT(18)
#define SVM_I1_RSM			BIT(19)
#define SVM_I1_IRET			BIT(20)
#define SVM_I1_INVD			BIT(22)
#define SVM_I1_PAUSE			BIT(23)
#define SVM_I1_HLT			BIT(24)
#define SVM_I1_INVLPGA			BIT(26)
#define SVM_I1_IOIO			BIT(27)
#define SVM_I1_MSR			BIT(28)
#define SVM_I1_SHUTDOWN			BIT(31)

#define SVM_I2_VMRUN			BIT(0)
#define SVM_I2_VMMCALL			BIT(1)
#define SVM_I2_VMLOAD			BIT(2)
#define SVM_I2_VMSAVE			BIT(3)
#define SVM_I2_STGI			BIT(4)
#define SVM_I2_CLGI			BIT(5)
#define SVM_I2_SKINIT			BIT(6)
#define SVM_I2_RDTSCP			BIT(7)
#define SVM_I2_WBINVD			BIT(9)
#define SVM_I2_MONITOR			BIT(10)
#define SVM_I2_MWAIT			BIT(11)
#define SVM_I2_XSETBV			BIT(13)
#define SVM_I2_RDPRU			BIT(14)

#define SVM_I3_INVLPGB			BIT(0)
#define SVM_I3_INVLPGB_ILLEGAL		BIT(1)
#define SVM_I3_INVPCID			BIT(2)
#define SVM_I3_MCOMMIT			BIT(3)
#define SVM_I3_TLBSYNC			BIT(4)

/* TLB_CONTROL */
#define SVM_TLB_NONE			0
#define SVM_TLB_FLUSH_ALL		1
#define SVM_TLB_FLUSH_ASID		3

/* int_ctl at offset 0x60 */
#define SVM_V_TPR_MASK			0x0f
#define SVM_V_IRQ			BIT(8)
#define SVM_V_INTR_PRIO_SHIFT		16
#define SVM_V_INTR_PRIO_MASK		(0xfu << SVM_V_INTR_PRIO_SHIFT)
#define SVM_V_IGN_TPR			BIT(20)
#define SVM_V_INTR_MASKING		BIT(24)

#define SVM_INT_SHADOW			BIT(0)	/* int_state at 0x68 */

/* EVENTINJ and EXITINTINFO, APM2 15.20 and 15.7.2 */
#define SVM_EVT_VECTOR_MASK		0xff
#define SVM_EVT_TYPE_MASK		(7u << 8)
#define SVM_EVT_INTR			(0u << 8)
#define SVM_EVT_NMI			(2u << 8)
#define SVM_EVT_EXCEPTION		(3u << 8)
#define SVM_EVT_SOFT			(4u << 8)
#define SVM_EVT_ERROR_VALID		BIT(11)
#define SVM_EVT_VALID			BIT(31)

#define SVM_NP_ENABLE			BIT(0)

/* VMCB clean bits, APM2 15.15.3; a set bit says "unchanged since the last VMRUN on this CPU" */
#define SVM_CLEAN_INTERCEPTS		BIT(0)	/* intercepts, TSC offset, pause filter */
#define SVM_CLEAN_PERM_MAP		BIT(1)
#define SVM_CLEAN_ASID			BIT(2)
#define SVM_CLEAN_INTR			BIT(3)	/* int_ctl, int_vector */
#define SVM_CLEAN_NPT			BIT(4)	/* nested CR3, G_PAT */
#define SVM_CLEAN_CR			BIT(5)	/* CR0, CR3, CR4, EFER */
#define SVM_CLEAN_DR			BIT(6)
#define SVM_CLEAN_DT			BIT(7)
#define SVM_CLEAN_SEG			BIT(8)	/* CS/DS/SS/ES, CPL */
#define SVM_CLEAN_CR2			BIT(9)
#define SVM_CLEAN_LBR			BIT(10)
#define SVM_CLEAN_ALL			0x7ffu

/* Exit codes, APM2 appendix C */
#define SVM_EXIT_CR_READ(n)		(0x000 + (n))
#define SVM_EXIT_CR_WRITE(n)		(0x010 + (n))
#define SVM_EXIT_DR_READ_0		0x020
#define SVM_EXIT_DR_WRITE_15		0x03f
#define SVM_EXIT_EXCEPTION(v)		(0x040 + (v))
#define SVM_EXIT_INTR			0x060
#define SVM_EXIT_NMI			0x061
#define SVM_EXIT_SMI			0x062
#define SVM_EXIT_INIT			0x063
#define SVM_EXIT_VINTR			0x064
#define SVM_EXIT_RDPMC			0x06f
#define SVM_EXIT_CPUID			0x072
#define SVM_EXIT_RSM			0x073
#define SVM_EXIT_IRET			0x074
#define SVM_EXIT_INVD			0x076
#define SVM_EXIT_PAUSE			0x077
#define SVM_EXIT_HLT			0x078
#define SVM_EXIT_INVLPGA		0x07a
#define SVM_EXIT_IOIO			0x07b
#define SVM_EXIT_MSR			0x07c
#define SVM_EXIT_SHUTDOWN		0x07f
#define SVM_EXIT_VMRUN			0x080
#define SVM_EXIT_VMMCALL		0x081
#define SVM_EXIT_VMLOAD			0x082
#define SVM_EXIT_VMSAVE			0x083
#define SVM_EXIT_STGI			0x084
#define SVM_EXIT_CLGI			0x085
#define SVM_EXIT_SKINIT			0x086
#define SVM_EXIT_RDTSCP			0x087
#define SVM_EXIT_WBINVD			0x089
#define SVM_EXIT_MONITOR		0x08a
#define SVM_EXIT_MWAIT			0x08b
#define SVM_EXIT_XSETBV			0x08d
#define SVM_EXIT_RDPRU			0x08e
#define SVM_EXIT_INVPCID		0x0a2
#define SVM_EXIT_NPF			0x400
#define SVM_EXIT_INVALID		((u64)-1)

/* EXITINFO1 of SVM_EXIT_IOIO, APM2 15.10.2 */
#define SVM_IOIO_IN			BIT(0)
#define SVM_IOIO_STRING			BIT(2)
#define SVM_IOIO_SIZE_SHIFT		4
#define SVM_IOIO_SIZE_MASK		(7u << SVM_IOIO_SIZE_SHIFT)
#define SVM_IOIO_PORT_SHIFT		16

/* EXITINFO1 of SVM_EXIT_NPF, APM2 15.25.6 */
#define SVM_NPF_PRESENT			BIT_ULL(0)
#define SVM_NPF_WRITE			BIT_ULL(1)
#define SVM_NPF_FETCH			BIT_ULL(4)
#define SVM_NPF_FINAL			BIT_ULL(32)	/* not in a walk of the guest's tables */

/* Nested page table entries have the format of long-mode page tables, APM2 15.25.5 */
#define SVM_NPT_PRESENT			BIT_ULL(0)
#define SVM_NPT_WRITE			BIT_ULL(1)
#define SVM_NPT_USER			BIT_ULL(2)
#define SVM_NPT_PCD			BIT_ULL(4)
#define SVM_NPT_ACCESSED		BIT_ULL(5)
#define SVM_NPT_DIRTY			BIT_ULL(6)
#define SVM_NPT_LARGE			BIT_ULL(7)
#define SVM_NPT_NX			BIT_ULL(63)

struct svm_segment {
	u16 selector;
	u16 attrib;	/* type 3:0, S 4, DPL 6:5, P 7, AVL 8, L 9, D/B 10, G 11 */
	u32 limit;
	u64 base;
} __packed;

/* Virtual machine control block: control area (0x000) and state save area (0x400). */
struct svm_vmcb {
	u32 intercept_cr;		/* 0x000 */
	u32 intercept_dr;
	u32 intercept_exceptions;
	u32 intercept1;
	u32 intercept2;			/* 0x010 */
	u32 intercept3;
	u8 reserved_018[0x3c - 0x18];
	u16 pause_filter_threshold;	/* 0x03c */
	u16 pause_filter_count;
	u64 iopm_base_pa;		/* 0x040 */
	u64 msrpm_base_pa;
	u64 tsc_offset;			/* 0x050 */
	u32 asid;			/* 0x058 */
	u32 tlb_control;
	u32 int_ctl;			/* 0x060 */
	u32 int_vector;
	u64 int_state;			/* 0x068 */
	u64 exit_code;			/* 0x070 */
	u64 exit_info1;
	u64 exit_info2;			/* 0x080 */
	u32 exit_int_info;		/* 0x088 */
	u32 exit_int_error;
	u64 np_control;			/* 0x090 */
	u64 avic_bar;
	u64 ghcb_pa;			/* 0x0a0 */
	u32 event_inj;			/* 0x0a8 */
	u32 event_inj_error;
	u64 nested_cr3;			/* 0x0b0 */
	u64 virt_ext;
	u32 clean;			/* 0x0c0 */
	u32 reserved_0c4;
	u64 next_rip;			/* 0x0c8 */
	u8 insn_len;			/* 0x0d0 */
	u8 insn_bytes[15];
	u8 reserved_0e0[0x400 - 0xe0];

	struct svm_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;	/* 0x400 */
	u8 reserved_4a0[0x4cb - 0x4a0];
	u8 cpl;				/* 0x4cb */
	u32 reserved_4cc;
	u64 efer;			/* 0x4d0 */
	u8 reserved_4d8[0x548 - 0x4d8];
	u64 cr4;			/* 0x548 */
	u64 cr3;
	u64 cr0;
	u64 dr7;
	u64 dr6;
	u64 rflags;			/* 0x570 */
	u64 rip;
	u8 reserved_580[0x5d8 - 0x580];
	u64 rsp;			/* 0x5d8 */
	u8 reserved_5e0[0x5f8 - 0x5e0];
	u64 rax;			/* 0x5f8 */
	u64 star;			/* 0x600 */
	u64 lstar;
	u64 cstar;
	u64 sfmask;
	u64 kernel_gs_base;		/* 0x620 */
	u64 sysenter_cs;
	u64 sysenter_esp;
	u64 sysenter_eip;
	u64 cr2;			/* 0x640 */
	u8 reserved_648[0x668 - 0x648];
	u64 g_pat;			/* 0x668 */
	u64 dbgctl;
	u64 br_from;
	u64 br_to;
	u64 last_excp_from;
	u64 last_excp_to;		/* 0x690 */
	u8 reserved_698[0x1000 - 0x698];
} __packed;

static_assert(offsetof(struct svm_vmcb, pause_filter_threshold) == 0x03c);
static_assert(offsetof(struct svm_vmcb, int_ctl) == 0x060);
static_assert(offsetof(struct svm_vmcb, exit_code) == 0x070);
static_assert(offsetof(struct svm_vmcb, exit_int_info) == 0x088);
static_assert(offsetof(struct svm_vmcb, event_inj) == 0x0a8);
static_assert(offsetof(struct svm_vmcb, nested_cr3) == 0x0b0);
static_assert(offsetof(struct svm_vmcb, clean) == 0x0c0);
static_assert(offsetof(struct svm_vmcb, next_rip) == 0x0c8);
static_assert(offsetof(struct svm_vmcb, es) == 0x400);
static_assert(offsetof(struct svm_vmcb, tr) == 0x490);
static_assert(offsetof(struct svm_vmcb, cpl) == 0x4cb);
static_assert(offsetof(struct svm_vmcb, efer) == 0x4d0);
static_assert(offsetof(struct svm_vmcb, cr4) == 0x548);
static_assert(offsetof(struct svm_vmcb, rflags) == 0x570);
static_assert(offsetof(struct svm_vmcb, rsp) == 0x5d8);
static_assert(offsetof(struct svm_vmcb, rax) == 0x5f8);
static_assert(offsetof(struct svm_vmcb, cr2) == 0x640);
static_assert(offsetof(struct svm_vmcb, g_pat) == 0x668);
static_assert(offsetof(struct svm_vmcb, last_excp_to) == 0x690);
static_assert(sizeof(struct svm_vmcb) == 4096);

#endif
