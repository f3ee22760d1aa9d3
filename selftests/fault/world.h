/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a call whose allocations fail works on: one VM, and what can be given to it. */
#ifndef HV_FAULT_WORLD_H
#define HV_FAULT_WORLD_H

#include "selftests/uapi/ut.h"

#define MEM_GPA  0x40000000UL
#define MEM_SIZE (4 * UT_2M)
#define ANSWER   42 /* what every guest gives to ut_done() */

extern struct ut_vm vm;
extern struct ut_vcpu *vcpu; /* NULL: none yet */
extern uint8_t *mem;         /* for slots */
extern int event, other_event;

/* A VM without anything but its first slot. */
void world_bare(void);
/* And with interrupt controllers. */
void world_chip(void);
/* All that a VM usually has. */
void world_full(void);
void world_end(void);
/* Is the VM as usable as it was? */
void world_check_alive(void);

#endif
