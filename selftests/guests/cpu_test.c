// SPDX-License-Identifier: GPL-2.0-or-later
/* Several vCPUs: starting them, IPIs, and state that must not leak from one to the other. */
#define _GNU_SOURCE
#include <sched.h>
#include <stddef.h>

#include "gt.h"

static struct gt g;
static struct ig_thread threads[UT_MAX_VCPUS];

/* ---- start-up ------------------------------------------------------------------------------ */

#define NR_CPUS		16
#define AP_CODE		0x8000
#define AP_COUNT	0x8f00

/* Count, and leave: lock incl %cs:0xf00; xor %eax, %eax; outl %eax, $0xf0. */
static const uint8_t ap_code[] = {
	0x2e, 0xf0, 0x66, 0xff, 0x06, 0x00, 0x0f, 0x66, 0x31, 0xc0, 0x66, 0xe7, UT_DONE_PORT,
};

UT_GUEST static void guest_start_all(void *args)
{
	ig_apic_write(0xf0, 0x1ff);
	ig_apic_write(0x300, 0xc4500);			/* INIT to all others */
	ig_apic_write(0x300, 0xc4600 | AP_CODE >> 12);
	ig_apic_write(0x300, 0xc4600 | AP_CODE >> 12);	/* the second one finds them running */
	while (*(volatile uint32_t *)AP_COUNT < NR_CPUS - 1)
		__asm__ volatile("pause");
	ut_done(*(volatile uint32_t *)AP_COUNT);
}

/* One by one, through x2APIC MSRs. */
UT_GUEST static void guest_start_each(void *args)
{
	uint64_t i;

	ig_wrmsr(IG_APIC_BASE_MSR, ig_rdmsr(IG_APIC_BASE_MSR) | 0x400);
	ig_wrmsr(0x80f, 0x1ff);
	for (i = 1; i < NR_CPUS; i++) {
		ig_wrmsr(0x830, i << 32 | 0x4500);
		ig_wrmsr(0x830, i << 32 | 0x4600 | AP_CODE >> 12);
		while (*(volatile uint32_t *)AP_COUNT < i)
			__asm__ volatile("pause");
	}
	ut_done(*(volatile uint32_t *)AP_COUNT);
}

static void start_all(ut_guest_fn fn)
{
	struct kvm_mp_state mp;
	unsigned int i;

	gt_create(&g, NR_CPUS, true);
	memcpy(g.vm.low + AP_CODE, ap_code, sizeof(ap_code));
	for (i = 1; i < NR_CPUS; i++) {
		CHECK_EQ(ioctl(g.vm.vcpu[i].fd, KVM_GET_MP_STATE, &mp), 0);
		CHECK_EQ(mp.mp_state, KVM_MP_STATE_UNINITIALIZED);
		ig_thread_start(&threads[i], &g.vm.vcpu[i]);
	}
	ig_start(&g.vm.vcpu[0], fn);
	CHECK_EQ(ig_finish(&g.vm.vcpu[0]), NR_CPUS - 1);
	for (i = 1; i < NR_CPUS; i++)
		CHECK_EQ(ig_thread_join(&threads[i]), 0);
	gt_destroy(&g);
}

static void test_start_all(void)
{
	start_all(guest_start_all);
}

static void test_start_each(void)
{
	start_all(guest_start_each);
}

/* ---- NMIs as IPIs -------------------------------------------------------------------------- */

UT_GUEST static void guest_send_nmi(void *args)
{
	ig_apic_write(0xf0, 0x1ff);
	while (!*(volatile uint32_t *)GT_DATA)
		__asm__ volatile("pause");
	ig_apic_write(0x310, 1 << 24);
	ig_apic_write(0x300, 0x4400);
	ut_done(1);
}

UT_GUEST static void guest_take_nmi(void *args)
{
	*(volatile uint32_t *)GT_DATA = 1;
	while (!GT_T->count)
		__asm__ volatile("cli; hlt" : : : "memory");
	ut_done(GT_T->vector << 8 | GT_T->count);
}

static void test_nmi(void)
{
	gt_create(&g, 2, true);
	gt_start(&g, 1, guest_take_nmi);
	NEED(ioctl(g.vm.vcpu[1].fd, KVM_SET_MP_STATE,
		   &(struct kvm_mp_state){ KVM_MP_STATE_RUNNABLE }) == 0);
	ig_start(&g.vm.vcpu[0], guest_send_nmi);
	ig_thread_start(&threads[1], &g.vm.vcpu[1]);
	CHECK_EQ(ig_finish(&g.vm.vcpu[0]), 1);
	CHECK_EQ(ig_thread_join(&threads[1]), 2 << 8 | 1);
	gt_destroy(&g);
}

/* ---- registers that are switched by hand --------------------------------------------------- */

#define ROUNDS 300

struct fpu_args {
	uint64_t seed, xcr0, errors, rounds;
	uint8_t pad[32];
	uint64_t want[4], got[4];		/* at 64 and 96 */
};

_Static_assert(offsetof(struct fpu_args, want) == 64 && offsetof(struct fpu_args, got) == 96,
	       "offsets in the guest's assembly");

UT_GUEST static void guest_fpu(void *args)
{
	volatile struct fpu_args *a = args;
	uint64_t i;
	uint32_t mxcsr = 0x1f80 | (uint32_t)(a->seed & 3) << 13;
	uint32_t back;
	uint32_t low;

	__asm__ volatile("mov %%cr4, %%rax; or $0x40600, %%eax; mov %%rax, %%cr4" : : : "rax");
	__asm__ volatile("xsetbv" : : "a"((uint32_t)a->xcr0), "d"(0), "c"(0));
	ig_wrmsr(0xc0000103, a->seed & 0xffff);
	for (i = 0; i < 4; i++)
		a->want[i] = a->seed * (i + 1);
	__asm__ volatile("ldmxcsr %0; fninit; fildll %1" : : "m"(mxcsr), "m"(a->want[0]));
	if (a->xcr0 & 4)
		__asm__ volatile("vmovups 64(%0), %%ymm0; vmovups %%ymm0, %%ymm15" : : "r"(a));
	else
		__asm__ volatile("movups 64(%0), %%xmm0; movups %%xmm0, %%xmm15" : : "r"(a));
	for (a->rounds = 0; a->rounds < ROUNDS; a->rounds++) {
		/* An exit to user space, one within the kernel, and time for the other. */
		__asm__ volatile("outb %%al, $0xf5" : : : "memory");
		__asm__ volatile("xor %%eax, %%eax; cpuid" : : : "rax", "rbx", "rcx", "rdx");
		for (i = 0; i < 2000; i++)
			__asm__ volatile("");
		a->got[2] = a->want[2];
		a->got[3] = a->want[3];
		if (a->xcr0 & 4)
			__asm__ volatile("vmovups %%ymm15, 96(%0)" : : "r"(a) : "memory");
		else
			__asm__ volatile("movups %%xmm15, 96(%0)" : : "r"(a) : "memory");
		for (i = 0; i < 4; i++)
			a->errors += a->got[i] != a->want[i];
		__asm__ volatile("stmxcsr %0" : "=m"(back));
		a->errors += back != mxcsr;
		__asm__ volatile("fld %%st(0); fistpll %0" : "=m"(a->got[0]));
		a->errors += a->got[0] != a->want[0];
		__asm__ volatile("xgetbv" : "=a"(low) : "c"(0) : "rdx");
		a->errors += low != a->xcr0;
		a->errors += ig_rdmsr(0xc0000103) != (a->seed & 0xffff);
	}
	ut_done(7);
}

static void pin(pthread_t thread, unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	NEED(pthread_setaffinity_np(thread, sizeof(set), &set) == 0);
}

static void *fpu_thread(void *arg)
{
	struct ig_thread *t = arg;

	pin(pthread_self(), 0);
	do {
		/* User space uses the registers as well. */
		__asm__ volatile("pxor %%xmm0, %%xmm0; pxor %%xmm15, %%xmm15" : : : "xmm0", "xmm15");
		t->result = ut_run(t->vcpu, &t->value);
	} while (t->result == UT_EXIT && t->vcpu->run->exit_reason == KVM_EXIT_IO &&
		 t->vcpu->run->io.port == 0xf5);
	return NULL;
}

static void test_fpu(void)
{
	static const uint64_t seed[] = { 0x0123456789abcdef, 0x3edcba9876543212 };
	struct fpu_args *a;
	unsigned int i;

	if (!__builtin_cpu_supports("avx"))
		ut_skip("no AVX");
	gt_create(&g, 2, false);
	for (i = 0; i < 2; i++) {
		a = ut_args(&g.vm.vcpu[i]);
		a->seed = seed[i];
		a->xcr0 = i ? 3 : 7;
		a->errors = 0;
		gt_start(&g, i, guest_fpu);
		threads[i].vcpu = &g.vm.vcpu[i];
	}
	for (i = 0; i < 2; i++)
		NEED(pthread_create(&threads[i].thread, NULL, fpu_thread, &threads[i]) == 0);
	for (i = 0; i < 2; i++) {
		a = ut_args(&g.vm.vcpu[i]);
		CHECK_EQ(ig_thread_join(&threads[i]), 7);
		CHECK_EQ(a->errors, 0);
		CHECK_EQ(a->rounds, ROUNDS);
	}
	gt_destroy(&g);
}

/* ---- time ---------------------------------------------------------------------------------- */

struct clock_args {
	uint64_t backwards, reads, stable;
};

#define CLOCK_PAGE	0x800		/* in the argument page: struct pvclock_vcpu_time_info */
#define CLOCK_LAST	GT_DATA		/* the latest time anybody read */

IG_INLINE uint64_t read_clock(volatile uint8_t *p)
{
	volatile uint32_t *version = (volatile uint32_t *)p;
	uint64_t delta;
	uint64_t now;
	uint32_t v;
	int8_t shift;

	do {
		uint32_t lo, hi;

		v = *version;
		__asm__ volatile("lfence; rdtsc; lfence" : "=a"(lo), "=d"(hi) : : "memory");
		delta = (lo | (uint64_t)hi << 32) - *(volatile uint64_t *)(p + 8);
		shift = *(volatile int8_t *)(p + 28);
		delta = shift < 0 ? delta >> -shift : delta << shift;
		now = *(volatile uint64_t *)(p + 16) +
		      (uint64_t)((unsigned __int128)delta * *(volatile uint32_t *)(p + 24) >> 32);
		__asm__ volatile("lfence" : : : "memory");
	} while ((v & 1) || v != *version);
	return now;
}

UT_GUEST static void guest_clock(void *args)
{
	volatile struct clock_args *a = args;
	volatile uint64_t *last = (volatile uint64_t *)CLOCK_LAST;
	volatile uint8_t *page = (volatile uint8_t *)args + CLOCK_PAGE;

	ig_wrmsr(0x4b564d01, (uint64_t)page | 1);
	a->stable = page[29] & 1;
	for (a->reads = 0; a->reads < 20000; a->reads++) {
		uint64_t before = *last;
		uint64_t now = read_clock(page);

		/* What another vCPU published before we looked cannot be later than now. */
		a->backwards += now < before;
		while (before < now && !__sync_bool_compare_and_swap(last, before, now))
			before = *last;
	}
	ut_done(9);
}

static void test_clock(void)
{
	struct clock_args *a;
	unsigned int i;

	gt_create(&g, 2, false);
	memset(g.vm.low + CLOCK_LAST, 0, 8);
	for (i = 0; i < 2; i++) {
		memset(ut_args(&g.vm.vcpu[i]), 0, UT_PAGE);
		gt_start(&g, i, guest_clock);
	}
	for (i = 0; i < 2; i++)
		ig_thread_start(&threads[i], &g.vm.vcpu[i]);
	for (i = 0; i < 2; i++) {
		a = ut_args(&g.vm.vcpu[i]);
		CHECK_EQ(ig_thread_join(&threads[i]), 9);
		CHECK_EQ(a->reads, 20000);
		/* Across vCPUs it is promised only where the host's TSC is stable. */
		if (a->stable)
			CHECK_EQ(a->backwards, 0);
	}
	CHECK(*(uint64_t *)(g.vm.low + CLOCK_LAST) > 0);
	gt_destroy(&g);
}

/* ---- state that hardware refuses ----------------------------------------------------------- */

UT_GUEST static void guest_nothing(void *args)
{
	ut_done(3);
}

/*
 * A state that KVM_SET_SREGS takes but the CPU does not enter with: CR3 beyond the physical address
 * width. It ends in KVM_EXIT_FAIL_ENTRY or is refused, and the vCPU can be used again.
 */
static void test_invalid(void)
{
	struct kvm_sregs good, bad;
	struct kvm_run *run;

	gt_create(&g, 1, false);
	run = g.vm.vcpu[0].run;
	gt_start(&g, 0, guest_nothing);
	NEED(ioctl(g.vm.vcpu[0].fd, KVM_GET_SREGS, &good) == 0);
	bad = good;
	bad.cr3 |= 1ULL << 62;
	if (ioctl(g.vm.vcpu[0].fd, KVM_SET_SREGS, &bad) == 0) {
		CHECK_EQ(gt_run(&g, 0), UT_EXIT);
		CHECK_EQ(run->exit_reason, KVM_EXIT_FAIL_ENTRY);
	} else {
		CHECK_EQ(errno, EINVAL);
	}
	gt_start(&g, 0, guest_nothing);
	CHECK_EQ(gt_run(&g, 0), UT_DONE);
	CHECK_EQ(g.value, 3);
	gt_destroy(&g);
}

static const struct ut_test tests[] = {
	{ "cpu-start-16", test_start_all },
	{ "cpu-start-16-x2apic", test_start_each },
	{ "cpu-nmi-ipi", test_nmi },
	{ "cpu-fpu-isolation", test_fpu },
	{ "cpu-clock-monotonic", test_clock },
	{ "cpu-invalid-state", test_invalid },
};

int main(int argc, char **argv)
{
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
