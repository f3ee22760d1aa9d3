// SPDX-License-Identifier: GPL-2.0-or-later
/* Interrupts that reach a guest: PIC, IOAPIC, MSI, messages between vCPUs, timers, HLT. */
#include <signal.h>
#include <time.h>

#include "irq_guest.h"

#define LEVEL	0x8000ULL
#define LOGICAL	0x800ULL

static struct ut_vm vm;

static void sleep_ms(unsigned int ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

/* ---- from outside -------------------------------------------------------------------------- */

static void test_pic(void)
{
	struct ut_vcpu *v;

	ig_vm_create(&vm, 1);
	v = &vm.vcpu[0];
	ig_set_handlers(&vm, IG_EOI_PIC);
	ig_pic_open(&vm, 0);
	CHECK_EQ(ig_irq_line(&vm, 3, 1), 0);
	CHECK_EQ(ig_irq_line(&vm, 3, 0), 0);
	CHECK_EQ(ig_irq_line(&vm, 12, 1), 0);
	CHECK_EQ(ig_irq_line(&vm, 12, 0), 0);
	ig_start(v, ig_guest_wait_pic);
	ig_wait_for(v, 0x23, 1);
	CHECK_EQ(ig_finish(v), 1);
	CHECK_EQ(ig_counts(&vm)[0x23], 1);
	CHECK_EQ(ig_counts(&vm)[0x2c], 1);	/* more urgent: it came first */
	ut_vm_destroy(&vm);
}

static void test_ioapic_edge(void)
{
	struct ut_vcpu *v;

	ig_vm_create(&vm, 1);
	v = &vm.vcpu[0];
	ig_start(v, ig_guest_wait);
	ig_wait_for(v, 0x50, 0);
	CHECK_EQ(ig_finish(v), 1);		/* enables the APIC */
	ig_ioapic_pin(&vm, 20, 0x50);
	CHECK_EQ(ig_irq_line(&vm, 20, 1), 0);
	CHECK_EQ(ig_irq_line(&vm, 20, 1), 0);	/* no second edge */
	ig_start(v, ig_guest_wait);
	ig_wait_for(v, 0x50, 1);
	CHECK_EQ(ig_finish(v), 1);
	CHECK_EQ(ig_irq_line(&vm, 20, 0), 0);
	CHECK_EQ(ig_irq_line(&vm, 20, 1), 0);
	ig_start(v, ig_guest_wait);
	ig_wait_for(v, 0x50, 2);
	CHECK_EQ(ig_finish(v), 1);
	CHECK_EQ(ig_counts(&vm)[0x50], 2);
	ut_vm_destroy(&vm);
}

static void test_ioapic_level(void)
{
	struct ut_vcpu *v;
	struct ig_thread t;
	uint32_t seen;

	ig_vm_create(&vm, 1);
	v = &vm.vcpu[0];
	ig_ioapic_pin(&vm, 9, 0x60 | LEVEL | 0x10000);
	ig_start(v, ig_guest_wait);
	ig_wait_for(v, 0x60, 5);
	/* The line stays up: each EOI brings it back. */
	ig_thread_start(&t, v);
	sleep_ms(50);
	ig_ioapic_pin(&vm, 9, 0x60 | LEVEL);
	CHECK_EQ(ig_irq_line(&vm, 9, 1), 0);
	CHECK_EQ(ig_thread_join(&t), 1);
	CHECK_EQ(ig_irq_line(&vm, 9, 0), 0);
	seen = ig_counts(&vm)[0x60];
	CHECK(seen >= 5);
	/* At most one was on its way. */
	CHECK_EQ(ig_irq_line(&vm, 20, 0), 0);
	ig_ioapic_pin(&vm, 20, 0x50);
	CHECK_EQ(ig_irq_line(&vm, 20, 1), 0);
	ig_start(v, ig_guest_wait);
	ig_wait_for(v, 0x50, 1);
	CHECK_EQ(ig_finish(v), 1);
	CHECK(ig_counts(&vm)[0x60] <= seen + 1);
	ut_vm_destroy(&vm);
}

static void test_msi(void)
{
	struct kvm_msi msi = { .address_lo = IG_APIC | 1 << 12, .data = 0x71 };
	struct ig_thread t;
	struct ut_vcpu *v;
	int r, tries;

	ig_vm_create(&vm, 2);
	v = &vm.vcpu[1];
	ig_start(v, ig_guest_wait);
	ig_wait_for(v, 0x71, 1);
	ig_thread_start(&t, v);
	for (tries = 0, r = 0; tries < 200 && r == 0; tries++) {
		sleep_ms(10);
		r = ioctl(vm.fd, KVM_SIGNAL_MSI, &msi);
	}
	CHECK_EQ(r, 1);
	CHECK_EQ(ig_thread_join(&t), 1);
	CHECK_EQ(ig_counts(&vm)[0x71], 1);
	ut_vm_destroy(&vm);
}

static void test_routed_msi(void)
{
	struct ut_vcpu *v;

	ig_vm_create(&vm, 1);
	v = &vm.vcpu[0];
	ig_start(v, ig_guest_wait);
	ig_wait_for(v, 0x50, 0);
	CHECK_EQ(ig_finish(v), 1);
	CHECK_EQ(ig_route_msi(&vm, 100, IG_APIC, 0x72), 0);
	CHECK_EQ(ig_irq_line(&vm, 100, 1), 0);
	ig_start(v, ig_guest_wait);
	ig_wait_for(v, 0x72, 1);
	CHECK_EQ(ig_finish(v), 1);
	CHECK_EQ(ig_counts(&vm)[0x72], 1);
	ut_vm_destroy(&vm);
}

/* Interrupts of descending priority that are all pending: taken in order of priority. */
UT_GUEST static void guest_open_once(void *args)
{
	ig_apic_write(0xf0, 0x1ff);
	ig_apic_write(0x300, 0x40000 | 0x41);
	ig_apic_write(0x300, 0x40000 | 0x91);
	ig_apic_write(0x80, 0x50);		/* TPR lets 0x91 in only */
	__asm__ volatile("sti; nop; nop; cli" ::: "memory");
	ut_done(ig_count(0x41) << 8 | ig_count(0x91));
	__asm__ volatile("mov %0, %%cr8" : : "r"(0UL) : "memory");
	__asm__ volatile("sti; nop; nop; cli" ::: "memory");
	ut_done(ig_count(0x41) << 8 | ig_count(0x91));
}

static void test_priorities(void)
{
	ig_vm_create(&vm, 1);
	ig_start(&vm.vcpu[0], guest_open_once);
	CHECK_EQ(ig_finish(&vm.vcpu[0]), 0x001);
	CHECK_EQ(ig_finish(&vm.vcpu[0]), 0x101);
	ut_vm_destroy(&vm);
}

/* ---- between vCPUs ------------------------------------------------------------------------- */

struct pingpong {
	uint32_t rounds, other, vector;
	uint32_t first;
};

UT_GUEST static void guest_pingpong(void *args)
{
	volatile struct pingpong *p = args;
	uint32_t i;

	ig_apic_write(0xf0, 0x1ff);
	ut_done(1);
	for (i = 1; i <= p->rounds; i++) {
		if (p->first) {
			ig_apic_write(0x310, p->other << 24);
			ig_apic_write(0x300, 0x4000 | p->vector);
			ig_halt_until(p->vector - 1, i);
		} else {
			ig_halt_until(p->vector + 1, i);
			ig_apic_write(0x310, p->other << 24);
			ig_apic_write(0x300, 0x4000 | p->vector);
		}
	}
	ut_done(2);
}

static void test_pingpong(void)
{
	struct ig_thread t[2];
	unsigned int i;

	ig_vm_create(&vm, 2);
	for (i = 0; i < 2; i++) {
		struct pingpong *p = ut_args(&vm.vcpu[i]);

		ig_start(&vm.vcpu[i], guest_pingpong);
		*p = (struct pingpong){
			.rounds = 300, .other = !i, .vector = 0x50 + !i, .first = !i};
		CHECK_EQ(ig_finish(&vm.vcpu[i]), 1);
	}
	for (i = 0; i < 2; i++)
		ig_thread_start(&t[i], &vm.vcpu[i]);
	for (i = 0; i < 2; i++)
		CHECK_EQ(ig_thread_join(&t[i]), 2);
	CHECK_EQ(ig_counts(&vm)[0x50], 300);
	CHECK_EQ(ig_counts(&vm)[0x51], 300);
	ut_vm_destroy(&vm);
}

UT_GUEST static void guest_broadcast(void *args)
{
	volatile uint32_t *icr = args;

	ig_apic_write(0xf0, 0x1ff);
	ig_apic_write(0x310, icr[1]);
	ig_apic_write(0x300, icr[0]);
	ut_done(3);
}

/* One message, received by some of four vCPUs: who gets it? */
static unsigned int receivers(uint32_t icr, uint32_t icr2)
{
	unsigned int i, got = 0;
	struct kvm_lapic_state state;
	uint32_t value;

	for (i = 0; i < 4; i++) {
		NEED(ioctl(vm.vcpu[i].fd, KVM_GET_LAPIC, &state) == 0);
		value = 0x1ff;
		memcpy(state.regs + 0xf0, &value, 4);
		value = 1U << (24 + i);
		memcpy(state.regs + 0xd0, &value, 4);
		memset(state.regs + 0x220, 0, 4);
		NEED(ioctl(vm.vcpu[i].fd, KVM_SET_LAPIC, &state) == 0);
	}
	ig_start(&vm.vcpu[2], guest_broadcast);
	((uint32_t *)ut_args(&vm.vcpu[2]))[0] = icr;
	((uint32_t *)ut_args(&vm.vcpu[2]))[1] = icr2;
	CHECK_EQ(ig_finish(&vm.vcpu[2]), 3);
	for (i = 0; i < 4; i++) {
		NEED(ioctl(vm.vcpu[i].fd, KVM_GET_LAPIC, &state) == 0);
		memcpy(&value, state.regs + 0x220, 4);
		got |= (value >> 8 & 1) << i;
	}
	return got;
}

static void test_destinations(void)
{
	ig_vm_create(&vm, 4);
	CHECK_EQ(receivers(0x4048, 3 << 24), 1 << 3);
	CHECK_EQ(receivers(0x4048, 9 << 24), 0);
	CHECK_EQ(receivers(0x4048, 0xff000000), 0xf);
	CHECK_EQ(receivers(0x44048, 0), 1 << 2);		/* self */
	CHECK_EQ(receivers(0x84048, 0), 0xf);			/* all */
	CHECK_EQ(receivers(0xc4048, 0), 0xb);			/* all others */
	CHECK_EQ(receivers(0x4848, 5 << 24), 5);		/* logical */
	CHECK_EQ(__builtin_popcount(receivers(0x4948, 0xb << 24)), 1);	/* lowest priority */
	ut_vm_destroy(&vm);
}

UT_GUEST static void guest_x2apic(void *args)
{
	uint32_t id;

	ig_wrmsr(IG_APIC_BASE_MSR, ig_rdmsr(IG_APIC_BASE_MSR) | 0x400);
	ig_wrmsr(0x80f, 0x1ff);
	ig_wrmsr(0x83f, 0x61);
	ig_halt_until(0x61, 1);
	id = ig_rdmsr(0x802);
	ig_wrmsr(0x830, (uint64_t)id << 32 | 0x4062);
	ig_halt_until(0x62, 1);
	ut_done(id << 16 | ig_rdmsr(0x80d));
}

static void test_x2apic(void)
{
	ig_vm_create(&vm, 2);
	ig_set_handlers(&vm, IG_EOI_X2APIC);
	ig_start(&vm.vcpu[1], guest_x2apic);
	CHECK_EQ(ig_finish(&vm.vcpu[1]), 1 << 16 | 2);
	ut_vm_destroy(&vm);
}

UT_GUEST static void guest_blocked(void *args)
{
	bool x2apic = *(volatile uint32_t *)args;

	__asm__ volatile("cli");
	ig_apic_write(0xf0, 0x1ff);
	if (x2apic)
		ig_wrmsr(IG_APIC_BASE_MSR, ig_rdmsr(IG_APIC_BASE_MSR) | 0x400);
	if (x2apic)
		ig_wrmsr(0x83f, 0x61);
	else
		ig_apic_write(0x300, 0x44061);
	ut_done(1);
	__asm__ volatile("sti; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop" ::: "memory");
	ut_done(2);
}

/* A debugger's steps with interrupts kept out, also from a CPU that delivers them by itself. */
static void test_blocked(void)
{
	struct kvm_guest_debug debug = { 0 };
	unsigned int x2apic, i;
	struct ut_vcpu *vcpu;

	for (x2apic = 0; x2apic < 2; x2apic++) {
		ig_vm_create(&vm, 1);
		vcpu = &vm.vcpu[0];
		ig_set_handlers(&vm, x2apic ? IG_EOI_X2APIC : IG_EOI_APIC);
		*(uint32_t *)ut_args(vcpu) = x2apic;
		ig_start(vcpu, guest_blocked);
		CHECK_EQ(ig_finish(vcpu), 1);
		debug.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP |
				KVM_GUESTDBG_BLOCKIRQ;
		NEED(ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug) == 0);
		for (i = 0; i < 6; i++) {
			CHECK_EQ(ut_run(vcpu, NULL), UT_EXIT);
			CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_DEBUG);
		}
		CHECK_EQ(ig_counts(&vm)[0x61], 0);
		debug.control = 0;
		NEED(ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug) == 0);
		CHECK_EQ(ig_finish(vcpu), 2);
		CHECK_EQ(ig_counts(&vm)[0x61], 1);
		ut_vm_destroy(&vm);
	}
}

/* INIT and two SIPIs, as every PC operating system sends them. */
UT_GUEST static void guest_start_ap(void *args)
{
	volatile uint32_t *flag = (volatile uint32_t *)0x8f00;
	uint64_t spins;

	ig_apic_write(0xf0, 0x1ff);
	ig_apic_write(0x310, 1 << 24);
	ig_apic_write(0x300, 0xc500);
	ig_apic_write(0x300, 0x8500);
	ig_apic_write(0x300, 0x4608);
	ig_apic_write(0x300, 0x4608);
	for (spins = 0; spins < 2000000000 && !*flag; spins++)
		__asm__ volatile("pause");
	ut_done(*flag);
}

static void test_start_ap(void)
{
	/* 0x8000: mov %cs, %ax; mov %ax, %ds; movw $0x1234, (0xf00); hlt; jmp . */
	static const uint8_t code[] = {
		0x8c, 0xc8, 0x8e, 0xd8, 0xc7, 0x06, 0x00, 0x0f, 0x34, 0x12, 0xfa, 0xf4, 0xeb, 0xfd,
	};
	struct kvm_mp_state mp;
	struct ig_thread ap;
	struct kvm_sregs sregs;

	ig_vm_create(&vm, 2);
	CHECK_EQ(ioctl(vm.vcpu[1].fd, KVM_GET_MP_STATE, &mp), 0);
	CHECK_EQ(mp.mp_state, KVM_MP_STATE_UNINITIALIZED);
	memcpy(vm.low + 0x8000, code, sizeof(code));
	ig_start(&vm.vcpu[0], guest_start_ap);
	ig_thread_start(&ap, &vm.vcpu[1]);
	CHECK_EQ(ig_finish(&vm.vcpu[0]), 0x1234);
	/* It halts with interrupts off. End its thread. */
	vm.vcpu[1].stop = true;
	vm.vcpu[1].run->immediate_exit = 1;
	while (pthread_kill(ap.thread, SIGUSR1) == 0 && ap.thread) {
		struct timespec ts;

		clock_gettime(CLOCK_REALTIME, &ts);
		ts.tv_nsec += 20000000;
		if (ts.tv_nsec >= 1000000000) {
			ts.tv_nsec -= 1000000000;
			ts.tv_sec++;
		}
		if (pthread_timedjoin_np(ap.thread, NULL, &ts) == 0)
			break;
	}
	CHECK_EQ(ioctl(vm.vcpu[1].fd, KVM_GET_MP_STATE, &mp), 0);
	CHECK_EQ(mp.mp_state, KVM_MP_STATE_HALTED);
	CHECK_EQ(ioctl(vm.vcpu[1].fd, KVM_GET_SREGS, &sregs), 0);
	CHECK_EQ(sregs.cs.selector, 0x800);
	CHECK_EQ(sregs.cs.base, 0x8000);
	ut_vm_destroy(&vm);
}

/* ---- timers -------------------------------------------------------------------------------- */

UT_GUEST static void guest_timer(void *args)
{
	uint32_t before, after;

	ig_apic_write(0xf0, 0x1ff);
	ig_apic_write(0x3e0, 0xb);
	ig_apic_write(0x320, 0x40);			/* one shot */
	ig_apic_write(0x380, 300000000);		/* long: the host may be busy */
	before = ig_apic_read(0x390);
	after = ig_apic_read(0x390);
	ig_halt_until(0x40, 1);
	if (!before || after > before || before > 300000000 || ig_apic_read(0x390))
		ut_done(0x100);
	ig_apic_write(0x320, 0x20041);			/* periodic */
	ig_apic_write(0x380, 500000);
	ig_halt_until(0x41, 5);
	ig_apic_write(0x380, 0);
	ig_apic_write(0x320, 0x10042);			/* masked */
	ig_apic_write(0x380, 1000);
	while (ig_apic_read(0x390))
		;
	__asm__ volatile("sti; nop; nop; cli" ::: "memory");
	ut_done(ig_count(0x42) << 4 | ig_count(0x40));
}

static void test_timer(void)
{
	ig_vm_create(&vm, 1);
	ig_start(&vm.vcpu[0], guest_timer);
	CHECK_EQ(ig_finish(&vm.vcpu[0]), 1);
	CHECK(ig_counts(&vm)[0x41] >= 5);
	ut_vm_destroy(&vm);
}

static void add_deadline_cpuid(struct ut_vcpu *v)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[200];
	} cpuid = { .head.nent = 200 };
	unsigned int i;

	NEED(ioctl(vm.dev, KVM_GET_SUPPORTED_CPUID, &cpuid) == 0);
	for (i = 0; i < cpuid.head.nent; i++) {
		if (cpuid.entry[i].function == 1)
			cpuid.entry[i].ecx |= 1 << 24;
	}
	NEED(ioctl(v->fd, KVM_SET_CPUID2, &cpuid) == 0);
}

UT_GUEST static void guest_deadline(void *args)
{
	uint32_t low, high;
	uint64_t until;

	ig_apic_write(0xf0, 0x1ff);
	ig_apic_write(0x320, 0x40040);
	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	until = (low | (uint64_t)high << 32) + 2000000;
	ig_wrmsr(0x6e0, until);
	/* On a busy host the deadline may be over by now: then it reads as 0. */
	if (ig_rdmsr(0x6e0) != until) {
		__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
		if ((low | (uint64_t)high << 32) < until)
			ut_done(0x100);
	}
	ig_halt_until(0x40, 1);
	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	if ((low | (uint64_t)high << 32) < until || ig_rdmsr(0x6e0))
		ut_done(0x200);
	ig_wrmsr(0x6e0, 1);				/* long past */
	ig_halt_until(0x40, 2);
	ut_done(ig_count(0x40));
}

static void test_deadline(void)
{
	ig_vm_create(&vm, 1);
	if (ioctl(vm.fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) <= 0) {
		ut_vm_destroy(&vm);
		ut_skip("no TSC-deadline timer");
	}
	add_deadline_cpuid(&vm.vcpu[0]);
	ig_start(&vm.vcpu[0], guest_deadline);
	CHECK_EQ(ig_finish(&vm.vcpu[0]), 2);
	ut_vm_destroy(&vm);
}

UT_GUEST static void guest_pit(void *args)
{
	__asm__ volatile("outb %0, $0x43" : : "a"((uint8_t)0x34));
	__asm__ volatile("outb %0, $0x40" : : "a"((uint8_t)0x9c));	/* 11932: 100 Hz */
	__asm__ volatile("outb %0, $0x40" : : "a"((uint8_t)0x2e));
	ig_halt_until(0x20, 5);
	ut_done(5);
}

static void test_pit(void)
{
	struct kvm_pit_config config = { .flags = KVM_PIT_SPEAKER_DUMMY };
	struct timespec a, b;
	int64_t ms;

	ig_vm_create(&vm, 1);
	ig_set_handlers(&vm, IG_EOI_PIC);
	CHECK_EQ(ioctl(vm.fd, KVM_CREATE_PIT2, &config), 0);
	ig_pic_open(&vm, 0xfffe);
	ig_start(&vm.vcpu[0], guest_pit);
	clock_gettime(CLOCK_MONOTONIC, &a);
	CHECK_EQ(ig_finish(&vm.vcpu[0]), 5);
	clock_gettime(CLOCK_MONOTONIC, &b);
	ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
	CHECK(ms >= 45 && ms < 2000);
	ut_vm_destroy(&vm);
}

/* ---- chips in user space ------------------------------------------------------------------- */

static void test_split(void)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	struct kvm_irqchip chip = { 0 };
	struct ut_vcpu *v;
	uint32_t value;

	ut_vm_create(&vm, 0);
	if (ioctl(vm.fd, KVM_CHECK_EXTENSION, KVM_CAP_SPLIT_IRQCHIP) <= 0) {
		ut_vm_destroy(&vm);
		ut_skip("no split irqchip");
	}
	cap.args[0] = 1 << 20;
	CHECK_ERRNO(ioctl(vm.fd, KVM_ENABLE_CAP, &cap), EINVAL);
	cap.args[0] = 24;
	CHECK_EQ(ioctl(vm.fd, KVM_ENABLE_CAP, &cap), 0);
	CHECK_ERRNO(ioctl(vm.fd, KVM_ENABLE_CAP, &cap), EEXIST);
	CHECK_ERRNO(ioctl(vm.fd, KVM_CREATE_IRQCHIP, 0), EEXIST);
	CHECK_ERRNO(ioctl(vm.fd, KVM_GET_IRQCHIP, &chip), ENXIO);
	v = ut_vcpu_create(&vm);
	ig_set_handlers(&vm, IG_EOI_APIC);
	ig_start(v, ig_guest_wait);
	ig_wait_for(v, 0x50, 0);
	CHECK_EQ(ig_finish(v), 1);
	/* The EOI of a level-triggered pin's vector is user space's IOAPIC's affair. */
	CHECK_EQ(ig_route_msi(&vm, 5, IG_APIC, 0xc061), 0);
	ig_start(v, ig_guest_wait);		/* a run first: the routes reach the vCPU */
	ig_wait_for(v, 0x50, 0);
	CHECK_EQ(ig_finish(v), 1);
	CHECK_EQ(ig_irq_line(&vm, 5, 1), 0);
	ig_start(v, ig_guest_wait);
	ig_wait_for(v, 0x61, 1);
	CHECK_EQ(ut_run(v, &value), UT_EXIT);
	CHECK_EQ(v->run->exit_reason, KVM_EXIT_IOAPIC_EOI);
	CHECK_EQ(v->run->eoi.vector, 0x61);
	CHECK_EQ(ig_finish(v), 1);
	CHECK_EQ(ig_counts(&vm)[0x61], 1);
	ut_vm_destroy(&vm);
}

UT_GUEST static void guest_window(void *args)
{
	ut_done(1);
	__asm__ volatile("sti; nop; nop; nop; cli" ::: "memory");
	ut_done(2);
	ig_halt_until(0x33, 1);
	ut_done(3);
}

/* No irqchip at all: KVM_INTERRUPT, and the wait until the guest can take one. */
static void test_user_irq(void)
{
	struct kvm_interrupt irq = { .irq = 256 };
	struct ut_vcpu *v;
	uint32_t value;

	ut_vm_create(&vm, 1);
	v = &vm.vcpu[0];
	ig_set_handlers(&vm, IG_EOI_PIC);
	CHECK_ERRNO(ioctl(v->fd, KVM_INTERRUPT, &irq), EINVAL);
	ig_start(v, guest_window);
	CHECK_EQ(ig_finish(v), 1);
	CHECK_EQ(v->run->if_flag, 0);
	CHECK_EQ(v->run->ready_for_interrupt_injection, 0);
	v->run->request_interrupt_window = 1;
	CHECK_EQ(ut_run(v, &value), UT_EXIT);
	CHECK_EQ(v->run->exit_reason, KVM_EXIT_IRQ_WINDOW_OPEN);
	CHECK_EQ(v->run->if_flag, 1);
	CHECK_EQ(v->run->ready_for_interrupt_injection, 1);
	v->run->request_interrupt_window = 0;
	irq.irq = 0x33;
	CHECK_EQ(ioctl(v->fd, KVM_INTERRUPT, &irq), 0);
	/* The handler's EOI goes to ports that are user space's now. */
	CHECK_EQ(ut_run(v, &value), UT_EXIT);
	CHECK_EQ(v->run->exit_reason, KVM_EXIT_IO);
	CHECK_EQ(v->run->io.port, 0xa0);
	CHECK_EQ(ut_run(v, &value), UT_EXIT);
	CHECK_EQ(ig_finish(v), 2);
	CHECK_EQ(ig_counts(&vm)[0x33], 1);
	CHECK_EQ(ig_finish(v), 3);
	ut_vm_destroy(&vm);
}

static void on_signal(int sig)
{
}

int main(int argc, char **argv)
{
	static const struct ut_test tests[] = {
		{ "irq-pic", test_pic },
		{ "irq-ioapic-edge", test_ioapic_edge },
		{ "irq-ioapic-level", test_ioapic_level },
		{ "irq-signal-msi", test_msi },
		{ "irq-routed-msi", test_routed_msi },
		{ "irq-priorities", test_priorities },
		{ "ipi-pingpong", test_pingpong },
		{ "ipi-destinations", test_destinations },
		{ "ipi-x2apic", test_x2apic },
		{ "irq-blocked", test_blocked },
		{ "ipi-start-ap", test_start_ap },
		{ "lapic-timer", test_timer },
		{ "lapic-tsc-deadline", test_deadline },
		{ "pit-irq0", test_pit },
		{ "irq-split", test_split },
		{ "irq-from-user", test_user_irq },
	};

	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = on_signal }, NULL);
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
