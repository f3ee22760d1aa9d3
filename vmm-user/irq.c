// SPDX-License-Identifier: GPL-2.0-or-later
/* Interrupts and doorbells through the kernel's irqchip; see irq.h. */
#include "irq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "memory/layout.h"
#include "vm.h"

#define PIC_PINS	16
#define PIC_CASCADE	2
#define PIT_GSI		0
#define PIT_IOAPIC_PIN	2	/* as every PC, and the MADT, have it */
#define MAX_ROUTES	4096	/* also bounds what a guest with many vectors makes us allocate */

/* ---- The table ---- */

static int routes_push(struct hvm_irq_routes *t, const struct kvm_irq_routing_entry *e)
{
	if (t->table->nr == t->cap)
		return -ENOSPC;
	t->table->entries[t->table->nr++] = *e;
	return 0;
}

static int routes_push_pin(struct hvm_irq_routes *t, uint32_t gsi, uint32_t chip, uint32_t pin)
{
	struct kvm_irq_routing_entry e = {
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = pin },
	};

	return routes_push(t, &e);
}

static void routes_add_pins(struct hvm_irq_routes *t)
{
	for (uint32_t i = 0; i < PIC_PINS; i++)
		if (i != PIC_CASCADE)
			routes_push_pin(t, i, i < 8 ? KVM_IRQCHIP_PIC_MASTER :
					KVM_IRQCHIP_PIC_SLAVE, i % 8);
	for (uint32_t i = 0; i < HVM_IOAPIC_PINS; i++)
		if (i != PIT_IOAPIC_PIN)
			routes_push_pin(t, i, KVM_IRQCHIP_IOAPIC,
					i == PIT_GSI ? PIT_IOAPIC_PIN : i);
	t->fixed = t->table->nr;
}

int hvm_irq_init(struct hvm_vm *vm, struct hv_err *err)
{
	struct hvm_irq_routes *t = &vm->routes;
	int ret;

	pthread_mutex_init(&t->lock, NULL);
	t->max_gsi = (unsigned int)hvm_accel_cap(&vm->accel, KVM_CAP_IRQ_ROUTING);
	if (t->max_gsi > MAX_ROUTES)
		t->max_gsi = MAX_ROUTES;
	t->cap = t->max_gsi + PIC_PINS;
	t->table = calloc(1, sizeof(*t->table) + t->cap * sizeof(t->table->entries[0]));
	t->used = calloc(t->max_gsi + 1, 1);
	if (!t->table || !t->used)
		return hv_err_set(err, -ENOMEM, "interrupt routes: out of memory");
	routes_add_pins(t);
	ret = hvm_ioctl(vm->fd, KVM_SET_GSI_ROUTING, t->table);
	if (ret)
		hv_err_set(err, ret, "%s: interrupt routes: %s", vm->accel.path, strerror(-ret));
	return ret;
}

void hvm_irq_fini(struct hvm_vm *vm)
{
	struct hvm_irq_routes *t = &vm->routes;

	if (!t->table)
		return;
	free(t->table);
	free(t->used);
	t->table = NULL;
	t->used = NULL;
	pthread_mutex_destroy(&t->lock);
}

/* ---- Lines and messages ---- */

int hvm_irq_line(struct hvm_vm *vm, unsigned int gsi, bool level)
{
	struct kvm_irq_level l = { .irq = gsi, .level = level };

	if (gsi >= HVM_IOAPIC_PINS)
		return -EINVAL;
	return hvm_ioctl(vm->fd, KVM_IRQ_LINE, &l);
}

int hvm_msi_send(struct hvm_vm *vm, uint64_t addr, uint32_t data)
{
	struct kvm_msi msi = {
		.address_lo = (uint32_t)addr,
		.address_hi = (uint32_t)(addr >> 32),
		.data = data,
	};
	int ret = hvm_ioctl(vm->fd, KVM_SIGNAL_MSI, &msi);

	return ret < 0 ? ret : 0;	/* blocked by the guest is not our error */
}

/* ---- Routes of messages ---- */

static void route_fill(struct kvm_irq_routing_entry *e, unsigned int gsi, uint64_t addr,
		       uint32_t data)
{
	memset(e, 0, sizeof(*e));
	e->gsi = gsi;
	e->type = KVM_IRQ_ROUTING_MSI;
	e->u.msi.address_lo = (uint32_t)addr;
	e->u.msi.address_hi = (uint32_t)(addr >> 32);
	e->u.msi.data = data;
}

static struct kvm_irq_routing_entry *route_find(struct hvm_irq_routes *t, unsigned int gsi)
{
	for (uint32_t i = t->fixed; i < t->table->nr; i++)
		if (t->table->entries[i].gsi == gsi)
			return &t->table->entries[i];
	return NULL;
}

static void route_remove(struct hvm_irq_routes *t, unsigned int gsi)
{
	struct kvm_irq_routing_entry *e = route_find(t, gsi);

	if (e)
		*e = t->table->entries[--t->table->nr];
	t->used[gsi] = 0;
}

static int route_pick_gsi(struct hvm_irq_routes *t)
{
	for (unsigned int gsi = HVM_IOAPIC_PINS; gsi < t->max_gsi; gsi++)
		if (!t->used[gsi])
			return (int)gsi;
	return -ENOSPC;
}

int hvm_msi_route_add(struct hvm_vm *vm, struct hvm_msi_route *route, uint64_t addr, uint32_t data)
{
	struct hvm_irq_routes *t = &vm->routes;
	struct kvm_irq_routing_entry e;
	int gsi, ret;

	pthread_mutex_lock(&t->lock);
	ret = gsi = route_pick_gsi(t);
	if (gsi >= 0) {
		route_fill(&e, (unsigned int)gsi, addr, data);
		ret = routes_push(t, &e);
	}
	if (!ret) {
		t->used[gsi] = 1;
		ret = hvm_ioctl(vm->fd, KVM_SET_GSI_ROUTING, t->table);
		if (ret)
			route_remove(t, (unsigned int)gsi);
	}
	pthread_mutex_unlock(&t->lock);
	if (ret)
		return ret;
	*route = (struct hvm_msi_route){ (unsigned int)gsi, -1, addr, data };
	return 0;
}

int hvm_msi_route_update(struct hvm_vm *vm, struct hvm_msi_route *route, uint64_t addr,
			 uint32_t data)
{
	struct hvm_irq_routes *t = &vm->routes;
	struct kvm_irq_routing_entry *e;
	int ret = -ENOENT;

	if (route->addr == addr && route->data == data)
		return 0;
	pthread_mutex_lock(&t->lock);
	e = route_find(t, route->gsi);
	if (e) {
		route_fill(e, route->gsi, addr, data);
		ret = hvm_ioctl(vm->fd, KVM_SET_GSI_ROUTING, t->table);
		if (ret)
			route_fill(e, route->gsi, route->addr, route->data);
	}
	pthread_mutex_unlock(&t->lock);
	if (!ret) {
		route->addr = addr;
		route->data = data;
	}
	return ret;
}

static int route_irqfd(struct hvm_vm *vm, const struct hvm_msi_route *route, int eventfd,
		       uint32_t flags)
{
	struct kvm_irqfd irqfd = {
		.fd = (uint32_t)eventfd,
		.gsi = route->gsi,
		.flags = flags,
	};

	return hvm_ioctl(vm->fd, KVM_IRQFD, &irqfd);
}

int hvm_msi_route_attach(struct hvm_vm *vm, struct hvm_msi_route *route, int eventfd)
{
	int ret;

	if (route->eventfd >= 0)
		return -EBUSY;
	ret = route_irqfd(vm, route, eventfd, 0);
	if (!ret)
		route->eventfd = eventfd;
	return ret;
}

int hvm_msi_route_detach(struct hvm_vm *vm, struct hvm_msi_route *route)
{
	int ret;

	if (route->eventfd < 0)
		return 0;
	ret = route_irqfd(vm, route, route->eventfd, KVM_IRQFD_FLAG_DEASSIGN);
	route->eventfd = -1;
	return ret;
}

void hvm_msi_route_del(struct hvm_vm *vm, struct hvm_msi_route *route)
{
	struct hvm_irq_routes *t = &vm->routes;

	hvm_msi_route_detach(vm, route);
	pthread_mutex_lock(&t->lock);
	route_remove(t, route->gsi);
	hvm_ioctl(vm->fd, KVM_SET_GSI_ROUTING, t->table);
	pthread_mutex_unlock(&t->lock);
}

/* ---- Doorbells ---- */

static int do_ioeventfd(struct hvm_vm *vm, bool pio, uint64_t addr, unsigned int len, bool match,
			uint64_t datamatch, int eventfd, uint32_t flags)
{
	struct kvm_ioeventfd e = {
		.datamatch = datamatch,
		.addr = addr,
		.len = len,
		.fd = eventfd,
		.flags = flags | (pio ? KVM_IOEVENTFD_FLAG_PIO : 0) |
			 (match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0),
	};

	return hvm_ioctl(vm->fd, KVM_IOEVENTFD, &e);
}

int hvm_ioeventfd_add(struct hvm_vm *vm, bool pio, uint64_t addr, unsigned int len, bool match,
		      uint64_t datamatch, int eventfd)
{
	return do_ioeventfd(vm, pio, addr, len, match, datamatch, eventfd, 0);
}

int hvm_ioeventfd_del(struct hvm_vm *vm, bool pio, uint64_t addr, unsigned int len, bool match,
		      uint64_t datamatch, int eventfd)
{
	return do_ioeventfd(vm, pio, addr, len, match, datamatch, eventfd,
			    KVM_IOEVENTFD_FLAG_DEASSIGN);
}
