/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * MSRs that hv answers and older kernels' headers lack, or that have no name there, and their bits.
 * SDM vol. 4; APM vol. 2 appendix A; AMD BKDG and PPR.
 */
#ifndef HV_X86_MSR_DEFS_H
#define HV_X86_MSR_DEFS_H

#include <linux/bits.h>

#define HV_MSR_P5_MC_ADDR		0x00000000
#define HV_MSR_P5_MC_TYPE		0x00000001
#define HV_MSR_PLATFORM_ID		0x00000017
#define HV_MSR_EBL_CR_POWERON		0x0000002a
#define HV_MSR_EBC_FREQUENCY_ID		0x0000002c
#define HV_MSR_SMI_COUNT		0x00000034
#define HV_MSR_UCODE_WRITE		0x00000079
#define HV_MSR_UCODE_REV		0x0000008b
#define HV_MSR_FSB_FREQ			0x000000cd
#define HV_MSR_PLATFORM_INFO		0x000000ce
#define HV_MSR_MTRRCAP			0x000000fe
#define HV_MSR_ARCH_CAPABILITIES	0x0000010a
#define HV_MSR_BBL_CR_CTL3		0x0000011e
#define HV_MSR_MISC_FEATURES_ENABLES	0x00000140
#define HV_MSR_PERF_STATUS		0x00000198
#define HV_MSR_PERF_CTL			0x00000199
#define HV_MSR_POWER_CTL		0x000001fc
#define HV_MSR_MTRR_VAR_FIRST		0x00000200	/* 8 pairs of base and mask */
#define HV_MSR_MTRR_VAR_LAST		0x0000020f
#define HV_MSR_MC0_CTL2			0x00000280
#define HV_MSR_MTRR_DEF_TYPE		0x000002ff
#define HV_MSR_MC0_CTL			0x00000400
#define HV_MSR_X2APIC_FIRST		0x00000800
#define HV_MSR_X2APIC_COUNT		0x100
#define HV_MSR_XSS			0x00000da0

/* IA32_MTRR_DEF_TYPE (SDM vol. 3, 11.11.2.1) */
#define HV_MTRR_DEF_DEFINED		0xcffULL
#define HV_MTRR_CAP			0x508ULL	/* 8 variable, fixed, write combining */

/* HWCR (APM vol. 2, 3.2.10; PPR) */
#define HV_HWCR_TLB_CACHE_DIS		BIT_ULL(3)
#define HV_HWCR_FF_DIS			BIT_ULL(6)
#define HV_HWCR_IGN_NE			BIT_ULL(8)
#define HV_HWCR_MC_STATUS_WRITE		BIT_ULL(18)
#define HV_HWCR_TSC_FREQ_SEL		BIT_ULL(24)

/* CPUID faulting: offered, and turned on (SDM vol. 4, tables 2-2 and 2-21) */
#define HV_PLATFORM_INFO_CPUID_FAULT	BIT_ULL(31)
#define HV_MISC_FEATURES_CPUID_FAULT	BIT_ULL(0)

/* IA32_MISC_ENABLE (SDM vol. 4, table 2-2) */
#define HV_MISC_ENABLE_FAST_STRING	BIT_ULL(0)
#define HV_MISC_ENABLE_EMON		BIT_ULL(7)
#define HV_MISC_ENABLE_BTS_UNAVAIL	BIT_ULL(11)
#define HV_MISC_ENABLE_PEBS_UNAVAIL	BIT_ULL(12)
#define HV_MISC_ENABLE_MWAIT		BIT_ULL(18)

/* IA32_ARCH_CAPABILITIES (SDM vol. 4, table 2-2) */
#define HV_ARCH_CAP_RDCL_NO		BIT_ULL(0)
#define HV_ARCH_CAP_SSB_NO		BIT_ULL(4)
#define HV_ARCH_CAP_MDS_NO		BIT_ULL(5)
#define HV_ARCH_CAP_PSCHANGE_MC_NO	BIT_ULL(6)
#define HV_ARCH_CAP_GDS_NO		BIT_ULL(26)
#define HV_ARCH_CAP_RFDS_NO		BIT_ULL(27)
#define HV_ARCH_CAP_ITS_NO		BIT_ULL(62)

#define HV_SPEC_CTRL_DEFINED		0x87ULL		/* IBRS, STIBP, SSBD, PSFD */
#define HV_DEBUGCTL_DEFINED		0x3fULL		/* APM vol. 2, 13.1.1.6 */
#define HV_DE_CFG_LFENCE_SERIALIZE	BIT_ULL(1)

/* Machine-check registers (SDM vol. 3, 15.3) */
#define HV_MCG_CAP_BANKS		0xffULL
#define HV_MCG_CAP_CTL_P		BIT_ULL(8)
#define HV_MCG_CAP_EXT_CNT		0xff0000ULL

/* KVM's paravirtual interfaces (asm/kvm_para.h) */
#define HV_MSR_PV_WALL_CLOCK_OLD	0x00000011
#define HV_MSR_PV_SYSTEM_TIME_OLD	0x00000012
#define HV_MSR_PV_WALL_CLOCK		0x4b564d00
#define HV_MSR_PV_SYSTEM_TIME		0x4b564d01
#define HV_MSR_PV_ASYNC_PF		0x4b564d02
#define HV_MSR_PV_STEAL_TIME		0x4b564d03
#define HV_MSR_PV_EOI			0x4b564d04
#define HV_MSR_PV_POLL_CONTROL		0x4b564d05
#define HV_MSR_PV_ASYNC_PF_INT		0x4b564d06
#define HV_MSR_PV_ASYNC_PF_ACK		0x4b564d07

#endif
