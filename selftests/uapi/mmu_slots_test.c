// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory slots: arguments, what the guest sees of changes, read-only slots, devices, many slots. */
#define _GNU_SOURCE
#include "ut.h"

#define GPA	0x40000000UL
#define SIZE	(2 * UT_2M)

/* One access of @size bytes. */
struct access {
	uint64_t gpa, value;
	uint32_t size, write;
};

UT_GUEST static void guest_access(void *args)
{
	volatile struct access *a = args;
	uint64_t gpa = a->gpa, v = a->value;

	if (a->write && a->size == 8)
		*(volatile uint64_t *)gpa = v;
	else if (a->write && a->size == 4)
		*(volatile uint32_t *)gpa = (uint32_t)v;
	else if (a->write && a->size == 2)
		*(volatile uint16_t *)gpa = (uint16_t)v;
	else if (a->write)
		*(volatile uint8_t *)gpa = (uint8_t)v;
	else if (a->size == 8)
		a->value = *(volatile uint64_t *)gpa;
	else if (a->size == 4)
		a->value = *(volatile uint32_t *)gpa;
	else if (a->size == 2)
		a->value = *(volatile uint16_t *)gpa;
	else
		a->value = *(volatile uint8_t *)gpa;
	ut_done(1);
}

/* Count in one word until it is told to stop. */
struct counting {
	uint64_t gpa;
	uint64_t stop;
	uint64_t rounds;
};

UT_GUEST static void guest_count(void *args)
{
	volatile struct counting *c = args;

	while (!c->stop) {
		(*(volatile uint64_t *)c->gpa)++;
		c->rounds++;
	}
	ut_done(1);
}

/* Read one word of each of @count pages, 64 KiB apart; sum them up. */
struct sweep {
	uint64_t gpa, count, sum;
};

UT_GUEST static void guest_sweep(void *args)
{
	volatile struct sweep *s = args;
	uint64_t i, sum = 0;

	for (i = 0; i < s->count; i++)
		sum += *(volatile uint64_t *)(s->gpa + i * 0x10000);
	s->sum = sum;
	ut_done(1);
}

static struct ut_vm vm;
static uint8_t *mem;

static void start(unsigned int vcpus)
{
	ut_vm_create(&vm, vcpus);
	mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(mem != MAP_FAILED);
}

static void finish(void)
{
	ut_vm_destroy(&vm);
	munmap(mem, SIZE);
}

static void start_access(uint64_t gpa, uint32_t size, bool write, uint64_t value)
{
	struct access *a = ut_args(&vm.vcpu[0]);

	*a = (struct access){ .gpa = gpa, .size = size, .write = write, .value = value };
	ut_start(&vm.vcpu[0], guest_access);
}

static enum ut_result run_access(uint64_t gpa, uint32_t size, bool write, uint64_t value)
{
	start_access(gpa, size, write, value);
	return ut_run(&vm.vcpu[0], NULL);
}

static uint64_t value(void)
{
	return ((struct access *)ut_args(&vm.vcpu[0]))->value;
}

/* The access went to user space; for a read, answer @answer. The guest gets on afterwards. */
static void check_mmio(uint64_t gpa, uint32_t size, bool write, uint64_t v, uint64_t answer)
{
	struct kvm_run *run = vm.vcpu[0].run;
	uint64_t data = 0, mask = size == 8 ? ~0ULL : (1ULL << size * 8) - 1;

	CHECK_EQ(run_access(gpa, size, write, v), UT_EXIT);
	CHECK_EQ(run->exit_reason, KVM_EXIT_MMIO);
	if (run->exit_reason != KVM_EXIT_MMIO)
		return;
	CHECK_EQ(run->mmio.phys_addr, gpa);
	CHECK_EQ(run->mmio.len, size);
	CHECK_EQ(run->mmio.is_write, write);
	if (write) {
		memcpy(&data, run->mmio.data, size);
		CHECK_EQ(data, v & mask);
	} else {
		memcpy(run->mmio.data, &answer, 8);
	}
	CHECK_EQ(ut_run(&vm.vcpu[0], NULL), UT_DONE);
	if (!write)
		CHECK_EQ(value(), answer & mask);
}

static void test_arguments(void)
{
	start(0);
	CHECK_ERRNO(ut_slot(&vm, 1, GPA + 1, UT_PAGE, mem, 0), EINVAL);
	CHECK_ERRNO(ut_slot(&vm, 1, GPA, UT_PAGE + 512, mem, 0), EINVAL);
	CHECK_ERRNO(ut_slot(&vm, 1, GPA, UT_PAGE, mem + 8, 0), EINVAL);
	CHECK_ERRNO(ut_slot(&vm, 1, GPA, UT_PAGE, (void *)0xffff800000000000UL, 0), EINVAL);
	CHECK_ERRNO(ut_slot(&vm, 1, ~0UL << 12, 2 * UT_PAGE, mem, 0), EINVAL);
	CHECK_ERRNO(ut_slot(&vm, 1, GPA, UT_PAGE, mem, 1u << 7), EINVAL);
	CHECK_ERRNO(ut_slot(&vm, 32764, GPA, UT_PAGE, mem, 0), EINVAL);
	CHECK_ERRNO(ut_slot(&vm, 2u << 16 | 1, GPA, UT_PAGE, mem, 0), EINVAL);
	CHECK_ERRNO(ut_slot(&vm, 5, GPA, 0, mem, 0), EINVAL);	/* nothing there to delete */
	/* Overlaps: from below, inside, from above, the same place; neighbours do not. */
	CHECK(ut_slot(&vm, 1, GPA, 4 * UT_PAGE, mem, 0) == 0);
	CHECK_ERRNO(ut_slot(&vm, 2, GPA - UT_PAGE, 2 * UT_PAGE, mem, 0), EEXIST);
	CHECK_ERRNO(ut_slot(&vm, 2, GPA + UT_PAGE, UT_PAGE, mem, 0), EEXIST);
	CHECK_ERRNO(ut_slot(&vm, 2, GPA + 3 * UT_PAGE, 9 * UT_PAGE, mem, 0), EEXIST);
	CHECK_ERRNO(ut_slot(&vm, 2, GPA, 4 * UT_PAGE, mem, 0), EEXIST);
	CHECK(ut_slot(&vm, 2, GPA - UT_PAGE, UT_PAGE, mem, 0) == 0);
	CHECK(ut_slot(&vm, 3, GPA + 4 * UT_PAGE, UT_PAGE, mem, 0) == 0);
	/* A slot cannot change its size, its memory or whether it is read-only. */
	CHECK_ERRNO(ut_slot(&vm, 1, GPA, 3 * UT_PAGE, mem, 0), EINVAL);
	CHECK_ERRNO(ut_slot(&vm, 1, GPA, 4 * UT_PAGE, mem + UT_PAGE, 0), EINVAL);
	CHECK_ERRNO(ut_slot(&vm, 1, GPA, 4 * UT_PAGE, mem, KVM_MEM_READONLY), EINVAL);
	CHECK(ut_slot(&vm, 1, GPA, 4 * UT_PAGE, mem, 0) == 0);
	CHECK(ut_slot(&vm, 32763, GPA + SIZE, UT_PAGE, mem, 0) == 0);
	CHECK(ut_slot(&vm, 1, GPA, 0, mem, 0) == 0);
	CHECK_ERRNO(ut_slot(&vm, 1, GPA, 0, mem, 0), EINVAL);
	finish();
}

static void test_no_slot(void)
{
	uint32_t size;

	start(1);
	for (size = 1; size <= 8; size *= 2) {
		check_mmio(GPA + 0x100, size, true, 0x1122334455667788, 0);
		check_mmio(GPA + 0x108, size, false, 0, 0xa1b2c3d4e5f60718);
	}
	check_mmio(0xfffff000, 4, true, 5, 0);
	finish();
}

static void test_readonly(void)
{
	start(1);
	*(uint64_t *)(mem + 0x10) = 77;
	CHECK(ut_slot(&vm, 1, GPA, UT_2M, mem, KVM_MEM_READONLY) == 0);
	CHECK_EQ(run_access(GPA + 0x10, 8, false, 0), UT_DONE);
	CHECK_EQ(value(), 77);
	check_mmio(GPA + 0x10, 8, true, 78, 0);
	CHECK_EQ(*(uint64_t *)(mem + 0x10), 77);
	/* Read again, now that a write was refused; and what the process writes is seen. */
	*(volatile uint64_t *)(mem + 0x10) = 79;
	CHECK_EQ(run_access(GPA + 0x10, 8, false, 0), UT_DONE);
	CHECK_EQ(value(), 79);
	check_mmio(GPA + 0x20000, 4, true, 1, 0);
	finish();
}

static void test_delete(void)
{
	start(1);
	CHECK(ut_slot(&vm, 1, GPA, SIZE, mem, 0) == 0);
	CHECK_EQ(run_access(GPA + 0x1000, 8, true, 11), UT_DONE);
	CHECK(ut_slot(&vm, 1, GPA, 0, mem, 0) == 0);
	check_mmio(GPA + 0x1000, 8, true, 12, 0);
	check_mmio(GPA + 0x1000, 8, false, 0, 99);
	CHECK_EQ(*(uint64_t *)(mem + 0x1000), 11);
	/* Half of it again, other memory behind. */
	CHECK(ut_slot(&vm, 1, GPA, UT_2M, mem + UT_2M, 0) == 0);
	CHECK_EQ(run_access(GPA + 0x1000, 8, false, 0), UT_DONE);
	CHECK_EQ(value(), 0);
	check_mmio(GPA + UT_2M, 4, false, 0, 3);
	finish();
}

#define VA	(1UL << 39)	/* the second entry of the top-level table */
#define HOLE	0x50000000UL
#define PTE	3UL		/* present, writable */

/* Tables in a slot that is gone have nothing present, for the CPU and for emulation. */
static void test_tables_gone(void)
{
	struct ut_vcpu *vcpu = &vm.vcpu[0];
	uint64_t *top, *tables, va;
	struct kvm_sregs sregs;
	unsigned int i;

	start(1);
	tables = (uint64_t *)mem;
	tables[0] = (GPA + UT_PAGE) | PTE;
	tables[512] = (GPA + 2 * UT_PAGE) | PTE;
	tables[1024] = HOLE | PTE;		/* a device */
	tables[1025] = UT_ARGS(1) | PTE;	/* memory */
	for (i = 0; i < 2; i++) {
		va = VA + i * UT_PAGE;
		CHECK(ut_slot(&vm, 1, GPA, SIZE, mem, 0) == 0);
		start_access(va, 4, false, 0);
		NEED(ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) == 0);
		top = (uint64_t *)(vm.low + sregs.cr3);
		top[1] = GPA | PTE;
		CHECK_EQ(ut_run(vcpu, NULL), i ? UT_DONE : UT_EXIT);
		if (i == 0) {
			CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_MMIO);
			CHECK_EQ(vcpu->run->mmio.phys_addr, HOLE);
			CHECK_EQ(ut_run(vcpu, NULL), UT_DONE);
		}
		CHECK(ut_slot(&vm, 1, GPA, 0, mem, 0) == 0);
		start_access(va, 4, false, 0);
		ut_catch_exceptions(vcpu);
		CHECK_EQ(ut_run(vcpu, NULL), UT_EXIT);
		/* KVM takes the table's address for the one that the instruction names. */
		if (!strcmp(ut_device(), "/dev/kvm") && vcpu->run->exit_reason == KVM_EXIT_MMIO) {
			CHECK_EQ(vcpu->run->mmio.phys_addr, GPA);
			break;
		}
		CHECK(ut_is_exception(vcpu));
		NEED(ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) == 0);
		CHECK_EQ(sregs.cr2, va);
	}
	finish();
}

static void test_code_gone(void)
{
	static const uint8_t load[] = { 0x8b, 0x04, 0x25, 0, 0, 0, 0x50 };	/* mov HOLE, %eax */
	struct kvm_run *run;
	struct kvm_regs regs;
	unsigned int part;

	/* All of the instruction behind the end of the slot, or some of it. */
	for (part = 0; part < sizeof(load); part += 3) {
		start(1);
		run = vm.vcpu[0].run;
		CHECK(ut_slot(&vm, 1, GPA, UT_PAGE, mem, 0) == 0);
		memcpy(mem + UT_PAGE - part, load, part);
		ut_start(&vm.vcpu[0], guest_access);
		NEED(ioctl(vm.vcpu[0].fd, KVM_GET_REGS, &regs) == 0);
		regs.rip = GPA + UT_PAGE - part;
		NEED(ioctl(vm.vcpu[0].fd, KVM_SET_REGS, &regs) == 0);
		CHECK_EQ(ut_run(&vm.vcpu[0], NULL), UT_EXIT);
		CHECK_EQ(run->exit_reason, KVM_EXIT_INTERNAL_ERROR);
		CHECK_EQ(run->internal.suberror, KVM_INTERNAL_ERROR_EMULATION);
		NEED(ioctl(vm.vcpu[0].fd, KVM_GET_REGS, &regs) == 0);
		CHECK_EQ(regs.rip, GPA + UT_PAGE - part);
		finish();
	}
}

static void test_move(void)
{
	start(1);
	*(uint64_t *)mem = 5;
	*(uint64_t *)(mem + UT_PAGE) = 6;
	CHECK(ut_slot(&vm, 1, GPA, SIZE, mem, 0) == 0);
	CHECK_EQ(run_access(GPA + UT_PAGE, 8, false, 0), UT_DONE);
	CHECK_EQ(value(), 6);
	/* By one page: the new place overlaps the old one. */
	CHECK(ut_slot(&vm, 1, GPA + UT_PAGE, SIZE, mem, 0) == 0);
	CHECK_EQ(run_access(GPA + UT_PAGE, 8, false, 0), UT_DONE);
	CHECK_EQ(value(), 5);
	CHECK_EQ(run_access(GPA + 2 * UT_PAGE, 8, false, 0), UT_DONE);
	CHECK_EQ(value(), 6);
	check_mmio(GPA, 8, false, 0, 1);
	CHECK_EQ(run_access(GPA + SIZE, 8, true, 8), UT_DONE);
	CHECK_EQ(*(uint64_t *)(mem + SIZE - UT_PAGE), 8);
	finish();
}

static void test_alias(void)
{
	start(1);
	CHECK(ut_slot(&vm, 1, GPA, UT_2M, mem, 0) == 0);
	CHECK(ut_slot(&vm, 2, GPA + UT_2M, UT_2M, mem, 0) == 0);
	CHECK_EQ(run_access(GPA + 0x3000, 8, true, 21), UT_DONE);
	CHECK_EQ(run_access(GPA + UT_2M + 0x3000, 8, false, 0), UT_DONE);
	CHECK_EQ(value(), 21);
	/* Both views lose a page that is discarded. */
	CHECK(madvise(mem + 0x3000, UT_PAGE, MADV_DONTNEED) == 0);
	CHECK_EQ(run_access(GPA + 0x3000, 8, false, 0), UT_DONE);
	CHECK_EQ(value(), 0);
	CHECK_EQ(run_access(GPA + UT_2M + 0x3000, 8, true, 22), UT_DONE);
	CHECK_EQ(run_access(GPA + 0x3000, 8, false, 0), UT_DONE);
	CHECK_EQ(value(), 22);
	finish();
}

#define MANY 2000

static void test_many(void)
{
	struct sweep *s;
	unsigned int i;
	uint64_t want = 0;
	uint8_t *pages;

	start(1);
	pages = mmap(NULL, MANY * UT_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	             0);
	NEED(pages != MAP_FAILED);
	/* Made in an order that is not the order of their addresses. */
	for (i = 0; i < MANY; i++) {
		unsigned int n = i * 7 % MANY;

		*(uint64_t *)(pages + n * UT_PAGE) = n + 1;
		want += n + 1;
		NEED(ut_slot(&vm, 10 + n, GPA + n * 0x10000UL, UT_PAGE, pages + n * UT_PAGE, 0) ==
		     0);
	}
	s = ut_args(&vm.vcpu[0]);
	*s = (struct sweep){ .gpa = GPA, .count = MANY };
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_sweep), 1);
	CHECK_EQ(s->sum, want);
	for (i = 0; i < MANY; i += 2)
		NEED(ut_slot(&vm, 10 + i, 0, 0, NULL, 0) == 0);
	check_mmio(GPA + 0x20000, 8, false, 0, 4711);
	CHECK_EQ(run_access(GPA + 0x30000, 8, false, 0), UT_DONE);
	CHECK_EQ(value(), 4);
	munmap(pages, MANY * UT_PAGE);
	finish();
}

static void *count_thread(void *arg)
{
	struct ut_vcpu *vcpu = arg;
	long mmio = 0;

	ut_start(vcpu, guest_count);
	for (;;) {
		switch (ut_run(vcpu, NULL)) {
		case UT_DONE:
			return (void *)mmio;
		case UT_EXIT:
			/* The slot is away at the moment: reads see 0. */
			if (vcpu->run->exit_reason != KVM_EXIT_MMIO)
				return (void *)-1L;
			memset(vcpu->run->mmio.data, 0, 8);
			mmio++;
			break;
		default:
			return (void *)-2L;
		}
	}
}

/* Slots come and go under two running vCPUs, one of which uses them. */
/* Until the guest counts: on a slow machine its thread may start late. */
static void wait_for_round(const struct counting *c)
{
	unsigned int ms;

	for (ms = 0; ms < 20000 && !__atomic_load_n(&c->rounds, __ATOMIC_RELAXED); ms++)
		usleep(1000);
}

static void test_change_under_run(void)
{
	struct counting *c[2];
	pthread_t t[2];
	unsigned int i;
	void *result;

	start(2);
	for (i = 0; i < 2; i++) {
		CHECK(ut_slot(&vm, 1 + i, GPA + i * UT_2M, UT_2M, mem + i * UT_2M, 0) == 0);
		c[i] = ut_args(&vm.vcpu[i]);
		*c[i] = (struct counting){ .gpa = GPA + i * UT_2M + 0x5000 };
		NEED(pthread_create(&t[i], NULL, count_thread, &vm.vcpu[i]) == 0);
	}
	wait_for_round(c[0]);
	wait_for_round(c[1]);
	for (i = 0; i < 100; i++) {
		CHECK(ut_slot(&vm, 1, 0, 0, NULL, 0) == 0);
		CHECK(ut_slot(&vm, 1, GPA, UT_2M, mem, i & 1 ? KVM_MEM_LOG_DIRTY_PAGES : 0) == 0);
		CHECK(ut_slot(&vm, 3, 0x80000000, UT_PAGE, mem, 0) == 0);
		CHECK(ut_slot(&vm, 3, 0x80001000, UT_PAGE, mem, 0) == 0);
		CHECK(ut_slot(&vm, 3, 0, 0, NULL, 0) == 0);
	}
	for (i = 0; i < 2; i++) {
		__atomic_store_n(&c[i]->stop, 1, __ATOMIC_SEQ_CST);
		pthread_join(t[i], &result);
		CHECK((long)result >= 0);
		CHECK(c[i]->rounds > 0);
		/* The second vCPU's slot never changed: nothing was lost, nothing went outside. */
		if (i == 1)
			CHECK_EQ((long)result, 0);
	}
	CHECK_EQ(*(uint64_t *)(mem + UT_2M + 0x5000), c[1]->rounds);
	finish();
}

static const struct ut_test tests[] = {
	{ "slots-arguments", test_arguments },
	{ "slots-no-slot-is-mmio", test_no_slot },
	{ "slots-readonly", test_readonly },
	{ "slots-delete", test_delete },
	{ "slots-tables-gone", test_tables_gone },
	{ "slots-code-gone", test_code_gone },
	{ "slots-move", test_move },
	{ "slots-alias", test_alias },
	{ "slots-many", test_many },
	{ "slots-change-under-run", test_change_under_run },
};

int main(int argc, char **argv)
{
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
