// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Debug traps: single steps over instructions that exit and that do not, breakpoints, ICEBP, the
 * debug registers themselves.
 */
#include "gt.h"

static struct gt g;

#define DR6_FIXED	0xffff0ff0u
#define DR6_BS		(1u << 14)
#define DR6_BD		(1u << 13)

/*
 * Step over @insns and report: the number of steps in them. Each instruction must be stepped once:
 * the distances between the places reported are checked against what the host computed from the
 * instructions' lengths, by way of gt_report().
 */
#define STEP(insns, ...)									\
	do {											\
		GT_T->count = 0;								\
		GT_T->log_rip = 1;								\
		__asm__ volatile("mov $0x1010, %%edx; mov $0x40000010, %%ebx; mov $0x40000, %%esi;" \
				 "mov $0x10, %%ecx; mov $0x41000, %%edi; xor %%eax, %%eax\n"	\
				 "pushfq; orl $0x100, (%%rsp); popfq\n"				\
				 "8: " insns "\n"						\
				 "7: pushfq; andl $~0x100, (%%rsp); popfq\n"			\
				 "lea 8b(%%rip), %%rax; mov %%rax, 0x37278\n"			\
				 : : __VA_ARGS__ : "rax", "rbx", "rcx", "rdx", "rsi", "rdi",	\
				 "cc", "memory");						\
		GT_T->log_rip = 0;								\
		/* The first step's trap comes after the first instruction; three more follow. */ \
		gt_report(GT_T->count - 3);							\
		for (i = 0; i < GT_T->count - 3 && i < 8; i++)					\
			gt_report(GT_T->rips[i] - GT_T->base);				\
		gt_report(GT_T->dr6);								\
		__asm__ volatile("mov %0, %%dr6" : : "r"(0xffff0ff0UL));			\
	} while (0)

UT_GUEST static void guest_step(void *args)
{
	uint64_t i;

	STEP("nop; nop");
	STEP("cpuid; nop");
	ut_done(0);
}

UT_GUEST static void guest_step_msr(void *args)
{
	uint64_t i;

	STEP("rdmsr; nop");
	STEP("wrmsr; nop");
	ut_done(0);
}

UT_GUEST static void guest_step_pio(void *args)
{
	uint64_t i;

	STEP("in %%dx, %%al; nop");
	STEP("out %%eax, %%dx; nop");
	ut_done(0);
}

UT_GUEST static void guest_step_outs(void *args)
{
	uint64_t i;

	STEP("outsb; nop");
	ut_done(0);
}

UT_GUEST static void guest_step_mmio(void *args)
{
	uint64_t i;

	STEP("mov (%%rbx), %%eax; nop");
	ut_done(0);
}

UT_GUEST static void guest_step_mmio_write(void *args)
{
	uint64_t i;

	STEP("mov %%al, (%%rbx); nop");
	STEP("addl $1, (%%rbx); nop");
	ut_done(0);
}

UT_GUEST static void guest_step_vmmcall(void *args)
{
	uint64_t i;

	STEP("vmmcall; nop");
	ut_done(0);
}

UT_GUEST static void guest_step_vmcall(void *args)
{
	uint64_t i;

	STEP("vmcall; nop");
	ut_done(0);
}

static void check_steps(void (*fn)(void *), bool kvm_loses, unsigned int runs,
			const uint8_t (*rips)[4])
{
	unsigned int i, j, n = 0;
	uint32_t want[64];

	if (kvm_loses && !strcmp(ut_device(), "/dev/kvm"))
		ut_skip("KVM loses the trap when user space completes the write");
	gt_create(&g, 1, false);
	gt_call(&g, fn);
	for (i = 0; i < runs; i++) {
		for (j = 0; rips[i][j]; j++)
			;
		want[n++] = j;
		for (j = 0; rips[i][j]; j++)
			want[n++] = rips[i][j];
		want[n++] = DR6_FIXED | DR6_BS;
	}
	gt_expect_(&g, __FILE__, __LINE__, n, want);
	gt_destroy(&g);
}

#define TEST_STEP(name, fn, kvm_loses, runs, ...)				\
	static void name(void)							\
	{									\
		static const uint8_t rips[][4] = { __VA_ARGS__ };		\
		check_steps(fn, kvm_loses, runs, rips);					\
	}

TEST_STEP(test_step, guest_step, false, 2, { 1, 2 }, { 2, 3 })
TEST_STEP(test_step_msr, guest_step_msr, false, 2, { 2, 3 }, { 2, 3 })
TEST_STEP(test_step_pio, guest_step_pio, false, 2, { 1, 2 }, { 1, 2 })
TEST_STEP(test_step_outs, guest_step_outs, true, 1, { 1, 2 })
TEST_STEP(test_step_mmio, guest_step_mmio, false, 1, { 2, 3 })
TEST_STEP(test_step_mmio_write, guest_step_mmio_write, true, 2, { 2, 3 }, { 3, 4 })
TEST_STEP(test_step_amd, guest_step_vmmcall, false, 1, { 3, 4 })
TEST_STEP(test_step_intel, guest_step_vmcall, false, 1, { 3, 4 })

/* The processor's own instruction: KVM rewrites the other one, and that is a step more. */
static void test_step_hypercall(void)
{
	if (gt_intel())
		test_step_intel();
	else
		test_step_amd();
}

/* Each iteration of a repeated string instruction is a step. */
UT_GUEST static void guest_step_rep(void *args)
{
	uint64_t i;

	STEP("mov $3, %%ecx; rep outsb; nop");
	STEP("mov $3, %%ecx; mov %%ebx, %%edi; rep stosb; nop");
	ut_done(0);
}

static void test_step_rep(void)
{
	if (!strcmp(ut_device(), "/dev/kvm"))
		ut_skip("KVM loses the trap when user space completes the write");
	gt_create(&g, 1, false);
	gt_call(&g, guest_step_rep);
	gt_expect(&g, 5, 5, 5, 5, 7, 8, DR6_FIXED | DR6_BS,
		  6, 5, 7, 7, 7, 9, 10, DR6_FIXED | DR6_BS);
	gt_destroy(&g);
}

/* ---- breakpoints --------------------------------------------------------------------------- */

#define SET_DR(n, v) __asm__ volatile("mov %0, %%dr" #n : : "r"((uint64_t)(v)) : "memory")
#define GET_DR(n) ({ uint64_t v_; __asm__ volatile("mov %%dr" #n ", %0" : "=r"(v_)); v_; })

UT_GUEST static void guest_dr_values(void *args)
{
	SET_DR(0, 0x1111);
	SET_DR(1, 0x123456789abcUL);
	SET_DR(2, 0x3333);
	SET_DR(3, 0x4444);
	SET_DR(6, 0x4003);
	SET_DR(7, 0x0);
	gt_report(GET_DR(0));
	gt_report(GET_DR(1) >> 16);
	gt_report(GET_DR(2));
	gt_report(GET_DR(3));
	gt_report(GET_DR(6));
	gt_report(GET_DR(7));
	/* DR4 and DR5 are aliases unless CR4.DE. */
	__asm__ volatile(".byte 0x0f, 0x21, 0xe0" : : : "rax");	/* mov %dr4, %rax */
	gt_try(".byte 0x0f, 0x21, 0xe0");
	gt_report(GT_T->vector);
	__asm__ volatile("mov %%cr4, %%rax; or $8, %%eax; mov %%rax, %%cr4" : : : "rax");
	gt_try(".byte 0x0f, 0x21, 0xe0");
	gt_report(GT_T->vector);
	/* The upper halves of DR6 and DR7 must be 0. */
	gt_try("bts $32, %%rax; mov %%rax, %%dr6");
	gt_report(GT_T->vector);
	gt_try("bts $32, %%rax; mov %%rax, %%dr7");
	gt_report(GT_T->vector);
	ut_done(0);
}

static void test_dr_values(void)
{
	gt_create(&g, 1, false);
	gt_call(&g, guest_dr_values);
	gt_expect(&g, 0x1111, 0x12345678, 0x3333, 0x4444, 0xffff4ff3, 0x400, 0x100, 6, 13, 13);
	gt_destroy(&g);
}

/* An instruction breakpoint: before the instruction, RF as it was; RF passes it. */
UT_GUEST static void guest_dr_exec(void *args)
{
	uint64_t at;

	__asm__ volatile("lea 5f(%%rip), %0; jmp 6f; 5: nop; ret; 6:" : "=r"(at));
	SET_DR(0, at);
	SET_DR(7, 1);
	GT_T->set_rf = 1;
	GT_T->count = 0;
	__asm__ volatile("call *%0" : : "r"(at) : "memory");
	gt_report(GT_T->count);
	gt_report(GT_T->vector);
	gt_report(GT_T->rip - at);
	gt_report(GT_T->dr6);
	gt_report(GT_T->rflags >> 16 & 1);
	SET_DR(6, DR6_FIXED);
	/* On an instruction that exits. */
	__asm__ volatile("lea 5f(%%rip), %0; jmp 6f; 5: cpuid; ret; 6:" : "=r"(at) : : "rax", "rbx",
			 "rcx", "rdx");
	SET_DR(0, at);
	__asm__ volatile("call *%0" : : "r"(at) : "rax", "rbx", "rcx", "rdx", "memory");
	gt_report(GT_T->count);
	gt_report(GT_T->rip - at);
	gt_report(GT_T->dr6);
	SET_DR(7, 0);
	SET_DR(6, DR6_FIXED);
	__asm__ volatile("call *%0" : : "r"(at) : "rax", "rbx", "rcx", "rdx", "memory");
	gt_report(GT_T->count);
	ut_done(0);
}

static void test_dr_exec(void)
{
	gt_create(&g, 1, false);
	gt_call(&g, guest_dr_exec);
	if (gt_intel())
		gt_quirk(&g, 4, 1, 0);	/* Bochs, where a second-level fault met the delivery */
	gt_expect(&g, 1, 1, 0, DR6_FIXED | 1, 0, 2, 0, DR6_FIXED | 1, 2);
	gt_destroy(&g);
}

/* Data breakpoints: after the access; on memory, reads and writes. */
UT_GUEST static void guest_dr_data(void *args)
{
	volatile uint32_t *p = (volatile uint32_t *)GT_DATA;
	uint32_t v;

	SET_DR(1, GT_DATA);
	SET_DR(7, 4 | 0xdUL << 20);		/* L1, write, 4 bytes */
	GT_T->count = 0;
	v = *p;
	gt_report(GT_T->count);
	*p = v + 1;
	gt_report(GT_T->count);
	gt_report(GT_T->dr6);
	SET_DR(6, DR6_FIXED);
	p[1] = 1;
	((volatile uint8_t *)p)[3] = 1;
	gt_report(GT_T->count);
	SET_DR(7, 4 | 0xfUL << 20);		/* reads, too */
	v = *p;
	gt_report(GT_T->count);
	/* Breakpoints survive exits. */
	__asm__ volatile("xor %%eax, %%eax; cpuid" : : : "rax", "rbx", "rcx", "rdx");
	*(volatile uint32_t *)GT_DEV;
	*p = v;
	gt_report(GT_T->count);
	SET_DR(7, 0);
	*p = v;
	gt_report(GT_T->count);
	ut_done(0);
}

static void test_dr_data(void)
{
	gt_create(&g, 1, false);
	gt_call(&g, guest_dr_data);
	gt_expect(&g, 0, 1, DR6_FIXED | 2, 2, 3, 4, 4);
	gt_destroy(&g);
}

/*
 * DR7.GD: accesses of the debug registers trap, before they happen, and the handler may use them.
 */
UT_GUEST static void guest_gd(void *args)
{
	SET_DR(0, 0x77);
	SET_DR(7, 0x2000);
	gt_try("mov $0x55, %%eax; mov %%rax, %%dr0");
	gt_report(GT_T->vector);
	gt_report(GT_T->dr6);
	gt_report(GET_DR(0));
	gt_report(GET_DR(7));
	SET_DR(6, DR6_FIXED);
	SET_DR(7, 0x2000);
	gt_try("mov %%dr6, %%rax");
	gt_report(GT_T->vector);
	gt_report(GT_T->dr6);
	ut_done(0);
}

static void test_gd(void)
{
	gt_create(&g, 1, false);
	gt_call(&g, guest_gd);
	if (g.nr_reports == 6 && g.report[0] == 0x100)
		ut_skip("this CPU has no general detect");
	gt_expect(&g, 1, DR6_FIXED | DR6_BD, 0x77, 0x400, 1, DR6_FIXED | DR6_BD);
	gt_destroy(&g);
}

/* ICEBP and INT 1 are no hardware breakpoints: DR6 does not change. */
UT_GUEST static void guest_icebp(void *args)
{
	uint64_t at;

	SET_DR(6, DR6_FIXED);
	gt_try("lea 8f(%%rip), %%rdx; mov %%rdx, (%0); 8: .byte 0xf1", "D"(args));
	at = *(volatile uint64_t *)args;
	gt_report(GT_T->vector);
	gt_report(GT_T->rip - at);
	gt_report(GT_T->dr6);
	gt_try("int $1");
	gt_report(GT_T->vector);
	gt_report(GT_T->dr6);
	ut_done(0);
}

static void test_icebp(void)
{
	gt_create(&g, 1, false);
	gt_call(&g, guest_icebp);
	gt_expect(&g, 1, 1, DR6_FIXED, 1, DR6_FIXED);
	gt_destroy(&g);
}

/* MOV SS holds the trap of the instruction before it back, by one instruction. */
UT_GUEST static void guest_step_shadow(void *args)
{
	uint64_t i;

	STEP("mov %%ss, %%eax; mov %%eax, %%ss; nop; nop");
	STEP("mov %%ss, %%eax; mov %%eax, %%ss; cpuid; nop");
	ut_done(0);
}

static void test_step_shadow(void)
{
	gt_create(&g, 1, false);
	gt_call(&g, guest_step_shadow);
	gt_expect(&g, 3, 2, 5, 6, DR6_FIXED | DR6_BS, 3, 2, 6, 7, DR6_FIXED | DR6_BS);
	gt_destroy(&g);
}

/* ---- KVM_SET_GUEST_DEBUG ------------------------------------------------------------------- */

UT_GUEST static void guest_debugged(void *args)
{
	__asm__ volatile("nop; cpuid; mov 0x40000000, %%eax; nop" : : : "rax", "rbx", "rcx", "rdx");
	__asm__ volatile("int3");
	gt_report(GT_T->count);
	ut_done(0);
}

static unsigned int debug_exits(unsigned int max)
{
	struct kvm_run *run = g.vm.vcpu[0].run;
	unsigned int n = 0;

	while (n < max && gt_run(&g, 0) == UT_EXIT && run->exit_reason == KVM_EXIT_DEBUG)
		n++;
	return n;
}

static void test_guest_debug(void)
{
	struct kvm_guest_debug dbg = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP };
	struct kvm_run *run;
	struct kvm_regs regs, after;

	gt_create(&g, 1, false);
	run = g.vm.vcpu[0].run;
	gt_start(&g, 0, guest_debugged);
	CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_SET_GUEST_DEBUG, &dbg), 0);
	CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_GET_REGS, &regs), 0);
	CHECK_EQ(debug_exits(1), 1);
	CHECK_EQ(run->debug.arch.exception, 1);
	CHECK_EQ(run->debug.arch.dr6 & DR6_BS, DR6_BS);
	CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_GET_REGS, &after), 0);
	CHECK_EQ(run->debug.arch.pc, after.rip);
	CHECK(after.rip > regs.rip && after.rip <= regs.rip + 15);
	while (g.vm.low[after.rip] != 0x90 && debug_exits(1))
		CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_GET_REGS, &after), 0);
	regs.rip = after.rip;
	/* The guest does not see the flag that steps it. */
	CHECK_EQ(after.rflags & 0x100, 0);
	/* Step on, over CPUID and over an access to the device, each one step. */
	CHECK_EQ(debug_exits(3), 3);
	CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_GET_REGS, &after), 0);
	CHECK_EQ(g.vm.low[after.rip], 0x90);
	/* Breakpoints only: stops at INT3. TCG executes that in spite of the intercept. */
	dbg.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;
	CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_SET_GUEST_DEBUG, &dbg), 0);
	if (debug_exits(1)) {
		CHECK_EQ(run->debug.arch.exception, 3);
		CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_GET_REGS, &after), 0);
		CHECK_EQ(run->debug.arch.pc, after.rip);
		CHECK_EQ(g.vm.low[after.rip], 0xcc);
	}
	/* Hardware breakpoints of the debugger. */
	dbg.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
	dbg.arch.debugreg[0] = regs.rip;
	dbg.arch.debugreg[7] = 1;
	gt_start(&g, 0, guest_debugged);
	CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_SET_GUEST_DEBUG, &dbg), 0);
	CHECK_EQ(debug_exits(1), 1);
	CHECK_EQ(run->debug.arch.exception, 1);
	CHECK_EQ(run->debug.arch.pc, regs.rip);
	CHECK_EQ(run->debug.arch.dr6 & 0xf, 1);
	CHECK_EQ(run->debug.arch.dr7 & 0xff, 1);
	/* Nothing is left of it. */
	dbg.control = 0;
	CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_SET_GUEST_DEBUG, &dbg), 0);
	CHECK_EQ(gt_run(&g, 0), UT_DONE);
	gt_expect(&g, 1);		/* INT3 */
	gt_destroy(&g);
}

static const struct ut_test tests[] = {
	{ "debug-step", test_step },
	{ "debug-step-msr", test_step_msr },
	{ "debug-step-port", test_step_pio },
	{ "debug-step-outs", test_step_outs },
	{ "debug-step-mmio", test_step_mmio },
	{ "debug-step-mmio-write", test_step_mmio_write },
	{ "debug-step-hypercall", test_step_hypercall },
	{ "debug-step-rep", test_step_rep },
	{ "debug-step-shadow", test_step_shadow },
	{ "debug-registers", test_dr_values },
	{ "debug-break-exec", test_dr_exec },
	{ "debug-break-data", test_dr_data },
	{ "debug-general-detect", test_gd },
	{ "debug-icebp", test_icebp },
	{ "debug-by-user-space", test_guest_debug },
};

int main(int argc, char **argv)
{
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
