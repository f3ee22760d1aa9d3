// SPDX-License-Identifier: GPL-2.0-or-later
/* Manual dirty log protection, dirty rings, and mapping memory before the guest does. */
#include <fcntl.h>

#include "linux/kvm_later.h"
#include "ut.h"

#define GPA	0x40000000UL
#define SIZE	(2 * UT_2M)
#define NPAGES	(SIZE / UT_PAGE)
#define WORDS	(NPAGES / 64)
#define RING_BYTES	4096			/* 256 entries, of which 64 are reserved */
#define RING_ENTRIES	(RING_BYTES / sizeof(struct kvm_dirty_gfn))
#define LOG	KVM_MEM_LOG_DIRTY_PAGES

static struct ut_vm vm;
static struct ut_vcpu *cpu;
static uint8_t *mem;
static uint64_t bitmap[WORDS];

struct job {
	uint64_t first, count;		/* pages to write to */
};

UT_GUEST static void guest_touch(void *args)
{
	volatile struct job *job = args;
	uint64_t i;

	for (i = 0; i < job->count; i++)
		*(volatile uint64_t *)(GPA + (job->first + i) * UT_PAGE) = i;
	ut_done(1);
}

static int enable(unsigned int cap, uint64_t arg)
{
	struct kvm_enable_cap c = { .cap = cap, .args = { arg } };

	return ioctl(vm.fd, KVM_ENABLE_CAP, &c);
}

static void map_memory(void)
{
	mem = mmap(NULL, SIZE + UT_2M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(mem != MAP_FAILED);
	mem = (uint8_t *)(((uintptr_t)mem + UT_2M - 1) & ~(UT_2M - 1));
	NEED(ut_slot(&vm, 1, GPA, SIZE, mem, 0) == 0);
}

static void finish(void)
{
	ut_vm_destroy(&vm);
	munmap(mem, SIZE);
}

static void start_touch(uint64_t first, uint64_t count)
{
	ut_start(cpu, guest_touch);
	*(struct job *)ut_args(cpu) = (struct job) { .first = first, .count = count };
}

static void touch(uint64_t first, uint64_t count)
{
	uint32_t value;

	start_touch(first, count);
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
}

/* ---- the bitmap ------------------------------------------------------------------------------ */

static int get_log(void)
{
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bitmap };

	return ioctl(vm.fd, KVM_GET_DIRTY_LOG, &log);
}

static int clear_log(uint64_t first, uint32_t pages)
{
	struct kvm_clear_dirty_log log = {
		.slot = 1, .first_page = first, .num_pages = pages, .dirty_bitmap = bitmap,
	};

	return ioctl(vm.fd, KVM_CLEAR_DIRTY_LOG, &log);
}

static unsigned int dirty_pages(void)
{
	unsigned int i, n = 0;

	CHECK_EQ(get_log(), 0);
	for (i = 0; i < WORDS; i++)
		n += __builtin_popcountll(bitmap[i]);
	return n;
}

static void test_manual(void)
{
	ut_vm_create(&vm, 1);
	cpu = &vm.vcpu[0];
	map_memory();
	CHECK_ERRNO(enable(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_INITIALLY_SET), EINVAL);
	CHECK_ERRNO(enable(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 8), EINVAL);
	CHECK_EQ(enable(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE), 0);
	touch(0, NPAGES);
	CHECK_ERRNO(clear_log(0, NPAGES), ENOENT);
	NEED(ut_slot(&vm, 1, GPA, SIZE, mem, LOG) == 0);
	touch(60, 10);
	/* Reading takes nothing away. */
	CHECK_EQ(dirty_pages(), 10);
	CHECK_EQ(dirty_pages(), 10);
	CHECK_EQ(bitmap[0], 0xfULL << 60);
	CHECK_EQ(bitmap[1], 0x3f);
	/* One word is dealt with; its pages are logged again, the others still are. */
	CHECK_EQ(clear_log(0, 64), 0);
	CHECK_EQ(dirty_pages(), 6);
	touch(61, 1);
	CHECK_EQ(dirty_pages(), 7);
	/* Bits that are not in the log do no harm. */
	memset(bitmap, 0xff, sizeof(bitmap));
	CHECK_EQ(clear_log(0, NPAGES), 0);
	CHECK_EQ(dirty_pages(), 0);
	touch(3, 1);
	CHECK_EQ(dirty_pages(), 1);
	CHECK_EQ(bitmap[0], 8);
	finish();
}

static void test_clear_args(void)
{
	ut_vm_create(&vm, 1);
	cpu = &vm.vcpu[0];
	map_memory();
	NEED(ut_slot(&vm, 1, GPA, SIZE, mem, LOG) == 0);
	memset(bitmap, 0, sizeof(bitmap));
	CHECK_ERRNO(clear_log(1, 64), EINVAL);
	CHECK_ERRNO(clear_log(0, 63), EINVAL);
	CHECK_ERRNO(clear_log(0, NPAGES + 64), EINVAL);
	CHECK_ERRNO(clear_log(NPAGES + 64, 0), EINVAL);
	CHECK_ERRNO(clear_log(64, NPAGES), EINVAL);
	CHECK_ERRNO(clear_log(1ULL << 63, 64), EINVAL);
	CHECK_EQ(clear_log(NPAGES, 0), 0);
	CHECK_EQ(clear_log(NPAGES - 64, 64), 0);
	finish();
	/* The last word of an odd slot may be a part of one. */
	ut_vm_create(&vm, 1);
	map_memory();
	NEED(ut_slot(&vm, 1, GPA, 0, mem, 0) == 0);
	NEED(ut_slot(&vm, 1, GPA, 70 * UT_PAGE, mem, LOG) == 0);
	CHECK_EQ(clear_log(64, 6), 0);
	CHECK_ERRNO(clear_log(64, 5), EINVAL);
	finish();
}

static void test_initially_set(void)
{
	ut_vm_create(&vm, 1);
	cpu = &vm.vcpu[0];
	map_memory();
	NEED(enable(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
		    KVM_DIRTY_LOG_INITIALLY_SET) == 0);
	touch(0, NPAGES);
	NEED(ut_slot(&vm, 1, GPA, SIZE, mem, LOG) == 0);
	CHECK_EQ(dirty_pages(), NPAGES);
	/* Clearing a part of a large page must not lose a write to the rest. */
	CHECK_EQ(clear_log(0, 128), 0);
	CHECK_EQ(dirty_pages(), NPAGES - 128);
	touch(127, 2);
	CHECK_EQ(dirty_pages(), NPAGES - 127);
	CHECK_EQ(clear_log(0, NPAGES), 0);
	touch(NPAGES - 1, 1);
	CHECK_EQ(dirty_pages(), 1);
	finish();
}

/* ---- rings ----------------------------------------------------------------------------------- */

static struct kvm_dirty_gfn *ring;

static struct kvm_dirty_gfn *map_ring(int prot, int flags)
{
	return mmap(NULL, RING_BYTES, prot, flags, cpu->fd, KVM_DIRTY_LOG_PAGE_OFFSET * UT_PAGE);
}

/* KVM keeps room for the CPU's page-modification log, 512 pages, in each ring. */
static void skip_pml(void)
{
	if (ut_is_kvm_intel_with("pml"))
		ut_skip("with PML, KVM's rings are larger than this one");
}

static void start_ring(void)
{
	skip_pml();
	ut_vm_create(&vm, 0);
	NEED(enable(KVM_CAP_DIRTY_LOG_RING_ACQ_REL, RING_BYTES) == 0);
	cpu = ut_vcpu_create(&vm);
	map_memory();
	ring = map_ring(PROT_READ | PROT_WRITE, MAP_SHARED);
	NEED(ring != MAP_FAILED);
}

static void finish_ring(void)
{
	munmap(ring, RING_BYTES);
	finish();
}

static void test_ring_args(void)
{
	skip_pml();
	ut_vm_create(&vm, 0);
	CHECK_ERRNO(ioctl(vm.fd, KVM_RESET_DIRTY_RINGS, 0), EINVAL);
	CHECK_ERRNO(enable(KVM_CAP_DIRTY_LOG_RING, 0), EINVAL);
	CHECK_ERRNO(enable(KVM_CAP_DIRTY_LOG_RING, 2048), EINVAL);
	CHECK_ERRNO(enable(KVM_CAP_DIRTY_LOG_RING, 4096 + 16), EINVAL);
	CHECK_ERRNO(enable(KVM_CAP_DIRTY_LOG_RING, 2 << 20), E2BIG);
	CHECK_EQ(enable(KVM_CAP_DIRTY_LOG_RING, RING_BYTES), 0);
	CHECK_ERRNO(enable(KVM_CAP_DIRTY_LOG_RING, RING_BYTES), EINVAL);
	cpu = ut_vcpu_create(&vm);
	map_memory();
	/* A private copy of the ring, or code in it, is refused. */
	CHECK(map_ring(PROT_READ, MAP_PRIVATE) == MAP_FAILED);
	CHECK(map_ring(PROT_READ | PROT_EXEC, MAP_SHARED) == MAP_FAILED);
	/* There are no bitmaps. */
	NEED(ut_slot(&vm, 1, GPA, SIZE, mem, LOG) == 0);
	CHECK_ERRNO(get_log(), ENXIO);
	CHECK_ERRNO(clear_log(0, 64), ENXIO);
	CHECK_EQ(ioctl(vm.fd, KVM_RESET_DIRTY_RINGS, 0), 0);
	finish();
	/* Too late. */
	ut_vm_create(&vm, 1);
	cpu = &vm.vcpu[0];
	CHECK_ERRNO(enable(KVM_CAP_DIRTY_LOG_RING, RING_BYTES), EINVAL);
	ut_vm_destroy(&vm);
}

static bool is_entry(unsigned int i, uint64_t page)
{
	const struct kvm_dirty_gfn *e = &ring[i % RING_ENTRIES];

	return __atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) == KVM_DIRTY_GFN_F_DIRTY &&
	       e->slot == 1 && e->offset == page;
}

static void collect(unsigned int first, unsigned int count)
{
	while (count--)
		__atomic_store_n(&ring[first++ % RING_ENTRIES].flags, KVM_DIRTY_GFN_F_RESET,
				 __ATOMIC_RELEASE);
}

static void test_ring(void)
{
	unsigned int i;

	start_ring();
	touch(0, NPAGES);
	CHECK_EQ(ring[0].flags, 0);
	NEED(ut_slot(&vm, 1, GPA, SIZE, mem, LOG) == 0);
	touch(5, 100);
	for (i = 0; i < 100; i++)
		CHECK(is_entry(i, 5 + i));
	CHECK_EQ(ring[100].flags, 0);
	/* In the ring already: not again. Nothing was collected. */
	touch(5, 100);
	CHECK_EQ(ring[100].flags, 0);
	CHECK_EQ(ioctl(vm.fd, KVM_RESET_DIRTY_RINGS, 0), 0);
	collect(0, 60);
	CHECK_EQ(ioctl(vm.fd, KVM_RESET_DIRTY_RINGS, 0), 60);
	CHECK_EQ(ioctl(vm.fd, KVM_RESET_DIRTY_RINGS, 0), 0);
	/* Those 60 are protected again, the others are not. */
	touch(5, 100);
	for (i = 0; i < 60; i++)
		CHECK(is_entry(100 + i, 5 + i));
	CHECK_EQ(ring[160].flags, 0);
	finish_ring();
}

/* Take all there is from @first on, note the pages; returns how many. */
static unsigned int harvest(unsigned int first, uint8_t *seen)
{
	unsigned int n = 0;

	while (n < RING_ENTRIES) {
		struct kvm_dirty_gfn *e = &ring[(first + n) % RING_ENTRIES];

		if (__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) != KVM_DIRTY_GFN_F_DIRTY)
			break;
		CHECK(e->slot == 1 && e->offset < NPAGES);
		seen[e->offset % NPAGES] = 1;
		collect(first + n, 1);
		n++;
	}
	return n;
}

/*
 * The ring fills up: KVM_RUN ends before one entry is lost, and goes on when there is room. A page
 * may come twice: its write had not happened yet when its entry was taken.
 */
static void test_ring_full(void)
{
	unsigned int next = 0, fulls = 0, n, i;
	uint8_t seen[NPAGES] = { 0 };
	enum ut_result r;
	uint32_t value;

	start_ring();
	NEED(ut_slot(&vm, 1, GPA, SIZE, mem, LOG) == 0);
	start_touch(0, NPAGES);
	while ((r = ut_run(cpu, &value)) == UT_EXIT) {
		NEED(cpu->run->exit_reason == KVM_EXIT_DIRTY_RING_FULL);
		/* Without a reset it stays full. */
		CHECK_EQ(ut_run(cpu, &value), UT_EXIT);
		CHECK_EQ(cpu->run->exit_reason, KVM_EXIT_DIRTY_RING_FULL);
		n = harvest(next, seen);
		NEED(n > 0 && n < RING_ENTRIES);
		CHECK_EQ(ioctl(vm.fd, KVM_RESET_DIRTY_RINGS, 0), n);
		next += n;
		fulls++;
	}
	CHECK_EQ(r, UT_DONE);
	CHECK(fulls >= NPAGES / RING_ENTRIES);
	harvest(next, seen);
	for (i = 0; i < NPAGES; i++)
		CHECK(seen[i]);
	finish_ring();
}

/* What user space writes into its entries can only hurt itself. */
static void test_ring_hostile(void)
{
	unsigned int i;

	start_ring();
	NEED(ut_slot(&vm, 1, GPA, SIZE, mem, LOG) == 0);
	touch(0, 50);
	for (i = 0; i < RING_ENTRIES; i++) {
		ring[i].slot = i * 0x1234567;
		ring[i].offset = ~0ULL / (i + 1);
		ring[i].flags = ~0u;
	}
	CHECK(ioctl(vm.fd, KVM_RESET_DIRTY_RINGS, 0) >= 50);
	touch(0, 20);
	finish_ring();
}

/* ---- mapping ahead --------------------------------------------------------------------------- */

static void test_pre_fault(void)
{
	struct kvm_pre_fault_memory range = { .gpa = GPA, .size = SIZE };
	long before;

	ut_vm_create(&vm, 1);
	cpu = &vm.vcpu[0];
	if (ioctl(vm.dev, KVM_CHECK_EXTENSION, KVM_CAP_PRE_FAULT_MEMORY) <= 0) {
		ut_vm_destroy(&vm);
		ut_skip("this kernel's KVM has no such capability");
	}
	map_memory();
	CHECK_EQ(ioctl(cpu->fd, KVM_PRE_FAULT_MEMORY, &range), 0);
	CHECK_EQ(range.gpa, GPA + SIZE);
	CHECK_EQ(range.size, 0);
	before = ut_vm_stat(&vm, "pages_4k") + 512 * ut_vm_stat(&vm, "pages_2m");
	CHECK(before >= (long)NPAGES);
	/* Beyond the slot: what there was is mapped, then it ends. */
	range = (struct kvm_pre_fault_memory) { .gpa = GPA + SIZE - UT_PAGE, .size = 2 * UT_PAGE };
	CHECK_EQ(ioctl(cpu->fd, KVM_PRE_FAULT_MEMORY, &range), 0);
	CHECK_EQ(range.size, UT_PAGE);
	CHECK_ERRNO(ioctl(cpu->fd, KVM_PRE_FAULT_MEMORY, &range), ENOENT);
	range = (struct kvm_pre_fault_memory) { .gpa = GPA, .size = 0 };
	CHECK_ERRNO(ioctl(cpu->fd, KVM_PRE_FAULT_MEMORY, &range), EINVAL);
	range = (struct kvm_pre_fault_memory) { .gpa = GPA + 1, .size = UT_PAGE };
	CHECK_ERRNO(ioctl(cpu->fd, KVM_PRE_FAULT_MEMORY, &range), EINVAL);
	range = (struct kvm_pre_fault_memory) { .gpa = GPA, .size = UT_PAGE, .flags = 1 };
	CHECK_ERRNO(ioctl(cpu->fd, KVM_PRE_FAULT_MEMORY, &range), EINVAL);
	range = (struct kvm_pre_fault_memory) { .gpa = GPA, .size = -GPA };
	CHECK_ERRNO(ioctl(cpu->fd, KVM_PRE_FAULT_MEMORY, &range), EINVAL);
	/* A slot whose memory is gone. */
	munmap(mem, UT_2M);
	range = (struct kvm_pre_fault_memory) { .gpa = GPA, .size = UT_PAGE };
	CHECK_ERRNO(ioctl(cpu->fd, KVM_PRE_FAULT_MEMORY, &range), EFAULT);
	touch(600, 4);
	finish();
}

static void test_slots2(void)
{
	struct kvm_userspace_memory_region2 r = { .slot = 1, .guest_phys_addr = GPA };

	ut_vm_create(&vm, 1);
	if (ioctl(vm.dev, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY2) <= 0) {
		ut_vm_destroy(&vm);
		ut_skip("this kernel's KVM has no such capability");
	}
	cpu = &vm.vcpu[0];
	map_memory();
	NEED(ut_slot(&vm, 1, GPA, 0, mem, 0) == 0);
	r.userspace_addr = (uintptr_t)mem;
	r.memory_size = SIZE;
	CHECK_EQ(ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION2, &r), 0);
	touch(0, 4);
	CHECK_EQ(((uint64_t *)mem)[3 * UT_PAGE / 8], 3);
	r.flags = 4;				/* KVM_MEM_GUEST_MEMFD */
	CHECK_ERRNO(ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION2, &r), EINVAL);
	r.flags = 0;
	r.guest_phys_addr = 0x1000;
	CHECK_ERRNO(ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION2, &r), EEXIST);
	r.memory_size = 0;
	CHECK_EQ(ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION2, &r), 0);
	CHECK_ERRNO(ioctl(vm.fd, KVM_SET_NR_MMU_PAGES, 63), EINVAL);
	CHECK_EQ(ioctl(vm.fd, KVM_SET_NR_MMU_PAGES, 64), 0);
	finish();
}

static const struct ut_test tests[] = {
	{ "log-manual", test_manual },
	{ "log-clear-args", test_clear_args },
	{ "log-initially-set", test_initially_set },
	{ "ring-args", test_ring_args },
	{ "ring", test_ring },
	{ "ring-full", test_ring_full },
	{ "ring-hostile", test_ring_hostile },
	{ "pre-fault", test_pre_fault },
	{ "slots2", test_slots2 },
};

int main(int argc, char **argv)
{
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
