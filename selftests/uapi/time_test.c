// SPDX-License-Identifier: GPL-2.0-or-later
/* The guest's time: TSC, kvm-clock, wall clock, steal time; hypercalls. */
#include "irq_guest.h"

#include <time.h>

#define MSR_TSC		0x10
#define MSR_TSC_ADJUST	0x3b
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_WALL_CLOCK	0x4b564d00
#define MSR_SYSTEM_TIME	0x4b564d01
#define MSR_STEAL_TIME	0x4b564d03
#define HC_ENOSYS	1000
#define NS		1000000000LL

/* Called by guest functions, so compiled as they are. */
#define GUEST_INLINE static inline __attribute__((always_inline, target("general-regs-only")))

struct pv_time {
	uint32_t version, pad;
	uint64_t tsc, ns;
	uint32_t mul;
	int8_t shift;
	uint8_t flags, pad2[2];
};

struct args {
	struct pv_time time;		/* UT_ARGS + 0 */
	uint32_t wall[3], pad;		/* + 32 */
	uint64_t steal[8];		/* + 48, aligned below */
	uint64_t value[16];
	uint64_t gpa, rounds, bad;
};

struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

static uint64_t get_msr(struct ut_vcpu *vcpu, uint32_t index)
{
	struct one_msr m = { .head.nmsrs = 1, .entry.index = index };

	NEED(ioctl(vcpu->fd, KVM_GET_MSRS, &m) == 1);
	return m.entry.data;
}

static int set_msr(struct ut_vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct one_msr m = { .head.nmsrs = 1, .entry = { .index = index, .data = value } };

	return ioctl(vcpu->fd, KVM_SET_MSRS, &m);
}

GUEST_INLINE uint64_t tsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("lfence\n\trdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return lo | (uint64_t)hi << 32;
}

GUEST_INLINE void wrmsr(uint32_t index, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"(index)
			 : "memory");
}

/* As a guest reads its clock. */
GUEST_INLINE uint64_t read_clock(volatile struct pv_time *t)
{
	uint32_t version;
	uint64_t delta, ns;

	do {
		version = t->version;
		__asm__ volatile("" : : : "memory");
		delta = tsc() - t->tsc;
		delta = t->shift < 0 ? delta >> -t->shift : delta << t->shift;
		__asm__("mulq %2" : "=d"(ns), "+a"(delta) : "rm"((uint64_t)t->mul << 32));
		ns += t->ns;
		__asm__ volatile("" : : : "memory");
	} while ((version & 1) || version != t->version);
	return ns;
}

/* ---- kvm-clock ----------------------------------------------------------------------------- */

UT_GUEST static void guest_clock(void *arg)
{
	volatile struct args *a = arg;
	uint64_t i, now, last = 0;

	wrmsr(MSR_SYSTEM_TIME, a->gpa | 1);
	for (i = 0; i < a->rounds; i++) {
		now = read_clock((struct pv_time *)&a->time);
		if (now < last)
			a->bad++;
		last = now;
	}
	a->value[0] = last;
	ut_done(1);
}

static struct args *clock_args(struct ut_vcpu *vcpu, uint64_t rounds)
{
	struct args *a = ut_args(vcpu);

	memset(a, 0, sizeof(*a));
	a->gpa = UT_ARGS(vcpu->index);
	a->rounds = rounds;
	return a;
}

static int64_t vm_clock(struct ut_vm *vm, uint32_t *flags)
{
	struct kvm_clock_data c;

	NEED(ioctl(vm->fd, KVM_GET_CLOCK, &c) == 0);
	if (flags)
		*flags = c.flags;
	return (int64_t)c.clock;
}

/* The guest's view lies between two of the host's, and never goes back. */
static void test_clock(void)
{
	int64_t before, after;
	struct args *a;
	struct ut_vm vm;
	int i;

	ut_vm_create(&vm, 1);
	for (i = 0; i < 5; i++) {
		before = vm_clock(&vm, NULL);
		a = clock_args(&vm.vcpu[0], 1000);
		CHECK_EQ(ut_call(&vm.vcpu[0], guest_clock), 1);
		after = vm_clock(&vm, NULL);
		CHECK_EQ(a->bad, 0);
		CHECK(!(a->time.version & 1) && a->time.version);
		/* Where the host's clock is not the TSC, the two may differ by what it drifts. */
		CHECK((int64_t)a->value[0] >= before - 1000000);
		CHECK((int64_t)a->value[0] <= after + 1000000);
	}
	ut_vm_destroy(&vm);
}

static void test_clock_set(void)
{
	struct kvm_clock_data c = { .clock = 1000 * NS };
	struct args *a;
	struct ut_vm vm;
	int64_t now;

	ut_vm_create(&vm, 1);
	CHECK(vm_clock(&vm, NULL) < 100 * NS);
	NEED(ioctl(vm.fd, KVM_SET_CLOCK, &c) == 0);
	now = vm_clock(&vm, NULL);
	CHECK(now >= 1000 * NS && now < 1010 * NS);
	a = clock_args(&vm.vcpu[0], 10);
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_clock), 1);
	CHECK((int64_t)a->value[0] >= 1000 * NS && (int64_t)a->value[0] < 1010 * NS);
	/* Set again while the guest has its page: it must be written anew. */
	c.clock = 2000 * NS;
	NEED(ioctl(vm.fd, KVM_SET_CLOCK, &c) == 0);
	a->rounds = 10;
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_clock), 1);
	CHECK((int64_t)a->value[0] >= 2000 * NS && (int64_t)a->value[0] < 2010 * NS);
	c.flags = 1u << 31;
	CHECK_ERRNO(ioctl(vm.fd, KVM_SET_CLOCK, &c), EINVAL);
	ut_vm_destroy(&vm);
}

UT_GUEST static void guest_clock_turns(void *arg)
{
	volatile struct args *a = arg;
	/* The other's last reading is in the page of vCPU 0. */
	volatile uint64_t *shared = (volatile uint64_t *)(UT_ARGS(0) + 0x800);
	uint64_t i, now, seen;

	wrmsr(MSR_SYSTEM_TIME, a->gpa | 1);
	for (i = 0; i < a->rounds; i++) {
		seen = *shared;
		__asm__ volatile("lfence" : : : "memory");
		now = read_clock((struct pv_time *)&a->time);
		if (now < seen && seen - now > a->value[1])
			a->value[1] = seen - now;
		*shared = now;
	}
	ut_done(a->time.flags);
}

static void *run_thread(void *arg)
{
	uint32_t value = 0xdead;

	if (ut_run(arg, &value) != UT_DONE)
		return (void *)0xdeadUL;
	return (void *)(uintptr_t)value;
}

/* Two vCPUs that read in turn never see time go back, if they are told that the clock is stable. */
static void test_clock_two_vcpus(void)
{
	struct args *a[2];
	pthread_t thread[2];
	struct ut_vm vm;
	void *flags[2];
	int i;

	ut_vm_create(&vm, 2);
	for (i = 0; i < 2; i++) {
		a[i] = clock_args(&vm.vcpu[i], 100000);
		ut_start(&vm.vcpu[i], guest_clock_turns);
	}
	for (i = 0; i < 2; i++)
		NEED(pthread_create(&thread[i], NULL, run_thread, &vm.vcpu[i]) == 0);
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], &flags[i]);
	NEED(flags[0] != (void *)0xdeadUL && flags[1] != (void *)0xdeadUL);
	if ((uintptr_t)flags[0] & (uintptr_t)flags[1] & 1) {
		/*
		 * TSCs of emulated CPUs are read one after the other's write: allow the bus its
		 * time.
		 */
		CHECK(a[0]->value[1] < 100000);
		CHECK(a[1]->value[1] < 100000);
	}
	ut_vm_destroy(&vm);
}

UT_GUEST static void guest_wall(void *arg)
{
	volatile struct args *a = arg;

	wrmsr(MSR_SYSTEM_TIME, a->gpa | 1);
	wrmsr(MSR_WALL_CLOCK, a->gpa + 32);
	a->value[0] = read_clock((struct pv_time *)&a->time);
	ut_done(1);
}

/* Wall clock plus kvm-clock is the time of day. */
static void test_wall_clock(void)
{
	struct args *a;
	struct ut_vm vm;
	int64_t ns;

	ut_vm_create(&vm, 1);
	a = clock_args(&vm.vcpu[0], 0);
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_wall), 1);
	ns = a->wall[1] * NS + a->wall[2] + (int64_t)a->value[0];
	CHECK(!(a->wall[0] & 1) && a->wall[0]);
	CHECK(a->wall[2] < NS);
	CHECK(ns / NS - time(NULL) <= 1 && time(NULL) - ns / NS <= 2);
	ut_vm_destroy(&vm);
}

/* KVM_KVMCLOCK_CTRL: the guest learns once that it was stopped. */
static void test_clock_ctrl(void)
{
	struct args *a;
	struct ut_vm vm;

	ut_vm_create(&vm, 1);
	CHECK_ERRNO(ioctl(vm.vcpu[0].fd, KVM_KVMCLOCK_CTRL, 0), EINVAL);
	a = clock_args(&vm.vcpu[0], 1);
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_clock), 1);
	CHECK(!(a->time.flags & 2));
	CHECK(ioctl(vm.vcpu[0].fd, KVM_KVMCLOCK_CTRL, 0) == 0);
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_clock), 1);
	CHECK(a->time.flags & 2);
	ut_vm_destroy(&vm);
}

/* ---- the TSC ------------------------------------------------------------------------------- */

UT_GUEST static void guest_tsc(void *arg)
{
	volatile struct args *a = arg;
	uint32_t lo, hi;

	a->value[0] = tsc();
	__asm__ volatile("wrmsr" : : "a"(0), "d"(0x1000), "c"(MSR_TSC));
	a->value[1] = tsc();
	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(MSR_TSC_ADJUST));
	a->value[2] = lo | (uint64_t)hi << 32;
	__asm__ volatile("wrmsr" : : "a"(0), "d"(0), "c"(MSR_TSC_ADJUST));
	a->value[3] = tsc();
	ut_done(4);
}

static void test_tsc_guest(void)
{
	struct args *a;
	struct ut_vm vm;
	uint64_t second;

	ut_vm_create(&vm, 1);
	second = (uint64_t)ioctl(vm.vcpu[0].fd, KVM_GET_TSC_KHZ, 0) * 1000;
	CHECK(second > 1000000);
	a = ut_args(&vm.vcpu[0]);
	memset(a, 0, sizeof(*a));
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_tsc), 4);
	CHECK(a->value[0] < 100 * second);		/* began at 0 with the VM */
	CHECK(a->value[1] >= 0x1000ULL << 32 && a->value[1] - (0x1000ULL << 32) < second);
	CHECK(a->value[2] <= 0x1000ULL << 32 && a->value[2] > (0x1000ULL << 32) - 100 * second);
	CHECK(a->value[3] >= a->value[0] && a->value[3] - a->value[0] < 10 * second);
	ut_vm_destroy(&vm);
}

/* The same value written to two vCPUs one after the other makes them show the same. */
static void test_tsc_sync(void)
{
	static const uint64_t values[] = { 5000000000000ULL, 0, 77000000000000ULL };
	uint64_t a, b, second;
	struct ut_vm vm;
	unsigned int i;

	ut_vm_create(&vm, 2);
	second = (uint64_t)ioctl(vm.vcpu[0].fd, KVM_GET_TSC_KHZ, 0) * 1000;
	for (i = 0; i < ARRAY_SIZE(values); i++) {
		CHECK_EQ(set_msr(&vm.vcpu[0], MSR_TSC, values[i]), 1);
		usleep(50000);
		CHECK_EQ(set_msr(&vm.vcpu[1], MSR_TSC, values[i]), 1);
		a = get_msr(&vm.vcpu[0], MSR_TSC);
		b = get_msr(&vm.vcpu[1], MSR_TSC);
		CHECK(b >= a && b - a < second / 20);
		if (values[i])
			CHECK(a >= values[i] && a - values[i] < 10 * second);
	}
	ut_vm_destroy(&vm);
}

static void test_tsc_khz(void)
{
	struct ut_vm vm;
	int khz;

	ut_vm_create(&vm, 1);
	khz = ioctl(vm.vcpu[0].fd, KVM_GET_TSC_KHZ, 0);
	CHECK(khz > 1000);
	CHECK(ioctl(vm.vcpu[0].fd, KVM_SET_TSC_KHZ, khz) == 0);
	CHECK_EQ(ioctl(vm.vcpu[0].fd, KVM_GET_TSC_KHZ, 0), khz);
	/* Slower than the CPU needs TSC scaling. */
	if (ioctl(vm.dev, KVM_CHECK_EXTENSION, KVM_CAP_TSC_CONTROL) == 0)
		CHECK(ioctl(vm.vcpu[0].fd, KVM_SET_TSC_KHZ, khz / 2) == -1);
	else
		CHECK_ERRNO(ioctl(vm.vcpu[0].fd, KVM_SET_TSC_KHZ, 0x7fffffff), EINVAL);
	ut_vm_destroy(&vm);
}

static uint64_t host_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high));
	return low | (uint64_t)high << 32;
}

/* The TSC by ioctl and by the guest's own instruction, and kvm-clock, at another rate. */
UT_GUEST static void guest_scaled(void *arg)
{
	volatile struct args *a = arg;

	wrmsr(MSR_SYSTEM_TIME, a->gpa | 1);
	a->rounds = tsc();
	ut_done(1);
}

static void check_scaled(struct ut_vm *vm, unsigned int host_khz, unsigned int khz)
{
	volatile struct pv_time *page;
	struct ut_vcpu *cpu = &vm->vcpu[0];
	uint64_t host, guest[3], slow, fast;
	struct args *a;
	uint32_t value;

	CHECK_EQ(ioctl(cpu->fd, KVM_SET_TSC_KHZ, khz), 0);
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_TSC_KHZ, 0), (int)khz);
	CHECK_EQ(set_msr(cpu, MSR_TSC, 1000000), 1);
	guest[0] = get_msr(cpu, MSR_TSC);
	host = host_tsc();
	ut_start(cpu, guest_scaled);
	a = clock_args(cpu, 0);
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	guest[1] = a->rounds;
	usleep(20000);
	guest[2] = get_msr(cpu, MSR_TSC);
	host = host_tsc() - host;
	/* The guest's count of the time is the host's, scaled. */
	fast = (guest[2] - guest[0]) * 1000 / khz;
	slow = host * 1000 / host_khz;
	CHECK(fast >= slow && fast < slow + slow / 4);
	CHECK(guest[0] >= 1000000 && guest[1] > guest[0] && guest[2] > guest[1]);
	/* kvm-clock's rate: ns of one million of the guest's cycles. */
	page = &a->time;
	fast = page->shift < 0 ? 1000000ull >> -page->shift : 1000000ull << page->shift;
	fast = (uint64_t)((unsigned __int128)fast * page->mul >> 32);
	slow = 1000000ull * 1000000 / khz;
	CHECK(fast >= slow - slow / 1000 - 1 && fast <= slow + slow / 1000 + 1);
}

static void test_tsc_scaling(void)
{
	struct ut_vm vm;
	int khz;

	ut_vm_create(&vm, 1);
	khz = ioctl(vm.vcpu[0].fd, KVM_GET_TSC_KHZ, 0);
	if (ioctl(vm.dev, KVM_CHECK_EXTENSION, KVM_CAP_TSC_CONTROL) == 0)
		ut_skip("this CPU does not scale the TSC");
	check_scaled(&vm, khz, khz / 2);
	check_scaled(&vm, khz, khz / 10 * 13);
	check_scaled(&vm, khz, khz);
	ut_vm_destroy(&vm);
	/* The VM's rate is that of vCPUs made after. */
	ut_vm_create(&vm, 0);
	CHECK_EQ(ioctl(vm.fd, KVM_SET_TSC_KHZ, khz / 4), 0);
	ut_vcpu_create(&vm);
	CHECK_EQ(ioctl(vm.vcpu[0].fd, KVM_GET_TSC_KHZ, 0), khz / 4);
	ut_vm_destroy(&vm);
}

/* A clock that is so slow that times in the guest's units are more than 64 bits of the host's. */
static void test_tsc_slowest(void)
{
	struct kvm_lapic_state lapic;
	struct ut_vcpu *cpu;
	struct ut_vm vm;
	int khz;

	ig_vm_create(&vm, 1);
	cpu = &vm.vcpu[0];
	if (ioctl(vm.dev, KVM_CHECK_EXTENSION, KVM_CAP_TSC_CONTROL) == 0)
		ut_skip("this CPU does not scale the TSC");
	khz = ioctl(cpu->fd, KVM_GET_TSC_KHZ, 0);
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_TSC_KHZ, 1), 0);
	CHECK_EQ(set_msr(cpu, MSR_TSC, 1000000), 1);
	NEED(ioctl(cpu->fd, KVM_GET_LAPIC, &lapic) == 0);
	*(uint32_t *)(lapic.regs + 0xf0) = 0x1ff;
	*(uint32_t *)(lapic.regs + 0x320) = 2 << 17 | 0x40;	/* TSC deadline */
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_LAPIC, &lapic), 0);
	CHECK_EQ(set_msr(cpu, MSR_TSC_DEADLINE, 1ULL << 49), 1);
	/* KVM has no such timer without the bit in CPUID, which its list leaves out. */
	if (!strcmp(ut_device(), "/dev/hv"))
		CHECK_EQ(get_msr(cpu, MSR_TSC_DEADLINE), 1ULL << 49);
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_TSC_KHZ, khz), 0);
	ut_vm_destroy(&vm);
}

/* ---- steal time, hypercalls ---------------------------------------------------------------- */

UT_GUEST static void guest_steal(void *arg)
{
	volatile struct args *a = arg;
	uint64_t end;

	wrmsr(MSR_STEAL_TIME, (a->gpa + 0x400) | 1);
	end = tsc() + a->rounds;
	while (tsc() < end)
		;
	ut_done(1);
}

/* More runnable threads than CPUs: the guest hears of the time that it did not get. */
static void test_steal(void)
{
	volatile uint32_t *version;
	volatile uint64_t *steal;
	struct args *a;
	pthread_t thread[6];
	struct ut_vm vm;
	void *result;
	unsigned int i;
	uint64_t sum = 0;

	ut_vm_create(&vm, 6);
	for (i = 0; i < 6; i++) {
		a = clock_args(&vm.vcpu[i],
		               (uint64_t)ioctl(vm.vcpu[i].fd, KVM_GET_TSC_KHZ, 0) * 300);
		memset((uint8_t *)a + 0x400, 0, 64);
		ut_start(&vm.vcpu[i], guest_steal);
	}
	for (i = 0; i < 6; i++)
		NEED(pthread_create(&thread[i], NULL, run_thread, &vm.vcpu[i]) == 0);
	for (i = 0; i < 6; i++) {
		pthread_join(thread[i], &result);
		CHECK(result == (void *)1);
		steal = (uint64_t *)((uint8_t *)ut_args(&vm.vcpu[i]) + 0x400);
		version = (uint32_t *)(steal + 1);
		CHECK(*version && !(*version & 1));
		sum += *steal;
	}
	CHECK(sum > 1000000);
	/* Reserved bits. */
	CHECK_EQ(set_msr(&vm.vcpu[0], MSR_STEAL_TIME, 0x3), 0);
	ut_vm_destroy(&vm);
}

UT_GUEST static void guest_hypercall(void *arg)
{
	volatile struct args *a = arg;
	uint64_t rax = a->value[0];

	/* AMD's instruction; the device under test may also run on Intel. */
	if (a->value[1])
		__asm__ volatile("vmmcall" : "+a"(rax) : "b"(0), "c"(0), "d"(0), "S"(0) : "memory");
	else
		__asm__ volatile("vmcall" : "+a"(rax) : "b"(0), "c"(0), "d"(0), "S"(0) : "memory");
	a->value[2] = rax;
	ut_done(1);
}

static void test_hypercall(void)
{
	uint32_t eax = 0, ebx, ecx = 0, edx;
	struct args *a;
	struct ut_vm vm;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	ut_vm_create(&vm, 1);
	a = clock_args(&vm.vcpu[0], 0);
	a->value[1] = ebx == 0x68747541;	/* "Auth" */
	a->value[0] = 0x7777;
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_hypercall), 1);
	CHECK_EQ((int64_t)a->value[2], -HC_ENOSYS);
	a->value[0] = 1;			/* VAPIC_POLL_IRQ: nothing to do */
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_hypercall), 1);
	CHECK_EQ(a->value[2], 0);
	ut_vm_destroy(&vm);
}

int main(int argc, char **argv)
{
	static const struct ut_test tests[] = {
		{ "time-clock", test_clock },
		{ "time-clock-set", test_clock_set },
		{ "time-clock-two-vcpus", test_clock_two_vcpus },
		{ "time-wall-clock", test_wall_clock },
		{ "time-clock-ctrl", test_clock_ctrl },
		{ "time-tsc-guest", test_tsc_guest },
		{ "time-tsc-sync", test_tsc_sync },
		{ "time-tsc-khz", test_tsc_khz },
		{ "time-tsc-scaling", test_tsc_scaling },
		{ "time-tsc-slowest", test_tsc_slowest },
		{ "time-steal", test_steal },
		{ "pv-hypercall", test_hypercall },
	};

	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
