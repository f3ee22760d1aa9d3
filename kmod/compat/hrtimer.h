/* SPDX-License-Identifier: GPL-2.0-only */
/* hrtimer_setup() replaced hrtimer_init() plus a store to ->function in 6.13. */
#ifndef HV_COMPAT_HRTIMER_H
#define HV_COMPAT_HRTIMER_H

#include <linux/hrtimer.h>

#ifdef HV_HAVE_HRTIMER_SETUP
static inline void hv_hrtimer_setup(struct hrtimer *timer,
				    enum hrtimer_restart (*fn)(struct hrtimer *),
				    enum hrtimer_mode mode)
{
	hrtimer_setup(timer, fn, CLOCK_MONOTONIC, mode);
}
#else
static inline void hv_hrtimer_setup(struct hrtimer *timer,
				    enum hrtimer_restart (*fn)(struct hrtimer *),
				    enum hrtimer_mode mode)
{
	hrtimer_init(timer, CLOCK_MONOTONIC, mode);
	timer->function = fn;
}
#endif

#endif
