/* SPDX-License-Identifier: GPL-2.0-only */
/* eventfd_signal() lost its count argument in 6.8. */
#ifndef HV_COMPAT_EVENTFD_H
#define HV_COMPAT_EVENTFD_H

#include <linux/eventfd.h>

#ifdef HV_HAVE_EVENTFD_SIGNAL_1
static inline void hv_eventfd_signal(struct eventfd_ctx *ctx)
{
	eventfd_signal(ctx);
}
#else
static inline void hv_eventfd_signal(struct eventfd_ctx *ctx)
{
	eventfd_signal(ctx, 1);
}
#endif

#endif
