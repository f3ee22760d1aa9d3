/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small kernel for the second-level MMU's unit test: pages out of an arena, locks on POSIX
 * threads, barriers and atomics of the compiler. All the headers beside this one include it. The
 * objects that the MMU only holds (timers, notifiers of the scheduler) are empty.
 */
#ifndef HV_KSHIM_MMU_ALL_H
#define HV_KSHIM_MMU_ALL_H

#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/string.h>
#include <linux/types.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE_SHIFT	12
#define PAGE_SIZE	(1UL << PAGE_SHIFT)
#define PAGE_MASK	(~(PAGE_SIZE - 1))

/* ---- memory order -------------------------------------------------------------------------- */

#define smp_mb()	__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_rmb()	__atomic_thread_fence(__ATOMIC_ACQUIRE)
#define smp_wmb()	__atomic_thread_fence(__ATOMIC_RELEASE)
#define smp_mb__after_atomic()	smp_mb()
#define smp_load_acquire(p)	__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define smp_store_release(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)
#define xchg(p, v)		__atomic_exchange_n(p, v, __ATOMIC_SEQ_CST)
#define cmpxchg(p, o, n)							\
({										\
	__typeof__(*(p)) cmpxchg_old = (o);					\
										\
	__atomic_compare_exchange_n(p, &cmpxchg_old, n, false, __ATOMIC_SEQ_CST,	\
				    __ATOMIC_SEQ_CST);				\
	cmpxchg_old;								\
})
#define try_cmpxchg(p, old, new) \
	__atomic_compare_exchange_n(p, old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
#define cpu_relax()		sched_yield()
#define rcu_assign_pointer(p, v) smp_store_release(&(p), v)

#undef set_bit
#undef clear_bit
#define set_bit(n, p)	((void)__atomic_fetch_or(p, 1UL << (n), __ATOMIC_SEQ_CST))
#define clear_bit(n, p)	((void)__atomic_fetch_and(p, ~(1UL << (n)), __ATOMIC_SEQ_CST))

typedef struct { int counter; } atomic_t;
typedef struct { long counter; } atomic_long_t;
#define atomic_long_read(v)	__atomic_load_n(&(v)->counter, __ATOMIC_SEQ_CST)
#define atomic_long_add(n, v)	((void)__atomic_fetch_add(&(v)->counter, n, __ATOMIC_SEQ_CST))
#define atomic_long_sub(n, v)	((void)__atomic_fetch_sub(&(v)->counter, n, __ATOMIC_SEQ_CST))
#define atomic_long_inc(v)	atomic_long_add(1, v)
#define atomic_long_dec(v)	atomic_long_sub(1, v)

/* ---- locks and the scheduler --------------------------------------------------------------- */

typedef struct { pthread_mutex_t m; int held; } spinlock_t;
typedef spinlock_t raw_spinlock_t;
static inline void spin_lock_init(spinlock_t *l)
{
	pthread_mutex_init(&l->m, NULL);
	l->held = 0;
}
static inline void spin_lock(spinlock_t *l)
{
	pthread_mutex_lock(&l->m);
	l->held = 1;
}
static inline void spin_unlock(spinlock_t *l)
{
	l->held = 0;
	pthread_mutex_unlock(&l->m);
}
#define lockdep_assert_held(l)	BUG_ON(!(l)->held)
#define spin_needbreak(l)	0
#define preempt_disable()	barrier()
#define preempt_enable()	barrier()
#define need_resched()		1
#define cond_resched()		sched_yield()

struct mutex { int unused; };
struct list_head { struct list_head *next, *prev; };
struct rcu_head { int unused; };
struct hlist_head { void *first; };
struct hlist_node { void *next; };
struct work_struct { int unused; };
struct delayed_work { int unused; };
struct kref { int unused; };
struct completion { int unused; };
typedef struct { int unused; } wait_queue_head_t;
typedef struct { int unused; } seqcount_t;
typedef struct { long counter; } atomic64_t;
typedef s64 ktime_t;
struct pid;
struct srcu_struct { int unused; };
struct rcuwait { int unused; };
struct preempt_notifier { int unused; };
struct hrtimer { int unused; };
struct xarray { void *slot[8]; };
struct mm_struct { int unused; };
typedef struct { int refs; } refcount_t;
typedef struct { int unused; } rwlock_t;
struct eventfd_ctx;
struct task_struct;

#define xa_for_each_range(xa, index, entry, first, last) \
	for (index = first; (long)index <= (long)(last) && ((entry) = (xa)->slot[index]); index++)

#define srcu_read_lock(s)	((void)(s), 0)
#define srcu_read_unlock(s, i)	((void)(s), (void)(i))

#define DECLARE_STATIC_CALL(name, func) extern __typeof__(func) name
#define static_call(name)	name

static inline void INIT_LIST_HEAD(struct list_head *l)
{
	l->next = l->prev = l;
}
static inline void list_add(struct list_head *n, struct list_head *head)
{
	n->next = head->next;
	n->prev = head;
	head->next->prev = n;
	head->next = n;
}
static inline void list_del(struct list_head *n)
{
	n->next->prev = n->prev;
	n->prev->next = n->next;
}
#define list_entry(p, type, member)	container_of(p, type, member)
#define list_for_each_entry_safe(p, n, head, member)				\
	for (p = list_entry((head)->next, __typeof__(*p), member),		\
	     n = list_entry(p->member.next, __typeof__(*p), member);		\
	     &p->member != (head);						\
	     p = n, n = list_entry(n->member.next, __typeof__(*n), member))

/* ---- mmu_notifier: the test calls the operations itself -------------------------------------- */

struct mmu_notifier;
struct mmu_notifier_range { unsigned long start, end; };
#define mmu_notifier_range_blockable(r) ((void)(r), true)
struct mmu_notifier_ops {
	void (*release)(struct mmu_notifier *mn, struct mm_struct *mm);
	int (*clear_flush_young)(struct mmu_notifier *mn, struct mm_struct *mm,
				 unsigned long start, unsigned long end);
	int (*clear_young)(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
			   unsigned long end);
	int (*test_young)(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long address);
	int (*invalidate_range_start)(struct mmu_notifier *mn,
				      const struct mmu_notifier_range *range);
	void (*invalidate_range_end)(struct mmu_notifier *mn,
				     const struct mmu_notifier_range *range);
};
struct mmu_notifier { const struct mmu_notifier_ops *ops; };
static inline int mmu_notifier_register(struct mmu_notifier *mn, struct mm_struct *mm)
{
	return 0;
}
static inline void mmu_notifier_unregister(struct mmu_notifier *mn, struct mm_struct *mm)
{
}

/* ---- pages --------------------------------------------------------------------------------- */

struct page {
	struct list_head lru;
	unsigned long private;
	int allocated;
};

/* Owned by the test: the arena starts at physical address 0. */
extern struct page *kshim_pages;
extern char *kshim_arena;
struct page *kshim_page_alloc(void);		/* zeroed, or NULL */
void kshim_page_free(struct page *page);	/* poisons it */
void *kshim_phys_to_virt(u64 pa);		/* dies if it is not in an allocated page */

#define GFP_KERNEL_ACCOUNT	1
#define GFP_NOWAIT		2
#define __GFP_ACCOUNT		4
#define __GFP_NOWARN		8
#define __GFP_ZERO		16
#define alloc_page(gfp)		((void)(gfp), kshim_page_alloc())
#define __free_page(p)		kshim_page_free(p)
#define page_to_phys(p)		((u64)((p) - kshim_pages) << PAGE_SHIFT)
#define page_address(p)		kshim_phys_to_virt(page_to_phys(p))
#define phys_to_virt(pa)	kshim_phys_to_virt(pa)
#define virt_to_page(v)		(&kshim_pages[((char *)(v) - kshim_arena) >> PAGE_SHIFT])
#define page_private(p)		((p)->private)
#define set_page_private(p, v)	((p)->private = (v))
#define clear_page(v)		memset(v, 0, PAGE_SIZE)

#endif
