// SPDX-License-Identifier: GPL-2.0-or-later
/* Pages that come late or from a device; processes that end while their VM runs or stays open. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "ut.h"

#define GPA	0x40000000UL
#define NPAGES	64

struct job {
	uint64_t gpa, count, sum;
	uint64_t stop;
};

UT_GUEST static void guest_sum(void *args)
{
	volatile struct job *job = args;
	uint64_t i, sum = 0;

	for (i = 0; i < job->count; i++)
		sum += *(volatile uint32_t *)(job->gpa + i * UT_PAGE);
	job->sum = sum;
	ut_done(1);
}

/* Write to all pages, for ever. */
UT_GUEST static void guest_scribble(void *args)
{
	volatile struct job *job = args;
	uint64_t i;

	for (i = 0; !job->stop; i++)
		*(volatile uint64_t *)(job->gpa + i % job->count * UT_PAGE) = i;
	ut_done(2);
}

static struct ut_vm vm;
static uint8_t *mem;

static void start(unsigned int vcpus, size_t size)
{
	ut_vm_create(&vm, vcpus);
	mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(mem != MAP_FAILED);
}

static struct job *job(unsigned int vcpu, uint64_t count)
{
	struct job *j = ut_args(&vm.vcpu[vcpu]);

	*j = (struct job){ .gpa = GPA, .count = count };
	return j;
}

/* ---- userfaultfd --------------------------------------------------------------------------- */

static int uffd_open(void *start, size_t len)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (uintptr_t)start, len },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		ut_skip("userfaultfd: %s", strerror(errno));
	NEED(ioctl(fd, UFFDIO_API, &api) == 0);
	NEED(ioctl(fd, UFFDIO_REGISTER, &reg) == 0);
	return fd;
}

struct pager {
	int fd;
	volatile bool stop;
	unsigned int pages;
};

/* Gives each missing page its number plus 1, after a while. */
static void *pager_thread(void *arg)
{
	static uint8_t page[UT_PAGE];
	struct pager *p = arg;
	struct uffd_msg msg;

	while (!p->stop) {
		struct pollfd pfd = { .fd = p->fd, .events = POLLIN };
		struct uffdio_copy copy = { .src = (uintptr_t)page, .len = UT_PAGE };

		if (poll(&pfd, 1, 50) <= 0 || read(p->fd, &msg, sizeof(msg)) != sizeof(msg))
			continue;
		usleep(1000);
		copy.dst = msg.arg.pagefault.address & ~(UT_PAGE - 1);
		*(uint32_t *)page = (uint32_t)((copy.dst - (uintptr_t)mem) / UT_PAGE + 1);
		if (ioctl(p->fd, UFFDIO_COPY, &copy) == 0)
			p->pages++;
	}
	return NULL;
}

static void test_late_pages(void)
{
	struct pager p = { 0 };
	struct job *j;
	pthread_t t;

	start(1, NPAGES * UT_PAGE);
	NEED(ut_slot(&vm, 1, GPA, NPAGES * UT_PAGE, mem, 0) == 0);
	p.fd = uffd_open(mem, NPAGES * UT_PAGE);
	NEED(pthread_create(&t, NULL, pager_thread, &p) == 0);
	j = job(0, NPAGES);
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_sum), 1);
	CHECK_EQ(j->sum, NPAGES * (NPAGES + 1) / 2);
	CHECK_EQ(p.pages, NPAGES);
	/* Discarded, they are asked for again. */
	CHECK(madvise(mem, UT_PAGE * 8, MADV_DONTNEED) == 0);
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_sum), 1);
	CHECK_EQ(p.pages, NPAGES + 8);
	p.stop = true;
	pthread_join(t, NULL);
	close(p.fd);
	ut_vm_destroy(&vm);
	munmap(mem, NPAGES * UT_PAGE);
}

/* ---- a broken page ------------------------------------------------------------------------- */

static volatile int bus_code;
static void *volatile bus_addr;

static void on_bus(int sig, siginfo_t *info, void *context)
{
	bus_code = info->si_code;
	bus_addr = info->si_addr;
	vm.vcpu[0].run->immediate_exit = 1;
}

static void test_poisoned_page(void)
{
	struct sigaction sa = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO }, old;
	struct job *j;

	start(1, NPAGES * UT_PAGE);
	madvise(mem, NPAGES * UT_PAGE, MADV_NOHUGEPAGE);
	memset(mem, 1, NPAGES * UT_PAGE);
	NEED(ut_slot(&vm, 1, GPA, NPAGES * UT_PAGE, mem, 0) == 0);
	j = job(0, NPAGES);
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_sum), 1);
	/* Breaking the page may send a signal, too. */
	sigaction(SIGBUS, &sa, &old);
	if (madvise(mem + 5 * UT_PAGE, UT_PAGE, MADV_HWPOISON)) {
		sigaction(SIGBUS, &old, NULL);
		ut_skip("MADV_HWPOISON: %s", strerror(errno));
	}
	bus_code = 0;
	vm.vcpu[0].run->immediate_exit = 0;
	/* The process gets the signal that it would have got for touching the page itself. */
	ut_start(&vm.vcpu[0], guest_sum);
	CHECK_ERRNO(ioctl(vm.vcpu[0].fd, KVM_RUN, 0), EINTR);
	CHECK_EQ(bus_code, BUS_MCEERR_AR);
	CHECK(bus_addr == mem + 5 * UT_PAGE);
	vm.vcpu[0].run->immediate_exit = 0;
	sigaction(SIGBUS, &old, NULL);
	/* Replaced, the page can be used again. */
	NEED(mmap(mem + 5 * UT_PAGE, UT_PAGE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
	CHECK_EQ(ut_run(&vm.vcpu[0], NULL), UT_DONE);
	CHECK_EQ(j->sum, (NPAGES - 1) * 0x01010101ULL);
	ut_vm_destroy(&vm);
	munmap(mem, NPAGES * UT_PAGE);
}

/* ---- a device's memory in a slot ----------------------------------------------------------- */

/* Physical memory that is not RAM and can be read without harm. */
static const struct {
	uint64_t page, offset;
} device_memory[] = {
	{ 0xfee00000, 0x30 },		/* version of the local APIC */
	{ 0xf0000, 0xfff0 & 0xfff },	/* the firmware's ROM */
	{ 0xe0000, 0 },
};

static void *map_device(uint64_t *offset)
{
	int fd = open("/dev/mem", O_RDWR | O_CLOEXEC);
	void *p = MAP_FAILED;
	unsigned int i;

	for (i = 0; fd >= 0 && p == MAP_FAILED && i < ARRAY_SIZE(device_memory); i++) {
		*offset = device_memory[i].offset;
		p = mmap(NULL, UT_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			 (off_t)device_memory[i].page);
	}
	if (fd >= 0)
		close(fd);
	return p;
}

static void test_device_memory(void)
{
	uint64_t offset;
	struct job *j;
	uint32_t want;
	void *p;

	p = map_device(&offset);
	if (p == MAP_FAILED)
		ut_skip("/dev/mem: %s", strerror(errno));
	want = *(volatile uint32_t *)((uint8_t *)p + offset);
	ut_vm_create(&vm, 1);
	NEED(ut_slot(&vm, 1, GPA, UT_PAGE, p, 0) == 0);
	j = job(0, 1);
	j->gpa += offset;
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_sum), 1);
	CHECK_EQ(j->sum, want);
	/* Unmapped, it is gone for the guest as well. */
	munmap(p, UT_PAGE);
	ut_start(&vm.vcpu[0], guest_sum);
	CHECK_EQ(ut_run(&vm.vcpu[0], NULL), UT_ERROR);
	CHECK_EQ(errno, EFAULT);
	ut_vm_destroy(&vm);
}

/* ---- processes that end -------------------------------------------------------------------- */

static void *scribble_thread(void *arg)
{
	ut_start(arg, guest_scribble);
	ut_run(arg, NULL);
	return NULL;
}

#define BIG (8UL << 20)

static void run_scribblers(void)
{
	pthread_t t;
	unsigned int i;

	start(2, BIG);
	NEED(ut_slot(&vm, 1, GPA, BIG, mem, 0) == 0);
	for (i = 0; i < 2; i++) {
		job(i, BIG / UT_PAGE);
		NEED(pthread_create(&t, NULL, scribble_thread, &vm.vcpu[i]) == 0);
	}
}

/* Killed at any moment while its vCPUs run and its memory changes. */
static void test_killed(void)
{
	unsigned int i;
	int status;
	pid_t pid;

	for (i = 0; i < 12; i++) {
		pid = fork();
		NEED(pid >= 0);
		if (!pid) {
			run_scribblers();
			for (;;) {
				madvise(mem, BIG, MADV_DONTNEED);
				ut_slot(&vm, 1, GPA, BIG, mem, KVM_MEM_LOG_DIRTY_PAGES);
				ut_slot(&vm, 1, 0, 0, NULL, 0);
				ut_slot(&vm, 1, GPA, BIG, mem, 0);
			}
		}
		usleep(20000 + i * 13000);
		kill(pid, SIGKILL);
		CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	}
}

/*
 * The process that made the VM ends; another one still has its descriptors, and can only close
 * them.
 */
static void test_owner_gone(void)
{
	int ready[2], result[2], i;
	pid_t owner, heir;
	char c = 0;

	NEED(pipe(ready) == 0 && pipe(result) == 0);
	owner = fork();
	NEED(owner >= 0);
	if (!owner) {
		start(2, BIG);
		NEED(ut_slot(&vm, 1, GPA, BIG, mem, 0) == 0);
		job(0, NPAGES);
		ut_call(&vm.vcpu[0], guest_sum);
		heir = fork();
		if (heir)
			_exit(0);
		/* Wait until the owner is gone for sure. */
		if (read(ready[0], &c, 1) != 1)
			_exit(1);
		c = 'k';
		for (i = 0; i < 2; i++)
			if (ioctl(vm.vcpu[i].fd, KVM_RUN, 0) != -1 || errno != EIO)
				c = 'r';
		if (ut_slot(&vm, 1, 0, 0, NULL, 0) != -1 || errno != EIO)
			c = 's';
		if (write(result[1], &c, 1) != 1)
			_exit(1);
		_exit(0);
	}
	CHECK(waitpid(owner, NULL, 0) == owner);
	CHECK(write(ready[1], "g", 1) == 1);
	CHECK(read(result[0], &c, 1) == 1);
	CHECK_EQ(c, 'k');
	close(ready[0]);
	close(ready[1]);
	close(result[0]);
	close(result[1]);
}

static const struct ut_test tests[] = {
	{ "life-late-pages", test_late_pages },
	{ "life-poisoned-page", test_poisoned_page },
	{ "life-device-memory", test_device_memory },
	{ "life-killed", test_killed },
	{ "life-owner-gone", test_owner_gone },
};

int main(int argc, char **argv)
{
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
