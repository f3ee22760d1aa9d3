/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Intel VMX as the hardware defines it: Software Developer's Manual, volume 3 (SDM): chapters 24 to
 * 31 and appendices A (capability MSRs), B (VMCS field encodings) and C (exit reasons).
 */
#ifndef HV_VMX_DEFS_H
#define HV_VMX_DEFS_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/stddef.h>
#include <linux/types.h>

/* ---- VMCS field encodings, appendix B -------------------------------------------------------- */

/* 16-bit control and guest fields */
#define VMX_VPID			0x0000
#define VMX_POSTED_VECTOR		0x0002
#define VMX_GUEST_SELECTOR(n)		(0x0800 + 2 * (n))	/* ES CS SS DS FS GS LDTR TR */
#define VMX_GUEST_INTR_STATUS		0x0810
#define VMX_GUEST_PML_INDEX		0x0812
/* 16-bit host fields */
#define VMX_HOST_ES			0x0c00
#define VMX_HOST_CS			0x0c02
#define VMX_HOST_SS			0x0c04
#define VMX_HOST_DS			0x0c06
#define VMX_HOST_FS			0x0c08
#define VMX_HOST_GS			0x0c0a
#define VMX_HOST_TR			0x0c0c
/* 64-bit control fields */
#define VMX_MSR_BITMAP			0x2004
#define VMX_EXIT_MSR_STORE		0x2006
#define VMX_EXIT_MSR_LOAD		0x2008
#define VMX_ENTRY_MSR_LOAD		0x200a
#define VMX_PML_ADDRESS			0x200e
#define VMX_TSC_OFFSET			0x2010
#define VMX_VIRTUAL_APIC_PAGE		0x2012
#define VMX_APIC_ACCESS_PAGE		0x2014
#define VMX_POSTED_DESC			0x2016
#define VMX_EPT_POINTER			0x201a
#define VMX_EOI_EXIT(n)			(0x201c + 2 * (n))
#define VMX_XSS_EXIT_BITMAP		0x202c
#define VMX_ENCLS_EXIT_BITMAP		0x202e
#define VMX_TSC_MULTIPLIER		0x2032
#define VMX_ENCLV_EXIT_BITMAP		0x2036
#define VMX_PCONFIG_EXIT_BITMAP		0x203e
/* 64-bit read-only field */
#define VMX_GUEST_PHYS_ADDR		0x2400
/* 64-bit guest fields */
#define VMX_GUEST_LINK_POINTER		0x2800
#define VMX_GUEST_DEBUGCTL		0x2802
#define VMX_GUEST_PAT			0x2804
#define VMX_GUEST_EFER			0x2806
#define VMX_GUEST_PERF_GLOBAL_CTRL	0x2808
#define VMX_GUEST_PDPTE(n)		(0x280a + 2 * (n))
/* 64-bit host fields */
#define VMX_HOST_PAT			0x2c00
#define VMX_HOST_EFER			0x2c02
#define VMX_HOST_PERF_GLOBAL_CTRL	0x2c04
/* 32-bit control fields */
#define VMX_PIN_CONTROLS		0x4000
#define VMX_CPU_CONTROLS		0x4002
#define VMX_EXCEPTION_BITMAP		0x4004
#define VMX_PF_ERROR_MASK		0x4006
#define VMX_PF_ERROR_MATCH		0x4008
#define VMX_CR3_TARGET_COUNT		0x400a
#define VMX_EXIT_CONTROLS		0x400c
#define VMX_EXIT_MSR_STORE_COUNT	0x400e
#define VMX_EXIT_MSR_LOAD_COUNT		0x4010
#define VMX_ENTRY_CONTROLS		0x4012
#define VMX_ENTRY_MSR_LOAD_COUNT	0x4014
#define VMX_ENTRY_INTR_INFO		0x4016
#define VMX_ENTRY_EXCEPTION_ERROR	0x4018
#define VMX_ENTRY_INSN_LEN		0x401a
#define VMX_TPR_THRESHOLD		0x401c
#define VMX_CPU2_CONTROLS		0x401e
#define VMX_PLE_GAP			0x4020
#define VMX_PLE_WINDOW			0x4022
#define VMX_NOTIFY_WINDOW		0x4024	/* instruction-timeout control */
/* 32-bit read-only fields */
#define VMX_INSN_ERROR			0x4400
#define VMX_EXIT_REASON			0x4402
#define VMX_EXIT_INTR_INFO		0x4404
#define VMX_EXIT_INTR_ERROR		0x4406
#define VMX_IDT_VECTORING_INFO		0x4408
#define VMX_IDT_VECTORING_ERROR		0x440a
#define VMX_EXIT_INSN_LEN		0x440c
#define VMX_EXIT_INSN_INFO		0x440e
/* 32-bit guest fields */
#define VMX_GUEST_LIMIT(n)		(0x4800 + 2 * (n))	/* as the selectors */
#define VMX_GUEST_GDTR_LIMIT		0x4810
#define VMX_GUEST_IDTR_LIMIT		0x4812
#define VMX_GUEST_ACCESS(n)		(0x4814 + 2 * (n))
#define VMX_GUEST_INTERRUPTIBILITY	0x4824
#define VMX_GUEST_ACTIVITY		0x4826
#define VMX_GUEST_SYSENTER_CS		0x482a
#define VMX_PREEMPTION_TIMER		0x482e
/* 32-bit host field */
#define VMX_HOST_SYSENTER_CS		0x4c00
/* natural-width control fields */
#define VMX_CR0_MASK			0x6000
#define VMX_CR4_MASK			0x6002
#define VMX_CR0_SHADOW			0x6004
#define VMX_CR4_SHADOW			0x6006
/* natural-width read-only fields */
#define VMX_EXIT_QUALIFICATION		0x6400
#define VMX_GUEST_LINEAR_ADDR		0x640a
/* natural-width guest fields */
#define VMX_GUEST_CR0			0x6800
#define VMX_GUEST_CR3			0x6802
#define VMX_GUEST_CR4			0x6804
#define VMX_GUEST_BASE(n)		(0x6806 + 2 * (n))	/* as the selectors */
#define VMX_GUEST_GDTR_BASE		0x6816
#define VMX_GUEST_IDTR_BASE		0x6818
#define VMX_GUEST_DR7			0x681a
#define VMX_GUEST_RSP			0x681c
#define VMX_GUEST_RIP			0x681e
#define VMX_GUEST_RFLAGS		0x6820
#define VMX_GUEST_PENDING_DEBUG		0x6822
#define VMX_GUEST_SYSENTER_ESP		0x6824
#define VMX_GUEST_SYSENTER_EIP		0x6826
/* natural-width host fields */
#define VMX_HOST_CR0			0x6c00
#define VMX_HOST_CR3			0x6c02
#define VMX_HOST_CR4			0x6c04
#define VMX_HOST_FS_BASE		0x6c06
#define VMX_HOST_GS_BASE		0x6c08
#define VMX_HOST_TR_BASE		0x6c0a
#define VMX_HOST_GDTR_BASE		0x6c0c
#define VMX_HOST_IDTR_BASE		0x6c0e
#define VMX_HOST_SYSENTER_ESP		0x6c10
#define VMX_HOST_SYSENTER_EIP		0x6c12
#define VMX_HOST_RSP			0x6c14
#define VMX_HOST_RIP			0x6c16

/* ---- controls, 24.6 to 24.8 ------------------------------------------------------------------ */

#define VMX_PIN_EXTINT			BIT(0)
#define VMX_PIN_NMI			BIT(3)
#define VMX_PIN_VIRTUAL_NMIS		BIT(5)
#define VMX_PIN_PREEMPTION_TIMER	BIT(6)
#define VMX_PIN_POSTED			BIT(7)

#define VMX_CPU_INTR_WINDOW		BIT(2)
#define VMX_CPU_TSC_OFFSET		BIT(3)
#define VMX_CPU_HLT			BIT(7)
#define VMX_CPU_INVLPG			BIT(9)
#define VMX_CPU_MWAIT			BIT(10)
#define VMX_CPU_RDPMC			BIT(11)
#define VMX_CPU_CR3_LOAD		BIT(15)
#define VMX_CPU_CR3_STORE		BIT(16)
#define VMX_CPU_CR8_LOAD		BIT(19)
#define VMX_CPU_CR8_STORE		BIT(20)
#define VMX_CPU_TPR_SHADOW		BIT(21)
#define VMX_CPU_NMI_WINDOW		BIT(22)
#define VMX_CPU_MOV_DR			BIT(23)
#define VMX_CPU_IO			BIT(24)
#define VMX_CPU_MONITOR_TRAP		BIT(27)
#define VMX_CPU_MSR_BITMAPS		BIT(28)
#define VMX_CPU_MONITOR			BIT(29)
#define VMX_CPU_SECONDARY		BIT(31)

#define VMX_CPU2_APIC_ACCESS		BIT(0)
#define VMX_CPU2_EPT			BIT(1)
#define VMX_CPU2_DESC_TABLE		BIT(2)
#define VMX_CPU2_RDTSCP			BIT(3)
#define VMX_CPU2_X2APIC			BIT(4)
#define VMX_CPU2_VPID			BIT(5)
#define VMX_CPU2_WBINVD			BIT(6)
#define VMX_CPU2_UNRESTRICTED		BIT(7)
#define VMX_CPU2_APIC_REGISTERS		BIT(8)
#define VMX_CPU2_VIRTUAL_INTR		BIT(9)
#define VMX_CPU2_PLE			BIT(10)
#define VMX_CPU2_INVPCID		BIT(12)
#define VMX_CPU2_ENCLS			BIT(15)
#define VMX_CPU2_PML			BIT(17)
#define VMX_CPU2_XSAVES			BIT(20)
#define VMX_CPU2_TSC_SCALING		BIT(25)
#define VMX_CPU2_PCONFIG		BIT(27)
#define VMX_CPU2_ENCLV			BIT(28)
#define VMX_CPU2_BUS_LOCK		BIT(30)	/* VMM bus-lock detection */
#define VMX_CPU2_NOTIFY			BIT(31)	/* instruction timeout */

#define VMX_EXIT_CTL_SAVE_DEBUG		BIT(2)
#define VMX_EXIT_CTL_HOST_64		BIT(9)
#define VMX_EXIT_CTL_PERF_GLOBAL	BIT(12)
#define VMX_EXIT_CTL_ACK_INTR		BIT(15)
#define VMX_EXIT_CTL_SAVE_PAT		BIT(18)
#define VMX_EXIT_CTL_LOAD_PAT		BIT(19)
#define VMX_EXIT_CTL_LOAD_EFER		BIT(21)

#define VMX_ENTRY_CTL_LOAD_DEBUG	BIT(2)
#define VMX_ENTRY_CTL_IA32E		BIT(9)
#define VMX_ENTRY_CTL_PERF_GLOBAL	BIT(13)
#define VMX_ENTRY_CTL_LOAD_PAT		BIT(14)
#define VMX_ENTRY_CTL_LOAD_EFER		BIT(15)

/* ---- capability MSRs, appendix A ------------------------------------------------------------- */

#define VMX_BASIC_REVISION		0x7fffffffULL
#define VMX_BASIC_SIZE(basic)		((u32)((basic) >> 32) & 0x1fff)
#define VMX_BASIC_ADDR32		BIT_ULL(48)
#define VMX_BASIC_TYPE(basic)		((u32)((basic) >> 50) & 0xf)
#define VMX_BASIC_TYPE_WB		6
#define VMX_BASIC_TRUE		BIT_ULL(55)

#define VMX_TSC_RATIO_BITS	48	/* 25.3 */
#define VMX_MISC_TIMER_SHIFT		0x1f	/* the preemption timer counts bit n of the TSC */

/* IA32_VMX_EPT_VPID_CAP, A.10 */
#define VMX_EPT_CAP_WALK_4		BIT_ULL(6)
#define VMX_EPT_CAP_WALK_5		BIT_ULL(7)
#define VMX_EPT_CAP_WB			BIT_ULL(14)
#define VMX_EPT_CAP_2M			BIT_ULL(16)
#define VMX_EPT_CAP_1G			BIT_ULL(17)
#define VMX_EPT_CAP_INVEPT		BIT_ULL(20)
#define VMX_EPT_CAP_AD			BIT_ULL(21)
#define VMX_EPT_CAP_INVEPT_CONTEXT	BIT_ULL(25)
#define VMX_EPT_CAP_INVEPT_ALL		BIT_ULL(26)
#define VMX_VPID_CAP_INVVPID		BIT_ULL(32)
#define VMX_VPID_CAP_CONTEXT		BIT_ULL(41)
#define VMX_VPID_CAP_ALL		BIT_ULL(42)

/* ---- EPT, 28.3 ------------------------------------------------------------------------------- */

#define VMX_EPT_READ			BIT_ULL(0)
#define VMX_EPT_WRITE			BIT_ULL(1)
#define VMX_EPT_EXEC			BIT_ULL(2)
#define VMX_EPT_TYPE_WB			(6ULL << 3)	/* 0 is uncacheable */
#define VMX_EPT_IGNORE_PAT		BIT_ULL(6)
#define VMX_EPT_LARGE			BIT_ULL(7)
#define VMX_EPT_ACCESSED		BIT_ULL(8)
#define VMX_EPT_DIRTY			BIT_ULL(9)

/* EPT pointer, 24.6.11 */
#define VMX_EPTP_WB			6ULL
#define VMX_EPTP_LEVELS(n)		(((u64)(n) - 1) << 3)
#define VMX_EPTP_AD			BIT_ULL(6)

/* INVEPT and INVVPID types, 30.3 */
#define VMX_INVALIDATE_CONTEXT		1
#define VMX_INVALIDATE_ALL		2

/* ---- events, 24.8.3, 24.9.2 and 24.9.3 ------------------------------------------------------- */

#define VMX_INTR_VECTOR			0xffu
#define VMX_INTR_TYPE			(7u << 8)
#define VMX_INTR_EXTINT			(0u << 8)
#define VMX_INTR_NMI			(2u << 8)
#define VMX_INTR_EXCEPTION		(3u << 8)
#define VMX_INTR_SOFT_INT		(4u << 8)
#define VMX_INTR_ICEBP			(5u << 8)	/* privileged software exception */
#define VMX_INTR_SOFT_EXCEPTION		(6u << 8)	/* INT3, INTO */
#define VMX_INTR_ERROR_CODE		BIT(11)
#define VMX_INTR_NMI_UNBLOCKED		BIT(12)	/* exit: IRET had just unmasked NMIs */
#define VMX_INTR_VALID			BIT(31)

/* Guest interruptibility state, 24.4.2 */
#define VMX_BLOCK_STI			BIT(0)
#define VMX_BLOCK_MOV_SS		BIT(1)
#define VMX_BLOCK_NMI			BIT(3)

#define VMX_PENDING_DEBUG_BS		BIT_ULL(14)

/* Segment access rights, 24.4.1; the rest as in a descriptor's second word from bit 8 on */
#define VMX_ACCESS_S			BIT(4)
#define VMX_ACCESS_P			BIT(7)
#define VMX_ACCESS_AVL			BIT(12)
#define VMX_ACCESS_L			BIT(13)
#define VMX_ACCESS_DB			BIT(14)
#define VMX_ACCESS_G			BIT(15)
#define VMX_ACCESS_UNUSABLE		BIT(16)

/* ---- exits, appendix C and 27.2.1 ------------------------------------------------------------ */

#define VMX_EXIT_BASIC			0xffffu
#define VMX_EXIT_BUS_LOCKED		BIT(26)	/* besides: a bus lock was detected */
#define VMX_EXIT_FAILED_ENTRY		BIT(31)

#define VMX_EXIT_EXCEPTION_NMI		0
#define VMX_EXIT_EXTINT			1
#define VMX_EXIT_TRIPLE_FAULT		2
#define VMX_EXIT_INIT			3
#define VMX_EXIT_INTR_WINDOW		7
#define VMX_EXIT_NMI_WINDOW		8
#define VMX_EXIT_TASK_SWITCH		9
#define VMX_EXIT_CPUID			10
#define VMX_EXIT_GETSEC			11
#define VMX_EXIT_HLT			12
#define VMX_EXIT_INVD			13
#define VMX_EXIT_INVLPG			14
#define VMX_EXIT_RDPMC			15
#define VMX_EXIT_RDTSC			16
#define VMX_EXIT_RSM			17
#define VMX_EXIT_VMCALL			18
#define VMX_EXIT_VMCLEAR		19
#define VMX_EXIT_VMLAUNCH		20
#define VMX_EXIT_VMPTRLD		21
#define VMX_EXIT_VMPTRST		22
#define VMX_EXIT_VMREAD			23
#define VMX_EXIT_VMRESUME		24
#define VMX_EXIT_VMWRITE		25
#define VMX_EXIT_VMXOFF			26
#define VMX_EXIT_VMXON			27
#define VMX_EXIT_CR			28
#define VMX_EXIT_DR			29
#define VMX_EXIT_IO			30
#define VMX_EXIT_RDMSR			31
#define VMX_EXIT_WRMSR			32
#define VMX_EXIT_BAD_GUEST_STATE	33
#define VMX_EXIT_BAD_MSR_LOAD		34
#define VMX_EXIT_MWAIT			36
#define VMX_EXIT_MONITOR_TRAP		37
#define VMX_EXIT_MONITOR		39
#define VMX_EXIT_PAUSE			40
#define VMX_EXIT_ENTRY_MC		41
#define VMX_EXIT_TPR_THRESHOLD		43
#define VMX_EXIT_APIC_ACCESS		44
#define VMX_EXIT_EOI			45
#define VMX_EXIT_GDTR_IDTR		46
#define VMX_EXIT_LDTR_TR		47
#define VMX_EXIT_EPT_VIOLATION		48
#define VMX_EXIT_EPT_MISCONFIG		49
#define VMX_EXIT_INVEPT			50
#define VMX_EXIT_RDTSCP			51
#define VMX_EXIT_PREEMPTION_TIMER	52
#define VMX_EXIT_INVVPID		53
#define VMX_EXIT_WBINVD			54
#define VMX_EXIT_XSETBV			55
#define VMX_EXIT_APIC_WRITE		56
#define VMX_EXIT_INVPCID		58
#define VMX_EXIT_VMFUNC			59
#define VMX_EXIT_ENCLS			60
#define VMX_EXIT_PML_FULL		62
#define VMX_EXIT_XSAVES			63
#define VMX_EXIT_XRSTORS		64
#define VMX_EXIT_PCONFIG		65
#define VMX_EXIT_ENCLV			70
#define VMX_EXIT_BUS_LOCK		74
#define VMX_EXIT_NOTIFY			75
#define VMX_NR_EXITS			76

/* Exit qualification of VMX_EXIT_NOTIFY (27.2.1) */
#define VMX_NOTIFY_INVALID		BIT(0)	/* the guest cannot go on */
#define VMX_NOTIFY_NMI_UNBLOCKED	BIT(12)

/* Qualification of control-register accesses, table 27-3 */
#define VMX_CR_NUMBER(q)		((q) & 0xf)
#define VMX_CR_TYPE(q)			((q) >> 4 & 3)
#define VMX_CR_GPR(q)			((q) >> 8 & 0xf)
#define VMX_CR_LMSW(q)			((q) >> 16 & 0xffff)
#define VMX_CR_MOV_TO			0
#define VMX_CR_MOV_FROM			1
#define VMX_CR_CLTS			2
#define VMX_CR_TYPE_LMSW		3

/* Qualification of I/O instructions, table 27-5 */
#define VMX_IO_SIZE(q)			(((q) & 7) + 1)
#define VMX_IO_IN			BIT(3)
#define VMX_IO_STRING			BIT(4)
#define VMX_IO_PORT(q)			((u16)((q) >> 16))

/* Qualification of task switches, table 27-2; bits 15:0 are the selector */
#define VMX_TASK_SOURCE(q)		((q) >> 30 & 3)	/* CALL, IRET, JMP, task gate */

/* Qualification of EPT violations, table 27-7 */
#define VMX_EPTV_WRITE			BIT(1)
#define VMX_EPTV_FETCH			BIT(2)
#define VMX_EPTV_LINEAR			BIT(7)
#define VMX_EPTV_FINAL			BIT(8)	/* with LINEAR: not a walk of guest tables */
#define VMX_EPTV_NMI_UNBLOCKED		BIT(12)

/* Qualification of accesses to the APIC-access page, table 27-6 */
#define VMX_APICA_OFFSET		0xfff
#define VMX_APICA_TYPE(q)		((q) >> 12 & 0xf)
#define VMX_APICA_READ			0	/* by linear addresses, as the next three */
#define VMX_APICA_WRITE			1
#define VMX_APICA_FETCH			2
#define VMX_APICA_DELIVERY		3	/* of an event */
#define VMX_APICA_PHYS_DELIVERY		10	/* a walk of guest tables, during that */
#define VMX_APICA_PHYS			15	/* ...for an instruction or its fetch */

/* An entry of the MSR lists, table 24-12 */
struct vmx_msr_entry {
	u32 index;
	u32 reserved;
	u64 value;
};
static_assert(sizeof(struct vmx_msr_entry) == 16);

/* What a VMXON region and a VMCS begin with, 24.2; the rest is the CPU's business. */
struct vmx_region {
	u32 revision;
	u32 abort;
};
static_assert(offsetof(struct vmx_region, abort) == 4);

/* The MSR bitmap, 24.6.9: for reads and for writes, one bit per MSR of two ranges. */
struct vmx_msr_bitmap {
	u8 read_low[1024];		/* 0 to 0x1fff */
	u8 read_high[1024];		/* 0xc0000000 to 0xc0001fff */
	u8 write_low[1024];
	u8 write_high[1024];
};
static_assert(sizeof(struct vmx_msr_bitmap) == 4096);

#endif
