/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kernel for one thread. All the headers beside this one include it. What sleeps returns at once,
 * what waits for readers finds none; a lock taken twice, or a wait inside a read section, aborts.
 */
#ifndef HV_KSHIM_IRQ_ALL_H
#define HV_KSHIM_IRQ_ALL_H

#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/string.h>
#include <linux/types.h>
#include <signal.h>
#include <stdlib.h>

#define PAGE_SHIFT	12
#define PAGE_SIZE	(1UL << PAGE_SHIFT)
#define HZ		250
#define NSEC_PER_MSEC	1000000ULL
#define NSEC_PER_SEC	1000000000ULL
#define U32_MAX		0xffffffffU

/* ---- memory order and atomics: nobody else is there ------------------------------------------ */

#define smp_mb()			barrier()
#define smp_wmb()			barrier()
#define smp_mb__after_atomic()		barrier()
#define smp_load_acquire(p)		READ_ONCE(*(p))
#define smp_store_release(p, v)		WRITE_ONCE(*(p), v)
#define xchg(p, v)			({ __typeof__(*(p)) _o = *(p); *(p) = (v); _o; })
#define test_and_set_bit		__test_and_set_bit
#define test_and_clear_bit		__test_and_clear_bit

typedef struct { int counter; } atomic_t;
typedef struct { long counter; } atomic_long_t;
#define atomic_read(v)		((v)->counter)
#define atomic_set(v, n)	((void)((v)->counter = (n)))
#define atomic_inc(v)		((void)(v)->counter++)
#define atomic_dec(v)		((void)(v)->counter--)
#define atomic_or(n, v)		((void)((v)->counter |= (n)))
#define atomic_xchg(v, n)	xchg(&(v)->counter, n)

#define for_each_set_bit(bit, p, size)						\
	for ((bit) = 0; (bit) < (size); (bit)++)				\
		if (test_bit(bit, p))

/* ---- locks, RCU ---------------------------------------------------------------------------- */

typedef struct { bool held; } spinlock_t;
typedef spinlock_t raw_spinlock_t;
struct mutex { bool held; };
struct rcu_head { int unused; };
struct srcu_struct { int readers; };

#define spin_lock_init(l)	((void)((l)->held = false))
#define spin_lock(l)		do { BUG_ON((l)->held); (l)->held = true; } while (0)
#define spin_unlock(l)		do { BUG_ON(!(l)->held); (l)->held = false; } while (0)
#define spin_lock_irqsave(l, f)		do { (f) = 0; spin_lock(l); } while (0)
#define spin_unlock_irqrestore(l, f)	do { (void)(f); spin_unlock(l); } while (0)
#define mutex_init		spin_lock_init
#define mutex_lock		spin_lock
#define mutex_unlock		spin_unlock
#define lockdep_is_held(l)	((l)->held)

extern int kshim_rcu_readers;
#define rcu_read_lock()		((void)kshim_rcu_readers++)
#define rcu_read_unlock()	((void)kshim_rcu_readers--)
#define rcu_dereference(p)	({ BUG_ON(!kshim_rcu_readers); (p); })
#define rcu_dereference_protected(p, c)	({ BUG_ON(!(c)); (p); })
#define rcu_assign_pointer(p, v)	WRITE_ONCE(p, v)
#define RCU_INIT_POINTER(p, v)		WRITE_ONCE(p, v)
#define kfree_rcu(p, member)	free(p)
#define kvfree_rcu		kfree_rcu
#define srcu_read_lock(s)	((s)->readers++)
#define srcu_read_unlock(s, i)	do { (void)(i); BUG_ON(!(s)->readers--); } while (0)
#define srcu_read_lock_held(s)	((s)->readers > 0)
#define srcu_dereference(p, s)	({ BUG_ON(!(s)->readers); (p); })
#define synchronize_srcu_expedited(s)	BUG_ON((s)->readers)
#define srcu_barrier(s)		((void)(s))
#define call_srcu(s, head, fn)	do { (void)(s); fn(head); } while (0)

/* ---- lists --------------------------------------------------------------------------------- */

struct list_head { struct list_head *next, *prev; };
struct hlist_node { struct hlist_node *next; };
struct hlist_head { struct hlist_node *first; };

static inline void INIT_LIST_HEAD(struct list_head *l)
{
	l->next = l->prev = l;
}
static inline void list_add_tail(struct list_head *n, struct list_head *head)
{
	n->next = head;
	n->prev = head->prev;
	head->prev->next = n;
	head->prev = n;
}
static inline void list_del(struct list_head *n)
{
	n->next->prev = n->prev;
	n->prev->next = n->next;
}
static inline bool list_empty(const struct list_head *l)
{
	return l->next == l;
}
#define list_for_each_entry(p, head, member)					\
	for (p = container_of((head)->next, __typeof__(*p), member);		\
	     &p->member != (head);						\
	     p = container_of(p->member.next, __typeof__(*p), member))
#define list_for_each_entry_safe(p, n, head, member)				\
	for (p = container_of((head)->next, __typeof__(*p), member),		\
	     n = container_of(p->member.next, __typeof__(*p), member);		\
	     &p->member != (head);						\
	     p = n, n = container_of(n->member.next, __typeof__(*n), member))

#define INIT_HLIST_HEAD(h)	((h)->first = NULL)
#define hlist_empty(h)		(!(h)->first)
static inline void hlist_add_head_rcu(struct hlist_node *n, struct hlist_head *h)
{
	n->next = h->first;
	h->first = n;
}
static inline void kshim_hlist_del(struct hlist_node *n, struct hlist_head *h)
{
	struct hlist_node **p = &h->first;

	while (*p && *p != n)
		p = &(*p)->next;
	BUG_ON(!*p);
	*p = n->next;
}
extern struct hlist_head *kshim_hlist;	/* the one list the tests have */
#define hlist_del_init_rcu(n)	kshim_hlist_del(n, kshim_hlist)
#define hlist_for_each_entry(p, h, member)					\
	for (p = (void *)(h)->first; p; p = (void *)p->member.next)
#define hlist_for_each_entry_srcu(p, h, member, c)				\
	for (({ BUG_ON(!(c)); }), p = (void *)(h)->first; p; p = (void *)p->member.next)

/* ---- memory -------------------------------------------------------------------------------- */

#define GFP_KERNEL		0
#define GFP_KERNEL_ACCOUNT	0
#define GFP_ATOMIC		0
#define __GFP_ACCOUNT		0
#define __GFP_NOWARN		0
#define __GFP_NOFAIL		0
extern bool kshim_fail_alloc;
#define kzalloc(size, gfp)	((void)(gfp), kshim_fail_alloc ? NULL : calloc(1, size))
#define kcalloc(n, size, gfp)	((void)(gfp), kshim_fail_alloc ? NULL : calloc(n, size))
#define kvzalloc		kzalloc
#define kvcalloc		kcalloc
#define kfree(p)		free(p)
#define kvfree(p)		free(p)
#define struct_size(p, member, n) (sizeof(*(p)) + sizeof((p)->member[0]) * (n))

static inline unsigned long get_zeroed_page(gfp_t gfp)
{
	void *page = aligned_alloc(PAGE_SIZE, PAGE_SIZE);

	return (unsigned long)memset(page, 0, PAGE_SIZE);
}
#define free_page(a)	free((void *)(a))

#define IS_ERR(p)	((unsigned long)(p) >= (unsigned long)-4095)
#define PTR_ERR(p)	((long)(p))
#define ERR_PTR(e)	((void *)(long)(e))

/* ---- time ---------------------------------------------------------------------------------- */

extern u64 kshim_now;			/* CLOCK_MONOTONIC, ns */
typedef s64 ktime_t;
#define ns_to_ktime(ns)		((ktime_t)(ns))
#define ktime_to_ns(t)		((s64)(t))
#define ktime_get_ns()		kshim_now

enum hrtimer_restart { HRTIMER_NORESTART, HRTIMER_RESTART };
enum hrtimer_mode { HRTIMER_MODE_ABS, HRTIMER_MODE_ABS_PINNED_HARD };
#define CLOCK_MONOTONIC		1
struct hrtimer {
	enum hrtimer_restart (*function)(struct hrtimer *timer);
	s64 expires;
	bool queued;
	struct hrtimer *next;		/* of the queue, in order of expiry */
};
void hrtimer_init(struct hrtimer *timer, int clock, enum hrtimer_mode mode);
void hrtimer_start(struct hrtimer *timer, ktime_t expires, enum hrtimer_mode mode);
int hrtimer_cancel(struct hrtimer *timer);
#define hrtimer_try_to_cancel	hrtimer_cancel
#define hrtimer_active(t)	((t)->queued)
#define hrtimer_is_queued(t)	((t)->queued)
#define hrtimer_get_expires(t)	((t)->expires)
#define hrtimer_set_expires(t, e)	((void)((t)->expires = (e)))
static inline void hrtimer_forward_now(struct hrtimer *t, ktime_t period)
{
	while (t->expires <= (s64)kshim_now)
		t->expires += period;
}
/* Let @ns pass; timers fire in order, each with the clock at its expiry. */
void kshim_advance(u64 ns);

static inline u64 div64_u64_rem(u64 n, u64 d, u64 *rem)
{
	*rem = n % d;
	return n / d;
}

struct work_struct { int unused; };
struct delayed_work {
	struct work_struct work;
	void (*fn)(struct work_struct *work);
	bool queued;
};
#define INIT_DELAYED_WORK(d, f)		((d)->fn = (f))
#define schedule_delayed_work(d, delay)	((void)(delay), (d)->queued = true)
#define cancel_delayed_work_sync(d)	((d)->queued = false)

/* ---- things the objects only hold ---------------------------------------------------------- */

struct pid;
struct rcuwait { int unused; };
typedef struct { int unused; } wait_queue_head_t;
struct preempt_notifier { int unused; };
struct mmu_notifier { int unused; };
struct mm_struct { int unused; };
typedef struct { int refs; } refcount_t;
struct task_struct;
struct page;
struct xarray { void *slot[256]; };
#define xa_for_each_range(xa, index, entry, first, last) \
	for (index = first; (long)index <= (long)(last) && ((entry) = (xa)->slot[index]); index++)

#define DECLARE_STATIC_CALL(name, func) extern __typeof__(func) name
#define static_call(name)	name

#endif
