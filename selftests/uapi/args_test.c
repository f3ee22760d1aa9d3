// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Wrong arguments of every ioctl: pointers to nowhere and to read-only memory, lists that are too
 * long or too short, reserved fields, numbers that do not exist. The errno is KVM's, on /dev/kvm by
 * definition; where hv differs on purpose the table says why.
 */
#include <fcntl.h>
#include <signal.h>

#include "ut.h"

static struct ut_vm vm;
static struct ut_vcpu *cpu;
static uint8_t *readonly;		/* a page that may only be read, zeroes */
#define NOWHERE ((void *)0x1000)	/* nothing is mapped there */

enum on { DEV, VM, CPU };

struct call {
	const char *name;
	enum on on;
	unsigned long cmd;
	int null, nowhere, ro;		/* errno of the call with such a pointer; 0: it succeeds */
};

#define C(on, cmd, null, nowhere, ro) { #cmd, on, cmd, null, nowhere, ro }
#define GETTER(on, cmd)		{ #cmd, on, cmd, EFAULT, EFAULT, EFAULT }
#define SETTER(on, cmd, zeroes)	{ #cmd, on, cmd, EFAULT, EFAULT, zeroes }

/* The third number: what an argument full of zeroes gives, in memory that can be read only. */
static const struct call calls[] = {
	C(DEV, KVM_GET_SUPPORTED_CPUID, EFAULT, EFAULT, E2BIG),
	C(DEV, KVM_GET_EMULATED_CPUID, EFAULT, EFAULT, E2BIG),
	C(DEV, KVM_GET_MSR_INDEX_LIST, EFAULT, EFAULT, EFAULT),
	C(DEV, KVM_GET_MSR_FEATURE_INDEX_LIST, EFAULT, EFAULT, EFAULT),
	C(DEV, KVM_GET_MSRS, EFAULT, EFAULT, 0),
	GETTER(DEV, KVM_X86_GET_MCE_CAP_SUPPORTED),
	SETTER(VM, KVM_SET_USER_MEMORY_REGION, 0),
	SETTER(VM, KVM_GET_DIRTY_LOG, ENOENT),
	SETTER(VM, KVM_ENABLE_CAP, EINVAL),
	C(VM, KVM_SET_IDENTITY_MAP_ADDR, EINVAL, EINVAL, EINVAL),
	GETTER(VM, KVM_GET_CLOCK),
	SETTER(VM, KVM_SET_CLOCK, 0),
	SETTER(VM, KVM_REGISTER_COALESCED_MMIO, 0),
	SETTER(VM, KVM_UNREGISTER_COALESCED_MMIO, 0),
	SETTER(VM, KVM_IRQFD, EINVAL),
	SETTER(VM, KVM_IOEVENTFD, EINVAL),
	SETTER(VM, KVM_IRQ_LINE, 0),
	C(VM, KVM_IRQ_LINE_STATUS, EFAULT, EFAULT, EFAULT),
	SETTER(VM, KVM_SET_GSI_ROUTING, 0),
	C(VM, KVM_GET_IRQCHIP, EFAULT, EFAULT, EFAULT),
	SETTER(VM, KVM_SET_IRQCHIP, 0),
	C(VM, KVM_GET_PIT2, ENXIO, ENXIO, ENXIO),
	C(VM, KVM_SET_PIT2, EFAULT, EFAULT, ENXIO),
	GETTER(CPU, KVM_GET_REGS),
	SETTER(CPU, KVM_SET_REGS, 0),
	GETTER(CPU, KVM_GET_SREGS),
	GETTER(CPU, KVM_GET_FPU),
	GETTER(CPU, KVM_GET_XSAVE),
	GETTER(CPU, KVM_GET_XSAVE2),
	GETTER(CPU, KVM_GET_XCRS),
	GETTER(CPU, KVM_GET_LAPIC),
	GETTER(CPU, KVM_GET_MP_STATE),
	GETTER(CPU, KVM_GET_VCPU_EVENTS),
	SETTER(CPU, KVM_SET_VCPU_EVENTS, 0),
	GETTER(CPU, KVM_GET_DEBUGREGS),
	SETTER(CPU, KVM_SET_DEBUGREGS, 0),
	C(CPU, KVM_GET_MSRS, EFAULT, EFAULT, 0),
	SETTER(CPU, KVM_SET_MSRS, 0),
	C(CPU, KVM_GET_CPUID2, EFAULT, EFAULT, E2BIG),
	SETTER(CPU, KVM_SET_GUEST_DEBUG, 0),
	C(CPU, KVM_TRANSLATE, EFAULT, EFAULT, EFAULT),
	SETTER(CPU, KVM_INTERRUPT, ENXIO),
	C(CPU, KVM_SET_SIGNAL_MASK, 0, EFAULT, EINVAL),
	SETTER(CPU, KVM_X86_SETUP_MCE, EINVAL),
	SETTER(CPU, KVM_SET_VAPIC_ADDR, 0),
	SETTER(CPU, KVM_SET_FPU, 0),
	SETTER(CPU, KVM_SET_XCRS, 0),
	SETTER(CPU, KVM_SET_MP_STATE, 0),
};

static void create(bool irqchip)
{
	ut_vm_create(&vm, 0);
	if (irqchip)
		NEED(ioctl(vm.fd, KVM_CREATE_IRQCHIP, 0) == 0);
	cpu = ut_vcpu_create(&vm);
	readonly = mmap(NULL, UT_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(readonly != MAP_FAILED);
}

static void destroy(void)
{
	munmap(readonly, UT_PAGE);
	ut_vm_destroy(&vm);
}

static int fd_of(enum on on)
{
	return on == DEV ? vm.dev : on == VM ? vm.fd : cpu->fd;
}

static void check_call(const struct call *c, const char *what, void *arg, int want)
{
	int r, got;

	errno = 0;
	r = ioctl(fd_of(c->on), c->cmd, arg);
	got = r < 0 ? errno : 0;
	if (got != want)
		ut_fail(__FILE__, __LINE__, "%s with %s: errno %d, not %d", c->name, what, got, want);
}

static void test_pointers(void)
{
	unsigned int i;

	create(true);
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		check_call(&calls[i], "NULL", NULL, calls[i].null);
		check_call(&calls[i], "an address of nothing", NOWHERE, calls[i].nowhere);
		check_call(&calls[i], "read-only zeroes", readonly, calls[i].ro);
	}
	destroy();
}

/* Numbers that no device has, and those that belong to another kind of descriptor. */
static void test_unknown(void)
{
	static const unsigned long unknown[] = {
		_IO(KVMIO, 0xff), _IOW(KVMIO, 0xfe, int), _IO(0xaf, 0x80), 0, 0xffffffff,
		_IOR(KVMIO, 0x81, int), _IOC(_IOC_READ, KVMIO, 0x81, 8), _IOW(KVMIO, 0x46, int),
	};
	unsigned int i;
	enum on on;

	create(true);
	for (on = DEV; on <= CPU; on++) {
		for (i = 0; i < ARRAY_SIZE(unknown); i++) {
			int r, e;

			errno = 0;
			r = ioctl(fd_of(on), unknown[i], readonly);
			e = errno;
			if (r != -1 || (e != EINVAL && e != ENOTTY))
				ut_fail(__FILE__, __LINE__, "ioctl %lx on descriptor %d: %d, errno %d",
					unknown[i], on, r, e);
		}
		for (i = 0; i < ARRAY_SIZE(calls); i++) {
			/* Some numbers mean something on two kinds. */
			if (calls[i].on == on || calls[i].cmd == KVM_GET_MSRS)
				continue;
			errno = 0;
			if (ioctl(fd_of(on), calls[i].cmd, readonly) != -1 ||
			    (errno != EINVAL && errno != ENOTTY))
				ut_fail(__FILE__, __LINE__, "%s on descriptor %d: errno %d",
					calls[i].name, on, errno);
		}
	}
	CHECK_ERRNO(ioctl(vm.dev, _IO(0xaf, 0x80), 0), EINVAL);
	destroy();
}

/* Other operations on the descriptors. */
static void test_files(void)
{
	uint8_t byte = 0;

	create(true);
	CHECK_ERRNO(read(vm.dev, &byte, 1), EINVAL);
	CHECK_ERRNO(write(vm.fd, &byte, 1), EINVAL);
	CHECK_ERRNO(read(cpu->fd, &byte, 1), EINVAL);
	CHECK(mmap(NULL, UT_PAGE, PROT_READ, MAP_SHARED, vm.dev, 0) == MAP_FAILED &&
	      errno == ENODEV);
	CHECK(mmap(NULL, UT_PAGE, PROT_READ, MAP_SHARED, vm.fd, 0) == MAP_FAILED &&
	      errno == ENODEV);
	/* Nobody inherits them over exec. */
	CHECK(fcntl(vm.fd, F_GETFD) & FD_CLOEXEC);
	CHECK(fcntl(cpu->fd, F_GETFD) & FD_CLOEXEC);
	destroy();
}

/* ---- lists --------------------------------------------------------------------------------- */

#define MAX_MSRS 300

struct msrs {
	struct kvm_msrs head;
	struct kvm_msr_entry entry[MAX_MSRS];
};

static void test_msr_lists(void)
{
	static struct msrs m;

	create(true);
	m.head.nmsrs = 256;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_GET_MSRS, &m), E2BIG);
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_MSRS, &m), E2BIG);
	m.head.nmsrs = 0xffffffff;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_GET_MSRS, &m), E2BIG);
	CHECK_ERRNO(ioctl(vm.dev, KVM_GET_MSRS, &m), E2BIG);
	/* It ends at the first one that does not exist and says where. */
	m.head.nmsrs = 3;
	m.entry[0].index = 0x10;
	m.entry[1].index = 0x12345678;
	m.entry[2].index = 0x1b;
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_MSRS, &m), 1);
	m.entry[0].index = 0x174;
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_MSRS, &m), 1);
	m.head.nmsrs = 0;
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_MSRS, &m), 0);
	destroy();
}

/* Each MSR of the list can be read, and set to what was read. */
static void test_msr_round_trip(void)
{
	static struct {
		struct kvm_msr_list head;
		uint32_t index[MAX_MSRS];
	} list;
	static struct msrs m;
	unsigned int i;

	create(true);
	list.head.nmsrs = MAX_MSRS;
	NEED(ioctl(vm.dev, KVM_GET_MSR_INDEX_LIST, &list) == 0);
	for (i = 0; i < list.head.nmsrs; i++) {
		m.head.nmsrs = 1;
		m.entry[0].index = list.index[i];
		if (ioctl(cpu->fd, KVM_GET_MSRS, &m) != 1)
			ut_fail(__FILE__, __LINE__, "MSR %x cannot be read", list.index[i]);
		else if (ioctl(cpu->fd, KVM_SET_MSRS, &m) != 1)
			ut_fail(__FILE__, __LINE__, "MSR %x cannot be set to %llx", list.index[i],
				m.entry[0].data);
	}
	list.head.nmsrs = MAX_MSRS;
	NEED(ioctl(vm.dev, KVM_GET_MSR_FEATURE_INDEX_LIST, &list) == 0);
	for (i = 0; i < list.head.nmsrs; i++) {
		m.head.nmsrs = 1;
		m.entry[0].index = list.index[i];
		if (ioctl(vm.dev, KVM_GET_MSRS, &m) != 1)
			ut_fail(__FILE__, __LINE__, "feature MSR %x cannot be read", list.index[i]);
	}
	destroy();
}

static void test_cpuid_lists(void)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[257];
	} c, back;

	create(true);
	c.head.nent = 257;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_CPUID2, &c), E2BIG);
	c.head.nent = 0;
	CHECK_ERRNO(ioctl(vm.dev, KVM_GET_SUPPORTED_CPUID, &c), E2BIG);
	c.head.nent = 100;
	CHECK_EQ(ioctl(vm.dev, KVM_GET_SUPPORTED_CPUID, &c), 0);
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_CPUID2, &c), 0);
	back.head.nent = c.head.nent - 1;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_GET_CPUID2, &back), E2BIG);
	back.head.nent = 257;
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_CPUID2, &back), 0);
	CHECK_EQ(back.head.nent, c.head.nent);
	destroy();
}

/* ---- reserved fields and values ------------------------------------------------------------ */

static void test_values(void)
{
	struct kvm_enable_cap cap = { .cap = 0x7fffffff };
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp = { .mp_state = 99 };
	struct kvm_guest_debug dbg = { .control = 1u << 15 };
	struct kvm_debugregs dr;
	struct kvm_irqchip chip = { .chip_id = 3 };
	struct kvm_sregs sregs, good;
	struct kvm_msi msi = { .flags = 2 };
	struct kvm_xcrs xcrs;
	struct kvm_interrupt irq = { .irq = 256 };

	create(true);
	CHECK_ERRNO(ioctl(vm.dev, KVM_GET_API_VERSION, 1), EINVAL);
	CHECK_ERRNO(ioctl(vm.dev, KVM_CREATE_VM, 0x1234), EINVAL);
	CHECK_ERRNO(ioctl(vm.dev, KVM_GET_VCPU_MMAP_SIZE, 1), EINVAL);
	CHECK_ERRNO(ioctl(vm.fd, KVM_CREATE_IRQCHIP, 0), EEXIST);
	CHECK_ERRNO(ioctl(vm.fd, KVM_ENABLE_CAP, &cap), EINVAL);
	cap.cap = KVM_CAP_EXCEPTION_PAYLOAD;
	cap.flags = 1;
	CHECK_ERRNO(ioctl(vm.fd, KVM_ENABLE_CAP, &cap), EINVAL);
	CHECK_ERRNO(ioctl(vm.fd, KVM_GET_IRQCHIP, &chip), EINVAL);
	CHECK_ERRNO(ioctl(vm.fd, KVM_SET_IRQCHIP, &chip), EINVAL);
	CHECK_ERRNO(ioctl(vm.fd, KVM_SIGNAL_MSI, &msi), EINVAL);
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_MP_STATE, &mp), EINVAL);
	/* KVM ignores bits it does not know; hv says so. */
	if (strcmp(ut_device(), "/dev/kvm"))
		CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_GUEST_DEBUG, &dbg), EINVAL);
	irq.irq = 256;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_INTERRUPT, &irq), EINVAL);
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, &events), 0);
	events.flags = 1u << 30;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_VCPU_EVENTS, &events), EINVAL);
	events.flags = 0;
	events.exception.injected = 1;
	events.exception.nr = 32;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_VCPU_EVENTS, &events), EINVAL);
	events.exception.nr = 2;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_VCPU_EVENTS, &events), EINVAL);
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_DEBUGREGS, &dr), 0);
	dr.flags = 1;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_DEBUGREGS, &dr), EINVAL);
	dr.flags = 0;
	dr.dr7 = 1ULL << 32;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_DEBUGREGS, &dr), EINVAL);
	dr.dr7 = 0x400;
	dr.dr6 = 1ULL << 40;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_DEBUGREGS, &dr), EINVAL);
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_XCRS, &xcrs), 0);
	xcrs.xcrs[0].value = 0;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_XCRS, &xcrs), EINVAL);
	xcrs.xcrs[0].value = 1ULL << 40 | 1;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_XCRS, &xcrs), EINVAL);
	xcrs.nr_xcrs = 17;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_XCRS, &xcrs), EINVAL);

	CHECK_EQ(ioctl(cpu->fd, KVM_GET_SREGS, &good), 0);
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_SREGS, &good), 0);
	sregs = good;
	sregs.cr4 = 1ULL << 31;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_SREGS, &sregs), EINVAL);
	sregs = good;
	sregs.cr0 = 1ULL << 32;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_SREGS, &sregs), EINVAL);
	sregs = good;
	sregs.cr0 = 1u << 31;			/* PG without PE */
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_SREGS, &sregs), EINVAL);
	sregs = good;
	sregs.efer = 1ULL << 40;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_SREGS, &sregs), EINVAL);
	sregs = good;
	sregs.efer = 0x500;			/* LMA without paging */
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_SREGS, &sregs), EINVAL);
	sregs = good;
	sregs.cr0 = 0x80000011;
	sregs.efer = 0x500;			/* long mode without PAE */
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_SREGS, &sregs), EINVAL);
	sregs = good;
	sregs.apic_base = 1ULL << 63;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_SREGS, &sregs), EINVAL);
	/* None of them changed anything. */
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_SREGS, &sregs), 0);
	CHECK_EQ(sregs.cr0, good.cr0);
	CHECK_EQ(sregs.cr4, good.cr4);
	CHECK_EQ(sregs.efer, good.efer);
	destroy();
}

static const struct ut_test tests[] = {
	{ "args-pointers", test_pointers },
	{ "args-unknown-numbers", test_unknown },
	{ "args-other-calls", test_files },
	{ "args-msr-lists", test_msr_lists },
	{ "args-msr-round-trip", test_msr_round_trip },
	{ "args-cpuid-lists", test_cpuid_lists },
	{ "args-values", test_values },
};

int main(int argc, char **argv)
{
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
