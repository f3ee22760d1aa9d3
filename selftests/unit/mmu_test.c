// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The second-level tables on a toy host: a host page table with 4K and 2M mappings, vCPU threads
 * that fault and use translations as a TLB would, and threads that invalidate as Linux's mm does.
 */
#include "mmu_toy.h"
#include "unit_test.h"

#define R	(HV_TOY_GFN)			/* first frame of the slot */
#define H(i)	(HV_TOY_HVA + (i) * PAGE_SIZE)

static long pages(int level)
{
	struct hv_mmu *mmu = &toy.vm.mmu;

	return level == 1 ? atomic_long_read(&mmu->pages_4k) : atomic_long_read(&mmu->pages_2m);
}

static enum hv_map_result map_as(struct hv_map *m)
{
	CHECK(hv_mmu_cache_fill(toy.vcpu[0], true) == 0);
	return hv_mmu_map(toy.vcpu[0], m);
}

static enum hv_map_result map(hv_gfn_t gfn, u64 pfn, int level, bool writable, u32 access)
{
	struct hv_map m = {
		.gfn = gfn,
		.hva = HV_TOY_HVA + (gfn - R) * PAGE_SIZE,
		.pfn = pfn,
		.seq = toy.vm.mmu.invalidate_seq,
		.access = access,
		.level = level,
		.writable = writable,
	};

	return map_as(&m);
}

static void test_map_small(void)
{
	int level;

	CHECK(map(R + 5, 0x1234, 1, true, HV_ACCESS_WRITE) == HV_MAP_DONE);
	CHECK(toy_walk(R + 5, &level) == (0x1234ULL << 12 | TOY_LEAF | TOY_W | TOY_A | TOY_D));
	CHECK(level == 1 && toy_walk(R + 6, &level) == 0);
	CHECK(map(R + 5, 0x1234, 1, true, HV_ACCESS_WRITE) == HV_MAP_SPURIOUS);
	CHECK(pages(1) == 1 && pages(2) == 0);
	CHECK(atomic_long_read(&toy.vm.mmu.tables) == 3);
}

static void test_map_large(void)
{
	int level;

	CHECK(map(R + 7, 0x40007, 2, true, 0) == HV_MAP_DONE);
	CHECK(toy_walk(R + 511, &level) ==
	      (0x40000ULL << 12 | TOY_LEAF | TOY_LARGE | TOY_W | TOY_A));
	CHECK(level == 2 && pages(2) == 1 && pages(1) == 0);
	CHECK(map(R + 9, 0x40009, 1, true, HV_ACCESS_WRITE) == HV_MAP_SPURIOUS);
	CHECK(map(R + 9, 0x40009, 1, true, HV_ACCESS_FETCH) == HV_MAP_SPURIOUS);
}

static void test_upgrade(void)
{
	int level;

	CHECK(map(R, 0x40000, 1, false, 0) == HV_MAP_DONE);
	CHECK(!(toy_walk(R, &level) & TOY_W));
	CHECK(map(R, 0x40000, 1, true, HV_ACCESS_WRITE) == HV_MAP_DONE);
	CHECK(toy_walk(R, &level) & TOY_W);
	CHECK(pages(1) == 1);
}

static void test_split(void)
{
	int level, i;

	CHECK(map(R, 0x40000, 2, false, 0) == HV_MAP_DONE);
	CHECK(map(R + 3, 0x40003, 1, true, HV_ACCESS_WRITE) == HV_MAP_DONE);
	for (i = 0; i < 512; i++) {
		u64 leaf = toy_walk(R + i, &level);

		CHECK(level == 1 && hv_tdp_pfn(leaf) == 0x40000u + i);
		CHECK(!(leaf & TOY_LARGE) && !!(leaf & TOY_W) == (i == 3));
	}
	CHECK(pages(1) == 512 && pages(2) == 0);
}

/* Where large pages must not hold code, they are split where it is fetched. */
static void test_no_large_code(void)
{
	const u64 exec = BIT_ULL(62);
	int level, i;

	hv_ops.tdp.no_exec = 0;
	hv_ops.tdp.exec = exec;
	hv_ops.tdp.small_exec = true;
	CHECK(map(R, 0x40000, 2, true, 0) == HV_MAP_DONE);
	CHECK(!(toy_walk(R, &level) & exec) && level == 2);
	CHECK(map(R + 7, 0x40007, 1, true, HV_ACCESS_FETCH) == HV_MAP_DONE);
	for (i = 0; i < 512; i++)
		CHECK(!!(toy_walk(R + i, &level) & exec) == (i == 7) && level == 1);
	CHECK(map(R + 7, 0x40007, 1, true, HV_ACCESS_FETCH) == HV_MAP_SPURIOUS);
	CHECK(map(R + 8, 0x40008, 1, true, HV_ACCESS_FETCH) == HV_MAP_DONE);
	CHECK(toy_walk(R + 8, &level) & exec);
	/* What is small from the start holds both. */
	CHECK(map(R + 512, 0x40200, 1, true, 0) == HV_MAP_DONE);
	CHECK(toy_walk(R + 512, &level) & exec);
	/* Both sizes, where the CPU has not the erratum. */
	hv_ops.tdp.small_exec = false;
	CHECK(map(R + 1024, 0x40400, 2, true, 0) == HV_MAP_DONE);
	CHECK((toy_walk(R + 1024, &level) & exec) && level == 2);
}

static void test_join_small(void)
{
	int level;

	CHECK(map(R, 0x40000, 1, true, 0) == HV_MAP_DONE);
	CHECK(map(R + 1, 0x40001, 2, true, 0) == HV_MAP_DONE);
	CHECK(hv_tdp_pfn(toy_walk(R + 1, &level)) == 0x40001 && level == 1);
	CHECK(pages(1) == 2 && pages(2) == 0);
}

static void test_conflict(void)
{
	CHECK(map(R, 0x40000, 1, false, 0) == HV_MAP_DONE);
	CHECK(map(R, 0x50000, 1, true, HV_ACCESS_WRITE) == HV_MAP_CONFLICT);
	hv_mmu_zap_range(&toy.vm, R, R + 1, false);
	CHECK(map(R, 0x50000, 1, true, HV_ACCESS_WRITE) == HV_MAP_DONE);
}

static void test_zap_detaches_tables(void)
{
	unsigned long flushes = toy.flushes;
	int level, i;

	for (i = 0; i < 1024; i++)
		CHECK(map(R + i, 0x40000 + i, 1, true, 0) == HV_MAP_DONE);
	CHECK(atomic_long_read(&toy.vm.mmu.tables) == 4);
	hv_mmu_zap_range(&toy.vm, R + 1, R + 1024, true);
	CHECK(toy.flushes == flushes + 1);
	CHECK(toy_walk(R, &level) && !toy_walk(R + 1, &level) && !toy_walk(R + 1023, &level));
	/* The second table was covered whole: it is gone, the first stays. */
	CHECK(pages(1) == 1 && atomic_long_read(&toy.vm.mmu.tables) == 3);
	hv_mmu_zap_range(&toy.vm, R + 1, R + 1024, true);
	CHECK(toy.flushes == flushes + 1);
}

static void test_zap_part_of_large(void)
{
	int level;

	CHECK(map(R, 0x40000, 2, true, 0) == HV_MAP_DONE);
	hv_mmu_zap_range(&toy.vm, R + 17, R + 18, true);
	CHECK(!toy_walk(R, &level) && pages(2) == 0);
}

static void test_stale(void)
{
	struct hv_map m = { .gfn = R + 1, .hva = H(1), .pfn = 0x40001, .level = 1,
			    .seq = toy.vm.mmu.invalidate_seq };

	/* In flight, by user address: also one page of what a large leaf would cover. */
	hv_mmu_invalidate_begin(&toy.vm, H(1), H(2));
	CHECK(map_as(&m) == HV_MAP_STALE);
	m = (struct hv_map){ .gfn = R, .hva = H(0), .pfn = 0x40000, .level = 2, .seq = m.seq };
	CHECK(map_as(&m) == HV_MAP_STALE);
	m.level = 1;
	CHECK(map_as(&m) == HV_MAP_DONE);
	hv_mmu_invalidate_end(&toy.vm);
	/* Over, but the page was looked up before. */
	m.gfn = R + 600;
	m.hva = H(600);
	CHECK(map_as(&m) == HV_MAP_STALE);
	m.seq = toy.vm.mmu.invalidate_seq;
	CHECK(map_as(&m) == HV_MAP_DONE);
	/* By frame. */
	hv_mmu_invalidate_begin(&toy.vm, 1, 0);
	spin_lock(&toy.vm.mmu.lock);
	hv_mmu_invalidate_frames(&toy.vm, R + 700, R + 701);
	spin_unlock(&toy.vm.mmu.lock);
	m.gfn = R + 700;
	m.hva = H(700);
	CHECK(map_as(&m) == HV_MAP_STALE);
	m.gfn++;
	CHECK(map_as(&m) == HV_MAP_DONE);
	hv_mmu_invalidate_end(&toy.vm);
}

static void test_notifier_ranges(void)
{
	const struct mmu_notifier_ops *ops = toy.vm.mmu_notifier.ops;
	struct mmu_notifier_range range = { H(2), H(3) };
	int level, i;

	for (i = 0; i < 5; i++)
		CHECK(map(R + i, 0x40000 + i, 1, true, 0) == HV_MAP_DONE);
	/* The second slot shows the same memory at other frames. */
	CHECK(map(HV_TOY_ALIAS + 2, 0x40002, 1, true, 0) == HV_MAP_DONE);
	CHECK(map(HV_TOY_ALIAS + 3, 0x40003, 1, true, 0) == HV_MAP_DONE);
	ops->invalidate_range_start(&toy.vm.mmu_notifier, &range);
	ops->invalidate_range_end(&toy.vm.mmu_notifier, &range);
	for (i = 0; i < 5; i++)
		CHECK(!toy_walk(R + i, &level) == (i == 2));
	CHECK(!toy_walk(HV_TOY_ALIAS + 2, &level) && toy_walk(HV_TOY_ALIAS + 3, &level));
	/* Outside of all slots. */
	range = (struct mmu_notifier_range){ 0, HV_TOY_HVA };
	ops->invalidate_range_start(&toy.vm.mmu_notifier, &range);
	ops->invalidate_range_end(&toy.vm.mmu_notifier, &range);
	CHECK(pages(1) == 5 && toy.vm.mmu.invalidate_count == 0);
	ops->release(&toy.vm.mmu_notifier, NULL);
	CHECK(pages(1) == 0 && atomic_long_read(&toy.vm.mmu.tables) == 0);
	CHECK(toy.vcpu[0]->requests & BIT(HV_REQ_VM_DEAD));
}

static void test_aging(void)
{
	const struct mmu_notifier_ops *ops = toy.vm.mmu_notifier.ops;
	struct mmu_notifier *mn = &toy.vm.mmu_notifier;

	CHECK(map(R + 1, 0x40001, 1, true, 0) == HV_MAP_DONE);
	CHECK(map(R + 512, 0x40200, 2, true, 0) == HV_MAP_DONE);
	CHECK(!ops->test_young(mn, NULL, H(0)));
	CHECK(ops->test_young(mn, NULL, H(1)) && ops->test_young(mn, NULL, H(1)));
	CHECK(ops->clear_young(mn, NULL, H(0), H(2)));
	CHECK(!ops->test_young(mn, NULL, H(1)));
	CHECK(!ops->clear_flush_young(mn, NULL, H(0), H(512)));
	CHECK(ops->test_young(mn, NULL, H(600)));
	CHECK(ops->clear_flush_young(mn, NULL, H(512), H(1024)) && pages(2) == 1);
	/* A CPU without accessed bits. */
	hv_ops.tdp.accessed = 0;
	CHECK(ops->test_young(mn, NULL, H(1)) && ops->clear_young(mn, NULL, H(0), H(2)));
	CHECK(!ops->test_young(mn, NULL, H(1)) && pages(1) == 0 && pages(2) == 1);
	hv_ops.tdp.accessed = TOY_A;
}

static void test_dirty_log(void)
{
	const struct hv_memslot *slot = toy.slots->slot[0];
	int level, i;

	for (i = 0; i < 600; i++)
		if (i != 64)
			CHECK(map(R + i, 0x40000 + i, 1, true, HV_ACCESS_WRITE) == HV_MAP_DONE);
	CHECK(map(R + 1024, 0x80000, 2, true, 0) == HV_MAP_DONE);
	hv_mmu_write_protect_slot(&toy.vm, slot);
	for (i = 0; i < 600; i++)
		CHECK(!(toy_walk(R + i, &level) & TOY_W));
	CHECK(!(toy_walk(R + 1024, &level) & TOY_W) && level == 2);
	for (i = 0; i < 128; i++)
		map(R + i, 0x40000 + i, 1, true, HV_ACCESS_WRITE);
	CHECK(hv_mmu_rearm_dirty(&toy.vm, slot, R + 64, BIT(0) | BIT(2) | BIT(63)));
	for (i = 0; i < 128; i++)
		CHECK(!!(toy_walk(R + i, &level) & TOY_W) == (i != 64 && i != 66 && i != 127));
	CHECK(!hv_mmu_rearm_dirty(&toy.vm, slot, R + 64, BIT(2)));
	CHECK(!hv_mmu_rearm_dirty(&toy.vm, slot, R + 64, 0));
}

static void test_no_memory(void)
{
	toy.fail_alloc = true;
	CHECK(hv_mmu_cache_fill(toy.vcpu[1], true) == -ENOMEM);
	toy.fail_alloc = false;
	CHECK(hv_mmu_cache_fill(toy.vcpu[1], false) == 0);
}

static void test_races(void)
{
	unsigned long bad = toy_race(3);

	printf("  %lu guest accesses, %lu faults, %lu stale, %lu invalidations, %lu flushes\n",
	       toy.accesses, toy.faults, toy.stale, toy.invalidations, toy.flushes);
	CHECK(bad == 0);
	CHECK(toy.accesses > 1000 && toy.faults > 1000 && toy.invalidations > 100);
	CHECK(toy.vm.mmu.invalidate_count == 0);
}

static void test_dirty_races(void)
{
	unsigned long lost = toy_dirty_race(2);

	printf("  %lu writes logged in %lu rounds\n", toy.accesses, toy.invalidations);
	CHECK(lost == 0);
	CHECK(toy.accesses > 1000 && toy.invalidations > 10);
}

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	{ "map a 4K page", test_map_small },
	{ "map a 2M page", test_map_large },
	{ "read-only becomes writable", test_upgrade },
	{ "a write splits a protected 2M leaf", test_split },
		{ "code is not fetched from a 2M leaf where that is forbidden", test_no_large_code },
	{ "a 2M page joins 4K neighbours", test_join_small },
	{ "another page at the frame is a conflict", test_conflict },
	{ "zapping detaches whole tables, flushes once", test_zap_detaches_tables },
	{ "zapping a part of a 2M leaf takes all of it", test_zap_part_of_large },
	{ "invalidations keep stale pages out", test_stale },
	{ "notifier ranges reach all slots", test_notifier_ranges },
	{ "aging with and without accessed bits", test_aging },
	{ "dirty logging protects and re-arms", test_dirty_log },
	{ "no memory for tables", test_no_memory },
	{ "vCPUs against invalidations", test_races },
	{ "writers against the dirty log", test_dirty_races },
};

int main(void)
{
	unsigned int i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		test_begin();
		toy_start();
		tests[i].run();
		CHECK(!toy_stop());	/* pages or counters left over */
		test_end(tests[i].name);
	}
	return TEST_EXIT();
}
