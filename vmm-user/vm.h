/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_VM_H
#define HVM_VM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "accel.h"
#include "bus.h"
#include "irq.h"
#include "memory/ram.h"

/*
 * A VM as the hypervisor device sees it: memory, interrupt controllers, vCPUs and the buses that
 * their exits go to. What is on the buses is machine.c's business.
 */
struct hvm_vcpu;
struct gdb_target;

#define HVM_NR_CHIPS	3	/* both PICs and the IOAPIC */

/* What a vCPU or a device tells the machine; the first that comes in decides. */
enum hvm_event {
	HVM_EVENT_POWEROFF,	/* the guest switched off */
	HVM_EVENT_RESET,	/* the guest asked for a reset */
	HVM_EVENT_CRASH,	/* the guest cannot go on (triple fault) */
	HVM_EVENT_ERROR,	/* the hypervisor device cannot go on */
	HVM_EVENT_QUIT,		/* the user wants to end it */
	HVM_EVENT_IO_ERROR,	/* a disk wants it to wait */
	HVM_EVENT_DEBUG,	/* a vCPU stopped for the debugger */
};

/* Called on any thread; must not wait for vCPUs. @msg is one line, or NULL. */
typedef void (*hvm_event_fn)(void *opaque, enum hvm_event event, const char *msg);

struct hvm_irq_routes {
	pthread_mutex_t lock;
	struct kvm_irq_routing *table;	/* what the kernel has; cap entries are allocated */
	unsigned int cap;
	unsigned int fixed;		/* entries of pins, before those of messages */
	unsigned int max_gsi;		/* the kernel's limit, exclusive */
	uint8_t *used;			/* by GSI */
};

struct hvm_vm {
	struct hvm_accel accel;
	int fd;
	struct hvm_ram ram;
	struct bus *pio, *mmio;
	struct hvm_irq_routes routes;

	unsigned int nr_vcpus;
	struct hvm_vcpu **vcpu;

	/* Power-on state of the interrupt controllers, for a reset. */
	struct kvm_irqchip chip[HVM_NR_CHIPS];
	struct kvm_pit_state2 pit;

	/* Pausing: vCPUs park as soon as they see pause, which is set with the lock held. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	atomic_bool pause;
	bool quit;
	unsigned int parked;

	struct gdb_target *debug;	/* NULL: there is no --gdb */

	hvm_event_fn event;
	void *opaque;
};

#define HVM_SLOT_ROM	8	/* slots below are RAM's */

struct hvm_vm_config {
	const char *accel;
	unsigned int cpus;
	uint64_t mem;		/* bytes */
	bool shared_mem;	/* other processes must reach it */
	hvm_event_fn event;
	void *opaque;
};

/* Open the device and create VM, memory, interrupt controllers and vCPUs, all paused. */
int hvm_vm_create(struct hvm_vm *vm, const struct hvm_vm_config *cfg, struct hv_err *err);
/* vCPU threads must have been stopped. */
void hvm_vm_destroy(struct hvm_vm *vm);

/*
 * Show @size bytes at @hva to the guest as read-only memory, its writes are exits; 0: take slot
 * @slot away again. Slots from HVM_SLOT_ROM on. Any thread, also while the guest runs.
 */
int hvm_vm_set_rom(struct hvm_vm *vm, unsigned int slot, uint64_t gpa, uint64_t size, void *hva);

/* Start the vCPU threads, which park until hvm_vm_resume(). */
int hvm_vm_start(struct hvm_vm *vm, struct hv_err *err);
/* End the vCPU threads and wait for them. */
void hvm_vm_stop(struct hvm_vm *vm);
/* On return no vCPU runs, and none is in the middle of an instruction. Not from a vCPU thread. */
void hvm_vm_pause(struct hvm_vm *vm);
void hvm_vm_resume(struct hvm_vm *vm);
/* Interrupt controllers and vCPUs back to their power-on state; the VM is paused. */
int hvm_vm_reset(struct hvm_vm *vm, struct hv_err *err);

/* Stop vCPUs soon and tell the machine. Any thread. */
__attribute__((format(printf, 3, 4)))
void hvm_vm_notify(struct hvm_vm *vm, enum hvm_event event, const char *fmt, ...);
/* Called by a vCPU thread that sees vm->pause or its own hold; false: the thread is to end. */
bool hvm_vm_park(struct hvm_vcpu *vcpu);

/* irq.c: the routes of pins, then of messages. */
int hvm_irq_init(struct hvm_vm *vm, struct hv_err *err);
void hvm_irq_fini(struct hvm_vm *vm);

#endif
