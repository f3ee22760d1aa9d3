/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_KSHIM_ASM_CPUFEATURE_H
#define HV_KSHIM_ASM_CPUFEATURE_H

#include <linux/types.h>

enum {
	CPUID_1_EDX, CPUID_1_ECX, CPUID_7_0_EBX, CPUID_7_ECX, CPUID_7_EDX, CPUID_7_1_EAX,
	CPUID_D_1_EAX, CPUID_8000_0001_EDX, CPUID_8000_0001_ECX, CPUID_8000_0008_EBX, NCAPINTS
};

enum {
	X86_FEATURE_MSR_SPEC_CTRL, X86_FEATURE_IBPB, X86_FEATURE_LFENCE_RDTSC,
	X86_FEATURE_ARCH_CAPABILITIES, X86_FEATURE_RTM
};
enum {
	X86_BUG_CPU_MELTDOWN, X86_BUG_SPEC_STORE_BYPASS, X86_BUG_MDS, X86_BUG_GDS, X86_BUG_RFDS,
	X86_BUG_ITS, X86_BUG_TAA
};
#define X86_VENDOR_INTEL	0
#define X86_VENDOR_AMD		2

struct kshim_cpuinfo {
	u32 x86_capability[NCAPINTS];
	u8 x86_vendor;
};
extern struct kshim_cpuinfo boot_cpu_data;

extern unsigned long long kshim_arch_capabilities;	/* the host's; 0: it has no such MSR */

#define boot_cpu_has(f)		((f) == X86_FEATURE_IBPB || \
				 ((f) == X86_FEATURE_ARCH_CAPABILITIES && kshim_arch_capabilities))
#define boot_cpu_has_bug(b)	((b) == X86_BUG_MDS)

#endif
