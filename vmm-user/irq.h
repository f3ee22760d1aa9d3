/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_IRQ_H
#define HVM_IRQ_H

#include <stdbool.h>
#include <stdint.h>

#include "../virtio-backends/util/err.h"

/*
 * Interrupts and doorbells of a VM, in terms of the kernel's irqchip (KVM ABI). All functions may
 * be called from any thread and return 0 or -errno.
 */
struct hvm_vm;

/* Level of an IOAPIC/PIC pin: gsi 0-23. */
int hvm_irq_line(struct hvm_vm *vm, unsigned int gsi, bool level);

/* Deliver one message-signalled interrupt now (KVM_SIGNAL_MSI). */
int hvm_msi_send(struct hvm_vm *vm, uint64_t addr, uint32_t data);

/*
 * A GSI routed to a message, with an eventfd that fires it without a system call of ours
 * (KVM_SET_GSI_ROUTING + KVM_IRQFD).
 */
struct hvm_msi_route {
	unsigned int gsi;
	int eventfd;		/* -1 while not attached */
	uint64_t addr;
	uint32_t data;
};
int hvm_msi_route_add(struct hvm_vm *vm, struct hvm_msi_route *route, uint64_t addr, uint32_t data);
int hvm_msi_route_update(struct hvm_vm *vm, struct hvm_msi_route *route, uint64_t addr,
			 uint32_t data);
int hvm_msi_route_attach(struct hvm_vm *vm, struct hvm_msi_route *route, int eventfd);
int hvm_msi_route_detach(struct hvm_vm *vm, struct hvm_msi_route *route);
void hvm_msi_route_del(struct hvm_vm *vm, struct hvm_msi_route *route);

/*
 * A guest write of @len bytes (0: any length, 1, 2, 4, 8) to @addr fires @eventfd in the kernel
 * (KVM_IOEVENTFD); with @match only if the value equals @datamatch.
 */
int hvm_ioeventfd_add(struct hvm_vm *vm, bool pio, uint64_t addr, unsigned int len, bool match,
		      uint64_t datamatch, int eventfd);
int hvm_ioeventfd_del(struct hvm_vm *vm, bool pio, uint64_t addr, unsigned int len, bool match,
		      uint64_t datamatch, int eventfd);

#endif
