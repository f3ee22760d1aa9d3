/* SPDX-License-Identifier: GPL-2.0-only */
/* fd_file() came with 6.11 (6.12 in Debian); before, struct fd has a member. */
#ifndef HV_COMPAT_FILE_H
#define HV_COMPAT_FILE_H

#include <linux/file.h>

#ifdef HV_HAVE_FD_FILE
#define hv_fd_file(f)	fd_file(f)
#else
#define hv_fd_file(f)	((f).file)
#endif

#endif
