// SPDX-License-Identifier: GPL-2.0-or-later
/* Real mode, protected mode, and the transitions between all of them. The guest is modes.S. */
#include "gt.h"

GT_FLAT_BINARY(modes, "modes.bin");

static struct gt g;

enum {
	INT_N, LIMITS, SEGMENTS, UNREAL, STRINGS, PROTECTED, PAGING2, PAE, LONG_MODE, EXCEPTIONS,
	STACK,
	V86, BREAKPOINT,
};

static void run(unsigned int entry)
{
	gt_create(&g, 1, false);
	gt_call_flat(&g, modes_begin, modes_end, entry);
}

static void test_int(void)
{
	run(INT_N);
	gt_expect(&g, 0, 0, 0x1234, 0x7f00, 0x200, 0x5678, 0x5678);
	gt_destroy(&g);
}

static void test_breakpoint(void)
{
	run(BREAKPOINT);
	gt_expect(&g, 0xffff0ff1, 0);
	gt_destroy(&g);
}

static void test_limits(void)
{
	run(LIMITS);
	if (g.nr_reports == 3 && g.report[0] == 6) {
		gt_destroy(&g);
		ut_skip("this CPU does not check segment limits");
	}
	gt_expect(&g, 13, 13, 12);
	gt_destroy(&g);
}

static void test_segments(void)
{
	run(SEGMENTS);
	gt_expect(&g, 0xcafe1234, 0xcafe, 0x10, 0x100, 0);
	gt_destroy(&g);
}

static void test_unreal(void)
{
	run(UNREAL);
	gt_expect(&g, 0x600df00d, 0x18110a03, 0x600df00d);
	gt_destroy(&g);
}

static void test_strings(void)
{
	gt_create(&g, 1, false);
	gt_start_flat(&g, modes_begin, modes_end, STRINGS);
	CHECK_EQ(gt_run(&g, 0), UT_EXIT);
	CHECK_EQ(g.vm.vcpu[0].run->exit_reason, KVM_EXIT_HLT);
	gt_expect(&g, 0, 6, 0xb16db16c, 2);
	gt_expect_log(&g, "out1@1010=72 out1@1010=65 out1@1010=61 out1@1010=6c in2@1010=b16c"
		      " in2@1010=b16d in2@1010=b16e out2@1010=b16c");
	CHECK_EQ(gt_run(&g, 0), UT_DONE);
	gt_expect(&g, 0x77);
	gt_destroy(&g);
}

static void test_protected(void)
{
	run(PROTECTED);
	gt_expect(&g, 0x40, 0x11223344, 0x342d261f, 0x50, 0x55667788, 0, 0x22);
	gt_destroy(&g);
}

/* Identity by 4 MiB pages; 4-8 MiB by a table. */
static void test_paging2(void)
{
	uint32_t *pd, *pt;

	gt_create(&g, 1, false);
	pd = (void *)(g.vm.low + 0x50000);
	pt = (void *)(g.vm.low + 0x52000);
	memset(pd, 0, 4096);
	memset(pt, 0, 4096);
	pd[0] = 0x83;
	pd[1] = 0x52003;
	pt[0] = GT_DATA | 3;
	pt[1] = GT_DEV | 3;
	gt_call_flat(&g, modes_begin, modes_end, PAGING2);
	gt_expect(&g, 0x1111, 0x2222, 0x5049423b, 0x60, 0x20);
	gt_expect_log(&g, "r4@8=5049423b w2@10=1234");
	gt_destroy(&g);
}

static void test_pae(void)
{
	uint64_t *pdpt, *pd, *pt;

	gt_create(&g, 1, false);
	pdpt = (void *)(g.vm.low + 0x51000);
	memset(pdpt, 0, 4096);
	pdpt[0] = 0x53001;
	pdpt[1] = 0x54001;
	pd = (void *)(g.vm.low + 0x53000);
	memset(pd, 0, 8192);
	pd[0] = 0x83;
	pd[1] = 0x55003;
	pd[512] = GT_DEV | 0x83;
	pt = (void *)(g.vm.low + 0x55000);
	memset(pt, 0, 4096);
	pt[0] = GT_DATA | 3;
	gt_call_flat(&g, modes_begin, modes_end, PAE);
	gt_expect(&g, 0x3333, 0x4444, 0x5049423b, 0x3333);
	gt_destroy(&g);
}

static void test_long(void)
{
	run(LONG_MODE);
	gt_expect(&g, 0x500, 0x11223344, 0x5049423b, 0x6c655e57, 0x40, 0x100, 0);
	gt_destroy(&g);
}

static void test_exceptions(void)
{
	run(EXCEPTIONS);
	/* Steps: NOP, CPUID, PUSHF, AND, POPF. */
	gt_expect(&g, 0x100, 0x7efa, 0x106, 0x7efa, 0x10d, 0x7efa, 5);
	gt_destroy(&g);
}

static void test_stack(void)
{
	run(STACK);
	gt_expect(&g, 0xfffe, 0x4321, 0, 0x100, 0x100, 0xf6, 0x100);
	gt_destroy(&g);
}

static void test_v86(void)
{
	run(V86);
	gt_expect(&g, 0, 0x20000, 0x1357, 0x2468, 0);
	gt_destroy(&g);
}

/* From the reset vector: f000:fff0 with a base just below 4 GiB, as after power-on. */
static void test_reset_vector(void)
{
	/* ljmp $0xf000, $0xe000 */
	static const uint8_t at_reset[] = { 0xea, 0x00, 0xe0, 0x00, 0xf0 };
	static const uint8_t code[] = {
		0x8c, 0xc8,			/* mov %cs, %ax */
		0x66, 0x0f, 0xb7, 0xc0,		/* movzwl %ax, %eax */
		0x66, 0xe7, 0xf4,		/* outl %eax, $0xf4 */
		0x66, 0x31, 0xc0, 0x66, 0xe7, 0xf0,	/* xor; outl %eax, $0xf0 */
	};
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	uint8_t *rom;

	gt_create(&g, 1, false);
	rom = mmap(NULL, 0x10000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(rom != MAP_FAILED);
	memcpy(rom + 0xfff0, at_reset, sizeof(at_reset));
	NEED(ut_slot(&g.vm, 1, 0xffff0000, 0x10000, rom, KVM_MEM_READONLY) == 0);
	memcpy(g.vm.low + 0xfe000, code, sizeof(code));
	/* Nothing is set: this is how a vCPU is born. */
	CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_GET_SREGS, &sregs), 0);
	CHECK_EQ(sregs.cs.base, 0xffff0000);
	CHECK_EQ(sregs.cs.selector, 0xf000);
	CHECK_EQ(sregs.cr0, 0x60000010);
	CHECK_EQ(sregs.cs.limit, 0xffff);
	CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_GET_REGS, &regs), 0);
	CHECK_EQ(regs.rip, 0xfff0);
	CHECK_EQ(regs.rflags, 2);
	CHECK_EQ(gt_run(&g, 0), UT_DONE);
	gt_expect(&g, 0xf000);
	munmap(rom, 0x10000);
	gt_destroy(&g);
}

static const struct ut_test tests[] = {
	{ "modes-reset-vector", test_reset_vector },
	{ "modes-real-int", test_int },
	{ "modes-real-breakpoint", test_breakpoint },
	{ "modes-real-limits", test_limits },
	{ "modes-real-segments", test_segments },
	{ "modes-real-unreal", test_unreal },
	{ "modes-real-strings", test_strings },
	{ "modes-real-exceptions", test_exceptions },
	{ "modes-real-stack", test_stack },
	{ "modes-protected", test_protected },
	{ "modes-two-level-paging", test_paging2 },
	{ "modes-pae", test_pae },
	{ "modes-long", test_long },
	{ "modes-virtual-8086", test_v86 },
};

int main(int argc, char **argv)
{
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
