// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Exceptions in 64-bit mode: each that the CPU raises, its error code, and what it leaves behind.
 */
#include <setjmp.h>
#include <signal.h>

#include "gt.h"

static struct gt g;

#define REPORT_TRAP()					\
	do {						\
		gt_report(GT_T->vector);		\
		gt_report(GT_T->error);			\
	} while (0)

/* ---- arithmetic, breakpoints, invalid instructions ----------------------------------------- */

UT_GUEST static void guest_simple(void *args)
{
	gt_try("xor %%ecx, %%ecx; xor %%edx, %%edx; div %%ecx");
	REPORT_TRAP();
	gt_try("int3");
	REPORT_TRAP();
	gt_try("ud2");
	REPORT_TRAP();
	gt_try("int $0x80");
	REPORT_TRAP();
	gt_try(".byte 0xf1");		/* ICEBP */
	REPORT_TRAP();
	gt_try(".byte 0x06");		/* push %es: invalid in 64-bit mode */
	REPORT_TRAP();
	gt_try("lock; nop; nop");
	REPORT_TRAP();
	ut_done(0);
}

static void test_simple(void)
{
	gt_create(&g, 1, false);
	gt_call(&g, guest_simple);
	gt_expect(&g, 0, 0, 3, 0, 6, 0, 0x80, 0, 1, 0, 6, 0, 6, 0);
	gt_destroy(&g);
}

/* Faults point at their instruction, traps behind it. */
UT_GUEST static void guest_rip(void *args)
{
	uint64_t at;

	gt_try("lea 8f(%%rip), %%rdx; mov %%rdx, (%0); 8: ud2", "D"(args));
	at = *(volatile uint64_t *)args;
	gt_report(GT_T->rip - at);
	gt_try("lea 8f(%%rip), %%rdx; mov %%rdx, (%0); 8: int3", "D"(args));
	at = *(volatile uint64_t *)args;
	gt_report(GT_T->rip - at);
	gt_try("lea 8f(%%rip), %%rdx; mov %%rdx, (%0); 8: int $0x81", "D"(args));
	at = *(volatile uint64_t *)args;
	gt_report(GT_T->rip - at);
	gt_try("lea 8f(%%rip), %%rdx; mov %%rdx, (%0); xor %%ecx, %%ecx; 8: div %%cl", "D"(args));
	at = *(volatile uint64_t *)args;
	gt_report(GT_T->rip - at);
	/* An intercepted instruction that faults. */
	gt_try("lea 8f(%%rip), %%rdx; mov %%rdx, (%0); mov $0x12345, %%ecx; 8: rdmsr", "D"(args));
	at = *(volatile uint64_t *)args;
	gt_report(GT_T->rip - at);
	/* RF is set in the flags of a fault, not of a trap. */
	gt_try("ud2");
	gt_report(GT_T->rflags >> 16 & 1);
	gt_try("int3");
	gt_report(GT_T->rflags >> 16 & 1);
	ut_done(0);
}

static void test_rip(void)
{
	gt_create(&g, 1, false);
	gt_call(&g, guest_rip);
	gt_expect(&g, 0, 1, 2, 0, 0, 1, 0);
	gt_destroy(&g);
}

/* ---- floating point ------------------------------------------------------------------------ */

UT_GUEST static void guest_fpu(void *args)
{
	uint32_t mxcsr = 0x1f00;	/* invalid operation unmasked */
	uint16_t fcw = 0x37e;		/* the same for the x87 */

	__asm__ volatile("mov %%cr0, %%rax; or $8, %%al; mov %%rax, %%cr0" : : : "rax");
	gt_try("fnop");
	REPORT_TRAP();
	gt_try("movaps %%xmm0, %%xmm1");
	REPORT_TRAP();
	__asm__ volatile("clts");
	__asm__ volatile("fninit; fldcw %0" : : "m"(fcw));
	gt_try("fldz; fldz; fdivrp; fwait");
	REPORT_TRAP();
	__asm__ volatile("fninit");
	__asm__ volatile("mov %%cr4, %%rax; or $0x600, %%eax; mov %%rax, %%cr4" : : : "rax");
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	gt_try("xorps %%xmm0, %%xmm0; divss %%xmm0, %%xmm0");
	REPORT_TRAP();
	ut_done(0);
}

static void test_fpu(void)
{
	gt_create(&g, 1, false);
	gt_call(&g, guest_fpu);
	gt_quirk(&g, 6, 0x100, 19);	/* TCG has no #XM */
	gt_expect(&g, 7, 0, 7, 0, 16, 0, 19, 0);
	gt_destroy(&g);
}

/* ---- segments and addresses ---------------------------------------------------------------- */

UT_GUEST static void guest_segments(void *args)
{
	gt_try("mov $0x48, %%eax; mov %%eax, %%ds");	/* not present */
	REPORT_TRAP();
	gt_try("mov $0x48, %%eax; mov %%eax, %%ss");
	REPORT_TRAP();
	gt_try("mov $0x70, %%eax; mov %%eax, %%ds");	/* past the table */
	REPORT_TRAP();
	gt_try("mov $0x44, %%eax; mov %%eax, %%ds");	/* no LDT */
	REPORT_TRAP();
	gt_try("xor %%eax, %%eax; mov %%eax, %%ss; mov $0x10, %%eax; mov %%eax, %%ss");
	REPORT_TRAP();
	gt_try("mov $1, %%ecx; shl $63, %%rcx; mov (%%rcx), %%al");
	REPORT_TRAP();
	gt_try_after("mov %%rbp, %%rbx; mov $1, %%ecx; shl $63, %%rcx; mov %%rcx, %%rbp; mov (%%rbp), %%al",
		     "mov %%rbx, %%rbp");
	REPORT_TRAP();
	gt_try("mov $0x10, %%eax; push %%rax; push $0; lretq");
	REPORT_TRAP();
	ut_done(0);
}

static void test_segments(void)
{
	gt_create(&g, 1, false);
	gt_call(&g, guest_segments);
	gt_quirk(&g, 12, 13, 12);	/* TCG: #GP where the stack's address is not canonical */
	gt_expect(&g, 11, 0x48, 12, 0x48, 13, 0x70, 13, 0x44, 0x100, 0, 13, 0, 12, 0, 13, 0x10);
	gt_destroy(&g);
}

/* ---- page faults --------------------------------------------------------------------------- */

#define VA	0x80000000UL		/* four pages with 4 KiB entries, by tables of our own */
#define PTE	((volatile uint64_t *)GT_TABLES)

/* A table of 4 KiB entries for VA: present, read-only user, absent, reserved bit, no-execute. */
static void build_pages(void)
{
	uint64_t *pd = (void *)(g.vm.low + 0x5000), *pte = (void *)(g.vm.low + GT_TABLES);
	uint64_t *pml4 = (void *)(g.vm.low + 0x1000), *pdpt = (void *)(g.vm.low + 0x2000);

	pml4[0] |= 4;
	pdpt[2] |= 4;
	pd[0] = GT_TABLES | 7;
	memset(pte, 0, 4096);
	pte[0] = GT_DATA | 3;
	pte[1] = (GT_DATA + 0x1000) | 5;
	pte[2] = 0;
	pte[3] = (GT_DATA + 0x3000) | 1ULL << 51 | 3;
	pte[4] = (GT_DATA + 0x4000) | 1ULL << 63 | 3;
	pte[5] = (GT_DATA + 0x5000) | 1;
	pte[6] = (GT_DATA + 0x6000) | 7;
}

#define REPORT_PF()					\
	do {						\
		gt_report(GT_T->vector);		\
		gt_report(GT_T->error);			\
		gt_report(GT_T->cr2 - VA);		\
	} while (0)

UT_GUEST static void guest_pages(void *args)
{
	uint64_t va = VA;

	__asm__ volatile("mov $0xc0000080, %%ecx; rdmsr; or $0x800, %%eax; wrmsr"	/* NXE */
			 : : : "rax", "rcx", "rdx");
	__asm__ volatile("mov %%cr0, %%rax; or $0x10000, %%eax; mov %%rax, %%cr0" : : : "rax");
	gt_try("mov 0x2123(%0), %%al", "D"(va));
	REPORT_PF();
	gt_try("mov %%al, 0x2fff(%0)", "D"(va));
	REPORT_PF();
	gt_try("mov %%al, 0x5010(%0)", "D"(va));
	REPORT_PF();
	gt_try("mov 0x3008(%0), %%al", "D"(va));
	REPORT_PF();
	gt_try("lea 0x4000(%0), %%rcx; jmp *%%rcx", "D"(va));
	REPORT_PF();
	gt_try("lea 0x2040(%0), %%rcx; jmp *%%rcx", "D"(va));
	REPORT_PF();
	/* Across two pages, the second of which is missing. */
	gt_try("mov 0x1ffd(%0), %%rax", "D"(va));
	REPORT_PF();
	gt_try("mov 0(%0), %%al", "D"(va));
	gt_report(GT_T->vector);
	/* Without WP the supervisor may write. */
	__asm__ volatile("mov %%cr0, %%rax; and $~0x10000, %%eax; mov %%rax, %%cr0" : : : "rax");
	gt_try("mov %%al, 0x5010(%0)", "D"(va));
	gt_report(GT_T->vector);
	ut_done(0);
}

static void test_pages(void)
{
	gt_create(&g, 1, false);
	build_pages();
	gt_call(&g, guest_pages);
	gt_quirk(&g, 10, 8, 9);		/* TCG: a reserved bit without P */
	gt_expect(&g, 14, 0, 0x2123, 14, 2, 0x2fff, 14, 3, 0x5010, 14, 9, 0x3008, 14, 0x11, 0x4000,
		  14, 0x10, 0x2040, 14, 0, 0x2000, 0x100, 0x100);
	gt_destroy(&g);
}

/* From user mode: code that is copied to a user page, reached by IRET. */
#define TRY_USER(bytes, n)								\
	do {										\
		for (i = 0; i < (n); i++)						\
			((volatile uint8_t *)(va + 0x6000))[i] = (bytes) >> i * 8;	\
		gt_try("mov %%rsp, %%rbx; push $0x23; push %%rbx; push %1; push $0x2b; lea 0x6000(%0), %%rcx;" \
		       "push %%rcx; mov %%rbx, %%rcx; iretq", "D"(va), "S"(flags));	\
		__asm__ volatile("" ::: "memory");					\
	} while (0)

UT_GUEST static void guest_user(void *args)
{
	uint64_t va = VA, flags = 2, i;

	__asm__ volatile("mov $0x30, %%eax" : : : "rax");
	TRY_USER(0x07058aUL, 2 + 4);			/* mov 0x...(%rip): page 6 itself */
	gt_report(GT_T->vector);
	TRY_USER(0xf4UL, 1);				/* hlt */
	REPORT_TRAP();
	gt_report(GT_T->cs);
	gt_report(GT_T->rip - va);
	TRY_USER(0xec90UL, 2);				/* in (%dx), %al */
	REPORT_TRAP();
	gt_report(GT_T->rip - va);
	TRY_USER(0x320fUL, 2);				/* rdmsr */
	REPORT_TRAP();
	TRY_USER(0x078aUL, 2);				/* mov (%rdi): a page of the supervisor */
	REPORT_PF();
	TRY_USER(0x0788UL, 2);
	REPORT_PF();
	TRY_USER(0x001000878aUL, 6);			/* mov 0x1000(%rdi), %al: may be read */
	gt_report(GT_T->vector);
	TRY_USER(0x0010008788UL, 6);			/* mov %al, 0x1000(%rdi) */
	REPORT_PF();
	TRY_USER(0x14cdUL, 2);				/* int $0x14 */
	REPORT_TRAP();
	TRY_USER(0xfaUL, 1);				/* cli */
	REPORT_TRAP();
	TRY_USER(0xa20fUL | 0xccUL << 16, 3);		/* cpuid; int3 */
	REPORT_TRAP();
	gt_report(GT_T->rip - va);
	TRY_USER(0xd9010fUL, 3);			/* vmmcall in user mode */
	gt_report(GT_T->vector == 0x100 || GT_T->vector == 14 ? 0 : GT_T->vector);
	ut_done(0);
}

static void test_user(void)
{
	gt_create(&g, 1, false);
	build_pages();
	gt_call(&g, guest_user);
	if (gt_intel())
		gt_quirk(&g, 27, 6, 0);		/* AMD's instruction; KVM has it on Intel */
	gt_expect(&g, 14, 13, 0, 0x2b, 0x6000, 13, 0, 0x6001, 13, 0, 14, 5, 0, 14, 7, 0, 14, 14, 7,
		  0x1000, 0x14, 0, 13, 0, 3, 0, 0x6003, 0);
	gt_destroy(&g);
}

/* ---- user-mode instruction prevention ------------------------------------------------------ */

#define CR4_UMIP	0x800UL

/* A descriptor-table instruction on the memory 0x40 bytes further on, then INT3. */
#define TABLE_INSN(opcode, modrm) \
	(0xcc00000040000000UL | (uint64_t)(modrm) << 16 | (uint64_t)(opcode) << 8 | 0x0f)

/* SGDT, SIDT, SLDT, STR of user mode, and LGDT, which is never allowed there. */
UT_GUEST static void try_user_tables(uint64_t va)
{
	uint64_t flags = 2, i;

	TRY_USER(TABLE_INSN(0x01, 0x05), 8);
	REPORT_TRAP();
	TRY_USER(TABLE_INSN(0x01, 0x0d), 8);
	REPORT_TRAP();
	TRY_USER(TABLE_INSN(0x00, 0x05), 8);
	REPORT_TRAP();
	TRY_USER(TABLE_INSN(0x00, 0x0d), 8);
	REPORT_TRAP();
	TRY_USER(TABLE_INSN(0x01, 0x15), 8);
	REPORT_TRAP();
	TRY_USER(0xccc8000fUL, 4);			/* str %eax; int3 */
	REPORT_TRAP();
	gt_report(GT_T->rip - va);
}

UT_GUEST static void guest_umip(void *args)
{
	/* Not touched before: the store of the first one also faults in the second-level tables. */
	volatile uint64_t *gdt = (void *)(GT_DATA + 0x8000), *idt = (void *)(GT_DATA + 0x9000);
	uint64_t va = VA;
	uint16_t ldt, tr;

	__asm__ volatile("mov $0x30, %%eax" : : : "rax");
	try_user_tables(va);
	__asm__ volatile("mov %%cr4, %%rax; or %0, %%rax; mov %%rax, %%cr4"
			 : : "r"(CR4_UMIP) : "rax");
	try_user_tables(va);

	/* All of them are the kernel's, as before. */
	__asm__ volatile("sgdt 6(%0); sidt 6(%1); sldt %2; str %3"
			 : "+r"(gdt), "+r"(idt), "=m"(ldt), "=m"(tr) : : "memory");
	gt_report(gdt[1]);
	gt_report(idt[1]);
	gt_report(ldt);
	gt_report(tr);
	gt_try("lgdt 6(%0); lidt 6(%1); lldt %%ax", "S"(gdt), "D"(idt));	/* rax is 0 */
	gt_report(GT_T->vector);
	/* A trap after one of them comes right behind it. */
	GT_T->clear_tf = 1;
	gt_try("lea 7f(%%rip), %%rbx; mov %%rbx, 0x37278\n"
	       "pushfq; orl $0x100, (%%rsp); popfq; sgdt 6(%0)\n7: nop; nop", "S"(gdt));
	gt_report(GT_T->vector);
	gt_report(GT_T->rip - GT_T->base);
	/* A fault of one of them is its own. */
	gt_try("lldt %w0", "S"(0x10));
	REPORT_TRAP();

	__asm__ volatile("mov %%cr4, %%rax; and %0, %%rax; mov %%rax, %%cr4"
			 : : "r"(~CR4_UMIP) : "rax");
	try_user_tables(va);
	ut_done(0);
}

static bool guest_has_umip(void)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[200];
	} cpuid = { .head.nent = 200 };
	unsigned int i;

	NEED(ioctl(g.vm.dev, KVM_GET_SUPPORTED_CPUID, &cpuid) == 0);
	for (i = 0; i < cpuid.head.nent; i++)
		if (cpuid.entry[i].function == 7 && !cpuid.entry[i].index)
			return cpuid.entry[i].ecx & 4;
	return false;
}

#define TABLES_ALLOWED	3, 0, 3, 0, 3, 0, 3, 0, 13, 0, 3, 0, 0x6004
#define TABLES_REFUSED	13, 0, 13, 0, 13, 0, 13, 0, 13, 0, 13, 0, 0x6000

static void test_umip(void)
{
	gt_create(&g, 1, false);
	if (!guest_has_umip()) {
		gt_destroy(&g);
		ut_skip("no UMIP");
	}
	build_pages();
	gt_call(&g, guest_umip);
	gt_expect(&g, TABLES_ALLOWED, TABLES_REFUSED, IG_GDT, GT_IDT, 0, 0x30, 0x100, 1, 0, 13,
		  0x10, TABLES_ALLOWED);
	gt_destroy(&g);
}

/* #AC: an unaligned access of user mode, with AC and CR0.AM. */
UT_GUEST static void guest_align(void *args)
{
	uint64_t va = VA, flags = 0x40002, i;

	__asm__ volatile("mov %%cr0, %%rax; or $0x40000, %%eax; mov %%rax, %%cr0" : : : "rax");
	TRY_USER(0x0010018f8bUL, 6);			/* mov 0x1001(%rdi), %ecx */
	REPORT_TRAP();
	gt_report(GT_T->rip - va);
	ut_done(0);
}

static sigjmp_buf unaligned;

static void on_sigbus(int sig)
{
	siglongjmp(unaligned, 1);
}

static bool cpu_checks_alignment(void)
{
	volatile uint32_t words[2];
	bool checks = false;

	signal(SIGBUS, on_sigbus);
	if (!sigsetjmp(unaligned, 1))
		__asm__ volatile("pushfq; orl $0x40000, (%%rsp); popfq; mov %0, %%eax\n"
				 "pushfq; andl $~0x40000, (%%rsp); popfq"
				 : : "m"(*(uint32_t *)((uintptr_t)words + 1)) : "rax", "cc", "memory");
	else
		checks = true;
	__asm__ volatile("pushfq; andl $~0x40000, (%%rsp); popfq" : : : "cc", "memory");
	signal(SIGBUS, SIG_DFL);
	return checks;
}

static void test_align(void)
{
	if (!cpu_checks_alignment())
		ut_skip("this CPU does not check alignment");
	gt_create(&g, 1, false);
	build_pages();
	gt_call(&g, guest_align);
	gt_expect(&g, 17, 0, 0x6000);
	gt_destroy(&g);
}

/* ---- double and triple faults -------------------------------------------------------------- */

#define GATE(v) ((volatile uint64_t *)(GT_IDT + (v) * 16))

UT_GUEST static void guest_double(void *args)
{
	GATE(13)[0] &= ~(1ULL << 47);			/* #GP's gate: not present */
	gt_try("mov $0x70, %%eax; mov %%eax, %%ds");
	REPORT_TRAP();
	GATE(14)[0] &= ~(1ULL << 47);
	gt_try("mov (%0), %%al", "D"(VA + 0x2000));
	REPORT_TRAP();
	/* The same with an exception that hv raises. */
	gt_try("mov $0x12345, %%ecx; rdmsr");
	REPORT_TRAP();
	/* A benign exception whose gate is missing: #NP, then the handler of that. */
	GATE(6)[0] &= ~(1ULL << 47);
	gt_try("ud2");
	REPORT_TRAP();
	gt_try("int $0x0d");				/* a software interrupt: error code without EXT */
	REPORT_TRAP();
	ut_done(0);
}

static void test_double(void)
{
	unsigned int i;

	gt_create(&g, 1, false);
	build_pages();
	gt_call(&g, guest_double);
	/* TCG forgets that it delivers an injected exception when that faults, and EXT. */
	for (i = 0; i < 3; i++) {
		gt_quirk(&g, i * 2, 11, 8);
		gt_quirk(&g, i * 2 + 1, (i == 1 ? 14 : 13) * 8 + 2, 0);
	}
	gt_quirk(&g, 7, 6 * 8 + 2, 6 * 8 + 3);
	gt_expect(&g, 8, 0, 8, 0, 8, 0, 11, 6 * 8 + 3, 11, 13 * 8 + 2);
	gt_destroy(&g);
}

UT_GUEST static void guest_triple(void *args)
{
	GATE(13)[0] &= ~(1ULL << 47);
	GATE(8)[0] &= ~(1ULL << 47);
	gt_report(1);
	if (*(volatile uint32_t *)args)
		gt_try("mov $0x70, %%eax; mov %%eax, %%ds");
	else
		gt_try("mov $0x12345, %%ecx; rdmsr");
	gt_report(2);
	ut_done(0);
}

static void test_triple(void)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	uint32_t i;

	for (i = 0; i < 2; i++) {
		gt_create(&g, 1, false);
		*(uint32_t *)ut_args(&g.vm.vcpu[0]) = !i;
		gt_start(&g, 0, guest_triple);
		/* TCG forgets that it delivers an injected exception when that faults. */
		if (gt_run(&g, 0) == UT_DONE && i) {
			gt_destroy(&g);
			break;
		}
		CHECK_EQ(g.result, UT_EXIT);
		CHECK_EQ(g.vm.vcpu[0].run->exit_reason, KVM_EXIT_SHUTDOWN);
		gt_expect(&g, 1);
		/* User space may look at it, reset it and go on. */
		CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_GET_REGS, &regs), 0);
		CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_GET_SREGS, &sregs), 0);
		*(uint32_t *)ut_args(&g.vm.vcpu[0]) = 0;
		gt_call(&g, guest_simple);
		gt_destroy(&g);
	}
}

/* A stack that is no memory at all: the fault's own delivery faults. */
UT_GUEST static void guest_no_stack(void *args)
{
	__asm__ volatile("mov %0, %%rsp; ud2" : : "D"(VA + 0x2800));
	ut_done(1);
}

static void test_no_stack(void)
{
	gt_create(&g, 1, false);
	build_pages();
	gt_start(&g, 0, guest_no_stack);
	CHECK_EQ(gt_run(&g, 0), UT_EXIT);
	CHECK_EQ(g.vm.vcpu[0].run->exit_reason, KVM_EXIT_SHUTDOWN);
	gt_destroy(&g);
}

static const struct ut_test tests[] = {
	{ "exc-simple", test_simple },
	{ "exc-rip-and-rf", test_rip },
	{ "exc-fpu", test_fpu },
	{ "exc-segments", test_segments },
	{ "exc-page-faults", test_pages },
	{ "exc-user-mode", test_user },
	{ "exc-umip", test_umip },
	{ "exc-alignment", test_align },
	{ "exc-double-fault", test_double },
	{ "exc-triple-fault", test_triple },
	{ "exc-no-stack", test_no_stack },
};

int main(int argc, char **argv)
{
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
