/* SPDX-License-Identifier: GPL-2.0-only */
/* What the run loop asks of events.c. */
#ifndef HV_EVENTS_H
#define HV_EVENTS_H

#include <linux/types.h>

struct hv_vcpu;

/* HV_REQ_EVENT: hand at most one event to the hardware, ask for windows for the others. */
void hv_events_inject(struct hv_vcpu *vcpu);
/* HV_REQ_NMI: take over what other threads queued. */
void hv_take_nmis(struct hv_vcpu *vcpu);
/* Is there an interrupt to deliver, apart from whether the guest can take one now? */
bool hv_irq_waiting(struct hv_vcpu *vcpu);
/* May user space give the next KVM_INTERRUPT (kvm_run.ready_for_interrupt_injection)? */
bool hv_user_irq_ready(struct hv_vcpu *vcpu);
/* Is that what it waits for (kvm_run.request_interrupt_window)? */
bool hv_user_wants_window(struct hv_vcpu *vcpu);
/* Let a pending exception's CR2 or DR6 become visible. */
void hv_exception_payload_apply(struct hv_vcpu *vcpu);

#endif
