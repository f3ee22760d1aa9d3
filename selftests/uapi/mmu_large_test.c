// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Large pages, page merging and swapping under a guest: the host's memory management moves and
 * splits its pages, and the guest's data stays what it was.
 */
#define _GNU_SOURCE
#include "ut.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

#define GPA	0x40000000UL
#define REGIONS	4
#define SIZE	(REGIONS * UT_2M)
#define NPAGES	(SIZE / UT_PAGE)

struct job {
	uint64_t first, count, value, add, bad;
};

/* Each page must hold value + its number; then @add is added to it. */
UT_GUEST static void guest_step(void *args)
{
	volatile struct job *job = args;
	uint64_t i;

	job->bad = 0;
	for (i = job->first; i < job->first + job->count; i++) {
		volatile uint64_t *p = (volatile uint64_t *)(GPA + i * UT_PAGE);

		job->bad += *p != job->value + i;
		if (job->add)
			*p += job->add;
	}
	ut_done(1);
}

static struct ut_vm vm;
static uint8_t *mem;

static void start(void)
{
	uint64_t i;

	ut_vm_create(&vm, 1);
	mem = mmap(NULL, SIZE + UT_2M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(mem != MAP_FAILED);
	mem = (uint8_t *)(((uintptr_t)mem + UT_2M - 1) & ~(UT_2M - 1));
	madvise(mem, SIZE, MADV_HUGEPAGE);
	NEED(ut_slot(&vm, 1, GPA, SIZE, mem, 0) == 0);
	for (i = 0; i < NPAGES; i++)
		*(uint64_t *)(mem + i * UT_PAGE) = i;
}

static void finish(void)
{
	ut_vm_destroy(&vm);
	munmap(mem, SIZE);
}

/* The guest finds value + n in page n of all of [first, first + count), and adds @add. */
static void step(uint64_t first, uint64_t count, uint64_t value, uint64_t add)
{
	struct job *job = ut_args(&vm.vcpu[0]);

	*job = (struct job){ .first = first, .count = count, .value = value, .add = add };
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_step), 1);
	CHECK_EQ(job->bad, 0);
}

/* What the process sees. */
static void check_host(uint64_t value)
{
	uint64_t i, bad = 0;

	for (i = 0; i < NPAGES; i++)
		bad += *(volatile uint64_t *)(mem + i * UT_PAGE) != value + i;
	CHECK_EQ(bad, 0);
}

static long read_number(const char *path)
{
	FILE *f = fopen(path, "r");
	long n = -1;

	if (f && fscanf(f, "%ld", &n) != 1)
		n = -1;
	if (f)
		fclose(f);
	return n;
}

static void test_large(void)
{
	long large;

	start();
	step(0, NPAGES, 0, 1);
	large = ut_vm_stat(&vm, "pages_2m");
	if (large < 1)
		ut_skip("the host gave no large pages");
	/* Hand one page in the middle back: the large page is split, its neighbours stay. */
	CHECK(madvise(mem + 100 * UT_PAGE, UT_PAGE, MADV_DONTNEED) == 0);
	step(101, NPAGES - 101, 1, 1);
	step(0, 100, 1, 1);
	CHECK(*(uint64_t *)(mem + 100 * UT_PAGE) == 0);
	*(uint64_t *)(mem + 100 * UT_PAGE) = 102;
	CHECK(ut_vm_stat(&vm, "pages_2m") < large);
	step(0, NPAGES, 2, 1);
	/* Put together again. */
	if (madvise(mem, SIZE, MADV_COLLAPSE) != 0)
		ut_skip("MADV_COLLAPSE: %s", strerror(errno));
	step(0, NPAGES, 3, 1);
	CHECK_EQ(ut_vm_stat(&vm, "pages_2m"), large);
	check_host(4);
	finish();
}

/* Call functions of the test's, one in each of @count pages; their results add up. */
UT_GUEST static void guest_call(void *args)
{
	volatile struct job *job = args;
	uint64_t i, sum = 0;

	for (i = job->first; i < job->first + job->count; i++)
		sum += ((uint64_t (*)(void))(GPA + i * UT_PAGE + 64))();
	job->value = sum;
	ut_done(1);
}

/*
 * Code in large pages, which then change size under it: stock KVM and hv split them on CPUs that
 * must not execute from large pages.
 */
static void test_code(void)
{
	static const uint8_t code[] = { 0xb8, 0x07, 0, 0, 0, 0xc3 };	/* mov $7, %eax; ret */
	struct job *job;
	uint64_t i, round;

	start();
	job = ut_args(&vm.vcpu[0]);
	for (i = 0; i < NPAGES; i++)
		memcpy(mem + i * UT_PAGE + 64, code, sizeof(code));
	step(0, NPAGES, 0, 1);
	for (round = 0; round < 4; round++) {
		*job = (struct job){ .first = round * 100, .count = 1000 };
		CHECK_EQ(ut_call(&vm.vcpu[0], guest_call), 1);
		CHECK_EQ(job->value, 7000);
		step(0, NPAGES, 1 + round, 1);
		CHECK(mprotect(mem + 600 * UT_PAGE, UT_PAGE, PROT_READ) == 0);
		CHECK(mprotect(mem + 600 * UT_PAGE, UT_PAGE, PROT_READ | PROT_WRITE) == 0);
		madvise(mem, SIZE, MADV_COLLAPSE);
	}
	check_host(5);
	finish();
}

static void test_misaligned(void)
{
	/*
	 * Frames and addresses out of step: large pages of the host cannot be large for the guest.
	 */
	start();
	NEED(ut_slot(&vm, 1, 0, 0, NULL, 0) == 0);
	NEED(ut_slot(&vm, 1, GPA, SIZE - UT_PAGE, mem + UT_PAGE, 0) == 0);
	step(0, NPAGES - 1, 1, 5);
	CHECK(ut_vm_stat(&vm, "pages_2m") <= 1);	/* slot 0 may have one */
	CHECK(madvise(mem, UT_2M, MADV_DONTNEED) == 0);
	step(511, 512, 6, 0);
	finish();
}

static void test_partial(void)
{
	/* Slots that begin and end inside of a large page. */
	start();
	NEED(ut_slot(&vm, 1, 0, 0, NULL, 0) == 0);
	NEED(ut_slot(&vm, 1, GPA, UT_2M + 5 * UT_PAGE, mem, 0) == 0);
	NEED(ut_slot(&vm, 2, GPA + UT_2M + 5 * UT_PAGE, 2 * UT_2M, mem + UT_2M + 5 * UT_PAGE, 0) ==
	     0);
	step(0, 3 * 512, 0, 9);
	NEED(ut_slot(&vm, 2, 0, 0, NULL, 0) == 0);
	step(0, 512 + 5, 9, 9);
	finish();
}

static void test_hugetlb(void)
{
	uint64_t i;

	ut_vm_create(&vm, 1);
	if (!ut_write_file("/proc/sys/vm/nr_hugepages", "8"))
		ut_skip("cannot reserve huge pages");
	mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (mem == MAP_FAILED)
		ut_skip("no huge pages: %s", strerror(errno));
	NEED(ut_slot(&vm, 1, GPA, SIZE, mem, 0) == 0);
	for (i = 0; i < NPAGES; i++)
		*(uint64_t *)(mem + i * UT_PAGE) = i;
	step(0, NPAGES, 0, 3);
	CHECK(ut_vm_stat(&vm, "pages_2m") >= REGIONS);
	check_host(3);
	CHECK(madvise(mem, UT_2M, MADV_DONTNEED) == 0);
	for (i = 0; i < 512; i++)
		*(uint64_t *)(mem + i * UT_PAGE) = 3 + i;
	step(0, NPAGES, 3, 1);
	finish();
	ut_write_file("/proc/sys/vm/nr_hugepages", "0");
}

static void test_merge(void)
{
	long merged = 0;
	unsigned int i;

	if (!ut_write_file("/sys/kernel/mm/ksm/run", "1"))
		ut_skip("no KSM");
	ut_write_file("/sys/kernel/mm/ksm/pages_to_scan", "100000");
	ut_write_file("/sys/kernel/mm/ksm/sleep_millisecs", "1");
	start();
	/* All pages alike, mapped by the guest, then merged. */
	step(0, NPAGES, 0, 1);
	for (i = 0; i < NPAGES; i++)
		*(uint64_t *)(mem + i * UT_PAGE) = 1;
	CHECK(madvise(mem, SIZE, MADV_MERGEABLE) == 0);
	for (i = 0; i < 100 && merged < (long)NPAGES / 2; i++) {
		usleep(50000);
		merged = read_number("/sys/kernel/mm/ksm/pages_sharing");
	}
	printf("# %ld pages merged\n", merged);
	CHECK(merged > 0);
	/* Each still reads 1; a write gives the page its own copy. */
	for (i = 0; i < NPAGES; i += 97)
		step(i, 1, 1ULL - i, 0);
	for (i = 0; i < NPAGES; i += 3)
		step(i, 1, 1ULL - i, i + 10);
	for (i = 0; i < NPAGES; i++)
		CHECK_EQ(*(volatile uint64_t *)(mem + i * UT_PAGE), i % 3 ? 1 : i + 11);
	ut_write_file("/sys/kernel/mm/ksm/run", "2");
	finish();
}

/* Pages of the process in swap, as /proc counts them. */
static long swapped(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[128];
	long kib = -1;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmSwap: %ld", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib < 0 ? -1 : kib / 4;
}

/* Does this host swap out on request at all, memory that no guest has ever seen? */
static bool can_page_out(void)
{
	size_t size = 256 * UT_PAGE;
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long before = swapped();

	NEED(p != MAP_FAILED);
	madvise(p, size, MADV_NOHUGEPAGE);
	memset(p, 1, size);
	madvise(p, size, MADV_PAGEOUT);
	before = swapped() - before;
	munmap(p, size);
	return before > 0;
}

static void test_swap(void)
{
	unsigned int round, try;
	uint64_t page;

	ut_swap_on();
	if (!can_page_out()) {
		ut_swap_off();
		ut_skip("the host does not page out on request");
	}
	start();
	/* Not every kernel swaps large pages. */
	madvise(mem, SIZE, MADV_DONTNEED);
	madvise(mem, SIZE, MADV_NOHUGEPAGE);
	for (page = 0; page < NPAGES; page++)
		*(uint64_t *)(mem + page * UT_PAGE) = page;
	for (round = 0; round < 4; round++) {
		step(0, NPAGES, round, 1);
		/* Older kernels keep what the guest has used: the first call only makes it old. */
		for (try = 0; try < 4 && swapped() < (long)NPAGES / 4; try++)
			CHECK(madvise(mem, SIZE, MADV_PAGEOUT) == 0);
		printf("# %ld pages in swap after %u calls\n", swapped(), try);
		CHECK(swapped() > (long)NPAGES / 4);
	}
	step(0, NPAGES, 4, 0);
	check_host(4);
	finish();
	ut_swap_off();
}

static const struct ut_test tests[] = {
	{ "large-pages", test_large },
	{ "large-code", test_code },
	{ "large-misaligned", test_misaligned },
	{ "large-partial-slots", test_partial },
	{ "large-hugetlb", test_hugetlb },
	{ "merge-same-pages", test_merge },
	{ "swap", test_swap },
};

int main(int argc, char **argv)
{
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
