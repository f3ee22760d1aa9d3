// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The device and the VM descriptor: versions, capabilities, creation, wrong arguments, lifetimes.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>

#include "ut.h"

static int dev, vm;

static void open_vm(void)
{
	dev = open(ut_device(), O_RDWR | O_CLOEXEC);
	NEED(dev >= 0);
	vm = ioctl(dev, KVM_CREATE_VM, 0);
	NEED(vm >= 0);
}

static void close_vm(void)
{
	close(vm);
	close(dev);
}

static void test_version(void)
{
	open_vm();
	CHECK_EQ(ioctl(dev, KVM_GET_API_VERSION, 0), 12);
	CHECK_ERRNO(ioctl(dev, KVM_GET_API_VERSION, 1), EINVAL);
	CHECK(ioctl(dev, KVM_GET_VCPU_MMAP_SIZE, 0) >= 2 * (int)UT_PAGE);
	CHECK_ERRNO(ioctl(dev, KVM_GET_VCPU_MMAP_SIZE, 1), EINVAL);
	CHECK_ERRNO(ioctl(dev, _IO(KVMIO, 0xfe), 0), EINVAL);
	CHECK_ERRNO(ioctl(dev, _IO('t', 0x21), 0), EINVAL);
	CHECK_ERRNO(ioctl(vm, _IO(KVMIO, 0xfe), 0), ENOTTY);
	CHECK_ERRNO(ioctl(dev, KVM_CREATE_VM, 0x12345), EINVAL);
	close_vm();
}

static void test_capabilities(void)
{
	static const int must[] = {
		KVM_CAP_IRQCHIP, KVM_CAP_HLT, KVM_CAP_USER_MEMORY, KVM_CAP_SET_TSS_ADDR,
		KVM_CAP_EXT_CPUID, KVM_CAP_MP_STATE, KVM_CAP_COALESCED_MMIO, KVM_CAP_SYNC_MMU,
		KVM_CAP_DESTROY_MEMORY_REGION_WORKS, KVM_CAP_JOIN_MEMORY_REGIONS_WORKS,
		KVM_CAP_IRQ_ROUTING, KVM_CAP_MCE, KVM_CAP_IRQFD, KVM_CAP_PIT2, KVM_CAP_PIT_STATE2,
		KVM_CAP_IOEVENTFD, KVM_CAP_SET_IDENTITY_MAP_ADDR, KVM_CAP_ADJUST_CLOCK,
		KVM_CAP_INTERNAL_ERROR_DATA, KVM_CAP_VCPU_EVENTS, KVM_CAP_DEBUGREGS,
		KVM_CAP_X86_ROBUST_SINGLESTEP, KVM_CAP_XSAVE, KVM_CAP_XCRS, KVM_CAP_SIGNAL_MSI,
		KVM_CAP_READONLY_MEM, KVM_CAP_IRQFD_RESAMPLE, KVM_CAP_IOEVENTFD_ANY_LENGTH,
		KVM_CAP_IMMEDIATE_EXIT, KVM_CAP_NR_VCPUS, KVM_CAP_MAX_VCPUS, KVM_CAP_NR_MEMSLOTS,
		KVM_CAP_TSC_DEADLINE_TIMER, KVM_CAP_SET_GUEST_DEBUG, KVM_CAP_CHECK_EXTENSION_VM,
		KVM_CAP_IRQ_INJECT_STATUS, KVM_CAP_GET_TSC_KHZ,
	};
	unsigned int i;

	open_vm();
	for (i = 0; i < ARRAY_SIZE(must); i++) {
		int r = ioctl(dev, KVM_CHECK_EXTENSION, must[i]);

		if (r <= 0)
			ut_fail(__FILE__, __LINE__, "capability %d: %d", must[i], r);
		CHECK_EQ(ioctl(vm, KVM_CHECK_EXTENSION, must[i]) > 0, 1);
	}
	CHECK(ioctl(dev, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS) >= 16);
	CHECK(ioctl(dev, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS) >=
	      ioctl(dev, KVM_CHECK_EXTENSION, KVM_CAP_NR_VCPUS));
	CHECK(ioctl(dev, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS) >= 500);
	CHECK_EQ(ioctl(dev, KVM_CHECK_EXTENSION, 0x7ffffff), 0);
	CHECK_EQ(ioctl(dev, KVM_CHECK_EXTENSION, -1L), 0);
	close_vm();
}

static void test_cpuid(void)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[256];
	} c = { .head.nent = 256 };
	unsigned int i, seen = 0;

	open_vm();
	CHECK(ioctl(dev, KVM_GET_SUPPORTED_CPUID, &c) == 0);
	CHECK(c.head.nent > 10 && c.head.nent < 256);
	for (i = 0; i < c.head.nent; i++) {
		const struct kvm_cpuid_entry2 *e = &c.entry[i];

		if (e->function == 1) {
			seen |= 1;
			CHECK(e->ecx & 1u << 21);	/* x2APIC, emulated anyway */
			CHECK(e->edx & 1u << 9);	/* APIC */
		}
		if (e->function == 0x40000000) {
			seen |= 2;
			CHECK(!memcmp(&e->ebx, "KVMK", 4) && !memcmp(&e->ecx, "VMKV", 4));
		}
		if (e->function == 0x80000001) {
			seen |= 4;
			CHECK(e->edx & 1u << 29);	/* long mode */
		}
	}
	CHECK_EQ(seen, 7);
	c.head.nent = 1;
	CHECK_ERRNO(ioctl(dev, KVM_GET_SUPPORTED_CPUID, &c), E2BIG);
	CHECK_ERRNO(ioctl(dev, KVM_GET_SUPPORTED_CPUID, (void *)8), EFAULT);
	close_vm();
}

static void test_msr_lists(void)
{
	struct {
		struct kvm_msr_list head;
		uint32_t index[1024];
	} l = { .head.nmsrs = 0 };
	unsigned int i, seen = 0;

	open_vm();
	/* Too small: says how many there are. */
	CHECK_ERRNO(ioctl(dev, KVM_GET_MSR_INDEX_LIST, &l), E2BIG);
	CHECK(l.head.nmsrs > 10 && l.head.nmsrs < 1024);
	l.head.nmsrs = 1024;
	CHECK(ioctl(dev, KVM_GET_MSR_INDEX_LIST, &l) == 0);
	for (i = 0; i < l.head.nmsrs && i < 1024; i++) {
		seen |= l.index[i] == 0x174 ? 1 : 0;		/* SYSENTER_CS */
		seen |= l.index[i] == 0xc0000082 ? 2 : 0;	/* LSTAR */
		seen |= l.index[i] == 0x10 ? 4 : 0;		/* TSC */
		seen |= l.index[i] == 0x4b564d01 ? 8 : 0;	/* kvm-clock */
	}
	CHECK_EQ(seen, 15);
	l.head.nmsrs = 1024;
	CHECK(ioctl(dev, KVM_GET_MSR_FEATURE_INDEX_LIST, &l) == 0);
	close_vm();
}

static void test_vcpu_ids(void)
{
	int max, a, b;

	open_vm();
	max = ioctl(dev, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPU_ID);
	a = ioctl(vm, KVM_CREATE_VCPU, 0);
	CHECK(a >= 0);
	CHECK_ERRNO(ioctl(vm, KVM_CREATE_VCPU, 0), EEXIST);
	b = ioctl(vm, KVM_CREATE_VCPU, 7);
	CHECK(b >= 0);
	CHECK_ERRNO(ioctl(vm, KVM_CREATE_VCPU, 7), EEXIST);
	if (max > 0)
		CHECK_ERRNO(ioctl(vm, KVM_CREATE_VCPU, max), EINVAL);
	CHECK_ERRNO(ioctl(vm, KVM_CREATE_VCPU, 0xffffffffL), EINVAL);
	/* The id is not free again because its descriptor is closed. */
	close(a);
	CHECK_ERRNO(ioctl(vm, KVM_CREATE_VCPU, 0), EEXIST);
	close(b);
	close_vm();
}

static void test_addresses(void)
{
	uint64_t map = 0xfeffc000;
	int cpu;

	open_vm();
	CHECK(ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000UL) == 0);
	CHECK_ERRNO(ioctl(vm, KVM_SET_TSS_ADDR, 0xfffff000UL), EINVAL);
	CHECK(ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &map) == 0);
	CHECK_ERRNO(ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, (void *)8), EFAULT);
	CHECK(ioctl(vm, KVM_SET_BOOT_CPU_ID, 0) == 0);
	cpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	CHECK(cpu >= 0);
	CHECK_ERRNO(ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &map), EINVAL);
	CHECK_ERRNO(ioctl(vm, KVM_SET_BOOT_CPU_ID, 1), EBUSY);
	close(cpu);
	close_vm();
}

static void test_clock(void)
{
	struct kvm_clock_data clock = { 0 }, later = { 0 };

	open_vm();
	CHECK(ioctl(vm, KVM_GET_CLOCK, &clock) == 0);
	usleep(20000);
	CHECK(ioctl(vm, KVM_GET_CLOCK, &later) == 0);
	CHECK(later.clock - clock.clock >= 20000000 && later.clock - clock.clock < 10000000000);
	clock.flags = 0;
	clock.clock = 1000000000000;
	CHECK(ioctl(vm, KVM_SET_CLOCK, &clock) == 0);
	CHECK(ioctl(vm, KVM_GET_CLOCK, &later) == 0);
	CHECK(later.clock >= 1000000000000 && later.clock < 1010000000000);
	clock.flags = 1u << 31;
	CHECK_ERRNO(ioctl(vm, KVM_SET_CLOCK, &clock), EINVAL);
	close_vm();
}

static void test_stats(void)
{
	static const char *const names[] = { "pages_4k", "pages_2m", "remote_tlb_flush" };
	struct ut_vm u;
	unsigned int i;

	ut_vm_create(&u, 1);
	for (i = 0; i < ARRAY_SIZE(names); i++)
		CHECK(ut_vm_stat(&u, names[i]) >= 0);
	CHECK_EQ(ut_vm_stat(&u, "no_such_name"), -1);
	ut_vm_destroy(&u);
}

static void test_many_vms(void)
{
	int fd[200];
	unsigned int i;

	dev = open(ut_device(), O_RDWR | O_CLOEXEC);
	NEED(dev >= 0);
	for (i = 0; i < ARRAY_SIZE(fd); i++) {
		fd[i] = ioctl(dev, KVM_CREATE_VM, 0);
		NEED(fd[i] >= 0);
	}
	for (i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i * 7 % ARRAY_SIZE(fd)]);
	close(dev);
}

/* Each order of closing device, VM and vCPU, with the vCPU's pages mapped or not. */
static void test_close_orders(void)
{
	static const uint8_t orders[6][3] = {
		{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
	};
	struct kvm_regs regs;
	unsigned int i, j;
	size_t size;
	int fd[3];
	void *run;

	for (i = 0; i < 6; i++) {
		open_vm();
		fd[0] = dev;
		fd[1] = vm;
		fd[2] = ioctl(vm, KVM_CREATE_VCPU, 3);
		NEED(fd[2] >= 0);
		size = (size_t)ioctl(dev, KVM_GET_VCPU_MMAP_SIZE, 0);
		run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd[2], 0);
		NEED(run != MAP_FAILED);
		for (j = 0; j < 3; j++) {
			close(fd[orders[i][j]]);
			fd[orders[i][j]] = -1;
			/* A vCPU needs neither of the others to be open. */
			if (fd[2] >= 0)
				CHECK(ioctl(fd[2], KVM_GET_REGS, &regs) == 0);
		}
		*(volatile uint8_t *)run = 1;
		munmap(run, size);
	}
}

static void test_mapping(void)
{
	struct ut_vm u;
	size_t size;
	void *p;

	ut_vm_create(&u, 1);
	size = u.vcpu[0].run_size;
	/* Past the end there is nothing. */
	p = mmap(NULL, size, PROT_READ, MAP_SHARED, u.vcpu[0].fd, (off_t)size);
	if (p != MAP_FAILED) {
		int fd[2];

		NEED(pipe(fd) == 0);
		CHECK_ERRNO(write(fd[1], p, 1), EFAULT);
		munmap(p, size);
		close(fd[0]);
		close(fd[1]);
	}
	ut_vm_destroy(&u);
}

static const struct ut_test tests[] = {
	{ "sys-version", test_version },
	{ "sys-capabilities", test_capabilities },
	{ "sys-cpuid", test_cpuid },
	{ "sys-msr-lists", test_msr_lists },
	{ "vm-vcpu-ids", test_vcpu_ids },
	{ "vm-addresses", test_addresses },
	{ "vm-clock", test_clock },
	{ "vm-stats", test_stats },
	{ "vm-many", test_many_vms },
	{ "vm-close-orders", test_close_orders },
	{ "vcpu-mapping", test_mapping },
};

int main(int argc, char **argv)
{
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
