/* SPDX-License-Identifier: GPL-2.0-only */
/* All that common code sees of SVM: the operations, for the place that picks the vendor. */
#ifndef HV_SVM_OPS_H
#define HV_SVM_OPS_H

#include "../hv.h"

extern struct hv_x86_ops hv_svm_ops;

#endif
