/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_KSHIM_LINUX_STRING_H
#define HV_KSHIM_LINUX_STRING_H

#include <string.h>

#endif
