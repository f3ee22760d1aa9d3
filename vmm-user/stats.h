/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_STATS_H
#define HVM_STATS_H

#include <stdint.h>

/* Counters: of the VM and its vCPUs in the kernel, of devices, and of hvm's own process. */
enum hvm_stat_scope { HVM_STAT_VM, HVM_STAT_VCPU, HVM_STAT_DEVICE, HVM_STAT_NR_SCOPES };

struct hvm_stat {
	enum hvm_stat_scope scope;
	const char *id;		/* whose: "vm", "0", "blk0" */
	const char *name;
	uint64_t value;
};

/* All of one owner come one after the other. */
typedef void (*hvm_stat_fn)(void *opaque, const struct hvm_stat *s);

/*
 * The numbers behind a VM's or vCPU's KVM_GET_STATS_FD, without histograms; none if the device does
 * not have that. Any thread.
 */
void hvm_kvm_stats(int fd, enum hvm_stat_scope scope, const char *id, hvm_stat_fn fn, void *opaque);

struct hvm_process_stats {
	uint64_t resident;	/* bytes in the host's memory */
	uint64_t private;	/* bytes of that which are neither shared nor guest memory */
	uint64_t guest;		/* bytes of that which are guest memory */
	uint64_t cpu_ns;	/* processor time, all threads */
	unsigned int threads;
};

/* @ram, @size: where guest memory is mapped. What cannot be found out is 0. */
void hvm_process_stats(const void *ram, uint64_t size, struct hvm_process_stats *p);

#endif
