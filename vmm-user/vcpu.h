/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_VCPU_H
#define HVM_VCPU_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vm.h"

/* A vCPU: a thread that runs the guest, and the state that it has at power-on. */
struct hvm_vcpu_state;

struct hvm_vcpu {
	struct hvm_vm *vm;
	unsigned int id;	/* also its APIC id */
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	bool threaded;		/* thread is valid */
	atomic_bool hold;	/* stay parked though the VM runs; set while it is paused */
	atomic_int tid;		/* of the thread, once it runs */
	bool unfinished;	/* the last exit's I/O completes with the next KVM_RUN */
	struct hvm_vcpu_state *reset;
};

/* Where a boot protocol starts the first vCPU. */
struct hvm_boot_regs {
	bool long_mode;		/* else 32-bit protected mode without paging */
	uint64_t rip, rbx, rsi, rsp;
	uint64_t cr3;		/* long mode only */
	uint64_t gdt;		/* guest-physical */
	uint16_t gdt_limit;
	uint16_t cs, ds;	/* selectors of flat segments */
};

int hvm_vcpu_create(struct hvm_vm *vm, unsigned int id, const struct kvm_cpuid2 *cpuid,
		    struct hvm_vcpu **vcpu, struct hv_err *err);
void hvm_vcpu_destroy(struct hvm_vcpu *vcpu);
int hvm_vcpu_start(struct hvm_vcpu *vcpu, struct hv_err *err);
void hvm_vcpu_join(struct hvm_vcpu *vcpu);
/* Make it leave the guest and look at vm->pause. Any thread. */
void hvm_vcpu_kick(struct hvm_vcpu *vcpu);

/* vcpu_state.c. All with the vCPU paused. */
int hvm_vcpu_set_boot_regs(struct hvm_vcpu *vcpu, const struct hvm_boot_regs *regs,
			   struct hv_err *err);
/* Remember the state of a fresh vCPU, and go back to it. */
int hvm_vcpu_capture(struct hvm_vcpu *vcpu, struct hv_err *err);
int hvm_vcpu_reset(struct hvm_vcpu *vcpu, struct hv_err *err);
void hvm_vcpu_state_free(struct hvm_vcpu_state *state);
/* The registers that the device says make up a vCPU's state; allocated. NULL and a message. */
struct kvm_msr_list *hvm_vcpu_msr_list(struct hvm_vcpu *vcpu, struct hv_err *err);
/* One line: registers that say where the guest is. */
void hvm_vcpu_describe(struct hvm_vcpu *vcpu, char *buf, size_t len);

#endif
