/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Suspend and resume with one CPU and interrupts off: struct syscore_ops, which later
 * kernels split into struct syscore and its operations with a data pointer.
 */
#ifndef HV_COMPAT_SYSCORE_H
#define HV_COMPAT_SYSCORE_H

#include <linux/syscore_ops.h>

static void hv_syscore_register(void);
static void hv_syscore_unregister(void);

#ifdef HV_HAVE_SYSCORE
#define HV_SYSCORE_DEFINE(do_suspend, do_resume)					\
static int syscore_##do_suspend(void *data) { return do_suspend(); }			\
static void syscore_##do_resume(void *data) { do_resume(); }				\
static const struct syscore_ops hv_syscore_ops = {					\
	.suspend = syscore_##do_suspend,						\
	.resume = syscore_##do_resume,							\
};											\
static struct syscore hv_syscore = { .ops = &hv_syscore_ops };				\
static void hv_syscore_register(void) { register_syscore(&hv_syscore); }		\
static void hv_syscore_unregister(void) { unregister_syscore(&hv_syscore); }
#else
#define HV_SYSCORE_DEFINE(do_suspend, do_resume)					\
static struct syscore_ops hv_syscore_ops = {						\
	.suspend = do_suspend,								\
	.resume = do_resume,								\
};											\
static void hv_syscore_register(void) { register_syscore_ops(&hv_syscore_ops); }	\
static void hv_syscore_unregister(void) { unregister_syscore_ops(&hv_syscore_ops); }
#endif

#endif
