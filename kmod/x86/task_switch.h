/* SPDX-License-Identifier: GPL-2.0-only */
/* Hardware task switches, for CPUs that leave them to software (x86/task_switch.c). */
#ifndef HV_X86_TASK_SWITCH_H
#define HV_X86_TASK_SWITCH_H

#include "../hv.h"

enum hv_task_source { HV_TASK_CALL, HV_TASK_IRET, HV_TASK_JMP, HV_TASK_GATE };

struct hv_task_switch {
	enum hv_task_source source;
	u16 selector;		/* of the new task's TSS */
	u64 next_rip;		/* where the old task will go on */
	bool has_error;		/* an exception's, for the new task's stack */
	u32 error;
};

/* The CPU has checked the right to use a gate. May sleep. Returns enum hv_next or -errno. */
int hv_task_switch(struct hv_vcpu *vcpu, const struct hv_task_switch *ts);

#endif
