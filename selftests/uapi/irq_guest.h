/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMs with an in-kernel irqchip, and guest code that counts its interrupts by vector. */
#ifndef HV_IRQ_GUEST_H
#define HV_IRQ_GUEST_H

#include "ut.h"

/* In the guest's low memory, between the argument pages and the stacks. */
#define IG_STUBS	0x30000UL	/* 256 handlers, 32 bytes each */
#define IG_COUNTS	0x34000UL	/* uint32_t[256] */
#define IG_IDT		0x35000UL
#define IG_GDT		0x36000UL

#define IG_APIC		0xfee00000UL
#define IG_APIC_BASE_MSR 0x1b

enum ig_eoi { IG_EOI_APIC, IG_EOI_X2APIC, IG_EOI_PIC };

/* The stock KVM of a kernel before 6.12, which gets some things wrong that later ones do not. */
bool ig_old_kvm(void);

/* KVM_CREATE_IRQCHIP, then @vcpus vCPUs. Ends the test if that fails. */
void ig_vm_create(struct ut_vm *vm, unsigned int vcpus);
/* Handlers for all vectors that count and send this EOI. */
void ig_set_handlers(struct ut_vm *vm, enum ig_eoi eoi);
/* One handler of the test's own, which ends with IRETQ. */
#define IG_NAKED UT_GUEST __attribute__((naked))
void ig_set_gate(struct ut_vm *vm, unsigned int vector, void (*handler)(void));
/* Like ut_start(), with descriptor tables in force and the vCPU runnable. */
void ig_start(struct ut_vcpu *vcpu, ut_guest_fn fn);
static inline volatile uint32_t *ig_counts(struct ut_vm *vm)
{
	return (volatile uint32_t *)(vm->low + IG_COUNTS);
}
/* Run to ut_done() and return its value; any other end fails the test. */
uint32_t ig_finish(struct ut_vcpu *vcpu);
/* The same on a thread of its own. */
struct ig_thread {
	pthread_t thread;
	struct ut_vcpu *vcpu;
	enum ut_result result;
	uint32_t value;
};
void ig_thread_start(struct ig_thread *t, struct ut_vcpu *vcpu);
uint32_t ig_thread_join(struct ig_thread *t);

/* Program an IOAPIC pin by KVM_SET_IRQCHIP. */
void ig_ioapic_pin(struct ut_vm *vm, unsigned int pin, uint64_t entry);
/* Both PICs: vectors from 0x20 and 0x28, everything open but @mask. */
void ig_pic_open(struct ut_vm *vm, uint16_t mask);
int ig_irq_line(struct ut_vm *vm, uint32_t gsi, int level);
/* Route one GSI to an MSI, on top of nothing else. */
int ig_route_msi(struct ut_vm *vm, uint32_t gsi, uint32_t address, uint32_t data);

/* What ig_guest_wait() waits for: @want interrupts of @vector. */
struct ig_wait {
	uint32_t vector, want;
	uint32_t seen;
};
/* Enable the local APIC, then halt until the interrupts have come. */
void ig_guest_wait(void *args);
/* The same without touching the APIC. */
void ig_guest_wait_pic(void *args);
struct ig_wait *ig_wait_for(struct ut_vcpu *vcpu, uint32_t vector, uint32_t want);

/* ---- for guest code ------------------------------------------------------------------------ */

/* The options of UT_GUEST, without which nothing is inlined into it. */
#define IG_INLINE static inline __attribute__((always_inline, target("general-regs-only"), \
		optimize("no-tree-loop-distribute-patterns,no-stack-protector")))

IG_INLINE void ig_apic_write(uint32_t reg, uint32_t value)
{
	*(volatile uint32_t *)(IG_APIC + reg) = value;
}

IG_INLINE uint32_t ig_apic_read(uint32_t reg)
{
	return *(volatile uint32_t *)(IG_APIC + reg);
}

IG_INLINE uint32_t ig_count(unsigned int vector)
{
	return ((volatile uint32_t *)IG_COUNTS)[vector];
}

/* Halt until @vector has been counted @want times. */
IG_INLINE void ig_halt_until(unsigned int vector, uint32_t want)
{
	while (ig_count(vector) < want)
		__asm__ volatile("sti; hlt; cli" ::: "memory");
}

IG_INLINE void ig_wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) :
			 "memory");
}

IG_INLINE uint64_t ig_rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return low | (uint64_t)high << 32;
}

#endif
