/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_KSHIM_LINUX_EXPORT_H
#define HV_KSHIM_LINUX_EXPORT_H

#define EXPORT_SYMBOL(s)
#define EXPORT_SYMBOL_GPL(s)

#endif
