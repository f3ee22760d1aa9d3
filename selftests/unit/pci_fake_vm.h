/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PCI_FAKE_VM_H
#define PCI_FAKE_VM_H

#include "../../vmm-user/bus.h"
#include "../../vmm-user/irq.h"

/*
 * Stand-ins for the buses, the interrupt controllers and the kernel's routes, which record what is
 * asked of them: the PCI host under test sees nothing else of a VM.
 */
#define FAKE_MAX	512

struct fake_route {
	bool used;
	int eventfd;		/* -1: not attached */
	uint64_t addr;
	uint32_t data;
};

struct fake_doorbell {
	uint64_t addr;
	unsigned int len;
	int eventfd;
};

struct fake_vm {
	bool line[24];
	unsigned int line_changes;
	struct fake_route route[FAKE_MAX];
	struct fake_doorbell doorbell[FAKE_MAX];
	unsigned int doorbells;
	bool refuse_any_length;	/* as a kernel without that capability does */
	bool refuse_routes;
};

extern struct fake_vm fake_vm;

struct hvm_vm *fake_vm_init(void);
unsigned int fake_ranges(struct bus *bus);	/* answering on the bus */
/* The attached route of this message, or NULL; with true, takes its eventfd's signal, if any. */
struct fake_route *fake_route_find(uint64_t addr, uint32_t data);
bool fake_route_fired(struct fake_route *r);

#endif
