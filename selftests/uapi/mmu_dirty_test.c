// SPDX-License-Identifier: GPL-2.0-or-later
/* The dirty log: exact when the guest stands still, complete when it runs. */
#define _GNU_SOURCE
#include <time.h>

#include "ut.h"

#define GPA	0x40000000UL
#define SIZE	(4 * UT_2M)
#define NPAGES	(SIZE / UT_PAGE)
#define WORDS	(NPAGES / 64)

struct job {
	uint64_t first, count, step;	/* pages */
	uint64_t value;
	uint64_t read;			/* only read */
};

UT_GUEST static void guest_touch(void *args)
{
	volatile struct job *job = args;
	uint64_t i, sum = 0;

	for (i = 0; i < job->count; i++) {
		volatile uint64_t *p =
			(volatile uint64_t *)(GPA + (job->first + i * job->step) * UT_PAGE);

		if (job->read)
			sum += *p;
		else
			*p = job->value;
	}
	job->value += sum;
	ut_done(1);
}

struct writer {
	uint64_t offset;		/* in each page, so that vCPUs do not share words */
	uint64_t stop;
	uint64_t seed;
	uint64_t writes;
};

/* Add one to a word of a random page, for ever. */
UT_GUEST static void guest_writer(void *args)
{
	volatile struct writer *w = args;
	uint64_t x = w->seed;

	while (!w->stop) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		(*(volatile uint64_t *)(GPA + x % 300 * UT_PAGE + w->offset))++;
		w->writes++;
	}
	ut_done(1);
}

static struct ut_vm vm;
static uint8_t *mem;
static uint64_t bitmap[WORDS];

static void start(unsigned int vcpus, uint32_t flags)
{
	ut_vm_create(&vm, vcpus);
	mem = mmap(NULL, SIZE + UT_2M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(mem != MAP_FAILED);
	mem = (uint8_t *)(((uintptr_t)mem + UT_2M - 1) & ~(UT_2M - 1));
	NEED(ut_slot(&vm, 1, GPA, SIZE, mem, flags) == 0);
}

static void finish(void)
{
	ut_vm_destroy(&vm);
	munmap(mem, SIZE);
}

static void logging(bool on)
{
	NEED(ut_slot(&vm, 1, GPA, SIZE, mem, on ? KVM_MEM_LOG_DIRTY_PAGES : 0) == 0);
}

static void touch(uint64_t first, uint64_t count, uint64_t step, bool read)
{
	struct job *job = ut_args(&vm.vcpu[0]);

	*job = (struct job){.first = first, .count = count, .step = step, .value = 1, .read = read};
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_touch), 1);
}

static int get_log(unsigned int slot, void *to)
{
	struct kvm_dirty_log log = { .slot = slot, .dirty_bitmap = to };

	return ioctl(vm.fd, KVM_GET_DIRTY_LOG, &log);
}

/* Take the log: it shows these pages and no others. */
static void check_log(uint64_t first, uint64_t count, uint64_t step)
{
	uint64_t want[WORDS] = { 0 }, i;

	for (i = 0; i < count; i++)
		want[(first + i * step) / 64] |= 1ULL << (first + i * step) % 64;
	memset(bitmap, 0x55, sizeof(bitmap));
	CHECK(get_log(1, bitmap) == 0);
	for (i = 0; i < WORDS; i++)
		if (bitmap[i] != want[i])
			break;
	if (i < WORDS)
		ut_fail(__FILE__, __LINE__, "word %llu of the log is %llx, not %llx",
			(unsigned long long)i, (unsigned long long)bitmap[i],
			(unsigned long long)want[i]);
}

static void test_arguments(void)
{
	start(0, 0);
	CHECK_ERRNO(get_log(1, bitmap), ENOENT);	/* does not log */
	CHECK_ERRNO(get_log(2, bitmap), ENOENT);	/* is not there */
	CHECK_ERRNO(get_log(40000, bitmap), EINVAL);
	CHECK_ERRNO(get_log(2u << 16 | 1, bitmap), EINVAL);
	logging(true);
	CHECK(get_log(1, bitmap) == 0);
	CHECK_ERRNO(get_log(1, (void *)8), EFAULT);
	finish();
}

static void test_exact(void)
{
	start(1, KVM_MEM_LOG_DIRTY_PAGES);
	/* All pages are written to first: one that only was read may count as dirty, as on KVM. */
	touch(0, NPAGES, 1, false);
	check_log(0, NPAGES, 1);
	check_log(0, 0, 1);
	touch(0, 1, 1, false);
	check_log(0, 1, 1);
	check_log(0, 0, 1);
	touch(3, 200, 7, false);
	check_log(3, 200, 7);
	touch(3, 200, 7, false);
	touch(3, 200, 7, false);
	check_log(3, 200, 7);
	touch(0, NPAGES, 1, true);
	check_log(0, 0, 1);
	touch(NPAGES - 1, 1, 1, false);
	check_log(NPAGES - 1, 1, 1);
	finish();
}

/* Logging begins on memory that is mapped already, with large pages where the host has them. */
static void test_switch_on(void)
{
	long large;

	start(1, 0);
	madvise(mem, SIZE, MADV_HUGEPAGE);
	touch(0, NPAGES, 1, false);
	large = ut_vm_stat(&vm, "pages_2m");
	if (large <= 0)
		printf("# no large pages: %ld\n", large);
	logging(true);
	check_log(0, 0, 1);
	touch(0, NPAGES, 1, true);
	check_log(0, 0, 1);
	touch(5, 3, 500, false);
	check_log(5, 3, 500);
	touch(0, NPAGES, 1, false);
	check_log(0, NPAGES, 1);
	logging(false);
	CHECK_ERRNO(get_log(1, bitmap), ENOENT);
	touch(0, NPAGES, 1, false);
	/* What was split is put together again. */
	if (large > 0)
		CHECK_EQ(ut_vm_stat(&vm, "pages_2m"), large);
	logging(true);
	check_log(0, 0, 1);
	finish();
}

static void *writer_thread(void *arg)
{
	ut_start(arg, guest_writer);
	return (void *)(long)ut_run(arg, NULL);
}

/* Copy what the log shows, as a migration does. */
static void copy_round(uint8_t *copy)
{
	unsigned int i;
	uint64_t bits;

	CHECK(get_log(1, bitmap) == 0);
	for (i = 0; i < WORDS; i++)
		for (bits = bitmap[i]; bits; bits &= bits - 1) {
			size_t offset = (i * 64UL + (unsigned int)__builtin_ctzll(bits)) * UT_PAGE;

			memcpy(copy + offset, mem + offset, UT_PAGE);
		}
}

static void test_complete(void)
{
	struct writer *w[2];
	unsigned int i, rounds = 0;
	uint8_t *copy;
	pthread_t t[2];
	time_t until;
	void *result;

	start(2, 0);
	madvise(mem, SIZE, MADV_HUGEPAGE);
	touch(0, NPAGES, 1, false);
	copy = malloc(SIZE);
	NEED(copy);
	for (i = 0; i < 2; i++) {
		w[i] = ut_args(&vm.vcpu[i]);
		*w[i] = (struct writer){ .offset = 64 + i * 64, .seed = 88172645463325252ULL + i };
		NEED(pthread_create(&t[i], NULL, writer_thread, &vm.vcpu[i]) == 0);
	}
	logging(true);
	memcpy(copy, mem, SIZE);
	for (until = time(NULL) + 3; time(NULL) < until; rounds++) {
		copy_round(copy);
		if (rounds % 64 == 63) {
			/* Off and on again: then everything has to be copied afresh. */
			logging(false);
			logging(true);
			memcpy(copy, mem, SIZE);
		}
	}
	for (i = 0; i < 2; i++) {
		__atomic_store_n(&w[i]->stop, 1, __ATOMIC_SEQ_CST);
		pthread_join(t[i], &result);
		CHECK_EQ((long)result, UT_DONE);
		CHECK(w[i]->writes > 1000);
	}
	copy_round(copy);
	CHECK(memcmp(copy, mem, SIZE) == 0);
	printf("# %u rounds, %llu writes\n", rounds,
	       (unsigned long long)(w[0]->writes + w[1]->writes));
	free(copy);
	finish();
}

static const struct ut_test tests[] = {
	{ "dirty-arguments", test_arguments },
	{ "dirty-exact", test_exact },
	{ "dirty-switch-on-and-off", test_switch_on },
	{ "dirty-complete-under-run", test_complete },
};

int main(int argc, char **argv)
{
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
