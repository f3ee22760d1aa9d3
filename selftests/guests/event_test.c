// SPDX-License-Identifier: GPL-2.0-or-later
/* Interrupt shadows, NMIs and their blocking, HLT, and events that user space injects. */
#include <pthread.h>

#include "gt.h"

static struct gt g;

/* An edge on GSI 4, routed to vector 0x50 of the first vCPU, when the guest writes port 0xf8. */
#define POKE	"outb %%al, $0xf8\n"

enum poke { POKE_MSI, POKE_NMI };

static void poke(enum poke what)
{
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = 0x50 };

	if (what == POKE_NMI)
		CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_NMI, 0), 0);
	else
		CHECK(ioctl(g.vm.fd, KVM_SIGNAL_MSI, &msi) >= 0);
}

/* Run; each access of port 0xf8 pokes. Returns how often. */
static unsigned int run_poking(ut_guest_fn fn, enum poke what)
{
	struct kvm_run *run = g.vm.vcpu[0].run;
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };
	uint32_t reports[GT_MAX_REPORTS];
	unsigned int n = 0, nr = 0;

	gt_start(&g, 0, fn);
	NEED(ioctl(g.vm.vcpu[0].fd, KVM_SET_MP_STATE, &mp) == 0);
	for (;;) {
		enum ut_result result = gt_run(&g, 0);

		memcpy(reports + nr, g.report, g.nr_reports * sizeof(reports[0]));
		nr += g.nr_reports;
		if (result != UT_EXIT || run->exit_reason != KVM_EXIT_IO || run->io.port != 0xf8)
			break;
		poke(what);
		n++;
	}
	memcpy(g.report, reports, nr * sizeof(reports[0]));
	g.nr_reports = nr;
	if (g.result != UT_DONE || g.value)
		ut_fail(__FILE__, __LINE__, "the guest ended with result %d exit %u", g.result,
			run->exit_reason);
	return n;
}

#define WHERE(label)	"lea " label "(%%rip), %%rax; mov %%rax, 0x37278\n"

/* ---- interrupts ---------------------------------------------------------------------------- */

UT_GUEST static void guest_sti(void *args)
{
	ig_apic_write(0xf0, 0x1ff);
	GT_T->count = 0;
	/* Pending when STI comes: taken one instruction later. */
	__asm__ volatile("cli\n" POKE WHERE("8f") "sti\n nop\n 8: nop; nop; cli" : : : "rax", "memory");
	gt_report(GT_T->count);
	gt_report(GT_T->vector);
	gt_report(GT_T->rip - GT_T->base);
	ig_apic_write(0xb0, 0);
	/* STI; CLI lets none in. */
	__asm__ volatile(POKE "sti; cli; nop; nop" : : : "memory");
	gt_report(GT_T->count);
	/* POPF has no shadow. */
	__asm__ volatile(WHERE("8f") "pushfq; orl $0x200, (%%rsp); popfq\n 8: nop; cli" : : : "rax",
			 "memory", "cc");
	gt_report(GT_T->count);
	gt_report(GT_T->rip - GT_T->base);
	ig_apic_write(0xb0, 0);
	ut_done(0);
}

static void test_sti(void)
{
	gt_create(&g, 1, true);
	CHECK_EQ(run_poking(guest_sti, POKE_MSI), 2);
	gt_expect(&g, 1, 0x50, 0, 1, 2, 0);
	gt_destroy(&g);
}

/* MOV SS: the shadow covers the next instruction, also one that exits. */
UT_GUEST static void guest_mov_ss(void *args)
{
	ig_apic_write(0xf0, 0x1ff);
	GT_T->count = 0;
	__asm__ volatile(WHERE("8f") "mov %%ss, %%ecx; sti; nop\n mov %%ecx, %%ss\n" POKE
			 "8: nop; cli" : : : "rax", "rcx", "memory");
	gt_report(GT_T->count);
	gt_report(GT_T->rip - GT_T->base);
	ig_apic_write(0xb0, 0);
	/* STI; HLT wakes; the handler returns behind the HLT. */
	__asm__ volatile(POKE WHERE("8f") "sti; hlt\n 8: cli" : : : "rax", "memory");
	gt_report(GT_T->count);
	gt_report(GT_T->rip - GT_T->base);
	ig_apic_write(0xb0, 0);
	/* An intercepted instruction ends STI's shadow. */
	__asm__ volatile("mov $0x40000000, %%eax\n" POKE "sti; cpuid; 8: nop; cli;" WHERE("8b")
			 : : : "rax", "rbx", "rcx", "rdx", "memory");
	gt_report(GT_T->count);
	gt_report(GT_T->rip - GT_T->base);
	ig_apic_write(0xb0, 0);
	ut_done(0);
}

static void test_mov_ss(void)
{
	gt_create(&g, 1, true);
	CHECK_EQ(run_poking(guest_mov_ss, POKE_MSI), 3);
	gt_expect(&g, 1, 0, 2, 0, 3, 0);
	gt_destroy(&g);
}

/* The shadow is visible to user space, and can be set by it. */
UT_GUEST static void guest_shadow_state(void *args)
{
	ig_apic_write(0xf0, 0x1ff);
	GT_T->count = 0;
	__asm__ volatile(WHERE("8f") "nop; nop\n 8: nop; nop; nop; cli" : : : "rax", "memory");
	gt_report(GT_T->count);
	gt_report(GT_T->rip - GT_T->base);
	ut_done(0);
}

static void test_shadow_state(void)
{
	struct kvm_vcpu_events events;
	struct kvm_regs regs;
	struct kvm_run *run;
	uint64_t base;

	gt_create(&g, 1, true);
	run = g.vm.vcpu[0].run;
	gt_start(&g, 0, guest_shadow_state);
	/* Step to the first NOP. */
	do {
		struct kvm_guest_debug dbg = {
			.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP,
		};

		CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_SET_GUEST_DEBUG, &dbg), 0);
		if (gt_run(&g, 0) != UT_EXIT || run->exit_reason != KVM_EXIT_DEBUG)
			break;
		NEED(ioctl(g.vm.vcpu[0].fd, KVM_GET_REGS, &regs) == 0);
	} while (g.vm.low[regs.rip] != 0x90);
	CHECK_EQ(g.vm.low[regs.rip], 0x90);
	CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_SET_GUEST_DEBUG, &(struct kvm_guest_debug){ 0 }), 0);
	base = regs.rip + 2;
	CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_GET_VCPU_EVENTS, &events), 0);
	CHECK_EQ(events.interrupt.shadow, 0);
	CHECK(events.flags & KVM_VCPUEVENT_VALID_SHADOW);
	regs.rflags |= 0x200;
	CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_SET_REGS, &regs), 0);
	events.interrupt.shadow = KVM_X86_SHADOW_INT_STI;
	events.flags = KVM_VCPUEVENT_VALID_SHADOW;
	CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_SET_VCPU_EVENTS, &events), 0);
	CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_GET_VCPU_EVENTS, &events), 0);
	CHECK(events.interrupt.shadow & KVM_X86_SHADOW_INT_STI);
	poke(POKE_MSI);
	CHECK_EQ(gt_run(&g, 0), UT_DONE);
	/* One instruction was in the shadow. */
	gt_expect(&g, 1, (uint32_t)(regs.rip + 1 - base));
	gt_destroy(&g);
}

/* ---- NMIs ---------------------------------------------------------------------------------- */

UT_GUEST static void guest_nmi(void *args)
{
	GT_T->count = 0;
	__asm__ volatile(POKE WHERE("8f") "8: nop" : : : "rax", "memory");
	gt_report(GT_T->count);
	gt_report(GT_T->vector);
	/* With interrupts off, too: they do not matter. */
	__asm__ volatile("cli\n" POKE "nop" : : : "memory");
	gt_report(GT_T->count);
	ut_done(0);
}

static void test_nmi(void)
{
	gt_create(&g, 1, true);
	CHECK_EQ(run_poking(guest_nmi, POKE_NMI), 2);
	gt_expect(&g, 1, 2, 2);
	gt_destroy(&g);
}

/*
 * In the handler of an NMI no other is taken; one waits for IRET. The handler here is assembled by
 * the test: it counts its nesting, pokes once, reports, and returns.
 */
static const uint8_t nmi_handler[] = {
	0x50,						/* push %rax */
	0xff, 0x04, 0x25, 0x00, 0x00, 0x04, 0x00,	/* incl 0x40000: depth */
	0xff, 0x04, 0x25, 0x04, 0x00, 0x04, 0x00,	/* incl 0x40004: count */
	0x8b, 0x04, 0x25, 0x00, 0x00, 0x04, 0x00,	/* mov 0x40000, %eax */
	0xe7, GT_REPORT_PORT,				/* outl %eax, report */
	0x83, 0x3c, 0x25, 0x04, 0x00, 0x04, 0x00, 0x01,	/* cmpl $1, 0x40004 */
	0x75, 0x04,					/* jne +4 */
	0xe6, 0xf8,					/* the first one pokes, twice */
	0xe6, 0xf8,
	0x90, 0x90, 0x90,
	0x8b, 0x04, 0x25, 0x04, 0x00, 0x04, 0x00,	/* mov 0x40004, %eax */
	0xe7, GT_REPORT_PORT,
	0xff, 0x0c, 0x25, 0x00, 0x00, 0x04, 0x00,	/* decl 0x40000 */
	0x58, 0x48, 0xcf,				/* pop %rax; iretq */
};

UT_GUEST static void guest_nmi_blocked(void *args)
{
	__asm__ volatile(POKE "nop; nop; nop" : : : "memory");
	gt_report(*(volatile uint32_t *)(GT_DATA + 4));
	ut_done(0);
}

static void test_nmi_blocked(void)
{
	uint64_t *gate;
	uint64_t addr = GT_DATA + 0x1000;

	gt_create(&g, 1, true);
	memset(g.vm.low + GT_DATA, 0, 8);
	memcpy(g.vm.low + addr, nmi_handler, sizeof(nmi_handler));
	gate = (void *)(g.vm.low + GT_IDT + 2 * 16);
	gate[0] = (addr & 0xffff) | 0x08 << 16 | 0x8eULL << 40 | (addr >> 16) << 48;
	gate[1] = 0;
	/* Three pokes; the second one in the handler is merged with the first. */
	CHECK_EQ(run_poking(guest_nmi_blocked, POKE_NMI), 3);
	gt_expect(&g, 1, 1, 1, 2, 2);
	gt_destroy(&g);
}

/* NMI state is visible to user space: pending, in service, masked. */
static void test_nmi_state(void)
{
	struct kvm_vcpu_events events;
	uint64_t *gate;
	uint64_t addr = GT_DATA + 0x1000;
	struct kvm_run *run;

	gt_create(&g, 1, true);
	run = g.vm.vcpu[0].run;
	memset(g.vm.low + GT_DATA, 0, 8);
	memcpy(g.vm.low + addr, nmi_handler, sizeof(nmi_handler));
	gate = (void *)(g.vm.low + GT_IDT + 2 * 16);
	gate[0] = (addr & 0xffff) | 0x08 << 16 | 0x8eULL << 40 | (addr >> 16) << 48;
	gt_start(&g, 0, guest_nmi_blocked);
	CHECK_EQ(gt_run(&g, 0), UT_EXIT);
	CHECK_EQ(run->io.port, 0xf8);
	CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_GET_VCPU_EVENTS, &events), 0);
	CHECK_EQ(events.nmi.masked, 0);
	poke(POKE_NMI);
	CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_GET_VCPU_EVENTS, &events), 0);
	CHECK_EQ(events.nmi.pending, 1);
	/* In the handler. */
	CHECK_EQ(gt_run(&g, 0), UT_EXIT);
	CHECK_EQ(run->io.port, 0xf8);
	CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_GET_VCPU_EVENTS, &events), 0);
	CHECK_EQ(events.nmi.masked, 1);
	CHECK_EQ(events.nmi.pending, 0);
	CHECK_EQ(events.nmi.injected, 0);
	/* User space ends the blocking: the next one nests. */
	events.nmi.masked = 0;
	events.flags = 0;
	CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_SET_VCPU_EVENTS, &events), 0);
	poke(POKE_NMI);
	CHECK_EQ(gt_run(&g, 0), UT_EXIT);
	gt_expect(&g, 2, 2);
	CHECK_EQ(run->io.port, 0xf8);
	CHECK_EQ(gt_run(&g, 0), UT_DONE);
	gt_expect(&g, 2, 2);
	gt_destroy(&g);
}

/* An NMI wakes a halted CPU whose interrupts are off; an interrupt does not. */
UT_GUEST static void guest_halt(void *args)
{
	ig_apic_write(0xf0, 0x1ff);
	GT_T->count = 0;
	__asm__ volatile("cli; hlt" : : : "memory");
	gt_report(GT_T->count);
	gt_report(GT_T->vector);
	ut_done(0);
}

static void *delayed_pokes(void *arg)
{
	struct kvm_msi nmi = { .address_lo = 0xfee00000, .data = 0x400 };

	usleep(50000);
	poke(POKE_MSI);
	usleep(50000);
	/* KVM_NMI would wait for KVM_RUN to end. */
	CHECK(ioctl(g.vm.fd, KVM_SIGNAL_MSI, &nmi) >= 0);
	return NULL;
}

static void test_halt(void)
{
	pthread_t t;

	gt_create(&g, 1, true);
	gt_start(&g, 0, guest_halt);
	NEED(pthread_create(&t, NULL, delayed_pokes, NULL) == 0);
	CHECK_EQ(gt_run(&g, 0), UT_DONE);
	pthread_join(t, NULL);
	gt_expect(&g, 1, 2);
	gt_destroy(&g);
}

/* ---- injected by user space ---------------------------------------------------------------- */

UT_GUEST static void guest_injected(void *args)
{
	GT_T->count = 0;
	GT_T->vector = 0x100;
	__asm__ volatile(POKE "nop" : : : "memory");
	gt_report(GT_T->count);
	gt_report(GT_T->vector);
	gt_report(GT_T->error);
	ut_done(0);
}

static void test_exception(void)
{
	struct kvm_vcpu_events events;

	gt_create(&g, 1, false);
	gt_start(&g, 0, guest_injected);
	CHECK_EQ(gt_run(&g, 0), UT_EXIT);
	CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_GET_VCPU_EVENTS, &events), 0);
	events.exception.injected = 1;
	events.exception.nr = 13;
	events.exception.has_error_code = 1;
	events.exception.error_code = 0x1230;
	events.flags = 0;
	CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_SET_VCPU_EVENTS, &events), 0);
	CHECK_EQ(gt_run(&g, 0), UT_DONE);
	gt_expect(&g, 1, 13, 0x1230);
	gt_destroy(&g);
}

/* KVM_INTERRUPT, with an interrupt controller of user space's own. */
UT_GUEST static void guest_user_irq(void *args)
{
	GT_T->count = 0;
	__asm__ volatile("cli\n" POKE "nop; nop" : : : "memory");
	gt_report(GT_T->count);
	__asm__ volatile("sti; nop; cli" : : : "memory");
	gt_report(GT_T->count);
	gt_report(GT_T->vector);
	__asm__ volatile("sti; hlt; cli" : : : "memory");
	gt_report(GT_T->count);
	gt_report(GT_T->vector);
	ut_done(0);
}

static void test_user_irq(void)
{
	struct kvm_interrupt irq = { .irq = 0x61 };
	struct kvm_run *run;
	uint32_t reports[8];
	unsigned int n;

	gt_create(&g, 1, false);
	run = g.vm.vcpu[0].run;
	gt_start(&g, 0, guest_user_irq);
	CHECK_EQ(gt_run(&g, 0), UT_EXIT);
	CHECK_EQ(run->exit_reason, KVM_EXIT_IO);
	CHECK_EQ(run->if_flag, 0);
	CHECK_EQ(run->ready_for_interrupt_injection, 0);
	run->request_interrupt_window = 1;
	CHECK_EQ(gt_run(&g, 0), UT_EXIT);
	CHECK_EQ(run->exit_reason, KVM_EXIT_IRQ_WINDOW_OPEN);
	CHECK_EQ(run->if_flag, 1);
	CHECK_EQ(run->ready_for_interrupt_injection, 1);
	n = g.nr_reports;
	memcpy(reports, g.report, n * sizeof(reports[0]));
	run->request_interrupt_window = 0;
	CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_INTERRUPT, &irq), 0);
	CHECK_EQ(gt_run(&g, 0), UT_EXIT);
	CHECK_EQ(run->exit_reason, KVM_EXIT_HLT);
	CHECK_EQ(n, 1);
	CHECK_EQ(reports[0], 0);
	gt_expect(&g, 1, 0x61);
	CHECK_EQ(run->ready_for_interrupt_injection, 1);
	irq.irq = 0x62;
	CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_INTERRUPT, &irq), 0);
	CHECK_EQ(gt_run(&g, 0), UT_DONE);
	gt_expect(&g, 2, 0x62);
	gt_destroy(&g);
}

static const struct ut_test tests[] = {
	{ "event-sti-shadow", test_sti },
	{ "event-mov-ss-shadow", test_mov_ss },
	{ "event-shadow-state", test_shadow_state },
	{ "event-nmi", test_nmi },
	{ "event-nmi-blocked", test_nmi_blocked },
	{ "event-nmi-state", test_nmi_state },
	{ "event-halt", test_halt },
	{ "event-exception-injected", test_exception },
	{ "event-user-interrupt", test_user_irq },
};

int main(int argc, char **argv)
{
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
