// SPDX-License-Identifier: GPL-2.0-or-later
/* Guest memory is the process's memory: what changes there is what the guest sees. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/wait.h>

#include "linux/kvm_later.h"
#include "ut.h"

#define GPA	0x40000000UL
#define SIZE	(4 * UT_2M)
#define NPAGES	(SIZE / UT_PAGE)

/* What the guest shall do with @count words, @stride bytes apart. */
struct job {
	uint64_t gpa, count, stride;
	uint64_t value;			/* of the first word; the next has one more */
	uint64_t bad;			/* words that differed */
	uint64_t sum;
};

UT_GUEST static void guest_write(void *args)
{
	volatile struct job *job = args;
	uint64_t i;

	for (i = 0; i < job->count; i++)
		*(volatile uint64_t *)(job->gpa + i * job->stride) = job->value + i;
	ut_done(1);
}

UT_GUEST static void guest_verify(void *args)
{
	volatile struct job *job = args;
	uint64_t i;

	job->bad = 0;
	job->sum = 0;
	for (i = 0; i < job->count; i++) {
		uint64_t v = *(volatile uint64_t *)(job->gpa + i * job->stride);

		job->bad += v != job->value + i;
		job->sum += v;
	}
	ut_done(2);
}

static struct ut_vm vm;
static uint8_t *mem;

static void start(int flags)
{
	ut_vm_create(&vm, 1);
	mem = mmap(NULL, SIZE + UT_2M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags,
	           -1, 0);
	NEED(mem != MAP_FAILED);
	mem = (uint8_t *)(((uintptr_t)mem + UT_2M - 1) & ~(UT_2M - 1));
	NEED(ut_slot(&vm, 1, GPA, SIZE, mem, 0) == 0);
}

static void finish(void)
{
	ut_vm_destroy(&vm);
	munmap(mem, SIZE);
}

static struct job *job(uint64_t page, uint64_t count, uint64_t value)
{
	struct job *j = ut_args(&vm.vcpu[0]);

	*j = (struct job){
		.gpa = GPA + page * UT_PAGE, .count = count, .stride = UT_PAGE, .value = value};
	return j;
}

static void do_write(uint64_t page, uint64_t count, uint64_t value)
{
	job(page, count, value);
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_write), 1);
}

/* How many of the words differ from what they should be. */
static uint64_t do_verify(uint64_t page, uint64_t count, uint64_t value)
{
	struct job *j = job(page, count, value);

	CHECK_EQ(ut_call(&vm.vcpu[0], guest_verify), 2);
	return j->bad;
}

/* The exit says where. */
static void check_where(void)
{
	const struct hv_memory_fault *fault = (const void *)&vm.vcpu[0].run->hw;
	const struct job *j = ut_args(&vm.vcpu[0]);

	CHECK_EQ(vm.vcpu[0].run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	CHECK_EQ(fault->flags, 0);
	CHECK_EQ(fault->gpa, j->gpa & ~(UT_PAGE - 1));
	CHECK_EQ(fault->size, UT_PAGE);
}

/* The guest's access ends KVM_RUN with this errno. */
static void check_error(ut_guest_fn fn, int error)
{
	enum ut_result result;
	uint32_t value;

	ut_start(&vm.vcpu[0], fn);
	result = ut_run(&vm.vcpu[0], &value);
	CHECK_EQ(result, UT_ERROR);
	CHECK_EQ(errno, error);
	/* KVM says so of private memory only. */
	if (error == EFAULT && !strcmp(ut_device(), "/dev/hv"))
		check_where();
}

static uint64_t word(uint64_t page)
{
	return *(volatile uint64_t *)(mem + page * UT_PAGE);
}

static void test_shared_view(void)
{
	uint64_t i, bad = 0;

	start(0);
	do_write(0, NPAGES, 1000);
	for (i = 0; i < NPAGES; i++)
		bad += word(i) != 1000 + i;
	CHECK_EQ(bad, 0);
	for (i = 0; i < NPAGES; i++)
		*(uint64_t *)(mem + i * UT_PAGE) = 5000 + i;
	CHECK_EQ(do_verify(0, NPAGES, 5000), 0);
	finish();
}

static void test_read_first(void)
{
	struct job *j;

	/*
	 * Reads of untouched memory see the zero page, and a write afterwards does not change it.
	 */
	start(0);
	madvise(mem, SIZE, MADV_NOHUGEPAGE);
	j = job(0, 64, 0);
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_verify), 2);
	CHECK_EQ(j->sum, 0);
	do_write(0, 32, 7);
	CHECK_EQ(do_verify(0, 32, 7), 0);
	j = job(32, 32, 0);
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_verify), 2);
	CHECK_EQ(j->sum, 0);
	finish();
}

static void test_munmap(void)
{
	start(0);
	do_write(0, NPAGES, 1);
	CHECK(munmap(mem + 3 * UT_PAGE, UT_PAGE) == 0);
	job(3, 1, 0);
	check_error(guest_verify, EFAULT);
	job(3, 1, 0);
	check_error(guest_write, EFAULT);
	CHECK_EQ(do_verify(4, NPAGES - 4, 5), 0);
	CHECK_EQ(do_verify(0, 3, 1), 0);
	NEED(mmap(mem + 3 * UT_PAGE, UT_PAGE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
	CHECK_EQ(do_verify(3, 1, 0), 0);
	/* All of it, with large pages if the host made any. */
	CHECK(munmap(mem, SIZE) == 0);
	job(600, 1, 0);
	check_error(guest_write, EFAULT);
	ut_vm_destroy(&vm);
}

static void test_mprotect(void)
{
	start(0);
	do_write(0, NPAGES, 1);
	CHECK(mprotect(mem, UT_2M, PROT_READ) == 0);
	CHECK_EQ(do_verify(0, NPAGES, 1), 0);
	job(5, 1, 0);
	check_error(guest_write, EFAULT);
	do_write(512, 512, 9000);
	CHECK(mprotect(mem, UT_2M, PROT_NONE) == 0);
	job(5, 1, 0);
	check_error(guest_verify, EFAULT);
	CHECK(mprotect(mem, UT_2M, PROT_READ | PROT_WRITE) == 0);
	CHECK_EQ(do_verify(0, 512, 1), 0);
	do_write(0, 512, 3);
	CHECK_EQ(word(511), 514);
	finish();
}

static void test_discard(void)
{
	start(0);
	do_write(0, NPAGES, 100);
	CHECK(madvise(mem + 7 * UT_PAGE, UT_PAGE, MADV_DONTNEED) == 0);
	CHECK_EQ(do_verify(7, 1, 0), 0);
	CHECK_EQ(do_verify(0, 7, 100), 0);
	CHECK_EQ(do_verify(8, NPAGES - 8, 108), 0);
	CHECK(madvise(mem, SIZE, MADV_DONTNEED) == 0);
	CHECK_EQ(do_verify(3, 1, 0), 0);
	CHECK_EQ(do_verify(1500, 1, 0), 0);
	finish();
}

static void test_truncate(void)
{
	int fd = memfd_create("ut", MFD_CLOEXEC);

	ut_vm_create(&vm, 1);
	NEED(fd >= 0 && ftruncate(fd, SIZE) == 0);
	mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	NEED(mem != MAP_FAILED);
	NEED(ut_slot(&vm, 1, GPA, SIZE, mem, 0) == 0);
	do_write(0, NPAGES, 1);
	CHECK(ftruncate(fd, 16 * UT_PAGE) == 0);
	CHECK_EQ(do_verify(0, 16, 1), 0);
	job(16, 1, 0);
	check_error(guest_verify, EFAULT);
	job(700, 1, 0);
	check_error(guest_write, EFAULT);
	CHECK(ftruncate(fd, SIZE) == 0);
	CHECK_EQ(do_verify(16, 1, 0), 0);
	do_write(0, NPAGES, 77);
	CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 40 * UT_PAGE, UT_PAGE) ==
	      0);
	CHECK_EQ(do_verify(40, 1, 0), 0);
	CHECK_EQ(do_verify(41, 100, 118), 0);
	close(fd);
	finish();
}

static void test_fork(void)
{
	int to_child[2], from_child[2], status;
	uint64_t sum = 0, i;
	pid_t pid;
	char c;

	start(0);
	do_write(0, NPAGES, 10);
	NEED(pipe(to_child) == 0 && pipe(from_child) == 0);
	pid = fork();
	NEED(pid >= 0);
	if (!pid) {
		/* See the memory as it was, however the guest changes its copy. */
		if (read(to_child[0], &c, 1) != 1)
			_exit(2);
		for (i = 0; i < NPAGES; i++)
			sum += word(i) != 10 + i;
		_exit(sum ? 1 : 0);
	}
	do_write(0, NPAGES, 900);
	CHECK(write(to_child[1], "x", 1) == 1);
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	for (i = 0, sum = 0; i < NPAGES; i++)
		sum += word(i) != 900 + i;
	CHECK_EQ(sum, 0);
	CHECK_EQ(do_verify(0, NPAGES, 900), 0);
	close(to_child[0]);
	close(to_child[1]);
	close(from_child[0]);
	close(from_child[1]);
	finish();
}

static void test_other_process(void)
{
	int status;
	pid_t pid;

	/* A VM belongs to the address space that made it. */
	start(0);
	job(0, 1, 1);
	ut_start(&vm.vcpu[0], guest_write);
	pid = fork();
	NEED(pid >= 0);
	if (!pid) {
		int r = ioctl(vm.vcpu[0].fd, KVM_RUN, 0);

		if (r != -1 || errno != EIO)
			_exit(1);
		r = ut_slot(&vm, 2, GPA + SIZE, UT_PAGE, mem, 0);
		_exit(r == -1 && errno == EIO ? 0 : 2);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
	CHECK_EQ(ut_run(&vm.vcpu[0], NULL), UT_DONE);
	finish();
}

static void test_readonly_mapping(void)
{
	char name[] = "/tmp/ut-XXXXXX";
	int fd = mkstemp(name);
	uint64_t value = 42;

	ut_vm_create(&vm, 1);
	NEED(fd >= 0 && ftruncate(fd, UT_PAGE) == 0 && pwrite(fd, &value, 8, 0) == 8);
	unlink(name);
	mem = mmap(NULL, UT_PAGE, PROT_READ, MAP_SHARED, fd, 0);
	NEED(mem != MAP_FAILED);
	NEED(ut_slot(&vm, 1, GPA, UT_PAGE, mem, 0) == 0);
	CHECK_EQ(do_verify(0, 1, 42), 0);
	job(0, 1, 1);
	check_error(guest_write, EFAULT);
	CHECK_EQ(word(0), 42);
	munmap(mem, UT_PAGE);
	/* A private copy of the file may be written to, and the file does not change. */
	mem = mmap(mem, UT_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0);
	NEED(mem != MAP_FAILED);
	CHECK_EQ(do_verify(0, 1, 42), 0);
	do_write(0, 1, 43);
	CHECK_EQ(word(0), 43);
	CHECK(pread(fd, &value, 8, 0) == 8 && value == 42);
	close(fd);
	ut_vm_destroy(&vm);
	munmap(mem, UT_PAGE);
}

static const struct ut_test tests[] = {
	{ "mmu-shared-view", test_shared_view },
	{ "mmu-read-before-write", test_read_first },
	{ "mmu-munmap", test_munmap },
	{ "mmu-mprotect", test_mprotect },
	{ "mmu-discard", test_discard },
	{ "mmu-truncate", test_truncate },
	{ "mmu-fork", test_fork },
	{ "mmu-other-process", test_other_process },
	{ "mmu-file-mappings", test_readonly_mapping },
};

int main(int argc, char **argv)
{
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
