/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's names of MSRs and of their bits (SDM vol. 4, APM vol. 2 appendix A). */
#ifndef HV_KSHIM_ASM_MSR_INDEX_H
#define HV_KSHIM_ASM_MSR_INDEX_H

#define MSR_IA32_TSC			0x10
#define MSR_IA32_APICBASE		0x1b
#define MSR_IA32_APICBASE_ENABLE	(1 << 11)
#define MSR_IA32_TSC_ADJUST		0x3b
#define MSR_IA32_SPEC_CTRL		0x48
#define SPEC_CTRL_SSBD			4
#define MSR_IA32_PRED_CMD		0x49
#define PRED_CMD_IBPB			1ULL
#define MSR_IA32_SYSENTER_CS		0x174
#define MSR_IA32_SYSENTER_ESP		0x175
#define MSR_IA32_SYSENTER_EIP		0x176
#define MSR_IA32_FEAT_CTL		0x3a
#define MSR_IA32_MCG_CAP		0x179
#define MSR_IA32_MCG_STATUS		0x17a
#define MSR_IA32_MCG_CTL		0x17b
#define MSR_IA32_MCG_EXT_CTL		0x4d0
#define MSR_IA32_MISC_ENABLE		0x1a0
#define MSR_IA32_PERF_CAPABILITIES 0x345
#define MSR_IA32_DEBUGCTLMSR		0x1d9
#define MSR_IA32_CR_PAT			0x277
#define MSR_IA32_TSC_DEADLINE		0x6e0
#define MSR_EFER			0xc0000080
#define EFER_SCE			(1 << 0)
#define EFER_LME			(1 << 8)
#define EFER_LMA			(1 << 10)
#define EFER_NX				(1 << 11)
#define EFER_FFXSR			(1 << 14)
#define MSR_STAR			0xc0000081
#define MSR_LSTAR			0xc0000082
#define MSR_CSTAR			0xc0000083
#define MSR_SYSCALL_MASK		0xc0000084
#define MSR_FS_BASE			0xc0000100
#define MSR_GS_BASE			0xc0000101
#define MSR_KERNEL_GS_BASE		0xc0000102
#define MSR_TSC_AUX			0xc0000103
#define MSR_K7_HWCR			0xc0010015
#define MSR_AMD64_PATCH_LOADER		0xc0010020
#define MSR_AMD64_VIRT_SPEC_CTRL	0xc001011f
#define MSR_AMD64_DE_CFG		0xc0011029

#endif
