// SPDX-License-Identifier: GPL-2.0-or-later
/* See pci_fake_vm.h. */
#include "pci_fake_vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fake_vm fake_vm;

struct hvm_vm *fake_vm_init(void)
{
	memset(&fake_vm, 0, sizeof(fake_vm));
	return (struct hvm_vm *)&fake_vm;
}

/* ---- Buses ---- */

struct bus_range {
	uint64_t base, len;
	const struct bus_ops *ops;
	void *opaque;
	struct bus_range *next;
};

struct bus {
	struct bus_range *ranges;
};

struct bus *bus_create(enum bus_kind kind)
{
	return calloc(1, sizeof(struct bus));
}

void bus_destroy(struct bus *bus)
{
	free(bus);
}

int bus_add(struct bus *bus, uint64_t base, uint64_t len, const struct bus_ops *ops, void *opaque,
	    const char *name, struct bus_range **range)
{
	struct bus_range *r;

	if (!len || base + (len - 1) < base)
		return -EINVAL;
	for (r = bus->ranges; r; r = r->next)
		if (base <= r->base + (r->len - 1) && r->base <= base + (len - 1))
			return -EEXIST;
	r = calloc(1, sizeof(*r));
	*r = (struct bus_range){ base, len, ops, opaque, bus->ranges };
	bus->ranges = r;
	*range = r;
	return 0;
}

void bus_remove(struct bus *bus, struct bus_range *range)
{
	struct bus_range **p;

	for (p = &bus->ranges; *p != range; p = &(*p)->next)
		;
	*p = range->next;
	free(range);
}

static struct bus_range *bus_find(struct bus *bus, uint64_t addr)
{
	struct bus_range *r;

	for (r = bus->ranges; r; r = r->next)
		if (addr >= r->base && addr - r->base < r->len)
			return r;
	return NULL;
}

uint64_t bus_read(struct bus *bus, uint64_t addr, unsigned int size)
{
	struct bus_range *r = bus_find(bus, addr);
	uint64_t mask = size == 8 ? ~0ULL : (1ULL << (8 * size)) - 1;

	return r ? r->ops->read(r->opaque, addr - r->base, size) & mask : mask;
}

void bus_write(struct bus *bus, uint64_t addr, unsigned int size, uint64_t value)
{
	struct bus_range *r = bus_find(bus, addr);

	if (r && r->ops->write)
		r->ops->write(r->opaque, addr - r->base, size, value);
}

unsigned int fake_ranges(struct bus *bus)
{
	unsigned int n = 0;

	for (struct bus_range *r = bus->ranges; r; r = r->next)
		n++;
	return n;
}

/* ---- Interrupts ---- */

int hvm_irq_line(struct hvm_vm *vm, unsigned int gsi, bool level)
{
	fake_vm.line[gsi] = level;
	fake_vm.line_changes++;
	return 0;
}

int hvm_msi_route_add(struct hvm_vm *vm, struct hvm_msi_route *route, uint64_t addr, uint32_t data)
{
	for (unsigned int i = 0; i < FAKE_MAX && !fake_vm.refuse_routes; i++) {
		if (fake_vm.route[i].used)
			continue;
		fake_vm.route[i] = (struct fake_route){ true, -1, addr, data };
		*route = (struct hvm_msi_route){ i, -1, addr, data };
		return 0;
	}
	return -ENOSPC;
}

int hvm_msi_route_update(struct hvm_vm *vm, struct hvm_msi_route *route, uint64_t addr,
			 uint32_t data)
{
	struct fake_route *r = &fake_vm.route[route->gsi];

	if (!r->used)
		abort();
	route->addr = r->addr = addr;
	route->data = r->data = data;
	return 0;
}

int hvm_msi_route_attach(struct hvm_vm *vm, struct hvm_msi_route *route, int eventfd)
{
	struct fake_route *r = &fake_vm.route[route->gsi];

	if (!r->used || r->eventfd >= 0)
		abort();
	route->eventfd = r->eventfd = eventfd;
	return 0;
}

int hvm_msi_route_detach(struct hvm_vm *vm, struct hvm_msi_route *route)
{
	struct fake_route *r = &fake_vm.route[route->gsi];

	if (!r->used || r->eventfd < 0)
		abort();
	route->eventfd = r->eventfd = -1;
	return 0;
}

void hvm_msi_route_del(struct hvm_vm *vm, struct hvm_msi_route *route)
{
	struct fake_route *r = &fake_vm.route[route->gsi];

	if (!r->used || r->eventfd >= 0)
		abort();
	r->used = false;
}

struct fake_route *fake_route_find(uint64_t addr, uint32_t data)
{
	for (unsigned int i = 0; i < FAKE_MAX; i++) {
		struct fake_route *r = &fake_vm.route[i];

		if (r->used && r->eventfd >= 0 && r->addr == addr && r->data == data)
			return r;
	}
	return NULL;
}

bool fake_route_fired(struct fake_route *r)
{
	uint64_t n;

	return r && read(r->eventfd, &n, sizeof(n)) == sizeof(n);
}

int hvm_ioeventfd_add(struct hvm_vm *vm, bool pio, uint64_t addr, unsigned int len, bool match,
		      uint64_t datamatch, int eventfd)
{
	if ((!len && fake_vm.refuse_any_length) || fake_vm.doorbells == FAKE_MAX)
		return -EINVAL;
	for (unsigned int i = 0; i < fake_vm.doorbells; i++)
		if (fake_vm.doorbell[i].addr == addr)
			return -EEXIST;
	fake_vm.doorbell[fake_vm.doorbells++] = (struct fake_doorbell){ addr, len, eventfd };
	return 0;
}

int hvm_ioeventfd_del(struct hvm_vm *vm, bool pio, uint64_t addr, unsigned int len, bool match,
		      uint64_t datamatch, int eventfd)
{
	for (unsigned int i = 0; i < fake_vm.doorbells; i++) {
		struct fake_doorbell *d = &fake_vm.doorbell[i];

		if (d->addr == addr && d->len == len && d->eventfd == eventfd) {
			*d = fake_vm.doorbell[--fake_vm.doorbells];
			return 0;
		}
	}
	abort();	/* what was never added */
}
