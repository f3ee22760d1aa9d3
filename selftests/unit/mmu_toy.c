// SPDX-License-Identifier: GPL-2.0-or-later
#include <time.h>

#include "mmu_toy.h"

#define ARENA_PAGES	4096		/* for tables */
#define PFN_SMALL	0x100000ULL	/* data frames for single pages ... */
#define PFN_LARGE	0x200000ULL	/* ... and for 2M pages */
#define PFN_RING	0x40000ULL	/* of each, reused in turn */
#define PFN_END		(PFN_LARGE + PFN_RING)
#define HOST_W		BIT_ULL(63)	/* the host's entry is writable */
#define HOST_HUGE	BIT_ULL(62)	/* it is a part of a 2M mapping */
#define HOST_PFN	(BIT_ULL(40) - 1)

struct toy toy;
struct hv_x86_ops hv_ops;
struct page *kshim_pages;
char *kshim_arena;

/* ---- the arena ------------------------------------------------------------------------------- */

static pthread_mutex_t arena_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int arena_used, arena_next;

struct page *kshim_page_alloc(void)
{
	struct page *page = NULL;
	unsigned int i;

	if (toy.fail_alloc)
		return NULL;
	pthread_mutex_lock(&arena_lock);
	for (i = 0; i < ARENA_PAGES && !page; i++) {
		arena_next = arena_next % (ARENA_PAGES - 1) + 1;	/* page 0 is none */
		if (!kshim_pages[arena_next].allocated)
			page = &kshim_pages[arena_next];
	}
	BUG_ON(!page);
	memset(kshim_arena + page_to_phys(page), 0, PAGE_SIZE);
	__atomic_store_n(&page->allocated, 1, __ATOMIC_SEQ_CST);
	arena_used++;
	pthread_mutex_unlock(&arena_lock);
	return page;
}

void kshim_page_free(struct page *page)
{
	pthread_mutex_lock(&arena_lock);
	BUG_ON(!page->allocated);
	__atomic_store_n(&page->allocated, 0, __ATOMIC_SEQ_CST);
	memset(kshim_arena + page_to_phys(page), 0x6b, PAGE_SIZE);
	arena_used--;
	pthread_mutex_unlock(&arena_lock);
}

void *kshim_phys_to_virt(u64 pa)
{
	BUG_ON(pa >= ARENA_PAGES * PAGE_SIZE);
	BUG_ON(!__atomic_load_n(&kshim_pages[pa >> PAGE_SHIFT].allocated, __ATOMIC_SEQ_CST));
	return kshim_arena + pa;
}

/* ---- what the MMU asks of the rest of the module ------------------------------------------- */

struct hv_memslots *hv_memslots(struct hv_vm *vm, unsigned int as)
{
	return toy.slots;
}

/* As in vcpu.c: afterwards nobody is in the guest without having seen the request. */
void hv_request_all(struct hv_vm *vm, enum hv_req req)
{
	struct hv_vcpu *vcpu;
	unsigned long i;

	__atomic_fetch_add(&toy.flushes, req == HV_REQ_TLB_FLUSH, __ATOMIC_RELAXED);
	hv_for_each_vcpu(vm, vcpu, i)
		set_bit(req, &vcpu->requests);
	smp_mb();
	hv_for_each_vcpu(vm, vcpu, i)
		while (smp_load_acquire(&vcpu->mode) == HV_IN_GUEST && READ_ONCE(vcpu->requests))
			sched_yield();
}

/* ---- set-up -------------------------------------------------------------------------------- */

static struct hv_memslot *toy_slot(hv_gfn_t gfn)
{
	struct hv_memslot *slot = calloc(1, sizeof(*slot));

	slot->base_gfn = gfn;
	slot->npages = HV_TOY_PAGES;
	slot->hva = HV_TOY_HVA;
	return slot;
}

void toy_start(void)
{
	unsigned int i;

	memset(&toy, 0, sizeof(toy));
	if (!kshim_pages) {
		kshim_pages = calloc(ARENA_PAGES, sizeof(*kshim_pages));
		kshim_arena = aligned_alloc(PAGE_SIZE, ARENA_PAGES * PAGE_SIZE);
	}
	hv_ops.tdp = (struct hv_tdp_format){
		.present = TOY_P, .table = TOY_P | TOY_W | TOY_U, .leaf = TOY_LEAF,
		.large = TOY_LARGE, .write = TOY_W, .no_exec = BIT_ULL(63), .accessed = TOY_A,
		.dirty = TOY_D, .uncached = TOY_LEAF | BIT_ULL(4), .levels = 4, .max_leaf_level = 2,
	};
	toy.slots = calloc(1, sizeof(*toy.slots) + 2 * sizeof(toy.slots->slot[0]));
	toy.slots->nr = 2;
	toy.slots->slot[0] = toy_slot(HV_TOY_GFN);
	toy.slots->slot[1] = toy_slot(HV_TOY_ALIAS);
	for (i = 0; i < HV_TOY_VCPUS; i++) {
		toy.vcpu[i] = calloc(1, sizeof(*toy.vcpu[i]));
		toy.vcpu[i]->vm = &toy.vm;
		toy.vm.vcpus.slot[i] = toy.vcpu[i];
	}
	toy.vm.online_vcpus = HV_TOY_VCPUS;
	BUG_ON(hv_mmu_init(&toy.vm));
}

bool toy_stop(void)
{
	struct hv_mmu *mmu = &toy.vm.mmu;
	unsigned int i;

	hv_mmu_destroy(&toy.vm);
	for (i = 0; i < HV_TOY_VCPUS; i++) {
		hv_mmu_vcpu_free(toy.vcpu[i]);
		free(toy.vcpu[i]);
	}
	for (i = 0; i < 2; i++) {
		free(toy.slots->slot[i]->dirty);
		free(toy.slots->slot[i]);
	}
	free(toy.slots);
	return arena_used || atomic_long_read(&mmu->pages_4k) || atomic_long_read(&mmu->pages_2m) ||
	       atomic_long_read(&mmu->pages_1g) || atomic_long_read(&mmu->tables);
}

u64 toy_walk(hv_gfn_t gfn, int *level)
{
	u64 *table = kshim_phys_to_virt(hv_mmu_root(&toy.vm, 0));
	u64 entry;

	for (*level = 4;; --*level) {
		entry = READ_ONCE(table[gfn >> (9 * (*level - 1)) & 511]);
		if (!(entry & TOY_P))
			return 0;
		if (*level == 1 || (entry & TOY_LARGE))
			return entry;
		table = kshim_phys_to_virt(entry & HV_TDP_ADDR);
	}
}

/* ---- the toy host's memory ----------------------------------------------------------------- */

static pthread_mutex_t host_lock = PTHREAD_MUTEX_INITIALIZER;	/* who changes host_pte */
static u64 host_pte[HV_TOY_PAGES];
static u32 owner[PFN_END];		/* page number + 1 that the frame belongs to, 0: free */
static u64 next_small, next_large;
static volatile bool stop;

static unsigned int rnd(unsigned int *seed, unsigned int n)
{
	return (unsigned int)rand_r(seed) % n;
}

static u64 host_frame_small(unsigned int page)
{
	u64 pfn;

	do {
		pfn = PFN_SMALL + next_small++ % PFN_RING;
	} while (owner[pfn]);
	__atomic_store_n(&owner[pfn], page + 1, __ATOMIC_SEQ_CST);
	return pfn;
}

static bool host_block_free(u64 pfn)
{
	unsigned int i;

	for (i = 0; i < 512; i++)
		if (owner[pfn + i])
			return false;
	return true;
}

static void host_set(unsigned int page, u64 pte)
{
	u64 old = host_pte[page] & HOST_PFN;

	WRITE_ONCE(host_pte[page], pte);
	if (old && old != (pte & HOST_PFN))
		__atomic_store_n(&owner[old], 0, __ATOMIC_SEQ_CST);
}

/* Replace a 2M region by one new 2M page. */
static void host_make_huge(unsigned int region, u64 writable)
{
	unsigned int i, page = region * 512;
	u64 pfn;

	do {
		pfn = PFN_LARGE + (next_large++ * 512) % PFN_RING;
	} while (!host_block_free(pfn));
	for (i = 0; i < 512; i++) {
		__atomic_store_n(&owner[pfn + i], page + i + 1, __ATOMIC_SEQ_CST);
		host_set(page + i, (pfn + i) | HOST_HUGE | writable);
	}
}

static void notify(unsigned int first, unsigned int n, bool start)
{
	const struct mmu_notifier_ops *ops = toy.vm.mmu_notifier.ops;
	struct mmu_notifier_range range = {
		HV_TOY_HVA + first * PAGE_SIZE,
		HV_TOY_HVA + (first + n) * PAGE_SIZE,
	};

	if (start)
		ops->invalidate_range_start(&toy.vm.mmu_notifier, &range);
	else
		ops->invalidate_range_end(&toy.vm.mmu_notifier, &range);
	if (start)
		__atomic_fetch_add(&toy.invalidations, 1, __ATOMIC_RELAXED);
}

/* As the mm: the 2M mapping is split, under an invalidation of all of it, before a part changes. */
static void host_split(unsigned int region)
{
	unsigned int i;

	notify(region * 512, 512, true);
	pthread_mutex_lock(&host_lock);
	for (i = 0; i < 512; i++)
		WRITE_ONCE(host_pte[region * 512 + i], host_pte[region * 512 + i] & ~HOST_HUGE);
	pthread_mutex_unlock(&host_lock);
	notify(region * 512, 512, false);
}

static void host_replace_small(unsigned int *seed)
{
	unsigned int page = rnd(seed, HV_TOY_PAGES);

	notify(page, 1, true);
	for (;;) {
		pthread_mutex_lock(&host_lock);
		if (!(host_pte[page] & HOST_HUGE))
			break;
		pthread_mutex_unlock(&host_lock);
		host_split(page / 512);
	}
	host_set(page, host_frame_small(page) | (rnd(seed, 2) ? HOST_W : 0));
	pthread_mutex_unlock(&host_lock);
	notify(page, 1, false);
}

static void host_replace_large(unsigned int *seed)
{
	unsigned int region = rnd(seed, HV_TOY_REGIONS);

	notify(region * 512, 512, true);
	pthread_mutex_lock(&host_lock);
	host_make_huge(region, rnd(seed, 2) ? HOST_W : 0);
	pthread_mutex_unlock(&host_lock);
	notify(region * 512, 512, false);
}

static void *host_thread(void *arg)
{
	unsigned int seed = (unsigned long)arg;

	while (!stop) {
		if (rnd(&seed, 4))
			host_replace_small(&seed);
		else
			host_replace_large(&seed);
		if (!rnd(&seed, 8))
			hv_mmu_zap_range(&toy.vm, HV_TOY_GFN, HV_TOY_GFN + HV_TOY_PAGES, true);
		sched_yield();
	}
	return NULL;
}

/* ---- toy vCPUs ----------------------------------------------------------------------------- */

struct toy_cpu {
	struct hv_vcpu *vcpu;
	unsigned int seed;
	unsigned long bad;
	u32 *written;		/* dirty race: writes of this vCPU by page */
};

/* What fault.c does, on the toy host. */
static void cpu_fault(struct hv_vcpu *vcpu, struct hv_memslot *slot, unsigned int page, u32 access)
{
	struct hv_map map = {
		.gfn = slot->base_gfn + page,
		.hva = slot->hva + page * PAGE_SIZE,
		.access = access,
	};
	bool write = access & HV_ACCESS_WRITE;
	u64 pte;

	BUG_ON(hv_mmu_cache_fill(vcpu, true));
	map.seq = READ_ONCE(toy.vm.mmu.invalidate_seq);
	smp_rmb();
	pte = READ_ONCE(host_pte[page]);
	map.writable = (pte & HOST_W) && (write || !slot->dirty);
	map.pfn = pte & HOST_PFN;
	map.level = (pte & HOST_HUGE) && !slot->dirty ? 2 : 1;
	if (write && !map.writable)
		return;
	__atomic_fetch_add(&toy.faults, 1, __ATOMIC_RELAXED);
	switch (hv_mmu_map(vcpu, &map)) {
	case HV_MAP_DONE:
		if (slot->dirty && map.writable)
			set_bit(page % 64, &slot->dirty[page / 64]);
		break;
	case HV_MAP_SPURIOUS:
		break;
	case HV_MAP_STALE:
		__atomic_fetch_add(&toy.stale, 1, __ATOMIC_RELAXED);
		break;
	case HV_MAP_CONFLICT:
		hv_mmu_zap_range(&toy.vm, map.gfn, map.gfn + 1, true);
		break;
	}
}

/* Enter the guest unless a request is there: then it is acted on (here: forgotten translations). */
static bool cpu_enter(struct hv_vcpu *vcpu)
{
	__atomic_store_n(&vcpu->mode, HV_IN_GUEST, __ATOMIC_SEQ_CST);
	smp_mb();
	if (!READ_ONCE(vcpu->requests))
		return true;
	smp_store_release(&vcpu->mode, HV_OUTSIDE_GUEST);
	__atomic_exchange_n(&vcpu->requests, 0, __ATOMIC_SEQ_CST);
	return false;
}

/* Use one translation again and again, as from a TLB, until somebody asks for a flush. */
static void cpu_use(struct toy_cpu *cpu, struct hv_memslot *slot, unsigned int page)
{
	hv_gfn_t gfn = slot->base_gfn + page;
	unsigned int i;
	int level;
	u64 leaf, pfn;

	leaf = toy_walk(gfn, &level);
	if (!leaf)
		return;
	pfn = hv_tdp_pfn(leaf) + (gfn & (hv_tdp_pages(level) - 1));
	for (i = 0; i < 20 && !READ_ONCE(cpu->vcpu->requests); i++) {
		if (__atomic_load_n(&owner[pfn], __ATOMIC_SEQ_CST) != page + 1)
			cpu->bad++;
		__atomic_fetch_add(&toy.accesses, 1, __ATOMIC_RELAXED);
		if (i % 8 == 7)
			sched_yield();
	}
}

static void *cpu_thread(void *arg)
{
	struct toy_cpu *cpu = arg;
	struct hv_vcpu *vcpu = cpu->vcpu;
	struct hv_memslot *slot;
	unsigned int page;

	while (!stop) {
		slot = toy.slots->slot[rnd(&cpu->seed, 2)];
		page = rnd(&cpu->seed, HV_TOY_PAGES);
		cpu_fault(vcpu, slot, page, rnd(&cpu->seed, 2) ? HV_ACCESS_WRITE : 0);
		if (!cpu_enter(vcpu))
			continue;
		cpu_use(cpu, slot, page);
		smp_store_release(&vcpu->mode, HV_OUTSIDE_GUEST);
	}
	return NULL;
}

static void host_init(u64 writable)
{
	unsigned int i;

	memset(owner, 0, sizeof(owner));
	memset(host_pte, 0, sizeof(host_pte));
	for (i = 0; i < HV_TOY_REGIONS; i++)
		host_make_huge(i, writable);
}

/* Run @fn on every vCPU for @seconds while @side runs in the calling thread. */
static unsigned long run_cpus(void *(*fn)(void *), unsigned int seconds, void (*side)(void *arg),
			      void *arg, struct toy_cpu *cpu)
{
	pthread_t t[HV_TOY_VCPUS];
	time_t end = time(NULL) + seconds;
	unsigned long bad = 0;
	unsigned int i;

	stop = false;
	for (i = 0; i < HV_TOY_VCPUS; i++) {
		cpu[i].vcpu = toy.vcpu[i];
		cpu[i].seed = i + 1;
		BUG_ON(pthread_create(&t[i], NULL, fn, &cpu[i]));
	}
	while (time(NULL) < end)
		side(arg);
	stop = true;
	for (i = 0; i < HV_TOY_VCPUS; i++) {
		pthread_join(t[i], NULL);
		bad += cpu[i].bad;
	}
	return bad;
}

static void side_sleep(void *arg)
{
	nanosleep(&(struct timespec){ .tv_nsec = 50 * 1000 * 1000 }, NULL);
}

unsigned long toy_race(unsigned int seconds)
{
	struct toy_cpu cpu[HV_TOY_VCPUS] = { 0 };
	pthread_t host[2];
	unsigned long bad, i;

	host_init(HOST_W);
	stop = false;
	for (i = 0; i < 2; i++)
		BUG_ON(pthread_create(&host[i], NULL, host_thread, (void *)(100 + i)));
	bad = run_cpus(cpu_thread, seconds, side_sleep, NULL, cpu);
	for (i = 0; i < 2; i++)
		pthread_join(host[i], NULL);
	return bad;
}

/* ---- dirty logging ------------------------------------------------------------------------- */

static u32 memory[HV_TOY_PAGES];	/* writes to each page */

static void *writer_thread(void *arg)
{
	struct toy_cpu *cpu = arg;
	struct hv_memslot *slot = toy.slots->slot[0];
	unsigned int page;
	int level;

	while (!stop) {
		page = rnd(&cpu->seed, 64);
		cpu_fault(cpu->vcpu, slot, page, HV_ACCESS_WRITE);
		if (!cpu_enter(cpu->vcpu))
			continue;
		if (toy_walk(slot->base_gfn + page, &level) & TOY_W) {
			__atomic_fetch_add(&memory[page], 1, __ATOMIC_SEQ_CST);
			__atomic_fetch_add(&toy.accesses, 1, __ATOMIC_RELAXED);
		}
		smp_store_release(&cpu->vcpu->mode, HV_OUTSIDE_GUEST);
	}
	return NULL;
}

/* One round of the log; @copy is what a migration's destination would have. */
static void take_log(void *arg)
{
	struct hv_memslot *slot = toy.slots->slot[0];
	u32 *copy = arg;
	unsigned long i, bits, mask;

	for (i = 0; i < HV_TOY_PAGES / 64; i++) {
		if (!READ_ONCE(slot->dirty[i]))
			continue;
		mask = bits = xchg(&slot->dirty[i], 0);
		if (hv_mmu_rearm_dirty(&toy.vm, slot, slot->base_gfn + i * 64, mask))
			hv_mmu_flush_all(&toy.vm);
		for (; bits; bits &= bits - 1)
			copy[i * 64 + __ffs(bits)] = READ_ONCE(memory[i * 64 + __ffs(bits)]);
	}
	toy.invalidations++;
	sched_yield();
}

unsigned long toy_dirty_race(unsigned int seconds)
{
	struct toy_cpu cpu[HV_TOY_VCPUS] = { 0 };
	static u32 copy[HV_TOY_PAGES];
	unsigned long lost = 0;
	unsigned int i;

	host_init(HOST_W);
	memset(memory, 0, sizeof(memory));
	memset(copy, 0, sizeof(copy));
	toy.slots->slot[0]->dirty = calloc(HV_TOY_PAGES / 64, sizeof(long));
	run_cpus(writer_thread, seconds, take_log, copy, cpu);
	take_log(copy);
	for (i = 0; i < HV_TOY_PAGES; i++)
		lost += copy[i] != memory[i];
	return lost;
}
