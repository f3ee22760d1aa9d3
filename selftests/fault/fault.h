/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Failing the n-th thing that can fail in one system call of this thread: an allocation, or a copy
 * from or to user space. The kernel must have fault injection, as the lab's debug kernel has.
 */
#ifndef HV_FAULT_H
#define HV_FAULT_H

#include <stdbool.h>

/* Say nothing in the log of each injected failure, and fail allocations of every kind. */
void fault_setup(void);
bool fault_available(void);
/* The @n-th from now on, counted from 1, fails. */
void fault_arm(unsigned int n);
/* How many chances to fail are left before the one armed; 0: it came. */
unsigned int fault_left(void);
/* No more failures; true if there was one since fault_arm(). */
bool fault_disarm(void);

#endif
