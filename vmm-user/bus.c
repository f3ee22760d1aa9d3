// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The I/O buses; see bus.h.
 *
 * Ranges are a sorted array behind a read-write lock, which is held to find a range but not while
 * its handler runs: a handler may change the bus. What keeps a range alive meanwhile is its count
 * of users. Whoever removes a range waits until that is zero.
 */
#include "bus.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct bus_range {
	uint64_t base, last;	/* inclusive, so that the top of the address space works */
	const struct bus_ops *ops;
	void *opaque;
	const char *name;
	atomic_uint users;	/* handlers that run now */
};

struct bus {
	enum bus_kind kind;
	pthread_rwlock_t lock;	/* the array */
	struct bus_range **range;
	size_t nr, cap;

	/* Removing: who finishes a handler looks at removers, and wakes them up. */
	atomic_uint removers;
	pthread_mutex_t idle_lock;
	pthread_cond_t idle;
};

struct bus *bus_create(enum bus_kind kind)
{
	struct bus *bus = calloc(1, sizeof(*bus));

	if (!bus)
		return NULL;
	bus->kind = kind;
	pthread_rwlock_init(&bus->lock, NULL);
	pthread_mutex_init(&bus->idle_lock, NULL);
	pthread_cond_init(&bus->idle, NULL);
	return bus;
}

void bus_destroy(struct bus *bus)
{
	if (!bus)
		return;
	for (size_t i = 0; i < bus->nr; i++)
		free(bus->range[i]);
	free(bus->range);
	pthread_rwlock_destroy(&bus->lock);
	pthread_mutex_destroy(&bus->idle_lock);
	pthread_cond_destroy(&bus->idle);
	free(bus);
}

/* Index of the first range that ends at or after @addr. */
static size_t bus_lower_bound(const struct bus *bus, uint64_t addr)
{
	size_t lo = 0, hi = bus->nr;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (bus->range[mid]->last < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int bus_insert(struct bus *bus, struct bus_range *r)
{
	size_t at = bus_lower_bound(bus, r->base);

	if (at < bus->nr && bus->range[at]->base <= r->last)
		return -EEXIST;
	if (bus->nr == bus->cap) {
		size_t cap = bus->cap ? 2 * bus->cap : 16;
		struct bus_range **p = realloc(bus->range, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		bus->range = p;
		bus->cap = cap;
	}
	memmove(&bus->range[at + 1], &bus->range[at], (bus->nr - at) * sizeof(bus->range[0]));
	bus->range[at] = r;
	bus->nr++;
	return 0;
}

int bus_add(struct bus *bus, uint64_t base, uint64_t len, const struct bus_ops *ops, void *opaque,
	    const char *name, struct bus_range **range)
{
	struct bus_range *r;
	int ret;

	if (!len || base + (len - 1) < base ||
	    (bus->kind == BUS_PIO && base + (len - 1) > 0xffff))
		return -EINVAL;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->base = base;
	r->last = base + (len - 1);
	r->ops = ops;
	r->opaque = opaque;
	r->name = name;
	pthread_rwlock_wrlock(&bus->lock);
	ret = bus_insert(bus, r);
	pthread_rwlock_unlock(&bus->lock);
	if (ret)
		free(r);
	else if (range)
		*range = r;
	return ret;
}

void bus_remove(struct bus *bus, struct bus_range *range)
{
	size_t at;

	if (!range)
		return;
	pthread_rwlock_wrlock(&bus->lock);
	at = bus_lower_bound(bus, range->base);
	if (at < bus->nr && bus->range[at] == range) {
		bus->nr--;
		memmove(&bus->range[at], &bus->range[at + 1],
			(bus->nr - at) * sizeof(bus->range[0]));
	}
	pthread_rwlock_unlock(&bus->lock);

	atomic_fetch_add(&bus->removers, 1);
	pthread_mutex_lock(&bus->idle_lock);
	while (atomic_load(&range->users))
		pthread_cond_wait(&bus->idle, &bus->idle_lock);
	pthread_mutex_unlock(&bus->idle_lock);
	atomic_fetch_sub(&bus->removers, 1);
	free(range);
}

/* The range that all of [addr, addr + size) lies in, with one more user; or NULL. */
static struct bus_range *bus_get(struct bus *bus, uint64_t addr, unsigned int size)
{
	struct bus_range *r = NULL;
	size_t at;

	pthread_rwlock_rdlock(&bus->lock);
	at = bus_lower_bound(bus, addr);
	if (at < bus->nr && bus->range[at]->base <= addr &&
	    size - 1 <= bus->range[at]->last - addr) {
		r = bus->range[at];
		atomic_fetch_add(&r->users, 1);
	}
	pthread_rwlock_unlock(&bus->lock);
	return r;
}

static void bus_put(struct bus *bus, struct bus_range *r)
{
	/* From here on r may be gone; the bus is not. */
	if (atomic_fetch_sub(&r->users, 1) != 1 || !atomic_load(&bus->removers))
		return;
	pthread_mutex_lock(&bus->idle_lock);
	pthread_cond_broadcast(&bus->idle);
	pthread_mutex_unlock(&bus->idle_lock);
}

static bool bus_size_ok(const struct bus *bus, unsigned int size)
{
	return size == 1 || size == 2 || size == 4 || (size == 8 && bus->kind == BUS_MMIO);
}

static uint64_t size_mask(unsigned int size)
{
	return size >= 8 ? ~0ULL : (1ULL << (8 * size)) - 1;
}

uint64_t bus_read(struct bus *bus, uint64_t addr, unsigned int size)
{
	uint64_t value = ~0ULL;
	struct bus_range *r;

	if (!bus_size_ok(bus, size))
		return size_mask(size);
	r = bus_get(bus, addr, size);
	if (r) {
		if (r->ops->read)
			value = r->ops->read(r->opaque, addr - r->base, size);
		bus_put(bus, r);
	}
	return value & size_mask(size);
}

void bus_write(struct bus *bus, uint64_t addr, unsigned int size, uint64_t value)
{
	struct bus_range *r;

	if (!bus_size_ok(bus, size))
		return;
	r = bus_get(bus, addr, size);
	if (!r)
		return;
	if (r->ops->write)
		r->ops->write(r->opaque, addr - r->base, size, value & size_mask(size));
	bus_put(bus, r);
}
