/* SPDX-License-Identifier: GPL-2.0-only */
/* Structures shared with the guest: paravirtual clock and steal time (KVM's ABI). */
#ifndef HV_X86_CLOCK_DEFS_H
#define HV_X86_CLOCK_DEFS_H

#include <linux/build_bug.h>
#include <linux/stddef.h>
#include <linux/types.h>

/* An odd version: being written. ns = system_time + (tsc - tsc_timestamp) scaled. */
struct hv_pv_time {
	u32 version;
	u32 pad;
	u64 tsc_timestamp;
	u64 system_time;
	u32 tsc_to_system_mul;
	s8 tsc_shift;
	u8 flags;
	u8 pad2[2];
};
static_assert(sizeof(struct hv_pv_time) == 32);
static_assert(offsetof(struct hv_pv_time, tsc_to_system_mul) == 24);
static_assert(offsetof(struct hv_pv_time, flags) == 29);

#define HV_PV_TIME_TSC_STABLE		0x01
#define HV_PV_TIME_GUEST_STOPPED	0x02
#define HV_PV_TIME_ENABLED		0x01ULL		/* in the MSR */

struct hv_pv_wall {
	u32 version;
	u32 sec;
	u32 nsec;
};
static_assert(sizeof(struct hv_pv_wall) == 12);

struct hv_pv_steal {
	u64 steal;			/* ns */
	u32 version;
	u32 flags;
	u8 preempted;
	u8 pad8[3];
	u32 pad[11];
};
static_assert(sizeof(struct hv_pv_steal) == 64);
static_assert(offsetof(struct hv_pv_steal, preempted) == 16);

#define HV_PV_STEAL_ENABLED		0x01ULL
#define HV_PV_STEAL_RESERVED		0x3eULL
#define HV_PV_STEAL_ADDR		(~0x3fULL)

/* hv_pv_steal.preempted: does not run; a guest sets the second in place of a TLB flush by IPI. */
#define HV_PV_STEAL_PREEMPTED		0x01
#define HV_PV_STEAL_FLUSH_TLB		0x02

#endif
