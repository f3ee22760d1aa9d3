/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_MACHINE_STATE_H
#define HVM_MACHINE_STATE_H

#include "../devices.h"
#include "../vm.h"
#include "stream.h"

/* The state of a machine, in the order of Documentation/state.rst. The machine stands still. */

/* ---- vm_state.c ---- */
int hvm_vm_save(struct hvm_vm *vm, struct hv_state_writer *w, struct hv_err *err);
int hvm_vm_load(struct hvm_vm *vm, struct hv_state_reader *r, struct hv_err *err);
/* CLOCK_REALTIME */
uint64_t hvm_realtime_ns(void);

/* ---- vcpu_save.c ---- */
struct hvm_vcpu_saved;
int hvm_vcpu_save(struct hvm_vcpu *vcpu, struct hv_state_writer *w, struct hv_err *err);
/* Read what hvm_vcpu_save() wrote, and see that this host can do it; the vCPU stays as it is. */
int hvm_vcpu_read(struct hvm_vcpu *vcpu, struct hv_state_reader *r, struct hvm_vcpu_saved **st,
		  struct hv_err *err);
int hvm_vcpu_load(struct hvm_vcpu *vcpu, const struct hvm_vcpu_saved *st, struct hv_err *err);
void hvm_vcpu_saved_free(struct hvm_vcpu_saved *st);
/*
 * TSCs go on as if they had run since the state was saved: all by the same amount, which that of
 * the first vCPU decides.
 */
int hvm_vcpus_set_tsc(struct hvm_vm *vm, struct hvm_vcpu_saved *const *st, struct hv_err *err);

/* ---- cpu_check.c ---- */
/* Does @have offer all features that @want has? Else -ENOTSUP and a message that names one. */
int hvm_cpuid_check(const struct kvm_cpuid2 *have, const struct kvm_cpuid2 *want,
		    struct hv_err *err);

/* ---- save.c ---- */
/* All sections between the guest's configuration and RAM. vCPUs and devices are paused. */
int hvm_state_save(struct hvm_vm *vm, struct hvm_devices *devices, struct hv_state_writer *w,
		   struct hv_err *err);
/* Into a fresh machine, which stays paused; RAM is mapped from the file. */
int hvm_state_load(struct hvm_stream *s, struct hvm_vm *vm, struct hvm_devices *devices,
		   struct hv_err *err);

#endif
