// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vCPUs count in guest memory while the host does everything to that memory that may move, share,
 * protect or split its pages. Not one count may be lost: that would be a write to a page that was
 * not the process's any more.
 */
#define _GNU_SOURCE
#include <sys/wait.h>
#include <time.h>

#include "ut.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

#define GPA	0x40000000UL
#define SIZE	(3 * UT_2M)
#define NPAGES	(SIZE / UT_PAGE)
#ifndef VCPUS
#define VCPUS	2
#endif
#define SECONDS	4
#define PATIENCE 20		/* s more, for slow machines */

struct counter {
	uint64_t offset;		/* of this vCPU's word in each page */
	uint64_t shadow;		/* guest address of the counts as they should be */
	uint64_t seed;
	uint64_t stop;
	uint64_t writes, bad;
};

/* Add one to a word of a random page, and to what it should be. */
UT_GUEST static void guest_count(void *args)
{
	volatile struct counter *c = args;
	volatile uint64_t *shadow = (volatile uint64_t *)c->shadow;
	uint64_t x = c->seed, page;

	while (!c->stop) {
		volatile uint64_t *p;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		page = x % NPAGES;
		p = (volatile uint64_t *)(GPA + page * UT_PAGE + c->offset);
		if (*p != shadow[page])
			c->bad++;
		shadow[page]++;
		*p = shadow[page];
		c->writes++;
	}
	ut_done(1);
}

#define SHADOW(i)	(0x180000UL + (i) * 0x8000UL)	/* in the low slot, behind the code */

static struct ut_vm vm;
static uint8_t *mem;
static volatile bool stop;

/* A write to memory that is read-only at the moment ends KVM_RUN with EFAULT: try again. */
static void *count_thread(void *arg)
{
	struct ut_vcpu *vcpu = arg;
	unsigned long faults = 0;
	enum ut_result result;

	ut_start(vcpu, guest_count);
	ut_catch_exceptions(vcpu);
	do {
		result = ut_run(vcpu, NULL);
		faults += result == UT_ERROR;
	} while (result == UT_ERROR && errno == EFAULT);
	if (result == UT_EXIT && ut_is_exception(vcpu))
		ut_print_exception(vcpu);
	if (result != UT_DONE)
		printf("# vCPU %u ended with result %d, errno %d, exit %u after %lu faults\n",
		       vcpu->index, result, errno, vcpu->run->exit_reason, faults);
	return (void *)(long)result;
}

static void host_fork(void)
{
	pid_t pid = fork();

	if (!pid) {
		usleep(2000);
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

static void host_protect(void)
{
	size_t first = (size_t)rand() % NPAGES;
	size_t count = 1 + (size_t)rand() % (NPAGES - first);

	mprotect(mem + first * UT_PAGE, count * UT_PAGE, PROT_READ);
	mprotect(mem + first * UT_PAGE, count * UT_PAGE, PROT_READ | PROT_WRITE);
}

static void host_collapse(void)
{
	madvise(mem + (size_t)(rand() % 3) * UT_2M, UT_2M, MADV_COLLAPSE);
}

static void host_pageout(void)
{
	size_t first = (size_t)rand() % (NPAGES - 64);

	madvise(mem + first * UT_PAGE, 64 * UT_PAGE, MADV_PAGEOUT);
}

static void host_compact(void)
{
	ut_write_file("/proc/sys/vm/compact_memory", "1");
}

/* Move the memory to another address and back: the pages stay, the mapping does not. */
static void host_remap(void)
{
	size_t offset = (size_t)(rand() % 3) * UT_2M + 0x10000;
	void *away = mremap(mem + offset, 0x20000, 0x20000, MREMAP_MAYMOVE | MREMAP_FIXED,
			    mem + SIZE + 0x10000);

	if (away != MAP_FAILED)
		mremap(away, 0x20000, 0x20000, MREMAP_MAYMOVE | MREMAP_FIXED, mem + offset);
}

static void host_slots(void)
{
	ut_slot(&vm, 1, GPA, SIZE, mem, KVM_MEM_LOG_DIRTY_PAGES);
	ut_slot(&vm, 1, GPA, SIZE, mem, 0);
}

/* Memory nobody cares about comes and goes in another corner. */
static void host_other(void)
{
	void *p = mmap(NULL, UT_2M, PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p != MAP_FAILED)
		munmap(p, UT_2M);
}

static void *merge_thread(void *arg)
{
	while (!stop) {
		madvise(mem, SIZE, MADV_MERGEABLE);
		usleep(100000);
		madvise(mem, SIZE, MADV_UNMERGEABLE);
	}
	return NULL;
}

static uint64_t verify(void)
{
	uint64_t bad = 0, i, page;

	for (i = 0; i < VCPUS; i++) {
		uint64_t *shadow = (uint64_t *)(vm.low + SHADOW(i));

		for (page = 0; page < NPAGES; page++)
			bad += *(uint64_t *)(mem + page * UT_PAGE + 64 * (i + 1)) != shadow[page];
	}
	return bad;
}

static void start(struct counter *c[VCPUS], pthread_t t[VCPUS])
{
	unsigned int i;

	ut_vm_create(&vm, VCPUS);
	/* Room behind for host_remap(). */
	mem = mmap(NULL, SIZE + 2 * UT_2M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	           0);
	NEED(mem != MAP_FAILED);
	mem = (uint8_t *)(((uintptr_t)mem + UT_2M - 1) & ~(UT_2M - 1));
	madvise(mem, SIZE, MADV_HUGEPAGE);
	NEED(ut_slot(&vm, 1, GPA, SIZE, mem, 0) == 0);
	for (i = 0; i < VCPUS; i++) {
		c[i] = ut_args(&vm.vcpu[i]);
		*c[i] = (struct counter){
			.offset = 64 * (i + 1),
			.shadow = SHADOW(i),
			.seed = 88172645463325252ULL + i,
		};
		NEED(pthread_create(&t[i], NULL, count_thread, &vm.vcpu[i]) == 0);
	}
}

static void finish(struct counter *c[VCPUS], pthread_t t[VCPUS])
{
	unsigned int i;
	void *result;

	for (i = 0; i < VCPUS; i++) {
		__atomic_store_n(&c[i]->stop, 1, __ATOMIC_SEQ_CST);
		pthread_join(t[i], &result);
		CHECK_EQ((long)result, UT_DONE);
		CHECK_EQ(c[i]->bad, 0);
		CHECK(c[i]->writes > 0);
	}
	CHECK_EQ(verify(), 0);
	printf("# %llu and %llu writes\n", (unsigned long long)c[0]->writes,
	       (unsigned long long)c[1]->writes);
	ut_vm_destroy(&vm);
	munmap(mem, SIZE + UT_2M);
}

/* Has every vCPU got anywhere? On a busy machine that may take a while. */
static bool all_moved(struct counter *const c[VCPUS])
{
	unsigned int i;

	for (i = 0; i < VCPUS; i++)
		if (__atomic_load_n(&c[i]->writes, __ATOMIC_RELAXED) < 10)
			return false;
	return true;
}

/* One kind of trouble at a time. */
static void storm(void (*const trouble[])(void), unsigned int n, unsigned int seconds)
{
	struct counter *c[VCPUS];
	pthread_t t[VCPUS];
	unsigned int i = 0;
	time_t until;

	start(c, t);
	until = time(NULL) + seconds;
	while (time(NULL) < until || (!all_moved(c) && time(NULL) < until + PATIENCE))
		trouble[i++ % n]();
	printf("# %u times\n", i);
	finish(c, t);
}

#define STORM(name)						\
	static void test_##name(void)				\
	{							\
		static void (*const trouble[])(void) = { host_##name };	\
								\
		storm(trouble, 1, SECONDS / 2);			\
	}
STORM(fork)
STORM(protect)
STORM(collapse)
STORM(compact)
STORM(remap)
STORM(slots)

static void test_pageout(void)
{
	static void (*const trouble[])(void) = { host_pageout };

	ut_swap_on();
	storm(trouble, 1, SECONDS);
	ut_swap_off();
}

static void test_everything(void)
{
	static void (*const trouble[])(void) = {
		host_fork, host_protect, host_collapse, host_pageout, host_compact, host_remap,
		host_slots, host_other,
	};
	pthread_t merge;

	if (!ut_write_file("/sys/kernel/mm/ksm/run", "1"))
		printf("# KSM does not run\n");
	stop = false;
	NEED(pthread_create(&merge, NULL, merge_thread, NULL) == 0);
	storm(trouble, ARRAY_SIZE(trouble), SECONDS);
	stop = true;
	pthread_join(merge, NULL);
	ut_write_file("/sys/kernel/mm/ksm/run", "2");
}

static const struct ut_test tests[] = {
	{ "storm-fork", test_fork },
	{ "storm-protect", test_protect },
	{ "storm-collapse", test_collapse },
	{ "storm-pageout", test_pageout },
	{ "storm-compact", test_compact },
	{ "storm-remap", test_remap },
	{ "storm-slots", test_slots },
	{ "storm-everything", test_everything },
};

/*
 * On an emulated host with two CPUs the storms can starve stock KVM's vCPUs for minutes: the retry
 * of its fault handler loses against the invalidations. STORM_KVM=1 runs them all the same.
 */
static bool is_oracle(int argc, char **argv)
{
	const char *device = argc > 1 ? argv[1] : getenv("HV_DEVICE");

	return device && !strcmp(device, "/dev/kvm") && !getenv("STORM_KVM");
}

int main(int argc, char **argv)
{
	unsigned int i;

	if (is_oracle(argc, argv)) {
		for (i = 0; i < ARRAY_SIZE(tests); i++)
			printf("skip %s KVM's vCPUs may starve (STORM_KVM=1 runs it)\n",
			       tests[i].name);
		return 0;
	}
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
