/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Just enough of the kernel's headers to compile kernel-independent module code as a user program.
 *
 * A unit test puts `-Iselftests/unit/kshim -Ikmod` into its NAME_CFLAGS; a source file of the
 * module then includes <linux/types.h> and friends as usual and gets these files. The real UAPI
 * header of the same name is still reached (include_next), so <linux/kvm.h> and the C library keep
 * working.
 *
 * Extend it freely: one small header per kernel header, static inline functions only, the kernel's
 * names and meaning. Code that needs more than that (locks, allocation, RCU) does not belong in a
 * kernel-independent file.
 */
#ifndef HV_KSHIM_LINUX_TYPES_H
#define HV_KSHIM_LINUX_TYPES_H

#include_next <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s8 s8;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;

typedef u64 gpa_t;
typedef u64 gfn_t;
typedef u64 phys_addr_t;
typedef unsigned int gfp_t;

#endif
