/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_KSHIM_LINUX_TRACEPOINT_H
#define HV_KSHIM_LINUX_TRACEPOINT_H

#include <linux/types.h>

#define TP_PROTO(args...)	args
#define TRACE_EVENT(name, proto, args...) \
	static inline __attribute__((__unused__)) void trace_##name(proto) { }

#endif
