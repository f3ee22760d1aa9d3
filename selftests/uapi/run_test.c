// SPDX-License-Identifier: GPL-2.0-or-later
/* KVM_RUN: how it ends, what interrupts it, and what a broken guest does. */
#define _GNU_SOURCE
#include <signal.h>
#include <time.h>

#include "ut.h"

#define GPA	0x40000000UL

static struct ut_vm vm;

UT_GUEST static void guest_spin(void *args)
{
	volatile uint64_t *p = args;

	while (!p[0])
		p[1]++;
	ut_done(3);
}

UT_GUEST static void guest_hlt(void *args)
{
	__asm__ volatile("hlt");
	ut_done(4);
}

/* No IDT: the exception cannot be delivered, nor the one that follows. */
UT_GUEST static void guest_triple_fault(void *args)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = { 0, 0 };

	__asm__ volatile("lidt %0; ud2" : : "m"(none));
	ut_done(5);
}

UT_GUEST static void guest_jump_away(void *args)
{
	((void (*)(void))GPA)();
	ut_done(6);
}

UT_GUEST static void guest_cpuid(void *args)
{
	volatile uint32_t *p = args;
	uint32_t a = 0x40000000, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	p[0] = a;
	p[1] = b;
	p[2] = c;
	p[3] = d;
	ut_done(7);
}

/* Ports: one of each size out and in. */
UT_GUEST static void guest_ports(void *args)
{
	volatile uint32_t *p = args;
	uint8_t b;
	uint16_t w;
	uint32_t l;

	__asm__ volatile("outb %0, %1" : : "a"((uint8_t)0x12), "d"((uint16_t)0x1234));
	__asm__ volatile("outw %0, %1" : : "a"((uint16_t)0x3456), "d"((uint16_t)0x1236));
	__asm__ volatile("outl %0, %1" : : "a"(0x789abcde), "d"((uint16_t)0x1238));
	__asm__ volatile("inb %1, %0" : "=a"(b) : "d"((uint16_t)0x1240));
	__asm__ volatile("inw %1, %0" : "=a"(w) : "d"((uint16_t)0x1242));
	__asm__ volatile("inl %1, %0" : "=a"(l) : "d"((uint16_t)0x1244));
	p[0] = b;
	p[1] = w;
	p[2] = l;
	ut_done(8);
}

static void on_signal(int sig)
{
}

static void catch_signal(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGUSR1, &sa, NULL);
}

static void test_immediate_exit(void)
{
	volatile uint64_t *args;

	ut_vm_create(&vm, 1);
	args = ut_args(&vm.vcpu[0]);
	args[0] = 0;
	args[1] = 0;
	ut_start(&vm.vcpu[0], guest_spin);
	vm.vcpu[0].run->immediate_exit = 1;
	CHECK_ERRNO(ioctl(vm.vcpu[0].fd, KVM_RUN, 0), EINTR);
	CHECK_EQ(args[1], 0);
	CHECK_ERRNO(ioctl(vm.vcpu[0].fd, KVM_RUN, 1), EINVAL);
	vm.vcpu[0].run->immediate_exit = 0;
	args[0] = 1;
	CHECK_EQ(ut_run(&vm.vcpu[0], NULL), UT_DONE);
	ut_vm_destroy(&vm);
}

struct kicker {
	pthread_t target;
	volatile bool stop;
};

static void *kick_thread(void *arg)
{
	struct kicker *k = arg;

	while (!k->stop) {
		usleep(10000);
		pthread_kill(k->target, SIGUSR1);
	}
	return NULL;
}

static void test_signal(void)
{
	struct kicker k = { .target = pthread_self() };
	volatile uint64_t *args;
	pthread_t t;
	unsigned int i;

	catch_signal();
	ut_vm_create(&vm, 1);
	args = ut_args(&vm.vcpu[0]);
	args[0] = 0;
	ut_start(&vm.vcpu[0], guest_spin);
	NEED(pthread_create(&t, NULL, kick_thread, &k) == 0);
	for (i = 0; i < 10; i++) {
		CHECK_ERRNO(ioctl(vm.vcpu[0].fd, KVM_RUN, 0), EINTR);
		CHECK_EQ(vm.vcpu[0].run->exit_reason, KVM_EXIT_INTR);
	}
	k.stop = true;
	pthread_join(t, NULL);
	CHECK(args[1] > 0);
	ut_vm_destroy(&vm);
}

/*
 * A signal that is blocked outside but not in KVM_RUN: pending, it ends KVM_RUN and stays pending.
 */
static void test_signal_mask(void)
{
	struct {
		struct kvm_signal_mask head;
		uint64_t set;
	} mask = { .head.len = 8, .set = 0 };
	volatile uint64_t *args;
	sigset_t block, pending;
	int got;

	catch_signal();
	ut_vm_create(&vm, 1);
	args = ut_args(&vm.vcpu[0]);
	args[0] = 0;
	ut_start(&vm.vcpu[0], guest_spin);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &block, NULL);
	mask.head.len = 4;
	CHECK_ERRNO(ioctl(vm.vcpu[0].fd, KVM_SET_SIGNAL_MASK, &mask), EINVAL);
	mask.head.len = 8;
	CHECK(ioctl(vm.vcpu[0].fd, KVM_SET_SIGNAL_MASK, &mask) == 0);
	pthread_kill(pthread_self(), SIGUSR1);
	CHECK_ERRNO(ioctl(vm.vcpu[0].fd, KVM_RUN, 0), EINTR);
	sigpending(&pending);
	CHECK_EQ(sigismember(&pending, SIGUSR1), 1);
	sigwait(&block, &got);
	CHECK(ioctl(vm.vcpu[0].fd, KVM_SET_SIGNAL_MASK, NULL) == 0);
	/* Blocked in KVM_RUN as well: it does not end it. */
	pthread_kill(pthread_self(), SIGUSR1);
	args[0] = 1;
	CHECK_EQ(ut_run(&vm.vcpu[0], NULL), UT_DONE);
	sigwait(&block, &got);
	pthread_sigmask(SIG_UNBLOCK, &block, NULL);
	ut_vm_destroy(&vm);
}

UT_GUEST static void guest_chatter(void *args)
{
	for (;;)
		ut_done(9);
}

#define ROUNDS 500

static void *run_thread(void *arg)
{
	struct ut_vcpu *vcpu = arg;
	long done = 0;
	unsigned int i;

	/* The shared page belongs to both threads: only the return value says something. */
	for (i = 0; i < ROUNDS; i++)
		done += ioctl(vcpu->fd, KVM_RUN, 0) == 0;
	return (void *)done;
}

/* Two threads in KVM_RUN of one vCPU take turns. */
static void test_two_threads(void)
{
	void *result[2];
	pthread_t t[2];
	unsigned int i;

	ut_vm_create(&vm, 1);
	ut_start(&vm.vcpu[0], guest_chatter);
	for (i = 0; i < 2; i++)
		NEED(pthread_create(&t[i], NULL, run_thread, &vm.vcpu[0]) == 0);
	for (i = 0; i < 2; i++) {
		pthread_join(t[i], &result[i]);
		CHECK_EQ((long)result[i], ROUNDS);
	}
	CHECK_EQ(ut_run(&vm.vcpu[0], NULL), UT_DONE);
	ut_vm_destroy(&vm);
}

static void test_hlt(void)
{
	ut_vm_create(&vm, 1);
	ut_start(&vm.vcpu[0], guest_hlt);
	CHECK_EQ(ut_run(&vm.vcpu[0], NULL), UT_EXIT);
	CHECK_EQ(vm.vcpu[0].run->exit_reason, KVM_EXIT_HLT);
	/* The next KVM_RUN goes on behind it. */
	CHECK_EQ(ut_run(&vm.vcpu[0], NULL), UT_DONE);
	ut_vm_destroy(&vm);
}

static void test_triple_fault(void)
{
	ut_vm_create(&vm, 1);
	ut_start(&vm.vcpu[0], guest_triple_fault);
	CHECK_EQ(ut_run(&vm.vcpu[0], NULL), UT_EXIT);
	CHECK_EQ(vm.vcpu[0].run->exit_reason, KVM_EXIT_SHUTDOWN);
	/* User space may put it right and go on. */
	ut_start(&vm.vcpu[0], guest_hlt);
	CHECK_EQ(ut_run(&vm.vcpu[0], NULL), UT_EXIT);
	CHECK_EQ(vm.vcpu[0].run->exit_reason, KVM_EXIT_HLT);
	ut_vm_destroy(&vm);
}

static void test_no_code(void)
{
	ut_vm_create(&vm, 1);
	ut_start(&vm.vcpu[0], guest_jump_away);
	CHECK_EQ(ut_run(&vm.vcpu[0], NULL), UT_EXIT);
	CHECK_EQ(vm.vcpu[0].run->exit_reason, KVM_EXIT_INTERNAL_ERROR);
	CHECK_EQ(vm.vcpu[0].run->internal.suberror, KVM_INTERNAL_ERROR_EMULATION);
	ut_vm_destroy(&vm);
}

static void test_cpuid(void)
{
	uint32_t *p;

	ut_vm_create(&vm, 1);
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_cpuid), 7);
	p = ut_args(&vm.vcpu[0]);
	CHECK(p[0] >= 0x40000001);
	CHECK(!memcmp(p + 1, "KVMKVMKVM\0\0\0", 12));
	ut_vm_destroy(&vm);
}

static void check_port(uint16_t port, int size, bool out, uint32_t value)
{
	struct kvm_run *run = vm.vcpu[0].run;
	uint32_t data = 0;

	CHECK_EQ(ut_run(&vm.vcpu[0], NULL), UT_EXIT);
	CHECK_EQ(run->exit_reason, KVM_EXIT_IO);
	CHECK_EQ(run->io.port, port);
	CHECK_EQ(run->io.size, size);
	CHECK_EQ(run->io.count, 1);
	CHECK_EQ(run->io.direction, out ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN);
	if (out) {
		memcpy(&data, (uint8_t *)run + run->io.data_offset, (size_t)size);
		CHECK_EQ(data, value);
	} else {
		memcpy((uint8_t *)run + run->io.data_offset, &value, (size_t)size);
	}
}

static void test_ports(void)
{
	uint32_t *p;

	ut_vm_create(&vm, 1);
	ut_start(&vm.vcpu[0], guest_ports);
	check_port(0x1234, 1, true, 0x12);
	check_port(0x1236, 2, true, 0x3456);
	check_port(0x1238, 4, true, 0x789abcde);
	check_port(0x1240, 1, false, 0x21);
	check_port(0x1242, 2, false, 0x4365);
	check_port(0x1244, 4, false, 0xa9876543);
	CHECK_EQ(ut_run(&vm.vcpu[0], NULL), UT_DONE);
	p = ut_args(&vm.vcpu[0]);
	CHECK_EQ(p[0], 0x21);
	CHECK_EQ(p[1], 0x4365);
	CHECK_EQ(p[2], 0xa9876543);
	ut_vm_destroy(&vm);
}

static void *spin_thread(void *arg)
{
	struct ut_vcpu *vcpu = arg;

	catch_signal();
	while (!vcpu->stop && ioctl(vcpu->fd, KVM_RUN, 0) < 0 && errno == EINTR)
		;
	return NULL;
}

/*
 * The descriptors go away one by one while a vCPU runs; the ioctl in progress keeps what it needs.
 */
static void test_close_while_running(void)
{
	unsigned int i;
	pthread_t t;

	for (i = 0; i < 3; i++) {
		ut_vm_create(&vm, 1);
		memset(ut_args(&vm.vcpu[0]), 0, 16);
		ut_start(&vm.vcpu[0], guest_spin);
		NEED(pthread_create(&t, NULL, spin_thread, &vm.vcpu[0]) == 0);
		usleep(20000);
		close(vm.dev);
		if (i > 0)
			close(vm.fd);
		if (i > 1)
			close(vm.vcpu[0].fd);
		usleep(20000);
		vm.vcpu[0].stop = true;
		pthread_kill(t, SIGUSR1);
		pthread_join(t, NULL);
		if (i < 2)
			close(vm.vcpu[0].fd);
		if (i < 1)
			close(vm.fd);
		munmap(vm.vcpu[0].run, vm.vcpu[0].run_size);
		munmap(vm.low, UT_LOW_SIZE);
	}
}

static const struct ut_test tests[] = {
	{ "run-immediate-exit", test_immediate_exit },
	{ "run-signal", test_signal },
	{ "run-signal-mask", test_signal_mask },
	{ "run-two-threads", test_two_threads },
	{ "run-hlt", test_hlt },
	{ "run-triple-fault", test_triple_fault },
	{ "run-no-code", test_no_code },
	{ "run-cpuid", test_cpuid },
	{ "run-ports", test_ports },
	{ "run-close-while-running", test_close_while_running },
};

int main(int argc, char **argv)
{
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
