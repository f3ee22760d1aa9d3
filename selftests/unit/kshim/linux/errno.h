/* SPDX-License-Identifier: GPL-2.0-or-later */
/* No include guard: the C library's own <errno.h> reaches the UAPI header through this file. */
#include_next <linux/errno.h>
