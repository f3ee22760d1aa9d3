// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Instructions that the hypervisor intercepts, with prefixes and where they are not allowed;
 * control registers and MSRs; code that changes, or lies in odd places.
 */
#include "gt.h"

static struct gt g;

#define GUEST(name, body)								\
	UT_GUEST static void name(void *args)						\
	{										\
		body									\
		ut_done(0);								\
	}
#define TRY(insns)									\
	do {										\
		gt_try(insns);								\
		gt_report(GT_T->vector);						\
	} while (0)
#define NO 0x100

GUEST(guest_prefixes, {
	TRY(".byte 0xf3; cpuid");
	TRY(".byte 0x66; cpuid");
	TRY(".byte 0x48; cpuid");
	TRY(".byte 0x67, 0x66, 0x2e; cpuid");
	TRY(".byte 0xf0; cpuid");
	TRY("mov $0x10, %%ecx; .byte 0x66; rdmsr");
	TRY("mov $0x10, %%ecx; .byte 0xf3; rdmsr");
	TRY(".byte 0xf0; rdmsr");
	TRY("mov $99, %%eax; .byte 0xf3; vmmcall");
	TRY("rdtsc");
	TRY("mov $1, %%ecx; .byte 0x0f, 0x01, 0xd0");		/* xgetbv without CR4.OSXSAVE */
	TRY("wbinvd");
	TRY("invd");
	TRY("invlpg (%%rsp)");
	TRY("rdpmc");
	TRY("clgi");
	TRY("stgi");
	TRY("vmrun %%rax");
	TRY("vmsave %%rax");
	TRY("rsm");
})

static void test_prefixes(void)
{
	gt_create(&g, 1, false);
	gt_call(&g, guest_prefixes);
	if (gt_intel())
		gt_quirk(&g, 8, 6, NO);		/* AMD's; KVM knows the plain one */
	if (!strcmp(ut_device(), "/dev/kvm")) {
		/* KVM lets a guest have CLGI and STGI where the CPU has a virtual GIF. */
		gt_quirk(&g, 15, NO, 6);
		gt_quirk(&g, 16, NO, 6);
	}
	gt_expect(&g, NO, NO, NO, NO, 6, NO, NO, 6, NO, NO, 6, NO, NO, NO, 13, 6, 6, 6, 6, 6);
	gt_destroy(&g);
}

/* HLT with prefixes, between two exits to user space. */
GUEST(guest_hlt, {
	__asm__ volatile(".byte 0x66; hlt; .byte 0xf3; hlt; .byte 0x48; hlt");
	gt_report(7);
})

static void test_hlt(void)
{
	unsigned int i;

	gt_create(&g, 1, false);
	gt_start(&g, 0, guest_hlt);
	for (i = 0; i < 3; i++) {
		CHECK_EQ(gt_run(&g, 0), UT_EXIT);
		CHECK_EQ(g.vm.vcpu[0].run->exit_reason, KVM_EXIT_HLT);
	}
	CHECK_EQ(gt_run(&g, 0), UT_DONE);
	gt_expect(&g, 7);
	gt_destroy(&g);
}

/* ---- control registers --------------------------------------------------------------------- */

#define CR4_TRY(set)	TRY("mov %%cr4, %%rax; mov $" #set ", %%ecx; or %%rcx, %%rax; mov %%rax, %%cr4")

GUEST(guest_cr, {
	TRY("mov %%cr0, %%rax; bts $32, %%rax; mov %%rax, %%cr0");
	TRY("mov %%cr0, %%rax; bts $30, %%rax; mov %%rax, %%cr0; btr $30, %%rax; mov %%rax, %%cr0");
	TRY("mov %%cr0, %%rax; btr $4, %%rax; mov %%rax, %%cr0; mov %%cr0, %%rax; bt $4, %%eax;"
	    "jc 8f; ud2; 8:");						/* ET stays */
	TRY("mov %%cr4, %%rax; btr $5, %%rax; mov %%rax, %%cr4");	/* no PAE in long mode */
	TRY("mov %%cr4, %%rax; bts $32, %%rax; mov %%rax, %%cr4");
	TRY("mov %%cr4, %%rax; bts $31, %%rax; mov %%rax, %%cr4");
	TRY("mov %%cr4, %%rax; bts $13, %%rax; mov %%rax, %%cr4");	/* VMXE */
	TRY("mov %%cr4, %%rax; bts $7, %%rax; mov %%rax, %%cr4; btr $7, %%rax; mov %%rax, %%cr4");
	TRY("mov %%cr3, %%rax; mov %%rax, %%cr3");
	TRY("mov $0x1234, %%eax; mov %%rax, %%cr2; mov %%cr2, %%rcx; cmp %%rax, %%rcx; je 8f; ud2; 8:");
	TRY("mov %%cr8, %%rax; mov $5, %%eax; mov %%rax, %%cr8; mov %%cr8, %%rcx; cmp $5, %%rcx; je 8f;"
	    "ud2; 8: xor %%eax, %%eax; mov %%rax, %%cr8");
	TRY("mov $16, %%eax; mov %%rax, %%cr8");
	TRY(".byte 0x0f, 0x20, 0xc8");					/* mov %cr1, %rax */
	TRY(".byte 0x0f, 0x20, 0xe8");					/* mov %cr5, %rax */
	TRY("mov %%cr4, %%rax; bts $17, %%rax; mov %%rax, %%cr4");	/* PCIDE */
	TRY("smsw %%ax; lmsw %%ax");
	TRY("clts");
})

static void test_cr(void)
{
	gt_create(&g, 1, true);		/* without a local APIC CR8 is user space's business */
	gt_call(&g, guest_cr);
	gt_quirk(&g, 0, NO, 13);	/* TCG does not look at the upper half */
	gt_quirk(&g, 11, NO, 13);	/* nor at all of CR8 */
	if (!strcmp(ut_device(), "/dev/kvm"))
		gt_quirk(&g, 4, NO, 13);	/* nor does KVM's emulator */
	if (gt_kvm_intel())
		gt_quirk(&g, 6, NO, 13);
	if (gt_pcid())
		gt_quirk(&g, 14, NO, 13);
	gt_expect(&g, 13, NO, NO, 13, 13, 13, 13, NO, NO, NO, NO, 13, 6, 6, 13, NO, NO);
	gt_destroy(&g);
}

/* ---- MSRs ---------------------------------------------------------------------------------- */

#define RD(msr)	TRY("mov $" #msr ", %%ecx; rdmsr")
#define WR(msr, value)									\
	do {										\
		uint64_t v_ = (value);							\
		gt_try("mov %0, %%rax; mov %%rax, %%rdx; shr $32, %%rdx; mov $" #msr ", %%ecx; wrmsr", \
		       "S"(v_));							\
		gt_report(GT_T->vector);						\
	} while (0)

GUEST(guest_msr_unknown, {
	RD(0x12345);
	RD(0x40000021);
	RD(0xc0012345);
	RD(0x1234);
	WR(0x12345, 0);
	WR(0xc0012345, 0);
	WR(0x12345, 1);
	RD(0x4b564d10);
	RD(0x480);		/* VMX */
	RD(0x8fffffff);
	RD(0xffffffff);
})

static void test_msr_unknown(void)
{
	gt_create(&g, 1, false);
	gt_call(&g, guest_msr_unknown);
	if (gt_kvm_intel())
		gt_quirk(&g, 8, NO, 13);
	gt_expect(&g, 13, 13, 13, 13, 13, 13, 13, 13, 13, 13, 13);
	gt_destroy(&g);
}

GUEST(guest_msr_known, {
	RD(0x10);		/* TSC */
	RD(0x1b);		/* APIC base */
	RD(0xfe);		/* MTRR capabilities */
	RD(0x174);
	RD(0x175);
	RD(0x176);
	RD(0x179);		/* MCG_CAP */
	RD(0x1d9);		/* DEBUGCTL */
	RD(0x200);
	RD(0x250);
	RD(0x277);		/* PAT */
	RD(0x2ff);
	RD(0xc0000080);
	RD(0xc0000081);
	RD(0xc0000082);
	RD(0xc0000083);
	RD(0xc0000084);
	RD(0xc0000100);
	RD(0xc0000101);
	RD(0xc0000102);
	RD(0xc0000103);
	RD(0xc0010015);		/* HWCR */
	RD(0xc001001f);		/* NB_CFG */
	RD(0x8b);		/* microcode */
	RD(0x4b564d00);
	RD(0x4b564d01);
})

static void test_msr_known(void)
{
	unsigned int i;

	gt_create(&g, 1, false);
	gt_call(&g, guest_msr_known);
	CHECK_EQ(g.nr_reports, 26);
	for (i = 0; i < g.nr_reports; i++)
		if (g.report[i] != NO)
			ut_fail(__FILE__, __LINE__, "MSR %u of the list: vector %u", i, g.report[i]);
	gt_destroy(&g);
}

GUEST(guest_msr_values, {
	uint64_t efer = ig_rdmsr(0xc0000080);

	WR(0xc0000080, efer | 1);		/* SCE */
	WR(0xc0000080, efer | 2);		/* reserved */
	WR(0xc0000080, efer | 1ULL << 63);
	WR(0xc0000080, efer & ~0x100ULL);	/* LME cannot go while paging is on */
	WR(0xc0000080, efer & ~0x400ULL);	/* LMA is ignored */
	gt_report(ig_rdmsr(0xc0000080));
	WR(0xc0000080, efer | 0x1000);		/* SVME, not in this guest's CPUID */
	WR(0xc0000082, 1ULL << 63);		/* LSTAR: not canonical */
	WR(0xc0000082, 0xffffffff81000000);
	WR(0xc0000100, 1ULL << 62);
	WR(0xc0000102, 1ULL << 62);
	WR(0x277, 0x0007040600070406);
	WR(0x277, 0x0207040600070406);		/* PAT: type 2 */
	WR(0x2ff, 0xc06);
	WR(0x2ff, 0xc02);			/* MTRR: type 2 */
	WR(0x2ff, 0x1000);
	WR(0x200, 6);
	WR(0x200, 2);
	WR(0x250, 0x0606060606060606);
	WR(0x250, 0x0606060606060602);
	WR(0x1b, 0xfee00900 | 1);		/* reserved */
	WR(0x176, 0x123456789abc);
	WR(0xc0010015, 1ULL << 5);
})

static void test_msr_values(void)
{
	gt_create(&g, 1, false);
	gt_call(&g, guest_msr_values);
	/* KVM offers SVM to the guest; TCG does not check these addresses. */
	if (!strcmp(ut_device(), "/dev/kvm"))
		gt_quirk(&g, 6, NO, 13);
	gt_quirk(&g, 7, NO, 13);
	gt_quirk(&g, 9, NO, 13);
	gt_quirk(&g, 10, NO, 13);
	gt_expect(&g, NO, 13, 13, 13, NO, 0x500, 13, 13, NO, 13, 13, NO, 13, NO, 13, 13, NO, 13, NO,
		  13, 13, NO, 13);
	gt_destroy(&g);
}

/* What is written is what is read, and what the instructions use. */
GUEST(guest_msr_effects, {
	uint64_t v;

	ig_wrmsr(0xc0000100, GT_DATA);
	*(volatile uint32_t *)(GT_DATA + 8) = 0x600d;
	__asm__ volatile("mov %%fs:8, %%eax" : "=a"(v));
	gt_report(v);
	ig_wrmsr(0xc0000101, GT_DATA + 8);
	__asm__ volatile("mov %%gs:0, %%eax" : "=a"(v));
	gt_report(v);
	ig_wrmsr(0xc0000102, 0x4321);
	__asm__ volatile("swapgs");
	gt_report(ig_rdmsr(0xc0000101));
	gt_report(ig_rdmsr(0xc0000102));
	/* The TSC can be set, and RDTSC follows. */
	ig_wrmsr(0x10, 1ULL << 40);
	__asm__ volatile("rdtsc; shl $32, %%rdx; or %%rdx, %%rax" : "=a"(v) : : "rdx");
	gt_report(v >> 40);
	gt_report(ig_rdmsr(0x10) >> 40);
	ig_wrmsr(0xc0000103, 0x55aa);
	/* RDTSCP, where the CPU has it: TSC_AUX in ecx. */
	gt_try(".byte 0x0f, 0x01, 0xf9; mov %%ecx, 0x37278");
	gt_report(GT_T->vector == 0x100 ? GT_T->base : 0x55aa);
	/* RDPID likewise. */
	gt_try(".byte 0xf3, 0x0f, 0xc7, 0xf9; mov %%ecx, 0x37278");
	gt_report(GT_T->vector == 0x100 ? GT_T->base : 0x55aa);
})

static void test_msr_effects(void)
{
	gt_create(&g, 1, false);
	gt_call(&g, guest_msr_effects);
	gt_expect(&g, 0x600d, 0x600d, 0x4321, GT_DATA + 8, 1, 1, 0x55aa, 0x55aa);
	gt_destroy(&g);
}

/* ---- code that changes --------------------------------------------------------------------- */

GUEST(guest_smc, {
	volatile uint8_t *code = (volatile uint8_t *)GT_DATA;
	uint32_t i;
	uint32_t v;
	uint32_t sum = 0;

	/* mov $imm, %eax; ret, with another number each time. */
	code[0] = 0xb8;
	code[5] = 0xc3;
	for (i = 0; i < 100; i++) {
		*(volatile uint32_t *)(code + 1) = i;
		__asm__ volatile("call *%1" : "=a"(v) : "r"(code) : "memory");
		sum += v;
	}
	gt_report(sum);
	/* The same with an instruction that exits: its bytes are read anew. */
	for (i = 0; i < 4; i++) {
		code[0] = 0xe4 | (i & 1) << 1;		/* in or out $0xf6 */
		code[1] = 0xf6;
		code[2] = 0xc3;
		v = i;
		__asm__ volatile("call *%1" : "+a"(v) : "r"(code) : "memory");
	}
})

static void test_smc(void)
{
	unsigned int i;

	gt_create(&g, 1, false);
	gt_start(&g, 0, guest_smc);
	for (i = 0; i < 4; i++) {
		CHECK_EQ(gt_run(&g, 0), UT_EXIT);
		if (i == 0)
			gt_expect(&g, 4950);
		CHECK_EQ(g.vm.vcpu[0].run->exit_reason, KVM_EXIT_IO);
		CHECK_EQ(g.vm.vcpu[0].run->io.port, 0xf6);
		CHECK_EQ(g.vm.vcpu[0].run->io.direction, i & 1 ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN);
	}
	CHECK_EQ(gt_run(&g, 0), UT_DONE);
	gt_destroy(&g);
}

/* Instructions at the end of a page, those that exit and those that are emulated. */
GUEST(guest_page_end, {
	volatile uint8_t *end = (volatile uint8_t *)(GT_DATA + 0x1000);
	uint32_t a;

	end[-1] = 0x0f;				/* cpuid; ret */
	end[0] = 0xa2;
	end[1] = 0xc3;
	__asm__ volatile("call *%1" : "=a"(a) : "r"(end - 1), "a"(0x40000000) : "rbx", "rcx", "rdx");
	gt_report(a != 0x40000000);
	/* mov (%rbx), %eax; ret at each distance from the end */
	end[-1] = 0x8b;
	end[0] = 0x03;
	__asm__ volatile("call *%1" : "=a"(a) : "r"(end - 1), "b"(GT_DEV));
	gt_report(a);
	/* mov 0x40000004, %eax: seven bytes across the end */
	end[-3] = 0x8b;
	end[-2] = 0x04;
	end[-1] = 0x25;
	end[0] = 4;
	end[1] = end[2] = 0;
	end[3] = 0x40;
	end[4] = 0xc3;
	__asm__ volatile("call *%1" : "=a"(a) : "r"(end - 3));
	gt_report(a);
})

static void test_page_end(void)
{
	gt_create(&g, 1, false);
	gt_call(&g, guest_page_end);
	gt_expect(&g, 1, 0x18110a03, 0x342d261f);
	gt_destroy(&g);
}

/*
 * Code in a page directory, which maps it. First a short piece, so that an emulator has code of
 * that page already; then an instruction that goes on in the next page, for which the directory is
 * read again.
 */
#define DIRECTORY (GT_TABLES + 0x2000)

GUEST(guest_own_tables, {
	volatile uint8_t *end = (volatile uint8_t *)(DIRECTORY + 0x1000);
	uint32_t a;

	end[-16] = 0xc3;			/* ret */
	/* mov $0x12345678, %eax; ret */
	end[-3] = 0xb8;
	end[-2] = 0x78;
	end[-1] = 0x56;
	end[0] = 0x34;
	end[1] = 0x12;
	end[2] = 0xc3;
	__asm__ volatile("mov %3, %%cr3; call *%2; call *%1"
			 : "=&a"(a) : "r"(end - 3), "r"(end - 16), "r"(GT_TABLES) : "memory");
	gt_report(a);
})

static void test_own_tables(void)
{
	uint64_t *pml4, *pdpt, *pd;

	gt_create(&g, 1, false);
	pml4 = (void *)(g.vm.low + GT_TABLES);
	pdpt = (void *)(g.vm.low + GT_TABLES + 0x1000);
	pd = (void *)(g.vm.low + DIRECTORY);
	memset(pml4, 0, 4 * UT_PAGE);
	pml4[0] = (GT_TABLES + 0x1000) | 3;
	pdpt[0] = DIRECTORY | 3;
	pd[0] = 0x83;
	gt_call(&g, guest_own_tables);
	gt_expect(&g, 0x12345678);
	gt_destroy(&g);
}

static const struct ut_test tests[] = {
	{ "insn-prefixes", test_prefixes },
	{ "insn-hlt", test_hlt },
	{ "insn-control-registers", test_cr },
	{ "msr-unknown", test_msr_unknown },
	{ "msr-known", test_msr_known },
	{ "msr-reserved-values", test_msr_values },
	{ "msr-effects", test_msr_effects },
	{ "code-self-modifying", test_smc },
	{ "code-page-end", test_page_end },
	{ "code-own-page-tables", test_own_tables },
};

int main(int argc, char **argv)
{
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
