/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inside the second-level MMU: entries, the gate of the installers, and invalidations.
 *
 * There are two parties.
 *
 * Installers are vCPUs that handle a fault. They only add: an absent entry becomes a leaf or a
 * table, a leaf gets a permission, a large leaf becomes a table of equal small ones. They take no
 * lock; each change is one compare-and-swap inside the gate (hv_mmu_gate_enter/leave).
 *
 * Removers (mmu_notifier, slot changes, dirty logging, aging) take something away, under mmu->lock.
 * Those who detach entries first publish what they are about to take, then wait until the gate is
 * empty.
 *
 *	remover (holds mmu->lock)		installer
 *	publish range, count++			A: read seq, smp_rmb(), look the page up
 *	smp_mb()				vcpu->mmu_busy = 1
 *	wait for mmu_busy == 0, every vCPU	smp_mb()
 *	detach entries				read count and ranges, smp_rmb(), read seq
 *	flush all TLBs				stale: mmu_busy = 0, start over
 *	unlock; free detached tables		walk the tables, compare-and-swap
 *	... the host changes the mapping ...	smp_store_release(mmu_busy, 0)
 *	lock, seq++, smp_wmb(), count--, unlock
 *
 * Either the installer sees all of what was published, or the remover sees mmu_busy set: the two
 * smp_mb() forbid that each reads the other's old value, for count as well as for each bound of a
 * range. In the second case the remover waits, and detaches what the installer put in. In the first
 * case the installer keeps out of the published ranges. If the whole invalidation fell between A
 * and the gate, then count (if it is seen back at 0) was written after seq, so seq is seen changed.
 * Hence no translation of a page looked up before an invalidation survives it, and nobody walks a
 * detached table: those in the gate before were waited for, those after keep out of its frames.
 * Only the CPUs still may, and they are flushed before it is freed.
 *
 * Ranges are published both as user addresses and as frames. The addresses cover a slot that was
 * made after the notifier looked at the slots: an installer that uses it must see them, since the
 * notifier read the older slot array after its smp_mb(). The frames cover a slot that moved: its
 * new user address for a frame need not be in the range for which that frame's table is detached.
 *
 * A vCPU enters the gate only after it was counted in online_vcpus, which the remover reads after
 * its smp_mb(); so the argument holds for a vCPU that was just made.
 *
 * The flush is inside the lock: a second remover that finds an entry gone may rely on it being gone
 * from the TLBs, too. mmu->lock nests inside page-table locks of the host (aging); nothing is taken
 * inside it. Interrupts stay on, as the flush waits for other CPUs. Nothing sleeps.
 *
 * Those who only clear bits (write protection, accessed bits) do not publish: their
 * compare-and-swap loops are atomic against the installers' and no page changes owner. What they
 * rely on is stated at each (dirty.c).
 */
#ifndef HV_MMU_TDP_H
#define HV_MMU_TDP_H

#include <linux/io.h>
#include <linux/list.h>
#include <linux/mm.h>

#include "mmu.h"

#define HV_TDP_INDEX_BITS	9
#define HV_TDP_ENTRIES		BIT(HV_TDP_INDEX_BITS)
#define HV_TDP_MAX_LEVELS	5
#define HV_TDP_ADDR		GENMASK_ULL(51, PAGE_SHIFT)

static inline const struct hv_tdp_format *hv_tdp(void)
{
	return &hv_ops.tdp;
}

/* Frames that one entry of a table at @level covers. */
static inline u64 hv_tdp_pages(int level)
{
	return 1ULL << ((level - 1) * HV_TDP_INDEX_BITS);
}

/* First frame the tables cannot map. */
static inline hv_gfn_t hv_tdp_limit(void)
{
	return 1ULL << (hv_tdp()->levels * HV_TDP_INDEX_BITS);
}

static inline unsigned int hv_tdp_index(hv_gfn_t gfn, int level)
{
	return (gfn >> ((level - 1) * HV_TDP_INDEX_BITS)) & (HV_TDP_ENTRIES - 1);
}

static inline bool hv_tdp_present(u64 entry)
{
	return entry & hv_tdp()->present;
}

/* Of a present entry. */
static inline bool hv_tdp_is_leaf(u64 entry, int level)
{
	return level == 1 || (entry & hv_tdp()->large);
}

static inline u64 hv_tdp_pfn(u64 leaf)
{
	return (leaf & HV_TDP_ADDR & ~hv_tdp()->leaf) >> PAGE_SHIFT;
}

static inline u64 *hv_tdp_table(u64 entry)
{
	return phys_to_virt(entry & HV_TDP_ADDR & ~hv_tdp()->table);
}

/* Clear bits of an entry that the CPU may change at the same time; returns the old value. */
static inline u64 hv_tdp_clear(u64 *entry, u64 bits)
{
	u64 old = READ_ONCE(*entry);

	while ((old & bits) && !try_cmpxchg(entry, &old, old & ~bits))
		;
	return old;
}

/* ---- map.c: what a fault puts in ------------------------------------------------------------- */

/* One page of guest memory that a fault wants mapped, and where it was found. */
struct hv_map {
	hv_gfn_t gfn;
	u64 hva;		/* of the page */
	u64 pfn;		/* of the page, also when mapped as a part of a large leaf */
	unsigned long seq;	/* mmu->invalidate_seq from before pfn was looked up */
	u32 access;		/* HV_ACCESS_* of the fault */
	u8 level;		/* of the leaf; gfn, hva and pfn agree below its size */
	bool writable;
	bool uncached;
};

enum hv_map_result {
	HV_MAP_DONE,
	HV_MAP_SPURIOUS,	/* the entry already allows the access */
	HV_MAP_STALE,		/* an invalidation came between: look the page up again */
	HV_MAP_CONFLICT,	/* the frame is mapped to another page */
};

/* The cache holds enough tables (hv_mmu_cache_fill()). */
enum hv_map_result hv_mmu_map(struct hv_vcpu *vcpu, struct hv_map *map);

/* Tables for one fault. Returns 0 or -ENOMEM; without @may_sleep that is no reason to give up. */
int hv_mmu_cache_fill(struct hv_vcpu *vcpu, bool may_sleep);

/* ---- zap.c: what removers take out --------------------------------------------------------- */

/* Entries taken out under one hold of mmu->lock. */
struct hv_zap {
	struct list_head tables;		/* detached, level in page_private() */
	unsigned long nr_tables;
	unsigned long leaves[HV_TDP_MAX_LEVELS + 1];	/* by level */
	bool flush;
};

void hv_zap_init(struct hv_zap *zap);
/* mmu->lock held and the frames published: detach everything that maps any of them. */
void hv_zap_frames(struct hv_vm *vm, struct hv_zap *zap, hv_gfn_t start, hv_gfn_t end);
/* Flush if anything was detached; mmu->lock still held. */
void hv_zap_flush(struct hv_vm *vm, struct hv_zap *zap);
/* Free detached tables and settle the counters; mmu->lock not held. */
void hv_zap_finish(struct hv_vm *vm, struct hv_zap *zap, bool may_sleep);

/*
 * Publish a range of user addresses: from here to hv_mmu_invalidate_end() nothing in it is mapped
 * anew. Takes and releases mmu->lock; any context that may spin.
 */
void hv_mmu_invalidate_begin(struct hv_vm *vm, u64 hva_start, u64 hva_end);
void hv_mmu_invalidate_end(struct hv_vm *vm);
/* mmu->lock held, inside begin/end: add frames to what is published and empty the gate. */
void hv_mmu_invalidate_frames(struct hv_vm *vm, hv_gfn_t start, hv_gfn_t end);
/* Take out the frames and flush, as one invalidation of its own. */
void hv_mmu_zap_range(struct hv_vm *vm, hv_gfn_t start, hv_gfn_t end, bool may_sleep);

/* The root table and the published ranges' state; frees all tables. */
int hv_mmu_tables_init(struct hv_vm *vm);
void hv_mmu_tables_free(struct hv_vm *vm);

/* All leaves that overlap [next, end) in either address space, under one hold of mmu->lock. */
struct hv_leaf_iter {
	struct hv_vm *vm;
	hv_gfn_t next, end;
	hv_gfn_t first;		/* where next began */
	struct page *root;	/* of the address space that is walked */
	u64 *table;		/* of level 1, that holds next; or NULL */
	u64 *entry;		/* the leaf found */
	hv_gfn_t gfn;		/* first frame it maps */
	int level;
};

bool hv_leaf_next(struct hv_leaf_iter *it);

#endif
