// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * State by other ways: the shared page's registers, SREGS2, device attributes, signals in KVM_RUN.
 */
#include <pthread.h>
#include <signal.h>
#include <stddef.h>

#include "linux/kvm_later.h"
#include "ut.h"

static struct ut_vm vm;
static struct ut_vcpu *cpu;

static void create(void)
{
	ut_vm_create(&vm, 1);
	cpu = &vm.vcpu[0];
}

UT_GUEST static void guest_count(void *args)
{
	uint64_t n = 1;

	for (;;)
		__asm__ volatile("outl %%eax, $0xf0" : "+b"(n) : "a"(1) : "memory");
}

static void test_sync(void)
{
	struct kvm_run *run;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	uint32_t value;
	int fields;

	create();
	run = cpu->run;
	fields = ioctl(vm.fd, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS);
	CHECK_EQ(fields, KVM_SYNC_X86_VALID_FIELDS);
	ut_start(cpu, guest_count);
	run->kvm_valid_regs = 1 << 20;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_RUN, 0), EINVAL);
	run->kvm_valid_regs = 0;
	run->kvm_dirty_regs = 1 << 3;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_RUN, 0), EINVAL);
	run->kvm_dirty_regs = 0;

	run->kvm_valid_regs = fields;
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	NEED(ioctl(cpu->fd, KVM_GET_REGS, &regs) == 0);
	NEED(ioctl(cpu->fd, KVM_GET_SREGS, &sregs) == 0);
	CHECK(!memcmp(&regs, &run->s.regs.regs, sizeof(regs)));
	CHECK(!memcmp(&sregs, &run->s.regs.sregs, sizeof(sregs)));
	CHECK_EQ(run->s.regs.regs.rbx, 1);

	/* Changed there, and taken from there only with the bit set. */
	run->s.regs.regs.rbx = 0xbadc0de;
	run->kvm_valid_regs = 0;
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	NEED(ioctl(cpu->fd, KVM_GET_REGS, &regs) == 0);
	CHECK_EQ(regs.rbx, 1);
	run->s.regs.regs = regs;
	run->s.regs.regs.rbx = 0xbadc0de;
	run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	CHECK_EQ(run->kvm_dirty_regs, 0);
	NEED(ioctl(cpu->fd, KVM_GET_REGS, &regs) == 0);
	CHECK_EQ(regs.rbx, 0xbadc0de);

	/* A state that no CPU can be in. */
	run->s.regs.sregs = sregs;
	run->s.regs.sregs.cr4 &= ~(1ULL << 5);
	run->kvm_dirty_regs = KVM_SYNC_X86_SREGS;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_RUN, 0), EINVAL);
	run->kvm_dirty_regs = 0;
	ut_vm_destroy(&vm);
}

static void test_sregs2(void)
{
	uint64_t pdptes[4] = { 0x1001, 0x2001, 0, 0x4001 };
	struct kvm_sregs2 s, back;
	struct kvm_sregs old;
	int i;

	create();
	NEED(ioctl(cpu->fd, KVM_GET_SREGS2, &s) == 0);
	NEED(ioctl(cpu->fd, KVM_GET_SREGS, &old) == 0);
	CHECK(!memcmp(&s, &old, offsetof(struct kvm_sregs2, flags)));
	CHECK_EQ(s.flags, 0);
	s.flags = 2;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_SREGS2, &s), EINVAL);
	s.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_SREGS2, &s), EINVAL);	/* no PAE paging */
	s.flags = 0;
	s.cr2 = 0x1234000;
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_SREGS2, &s), 0);
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_SREGS2, &back), 0);
	CHECK(!memcmp(&s, &back, sizeof(s)));
	/* PAE paging: the four entries come with it. */
	memcpy(vm.low + 0x70000, pdptes, sizeof(pdptes));
	s.efer = 0;
	s.cs.l = 0;
	s.cs.db = 1;
	s.cr0 = 0x80000011;
	s.cr4 = 0x20;
	s.cr3 = 0x70000;
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_SREGS2, &s), 0);
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_SREGS2, &back), 0);
	CHECK_EQ(back.flags, KVM_SREGS2_FLAGS_PDPTRS_VALID);
	for (i = 0; i < 4; i++)
		CHECK_EQ(back.pdptrs[i], pdptes[i]);
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_SREGS2, &back), 0);
	back.cr0 |= 1ULL << 40;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_SREGS2, &back), EINVAL);
	ut_vm_destroy(&vm);
}

UT_GUEST static void guest_rdtsc(void *args)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	*(uint64_t *)args = low | (uint64_t)high << 32;
	ut_done(1);
}

static void test_attributes(void)
{
	uint64_t value = 0, offset;
	struct kvm_device_attr a = { .addr = (uintptr_t)&value };

	create();
	/* KVM_X86_XCOMP_GUEST_SUPP */
	CHECK_EQ(ioctl(vm.dev, KVM_HAS_DEVICE_ATTR, &a), 0);
	CHECK_EQ(ioctl(vm.dev, KVM_GET_DEVICE_ATTR, &a), 0);
	CHECK_EQ(value & 3, 3);
	a.attr = 7;
	CHECK_ERRNO(ioctl(vm.dev, KVM_HAS_DEVICE_ATTR, &a), ENXIO);
	a.attr = 0;
	a.group = 9;
	CHECK_ERRNO(ioctl(vm.dev, KVM_GET_DEVICE_ATTR, &a), ENXIO);
	CHECK_ERRNO(ioctl(cpu->fd, KVM_HAS_DEVICE_ATTR, &a), ENXIO);
	/* The offset is what the guest's TSC is ahead of the host's. */
	a.group = KVM_VCPU_TSC_CTRL;
	a.attr = KVM_VCPU_TSC_OFFSET;
	CHECK_EQ(ioctl(cpu->fd, KVM_HAS_DEVICE_ATTR, &a), 0);
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_DEVICE_ATTR, &a), 0);
	offset = value;
	ut_call(cpu, guest_rdtsc);
	value += 1ULL << 50;
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_DEVICE_ATTR, &a), 0);
	value = 0;
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_DEVICE_ATTR, &a), 0);
	CHECK_EQ(value, offset + (1ULL << 50));
	ut_call(cpu, guest_rdtsc);
	CHECK(*(uint64_t *)ut_args(cpu) >= 1ULL << 50);
	a.attr = 1;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_DEVICE_ATTR, &a), ENXIO);
	a.attr = KVM_VCPU_TSC_OFFSET;
	a.addr = 8;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_DEVICE_ATTR, &a), EFAULT);
	CHECK_ERRNO(ioctl(cpu->fd, KVM_GET_DEVICE_ATTR, &a), EFAULT);
	ut_vm_destroy(&vm);
}

UT_GUEST static void guest_spin(void *args)
{
	for (;;)
		__asm__ volatile("pause");
}

static void *sender(void *arg)
{
	usleep(200000);
	pthread_kill(*(pthread_t *)arg, SIGUSR2);
	return NULL;
}

/*
 * A signal that is blocked but in KVM_RUN, and has no handler: KVM_RUN ends, the signal stays
 * pending, and the process lives.
 */
static void test_signal_mask(void)
{
	struct {
		struct kvm_signal_mask head;
		uint64_t set;
	} __attribute__((packed)) mask = { .head.len = 8 };
	pthread_t me = pthread_self(), thread;
	sigset_t set, pending;
	int r;

	create();
	signal(SIGUSR2, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	NEED(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
	NEED(ioctl(cpu->fd, KVM_SET_SIGNAL_MASK, &mask) == 0);
	ut_start(cpu, guest_spin);
	NEED(pthread_create(&thread, NULL, sender, &me) == 0);
	r = ioctl(cpu->fd, KVM_RUN, 0);
	CHECK(r < 0 && errno == EINTR);
	pthread_join(thread, NULL);
	CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR2));
	CHECK(sigwait(&set, &r) == 0 && r == SIGUSR2);
	ut_vm_destroy(&vm);
}

/* Single steps with interrupts kept out: the guest does not get to its handler meanwhile. */
static void test_block_irq(void)
{
	struct kvm_guest_debug debug = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_BLOCKIRQ,
	};
	struct kvm_regs regs;
	uint64_t first;
	uint32_t value;
	int i;

	create();
	CHECK_EQ(ioctl(vm.fd, KVM_CHECK_EXTENSION, KVM_CAP_SET_GUEST_DEBUG2), 0x1f0003);
	ut_start(cpu, guest_spin);
	ut_catch_exceptions(cpu);
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_GUEST_DEBUG, &debug), 0);
	NEED(ioctl(cpu->fd, KVM_GET_REGS, &regs) == 0);
	first = regs.rip;
	CHECK_EQ(ioctl(cpu->fd, KVM_NMI, 0), 0);
	for (i = 0; i < 10; i++) {
		CHECK_EQ(ut_run(cpu, &value), UT_EXIT);
		CHECK_EQ(cpu->run->exit_reason, KVM_EXIT_DEBUG);
		NEED(ioctl(cpu->fd, KVM_GET_REGS, &regs) == 0);
		CHECK(regs.rip >= first && regs.rip < first + 64);
	}
	/* Let in: now it comes. */
	debug.control = 0;
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_GUEST_DEBUG, &debug), 0);
	CHECK_EQ(ut_run(cpu, &value), UT_EXIT);
	CHECK(ut_is_exception(cpu));
	debug.control = 1 << 30;
	if (!strcmp(ut_device(), "/dev/hv"))
		CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_GUEST_DEBUG, &debug), EINVAL);
	ut_vm_destroy(&vm);
}

static const struct ut_test tests[] = {
	{ "sync-regs", test_sync },
	{ "sregs2", test_sregs2 },
	{ "attributes", test_attributes },
	{ "signal-mask", test_signal_mask },
	{ "block-irq", test_block_irq },
};

int main(int argc, char **argv)
{
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
