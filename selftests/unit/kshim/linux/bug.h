/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A WARN in a unit test is a bug found: say where and stop. */
#ifndef HV_KSHIM_LINUX_BUG_H
#define HV_KSHIM_LINUX_BUG_H

#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <stdio.h>
#include <stdlib.h>

#define BUG_ON(x)								\
	do {									\
		if (x) {							\
			fprintf(stderr, "%s:%d: BUG: %s\n", __FILE__, __LINE__, #x);	\
			abort();						\
		}								\
	} while (0)
#define BUG()		BUG_ON(1)
#define WARN_ON(x)	({ bool _w = !!(x); BUG_ON(_w); _w; })
#define WARN_ON_ONCE(x)	WARN_ON(x)

#endif
