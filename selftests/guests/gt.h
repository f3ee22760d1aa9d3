/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bare-metal guests: what tests of the virtual CPU need beyond ut.h.
 *
 * A guest tells what it saw by gt_report(), one 32-bit value at a time, in the order of the host's
 * expectations, and ends with ut_done(). Everything else it does to ports and to unbacked memory is
 * answered by a toy device: memory of its own behind each address, every access kept in a log.
 *
 * Guests come in two forms. C functions marked UT_GUEST run in 64-bit mode; gt_start() gives them
 * an IDT whose handlers count exceptions and resume at a place of the guest's choice. Flat binaries
 * (*.S of this directory, linked at GT_FLAT) run in any mode from a state that the test sets up.
 */
#ifndef HV_GT_H
#define HV_GT_H

#include "../uapi/irq_guest.h"

/* ---- memory map of the guest, in slot 0 besides what ut.h and irq_guest.h say -------------- */

#define GT_FLAT		0x8000UL	/* flat binaries */
#define GT_TRAPS	0x37000UL	/* struct gt_traps */
#define GT_IDT		0x38000UL
#define GT_TSS		0x39000UL
#define GT_TSS_STACK	0x3c000UL	/* top of the stack of exceptions from user mode */
#define GT_DATA		0x40000UL	/* 64 KiB for the test's own use */
#define GT_DATA_END	0x50000UL
#define GT_TABLES	0x50000UL	/* page tables of a test's own, up to 0x58000 */

#define GT_REPORT_PORT	0xf4
#define GT_DEV		0x40000000UL	/* guest-physical: no memory, the toy device */
#define GT_DEV_SIZE	0x4000UL
#define GT_PORT		0x1000		/* the toy device's ports: 256 of them */

/* ---- the host's side ----------------------------------------------------------------------- */

enum gt_kind { GT_READ, GT_WRITE, GT_IN, GT_OUT };
/* One access to the toy device. Strings of port accesses are one entry per element. */
struct gt_access {
	enum gt_kind kind;
	uint32_t addr;			/* offset from GT_DEV, or the port */
	uint32_t size;
	uint64_t data;
};

#define GT_MAX_REPORTS	64
#define GT_MAX_LOG	1024
struct gt {
	struct ut_vm vm;
	uint32_t report[GT_MAX_REPORTS];
	unsigned int nr_reports;
	struct gt_access log[GT_MAX_LOG];
	unsigned int nr_log;
	unsigned int pio_exits;		/* of strings: how many exits they took */
	uint8_t dev[GT_DEV_SIZE];
	uint8_t port[256];
	/* What it stopped at, when it was not ut_done(). */
	enum ut_result result;
	uint32_t value;
};

/* A VM of one vCPU (or more), without and with an in-kernel irqchip. */
void gt_create(struct gt *g, unsigned int vcpus, bool irqchip);
void gt_destroy(struct gt *g);
/* Like ut_start(), with descriptor tables and trap handlers in force. */
void gt_start(struct gt *g, unsigned int vcpu, ut_guest_fn fn);
/*
 * Copy a flat binary to GT_FLAT. It is entered in real mode with all segments 0, at its @entry-th
 * slot of 8 bytes.
 */
void gt_start_flat(struct gt *g, const uint8_t *begin, const uint8_t *end, unsigned int entry);
/*
 * Run vCPU @vcpu until it ends: reports and log start empty. UT_DONE with the value in g->value, or
 * UT_EXIT with something that is in kvm_run.
 */
enum ut_result gt_run(struct gt *g, unsigned int vcpu);
/* gt_start() and gt_run(); anything but ut_done(0) fails the test. */
void gt_call(struct gt *g, ut_guest_fn fn);
/* The same for a flat binary. */
void gt_call_flat(struct gt *g, const uint8_t *begin, const uint8_t *end, unsigned int entry);

/* The reports are these. */
void gt_expect_(struct gt *g, const char *file, int line, unsigned int n, const uint32_t *want);
#define gt_expect(g, ...)								\
	do {										\
		const uint32_t want_[] = { __VA_ARGS__ };				\
		gt_expect_(g, __FILE__, __LINE__, ARRAY_SIZE(want_), want_);		\
	} while (0)
/*
 * Report @i may be @quirk instead of @right, on CPUs (emulated ones above all) that have this
 * wrong.
 */
void gt_quirk(struct gt *g, unsigned int i, uint32_t quirk, uint32_t right);
/* The host's processor is Intel's; the device is stock KVM on one, which has nested VMX. */
bool gt_intel(void);
bool gt_kvm_intel(void);
/* The host's processor has PCIDs, and so have its guests. */
bool gt_pcid(void);
/* The log is this: "r4@10=1234 w1@20=ff in2@1000=… out4@1000=…", numbers in hexadecimal. */
void gt_expect_log_(struct gt *g, const char *file, int line, const char *want);
#define gt_expect_log(g, want) gt_expect_log_(g, __FILE__, __LINE__, want)
/* The device's contents at reset: byte i is i * 7 + i / 256 + 3. */
void gt_dev_reset(struct gt *g);

/* A flat binary built into the program: NAME_begin and NAME_end. */
#define GT_FLAT_BINARY(name, path)							\
	extern const uint8_t name##_begin[], name##_end[];				\
	__asm__(".pushsection .rodata\n" #name "_begin: .incbin \"" path "\"\n"		\
		#name "_end:\n.popsection\n")

/* ---- the guest's side ---------------------------------------------------------------------- */

#define gt_report(v)									\
	__asm__ volatile("outl %0, %1" : :						\
			 "a"((uint32_t)(v)), "Nd"((uint16_t)GT_REPORT_PORT) : "memory")

/* What the trap handlers left of the last exception. At GT_TRAPS in the guest. */
struct gt_traps {
	uint64_t resume;		/* 0: back to where the frame says */
	uint64_t count;
	uint64_t vector, error, rip, cs, rflags, rsp, ss;
	uint64_t cr2, dr6;
	uint64_t log_rip;		/* not 0: keep the rip of each in @rips */
	uint64_t rips[64];
	uint64_t clear_tf;		/* take TF from the frame's flags */
	uint64_t set_rf;		/* set RF in the frame's flags */
	uint64_t resume_rsp;
	uint64_t base;			/* for the test's own use, at 0x37278 */
};
#define GT_T ((volatile struct gt_traps *)GT_TRAPS)

/*
 * Execute @insns and come back after them, also when they trap: GT_T then says how. The vector is
 * 0x100 when they did not. After a trap the stack is as it was before, and so is the mode: 64-bit,
 * supervisor. @insns may use rax, rbx, rcx and rdx, of which rax begins as 0. @after is executed
 * in either case.
 */
#define gt_try_after(insns, after, ...)							\
	do {										\
		GT_T->vector = 0x100;							\
		GT_T->error = GT_T->cr2 = 0;						\
		__asm__ volatile("lea 9f(%%rip), %%rax; mov %%rax, 0x37000\n"		\
				 "mov %%rsp, 0x37270; xor %%eax, %%eax\n" insns		\
				 "\n9: movq $0, 0x37000\n" after				\
				 : : __VA_ARGS__ : "rax", "rbx", "rcx", "rdx", "cc", "memory");	\
	} while (0)
#define gt_try(insns, ...) gt_try_after(insns, "", __VA_ARGS__)

#endif
