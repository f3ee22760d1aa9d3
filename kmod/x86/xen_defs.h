/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Xen's interface to HVM guests, as far as hv takes part: numbers and layouts of Xen's public
 * headers (xen.h, vcpu.h, event_channel.h, sched.h). Structures come in two forms: those of 64-bit
 * guests and those of 32-bit ones.
 */
#ifndef HV_XEN_DEFS_H
#define HV_XEN_DEFS_H

#include <linux/bits.h>

/* Hypercall numbers (xen.h) */
#define XEN_HC_SET_TIMER_OP	15
#define XEN_HC_XEN_VERSION	17
#define XEN_HC_VCPU_OP		24
#define XEN_HC_SCHED_OP		29
#define XEN_HC_EVENT_CHANNEL_OP	32

/* Their commands (version.h, vcpu.h, sched.h, event_channel.h) */
#define XEN_VERSION_NUMBER	0
#define XEN_VCPU_SET_ONESHOT	8
#define XEN_VCPU_STOP_ONESHOT	9
#define XEN_SCHED_YIELD		0
#define XEN_SCHED_POLL		3
#define XEN_EVTCHN_SEND		4

#define XEN_ONESHOT_FUTURE	BIT(0)	/* fail with ETIME rather than fire at once */

/* Errors that guests see are Xen's numbers, which are Linux's (errno.h). */

/* sched_poll: most ports that Xen takes (sched.c) */
#define XEN_POLL_PORTS		128

/* Kinds of ports (EVTCHNOP_status in event_channel.h) */
#define XEN_PORT_INTERDOMAIN	2
#define XEN_PORT_IPI		5

/* Event channels of the two-level interface: one bit per word of a word's bits (xen.h) */
#define XEN_PORTS_64		4096U
#define XEN_PORTS_32		1024U

/* struct shared_info (xen.h, arch-x86/xen.h): one page */
#define XEN_SHARED_PENDING	0x800
#define XEN_SHARED_MASK_64	0xa00
#define XEN_SHARED_MASK_32	0x880
#define XEN_SHARED_WALL_64	0xc00
#define XEN_SHARED_WALL_32	0x900
#define XEN_SHARED_SEC_HI_64	0xc0c
#define XEN_SHARED_SEC_HI_32	0x924

/* struct vcpu_info (xen.h) */
#define XEN_INFO_SIZE		64
#define XEN_INFO_UPCALL		0x00	/* a byte: an event is pending */
#define XEN_INFO_SEL_64		0x08	/* which words of the shared page have pending events */
#define XEN_INFO_SEL_32		0x04
#define XEN_INFO_TIME		0x20	/* a struct hv_pv_time */

/* struct vcpu_runstate_info (vcpu.h); the 32-bit form does without the padding */
enum xen_runstate { XEN_RUNNING, XEN_RUNNABLE, XEN_BLOCKED, XEN_OFFLINE, XEN_RUNSTATES };
struct xen_runstate_times {
	u64 entry;		/* when the state in force began */
	u64 time[XEN_RUNSTATES];	/* spent in each before that */
} __packed;
#define XEN_RUNSTATE_TIMES_64	8	/* where they are, after the state (32 bits) */
#define XEN_RUNSTATE_TIMES_32	4
#define XEN_RUNSTATE_UPDATE	BIT_ULL(63)	/* in entry: being written */

static_assert(sizeof(struct xen_runstate_times) == 40);

/* struct sched_poll (sched.h) */
struct xen_poll_64 {
	u64 ports;		/* guest-virtual address of an array of u32 */
	u32 nr_ports;
	u32 pad;
	u64 timeout;		/* system time, ns; 0: none */
};

struct xen_poll_32 {
	u32 ports, nr_ports;
	u64 timeout;
};

static_assert(sizeof(struct xen_poll_64) == 24);
static_assert(sizeof(struct xen_poll_32) == 16);

/* struct vcpu_set_singleshot_timer (vcpu.h): 16 bytes to 64-bit guests, 12 to others */
struct xen_oneshot {
	u64 expires;		/* system time, ns */
	u32 flags;
	u32 pad;
};
#define XEN_ONESHOT_SIZE_32	12

static_assert(sizeof(struct xen_oneshot) == 16);

/* CPUID: the signature's leaf may be at any multiple of 0x100 (arch-x86/cpuid.h) */
#define XEN_CPUID_EBX		0x566e6558	/* "XenVMMXenVMM" */
#define XEN_CPUID_ECX		0x65584d4d
#define XEN_CPUID_EDX		0x4d4d566e
#define XEN_CPUID_TIME		3	/* leaf, after that of the signature */

/* MSRs of hypervisors: that for the hypercall page must be one of them. */
#define XEN_MSR_FIRST		0x40000000U
#define XEN_MSR_LAST		0x4fffffffU

#define XEN_HYPERCALL_SLOT	32	/* bytes of a hypercall's entry in the page */
#define XEN_HCALL_HYPERV	BIT(31)	/* of EAX: a call by Hyper-V's rules, if both are there */
#define XEN_MIN_VECTOR		0x10

#endif
