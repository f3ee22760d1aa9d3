// SPDX-License-Identifier: GPL-2.0-or-later
/* Hardware task switches: the guest is task.S. */
#include "gt.h"

GT_FLAT_BINARY(task, "task.bin");

static struct gt g;

/* Identity for the first 4 MiB; a page at 4 MiB of each task's own. */
static void build_tables(uint32_t at, uint32_t data)
{
	uint32_t *pd = (void *)(g.vm.low + at), *pt = (void *)(g.vm.low + at + 0x1000);

	memset(pd, 0, 0x2000);
	pd[0] = 0x83;
	pd[1] = (at + 0x1000) | 3;
	pt[0] = data | 3;
}

static void start(unsigned int entry)
{
	gt_create(&g, 1, false);
	build_tables(0x50000, GT_DATA);
	build_tables(0x52000, GT_DATA + 0x1000);
	*(uint32_t *)(g.vm.low + GT_DATA) = 0xa;
	*(uint32_t *)(g.vm.low + GT_DATA + 0x1000) = 0xb;
	gt_start_flat(&g, task_begin, task_end, entry);
}

static void test_switch(void)
{
	start(0);
	CHECK_EQ(gt_run(&g, 0), UT_DONE);
	/* Where A goes on after INT n is for the assembler to know. */
	CHECK(g.report[24] > GT_FLAT && g.report[24] < GT_FLAT + 0x200);
	g.report[24] = 0;
	gt_expect(&g, 0xa,
		  /* CALL: B's EBX, TR, link, both busy, NT, TS, its own page, A's saved EBX */
		  0x1111, 0x20, 0x18, 0x8b, 0x8b, 0x4000, 8, 0xb, 0xaaaa,
		  /* back: EBX, ESP, B not busy, no NT, A's page */
		  0xaaaa, 0x7f00, 0x8b, 0x89, 0, 0xa,
		  /* again, then by JMP: no NT, only one is busy; and back */
		  0xb0b, 0xaaaa, 0, 0x89, 0x8b, 0x8b, 0x89,
		  /* INT n; #GP with its error code, at the instruction */
		  0x1a7, 0, 0xaaaa, 0x1000, 0, 0xaaaa,
		  /* #NP and #TS of task A */
		  11, 0x38, 0x18, 10, 0x40, 0x18);
	gt_destroy(&g);
}

static void test_narrow(void)
{
	if (gt_kvm_intel())
		ut_skip("stock KVM saves a 32-bit task as the new one's TSS wants it");
	start(2);
	CHECK_EQ(gt_run(&g, 0), UT_DONE);
	/* BX, TR, link; and back to 32 bits. */
	gt_expect(&g, 0xcc, 0x28, 0x18, 0x12345678);
	gt_destroy(&g);
}

static void test_segment(void)
{
	enum ut_result r;

	if (gt_kvm_intel())
		ut_skip("stock KVM forgets the fault");
	start(1);
	r = gt_run(&g, 0);
	/* QEMU's TCG leaves the new task in a state that no CPU has. */
	if (r != UT_DONE && !gt_intel()) {
		gt_destroy(&g);
		ut_skip("this CPU cannot go on after a fault in the new task");
	}
	CHECK_EQ(r, UT_DONE);
	gt_expect(&g, 11, 0x48, 0x20, 0xa9a1, 0x10, 0);
	gt_destroy(&g);
}

static const struct ut_test tests[] = {
	{ "task-switch", test_switch },
	{ "task-16-bit", test_narrow },
	{ "task-bad-segment", test_segment },
};

int main(int argc, char **argv)
{
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
