/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_KSHIM_LINUX_COMPILER_H
#define HV_KSHIM_LINUX_COMPILER_H

#ifndef likely
#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)
#endif
#ifndef __always_inline
#define __always_inline	inline __attribute__((__always_inline__))
#endif
#define noinline	__attribute__((__noinline__))
#define __maybe_unused	__attribute__((__unused__))
#define __must_check	__attribute__((__warn_unused_result__))
#define __aligned(x)	__attribute__((__aligned__(x)))
#ifndef __packed
#define __packed	__attribute__((__packed__))
#endif
#define fallthrough	__attribute__((__fallthrough__))
#define barrier()	__asm__ __volatile__("" ::: "memory")

#define READ_ONCE(x)		(*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v)	(*(volatile __typeof__(x) *)&(x) = (v))

#ifndef __user
#define __user
#endif
#define __force
#define __rcu

#endif
