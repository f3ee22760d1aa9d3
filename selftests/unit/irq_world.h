/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VM with in-kernel interrupt controllers and vCPUs that take interrupts but run nothing. */
#ifndef HV_IRQ_WORLD_H
#define HV_IRQ_WORLD_H

#include "irq/chips.h"
#include "unit_test.h"

#define WORLD_TSC_KHZ 2000000		/* two ticks per ns */

extern struct hv_vm world;
extern struct hv_vcpu *world_vcpu[256];
extern unsigned long world_kicks;
extern unsigned long world_nmis, world_smis;	/* bit n: vCPU n got one */

/* A VM with the irqchip (and PIT) of KVM_CREATE_IRQCHIP and @vcpus of them, clock at 1 s. */
void world_start(unsigned int vcpus);
void world_stop(void);
/* Software-enable all local APICs. */
void world_enable_apics(void);
void world_enable_x2apic(void);

/* What a vCPU does before it enters: act on requests, take one interrupt; its vector or -1. */
int world_take(unsigned int vcpu);
void world_eoi(unsigned int vcpu);
u32 world_apic_read(unsigned int vcpu, u32 reg);
void world_apic_write(unsigned int vcpu, u32 reg, u32 value);
u8 world_in(u16 port);
void world_out(u16 port, u8 value);
u32 world_ioapic_read(u32 reg);
void world_ioapic_write(u32 reg, u32 value);
/* Program an IOAPIC pin: low and high half of the entry. */
void world_ioapic_pin(unsigned int pin, u32 low, u32 high);
/* The PIC pair as firmware sets it up: vectors 0x08 and 0x70 (@icw4 bits added), all open. */
void world_pic_setup(u8 icw4);

/* ---- reporting: one line per test ---------------------------------------------------------- */

struct world_test {
	const char *name;
	unsigned int vcpus;
	void (*fn)(void);
};
/* Run each test in a fresh world; the process's exit status. */
int world_run(const struct world_test *tests, unsigned int nr);

#endif
