/* SPDX-License-Identifier: GPL-2.0-only */
/* All that common code sees of VMX: the operations, for the place that picks the vendor. */
#ifndef HV_VMX_OPS_H
#define HV_VMX_OPS_H

#include "../hv.h"

extern struct hv_x86_ops hv_vmx_ops;

#endif
