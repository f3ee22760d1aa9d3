// SPDX-License-Identifier: GPL-2.0-only
/* Instances of the tracepoints in trace.h. */
#include <linux/types.h>

#define CREATE_TRACE_POINTS
#include "trace.h"
