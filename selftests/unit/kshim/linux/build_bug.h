/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_KSHIM_LINUX_BUILD_BUG_H
#define HV_KSHIM_LINUX_BUILD_BUG_H

#include <assert.h>

#define BUILD_BUG_ON(x)	_Static_assert(!(x), #x)

#endif
