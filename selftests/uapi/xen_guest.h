/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VM with Xen's interface, for the tests of it: one VM at a time, one vCPU. */
#ifndef HV_XEN_GUEST_H
#define HV_XEN_GUEST_H

#include <stddef.h>

#include "irq_guest.h"
#include "linux/kvm_later.h"

/* A slot of its own for what the guest shares with the hypervisor. */
#define XEN_SLOT	5
#define XEN_GPA		0x10000000UL
#define XEN_SIZE	(4 * UT_PAGE)
#define SHARED		XEN_GPA
#define INFO		(XEN_GPA + 0x1000)
#define RUNSTATE	(XEN_GPA + 0x3000 - 20)		/* across two pages */
#define TIME		(XEN_GPA + 0x3800)
#define HCALL_PAGE	0x180000UL
#define HCALL_MSR	0x40000200U

#define PENDING		0x800		/* in the shared page, 64-bit form */
#define MASK		0xa00
#define WALL		0xc00
#define WALL_32		0x900
#define SEL		8		/* in the info area */
#define INFO_TIME	0x20

#define VECTOR		0x60
#define OWN_VECTOR	0x70
#define PORT		70		/* word 1 */
#define PRIO		KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL

#define HC_SET_TIMER	15
#define HC_VERSION	17
#define HC_SCHED_OP	29
#define HC_EVENT_OP	32
#define SCHED_POLL	3
#define EVENT_SEND	4

static struct ut_vm vm;
static struct ut_vcpu *cpu;
static uint8_t *shared;			/* the slot's memory */

static inline bool on_kvm(void)
{
	return !strcmp(ut_device(), "/dev/kvm");
}

static struct kvm_xen_hvm_attr va;
static struct kvm_xen_vcpu_attr ca;

static inline int vm_set(void)
{
	return ioctl(vm.fd, KVM_XEN_HVM_SET_ATTR, &va);
}

static inline int vm_attr(uint16_t type, uint64_t value)
{
	va = (struct kvm_xen_hvm_attr){ .type = type, .u.shared_info.gfn = value };
	return vm_set();
}

static inline uint64_t vm_get(uint16_t type)
{
	va = (struct kvm_xen_hvm_attr){ .type = type };
	NEED(ioctl(vm.fd, KVM_XEN_HVM_GET_ATTR, &va) == 0);
	return va.u.shared_info.gfn;
}

static inline int cpu_set(void)
{
	return ioctl(cpu->fd, KVM_XEN_VCPU_SET_ATTR, &ca);
}

static inline int cpu_attr(uint16_t type, uint64_t value)
{
	ca = (struct kvm_xen_vcpu_attr){ .type = type, .u.gpa = value };
	return cpu_set();
}

static inline uint64_t cpu_get(uint16_t type)
{
	ca = (struct kvm_xen_vcpu_attr){ .type = type };
	NEED(ioctl(cpu->fd, KVM_XEN_VCPU_GET_ATTR, &ca) == 0);
	return ca.u.gpa;
}

static inline int timer(uint32_t port, uint32_t priority, uint64_t expires)
{
	ca = (struct kvm_xen_vcpu_attr){ .type = KVM_XEN_VCPU_ATTR_TYPE_TIMER };
	ca.u.timer.port = port;
	ca.u.timer.priority = priority;
	ca.u.timer.expires_ns = expires;
	return cpu_set();
}

static inline int send_event(uint32_t port)
{
	struct kvm_irq_routing_xen_evtchn e = { .port = port, .priority = PRIO };

	return ioctl(vm.fd, KVM_XEN_HVM_EVTCHN_SEND, &e);
}

static inline int set_slot(uint64_t gpa, uint64_t size, uint32_t flags)
{
	return ut_slot(&vm, XEN_SLOT, gpa, size, shared, flags);
}

static inline uint64_t word(uint64_t gpa)
{
	uint64_t value;

	memcpy(&value, shared + (gpa - XEN_GPA), sizeof(value));
	return value;
}

static inline uint64_t now(void)
{
	struct kvm_clock_data clock;

	NEED(ioctl(vm.fd, KVM_GET_CLOCK, &clock) == 0);
	return clock.clock;
}

static inline int config(uint32_t flags, uint32_t msr)
{
	struct kvm_xen_hvm_config c = { .flags = flags, .msr = msr };

	return ioctl(vm.fd, KVM_XEN_HVM_CONFIG, &c);
}

static inline void vm_create(void)
{
	ig_vm_create(&vm, 1);
	cpu = &vm.vcpu[0];
	shared = mmap(NULL, XEN_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(shared != MAP_FAILED);
	NEED(set_slot(XEN_GPA, XEN_SIZE, 0) == 0);
}

/* All of it, with vectors: that of the VM or the vCPU's own. */
static inline void vm_create_xen(uint8_t vector, uint8_t own)
{
	vm_create();
	NEED(config(KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL | KVM_XEN_HVM_CONFIG_EVTCHN_SEND,
		    HCALL_MSR) == 0);
	NEED(vm_attr(KVM_XEN_ATTR_TYPE_LONG_MODE, 1) == 0);
	NEED(vm_attr(KVM_XEN_ATTR_TYPE_SHARED_INFO, SHARED / UT_PAGE) == 0);
	NEED(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO, INFO) == 0);
	NEED(vm_attr(KVM_XEN_ATTR_TYPE_UPCALL_VECTOR, vector) == 0);
	NEED(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR, own) == 0);
}

static inline void vm_destroy(void)
{
	ut_vm_destroy(&vm);
	munmap(shared, XEN_SIZE);
}

/* ---- for guest code ------------------------------------------------------------------------- */

struct guest {
	uint64_t value[8];
	uint64_t args[4];		/* of a hypercall */
	uint32_t port;			/* to poll */
};
#define GUEST_ADDR(field) (UT_ARGS(0) + offsetof(struct guest, field))

IG_INLINE uint64_t hypercall(uint32_t nr, uint64_t a0, uint64_t a1)
{
	uint64_t rax, page = HCALL_PAGE + nr * 32;

	__asm__ volatile("call *%[page]" : "=a"(rax), "+D"(a0), "+S"(a1) : [page] "r"(page)
			 : "memory", "rdx", "r8", "r9", "r10", "cc");
	return rax;
}

IG_INLINE void apic_on(void)
{
	ig_apic_write(0xf0, 0x1ff);
}

/* Handler of the VM's vector: count, and take the byte back, as no EOI would end it. */
#define STR_(x) #x
#define STR(x) STR_(x)
IG_NAKED static void on_upcall(void)
{
	__asm__ volatile("lock incl " STR(0x34000 + 0x60 * 4) "\n\t"
			 "movb $0, 0x10001000\n\tiretq");
}

static inline void check_layout(void)
{
	NEED(IG_COUNTS == 0x34000 && VECTOR == 0x60 && INFO == 0x10001000);
	ig_set_gate(&vm, VECTOR, on_upcall);
}

UT_GUEST static void guest_wait_upcall(void *args)
{
	volatile struct guest *g = args;

	apic_on();
	ig_halt_until(VECTOR, g->value[0]);
	ut_done(ig_count(VECTOR));
}

UT_GUEST static void guest_nothing(void *args)
{
	ut_done(1);
}

#endif
