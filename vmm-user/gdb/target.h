/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_GDB_TARGET_H
#define HVM_GDB_TARGET_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../virtio-backends/util/err.h"

/*
 * What a debugger does to a guest: registers, memory, breakpoints, running. The guest is halted in
 * all of these but where it says otherwise; vCPUs count from 0. On the machine's loop.
 */
struct gdb_target;
struct hvm_vm;
struct hvm_vcpu;

struct gdb_cpu {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_fpu fpu;
};

/* The numbers of gdb's Z packets. */
enum gdb_break {
	GDB_BREAK_SOFT, GDB_BREAK_HARD, GDB_WATCH_WRITE, GDB_WATCH_READ, GDB_WATCH_ACCESS,
};

enum gdb_run { GDB_HOLD, GDB_CONTINUE, GDB_STEP };

enum gdb_stop_kind { GDB_STOP_STEP, GDB_STOP_SOFT, GDB_STOP_HARD, GDB_STOP_WATCH };

struct gdb_stop {
	unsigned int cpu;
	enum gdb_stop_kind kind;
	enum gdb_break watch;	/* WATCH */
	uint64_t addr;		/* WATCH: what was watched */
};

int gdb_target_create(struct hvm_vm *vm, struct gdb_target **t, struct hv_err *err);
/* After the vCPUs' threads. */
void gdb_target_destroy(struct gdb_target *t);

unsigned int gdb_target_cpus(struct gdb_target *t);
int gdb_target_get(struct gdb_target *t, unsigned int cpu, struct gdb_cpu *state);
int gdb_target_set(struct gdb_target *t, unsigned int cpu, const struct gdb_cpu *state);
/* Of guest-virtual memory as @cpu sees it; the number of bytes, fewer if not all is mapped RAM. */
size_t gdb_target_read(struct gdb_target *t, unsigned int cpu, uint64_t addr, void *buf,
		       size_t len);
size_t gdb_target_write(struct gdb_target *t, unsigned int cpu, uint64_t addr, const void *buf,
			size_t len);
/*
 * -EFAULT: no memory there; -ENOSPC: all are in use; -EINVAL: not with this length; -ENOTSUP: no
 * such kind. What is inserted twice is there once.
 */
int gdb_target_insert(struct gdb_target *t, unsigned int cpu, enum gdb_break kind, uint64_t addr,
		      uint64_t len);
int gdb_target_remove(struct gdb_target *t, unsigned int cpu, enum gdb_break kind, uint64_t addr,
		      uint64_t len);
/* How each vCPU is to go on; the caller lets the machine run. */
void gdb_target_prepare(struct gdb_target *t, const enum gdb_run *run);
/* Take the next stop that was not reported yet. */
bool gdb_target_next_stop(struct gdb_target *t, struct gdb_stop *stop);
/* No debugger any more: no breakpoints, no stepping, no stops. */
void gdb_target_release(struct gdb_target *t);

/*
 * A vCPU left the guest with KVM_EXIT_DEBUG; on its thread. True: it has to stop and the machine to
 * be told; false: it was the guest's own, and goes on.
 */
bool gdb_target_exit(struct gdb_target *t, struct hvm_vcpu *vcpu);

#endif
