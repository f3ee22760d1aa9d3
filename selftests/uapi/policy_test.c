// SPDX-License-Identifier: GPL-2.0-or-later
/* What user space decides about a VM: MSRs, exits, quirks, hypercalls, the APIC's clock and ids. */
#include <fcntl.h>
#include <linux/kvm_para.h>
#include <signal.h>

#include "linux/kvm_later.h"
#include "ut.h"

static struct ut_vm vm;
static struct ut_vcpu *cpu;

static int enable(unsigned int cap, uint64_t arg)
{
	struct kvm_enable_cap c = { .cap = cap, .args = { arg } };

	return ioctl(vm.fd, KVM_ENABLE_CAP, &c);
}

static void create(bool irqchip)
{
	ut_vm_create(&vm, 0);
	if (irqchip)
		NEED(ioctl(vm.fd, KVM_CREATE_IRQCHIP, 0) == 0);
	cpu = ut_vcpu_create(&vm);
}

/* ---- MSRs ------------------------------------------------------------------------------------ */

#define LSTAR		0xc0000082u	/* the CPU lets the guest have it without an exit */
#define EFER		0xc0000080u
#define NO_SUCH_MSR	0x40u

struct msr_args {
	uint32_t index, pad;
	uint64_t value;
};

UT_GUEST static void guest_rdmsr(void *args)
{
	struct msr_args *a = args;
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(a->index));
	a->value = low | (uint64_t)high << 32;
	ut_done(1);
}

UT_GUEST static void guest_wrmsr(void *args)
{
	struct msr_args *a = args;

	__asm__ volatile("wrmsr" : : "c"(a->index), "a"((uint32_t)a->value),
			 "d"((uint32_t)(a->value >> 32)));
	ut_done(2);
}

static void start_msr(ut_guest_fn fn, uint32_t index, uint64_t value)
{
	struct msr_args *a = ut_args(cpu);

	ut_start(cpu, fn);
	ut_catch_exceptions(cpu);
	a->index = index;
	a->value = value;
}

static uint64_t msr_value(void)
{
	return ((struct msr_args *)ut_args(cpu))->value;
}

/* The guest's access leaves with this reason; what user space answers is what it gets. */
static void expect_msr_exit(uint32_t exit, uint32_t index, uint32_t reason)
{
	uint32_t value;

	CHECK_EQ(ut_run(cpu, &value), UT_EXIT);
	CHECK_EQ(cpu->run->exit_reason, exit);
	CHECK_EQ(cpu->run->msr.index, index);
	CHECK_EQ(cpu->run->msr.reason, reason);
	CHECK_EQ(cpu->run->msr.error, 0);
}

static int set_filter(uint32_t flags, uint32_t range_flags, uint32_t base, uint32_t nmsrs,
		      void *bitmap)
{
	struct kvm_msr_filter f = { .flags = flags };

	f.ranges[3] = (struct kvm_msr_filter_range) {
		.flags = range_flags, .base = base, .nmsrs = nmsrs, .bitmap = bitmap,
	};
	return ioctl(vm.fd, KVM_X86_SET_MSR_FILTER, &f);
}

static void test_msr_exits(void)
{
	uint32_t value;

	create(false);
	CHECK_ERRNO(enable(KVM_CAP_X86_USER_SPACE_MSR, 1 << 8), EINVAL);
	CHECK_EQ(enable(KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_UNKNOWN), 0);
	start_msr(guest_rdmsr, NO_SUCH_MSR, 0);
	expect_msr_exit(KVM_EXIT_X86_RDMSR, NO_SUCH_MSR, KVM_MSR_EXIT_REASON_UNKNOWN);
	cpu->run->msr.data = 0x123456789abcdef0;
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	CHECK_EQ(msr_value(), 0x123456789abcdef0);
	start_msr(guest_wrmsr, NO_SUCH_MSR, 0xfedcba9876543210);
	expect_msr_exit(KVM_EXIT_X86_WRMSR, NO_SUCH_MSR, KVM_MSR_EXIT_REASON_UNKNOWN);
	CHECK_EQ(cpu->run->msr.data, 0xfedcba9876543210);
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	CHECK_EQ(value, 2);
	/* User space refuses: #GP. */
	start_msr(guest_wrmsr, NO_SUCH_MSR, 1);
	expect_msr_exit(KVM_EXIT_X86_WRMSR, NO_SUCH_MSR, KVM_MSR_EXIT_REASON_UNKNOWN);
	cpu->run->msr.error = 1;
	CHECK_EQ(ut_run(cpu, &value), UT_EXIT);
	CHECK(ut_is_exception(cpu));
	/* A known MSR with a bad value is another reason, which was not asked for. */
	start_msr(guest_wrmsr, EFER, 1ULL << 55);
	CHECK_EQ(ut_run(cpu, &value), UT_EXIT);
	CHECK(ut_is_exception(cpu));
	CHECK_EQ(enable(KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_INVAL), 0);
	start_msr(guest_wrmsr, EFER, 1ULL << 55);
	expect_msr_exit(KVM_EXIT_X86_WRMSR, EFER, KVM_MSR_EXIT_REASON_INVAL);
	ut_vm_destroy(&vm);
}

static void test_msr_filter(void)
{
	uint8_t bits[8] = { 0 };
	uint32_t value;

	create(false);
	CHECK_EQ(enable(KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_FILTER), 0);
	/* One without ranges allows everything. */
	CHECK_EQ(set_filter(KVM_MSR_FILTER_DEFAULT_ALLOW, 0, 0, 0, NULL), 0);
	start_msr(guest_wrmsr, LSTAR, 0x1000);
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	/* Reads of LSTAR are denied, writes are not. */
	CHECK_EQ(set_filter(0, KVM_MSR_FILTER_READ, LSTAR - 2, 8, bits), 0);
	start_msr(guest_wrmsr, LSTAR, 0x2000);
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	start_msr(guest_rdmsr, LSTAR, 0);
	expect_msr_exit(KVM_EXIT_X86_RDMSR, LSTAR, KVM_MSR_EXIT_REASON_FILTER);
	cpu->run->msr.data = 7;
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	CHECK_EQ(msr_value(), 7);
	/* Bit 2 of the range is LSTAR; the rest of the world is denied. */
	bits[0] = 4;
	CHECK_EQ(set_filter(KVM_MSR_FILTER_DEFAULT_DENY, KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
			    LSTAR - 2, 8, bits), 0);
	start_msr(guest_rdmsr, LSTAR, 0);
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	CHECK_EQ(msr_value(), 0x2000);
	start_msr(guest_wrmsr, 0x174, 8);
	expect_msr_exit(KVM_EXIT_X86_WRMSR, 0x174, KVM_MSR_EXIT_REASON_FILTER);
	/* Without the exit: #GP. And back to a world without a filter. */
	CHECK_EQ(enable(KVM_CAP_X86_USER_SPACE_MSR, 0), 0);
	start_msr(guest_wrmsr, 0x174, 8);
	CHECK_EQ(ut_run(cpu, &value), UT_EXIT);
	CHECK(ut_is_exception(cpu));
	CHECK_EQ(set_filter(0, 0, 0, 0, NULL), 0);
	start_msr(guest_wrmsr, 0x174, 8);
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	ut_vm_destroy(&vm);
}

static void test_msr_filter_args(void)
{
	static uint8_t bits[0x700];

	create(false);
	CHECK_ERRNO(set_filter(2, 0, 0, 0, NULL), EINVAL);
	CHECK_ERRNO(set_filter(KVM_MSR_FILTER_DEFAULT_DENY, 0, 0, 0, NULL), EINVAL);
	CHECK_ERRNO(set_filter(0, 0, 0, 1, bits), EINVAL);
	CHECK_ERRNO(set_filter(0, 4, 0, 1, bits), EINVAL);
	CHECK_ERRNO(set_filter(0, KVM_MSR_FILTER_READ, 0, 0x600 * 8 + 1, bits), EINVAL);
	CHECK_EQ(set_filter(0, KVM_MSR_FILTER_READ, 0, 0x600 * 8, bits), 0);
	CHECK_ERRNO(set_filter(0, KVM_MSR_FILTER_READ, 0, 8, (void *)8), EFAULT);
	CHECK_ERRNO(set_filter(0, KVM_MSR_FILTER_READ, 0, 0xffffffff, bits), EINVAL);
	ut_vm_destroy(&vm);
}

/* ---- CPUID faulting -------------------------------------------------------------------------- */

static int set_msr(uint32_t index, uint64_t value)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} m = { .head.nmsrs = 1, .entry = { .index = index, .data = value } };

	return ioctl(cpu->fd, KVM_SET_MSRS, &m);
}

static void test_platform_info(void)
{
	uint32_t value;

	create(false);
	start_msr(guest_rdmsr, 0xce, 0);
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	CHECK(msr_value() & 1u << 31);
	CHECK_EQ(set_msr(0x140, 1), 1);
	/* What offers the feature stays while the feature is on. */
	CHECK_EQ(set_msr(0xce, 0), 0);
	CHECK_EQ(set_msr(0x140, 2), 0);
	CHECK_EQ(set_msr(0x140, 0), 1);
	CHECK_EQ(set_msr(0xce, 0), 1);
	CHECK_EQ(set_msr(0x140, 1), 0);
	CHECK_EQ(enable(KVM_CAP_MSR_PLATFORM_INFO, 0), 0);
	start_msr(guest_rdmsr, 0xce, 0);
	CHECK_EQ(ut_run(cpu, &value), UT_EXIT);
	CHECK(ut_is_exception(cpu));
	ut_vm_destroy(&vm);
}

/* ---- hypercalls ------------------------------------------------------------------------------ */

struct call_args {
	uint64_t nr, a, b, c, ret;
};

UT_GUEST static void guest_hypercall(void *args)
{
	struct call_args *h = args;

	/* VMMCALL; a CPU that has VMCALL in its place gets that from the hypervisor. */
	__asm__ volatile(".byte 0x0f, 0x01, 0xd9"
			 : "=a"(h->ret) : "a"(h->nr), "b"(h->a), "c"(h->b), "d"(h->c) : "memory");
	ut_done(1);
}

static struct call_args *start_call(uint64_t nr, uint64_t a, uint64_t b, uint64_t c)
{
	struct call_args *h = ut_args(cpu);

	ut_start(cpu, guest_hypercall);
	*h = (struct call_args) { .nr = nr, .a = a, .b = b, .c = c };
	return h;
}

static void test_hypercall_exit(void)
{
	struct call_args *h;
	uint32_t value;

	create(false);
	CHECK_ERRNO(enable(KVM_CAP_EXIT_HYPERCALL, 1 << 11), EINVAL);
	h = start_call(KVM_HC_MAP_GPA_RANGE, 0x4000, 2, 16);
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	CHECK_EQ(h->ret, -KVM_ENOSYS);
	CHECK_EQ(enable(KVM_CAP_EXIT_HYPERCALL, 1 << KVM_HC_MAP_GPA_RANGE), 0);
	h = start_call(KVM_HC_MAP_GPA_RANGE, 0x4000, 2, 16);
	CHECK_EQ(ut_run(cpu, &value), UT_EXIT);
	CHECK_EQ(cpu->run->exit_reason, KVM_EXIT_HYPERCALL);
	CHECK_EQ(cpu->run->hypercall.nr, KVM_HC_MAP_GPA_RANGE);
	CHECK_EQ(cpu->run->hypercall.args[0], 0x4000);
	CHECK_EQ(cpu->run->hypercall.args[1], 2);
	CHECK_EQ(cpu->run->hypercall.args[2], 16);
	CHECK_EQ(cpu->run->hypercall.longmode, 1);
	cpu->run->hypercall.ret = 77;
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	CHECK_EQ(h->ret, 77);
	/* Ranges that are none do not reach user space. */
	h = start_call(KVM_HC_MAP_GPA_RANGE, 0x4001, 2, 16);
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	CHECK_EQ(h->ret, -KVM_EINVAL);
	h = start_call(KVM_HC_MAP_GPA_RANGE, 0x4000, 0, 16);
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	CHECK_EQ(h->ret, -KVM_EINVAL);
	h = start_call(KVM_HC_MAP_GPA_RANGE, 0x4000, -4, 16);
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	CHECK_EQ(h->ret, -KVM_EINVAL);
	ut_vm_destroy(&vm);
}

/* Both vendors' instructions, one of which the CPU does not know. */
UT_GUEST static void guest_both_calls(void *args)
{
	uint64_t *ret = args;

	__asm__ volatile(".byte 0x0f, 0x01, 0xd9" : "=a"(ret[0]) : "a"(0x12345L) : "memory");
	__asm__ volatile(".byte 0x0f, 0x01, 0xc1" : "=a"(ret[1]) : "a"(0x12345L) : "memory");
	ut_done(1);
}

static void test_hypercall_quirk(void)
{
	uint64_t *ret;
	uint32_t value;

	create(false);
	ut_start(cpu, guest_both_calls);
	ut_catch_exceptions(cpu);
	ret = ut_args(cpu);
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	CHECK_EQ(ret[0], -KVM_ENOSYS);
	CHECK_EQ(ret[1], -KVM_ENOSYS);
	ut_vm_destroy(&vm);
	create(false);
	CHECK_EQ(enable(KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_FIX_HYPERCALL_INSN), 0);
	ut_start(cpu, guest_both_calls);
	ut_catch_exceptions(cpu);
	CHECK_EQ(ut_run(cpu, &value), UT_EXIT);
	CHECK(ut_is_exception(cpu));
	ut_vm_destroy(&vm);
}

/* ---- quirks ---------------------------------------------------------------------------------- */

UT_GUEST static void guest_out_7e(void *args)
{
	__asm__ volatile("outb %%al, $0x7e" : : "a"(1));
	ut_done(1);
}

static uint64_t rip_at_out_7e(void)
{
	struct kvm_regs regs;
	uint32_t value;

	ut_start(cpu, guest_out_7e);
	NEED(ioctl(cpu->fd, KVM_GET_REGS, &regs) == 0);
	CHECK_EQ(ut_run(cpu, &value), UT_EXIT);
	CHECK_EQ(cpu->run->io.port, 0x7e);
	NEED(ioctl(cpu->fd, KVM_GET_REGS, &regs) == 0);
	/* Either way it goes on behind the instruction. */
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	return regs.rip;
}

static void test_quirks(void)
{
	uint64_t valid, rip;

	create(false);
	valid = ioctl(vm.fd, KVM_CHECK_EXTENSION, KVM_CAP_DISABLE_QUIRKS2);
	CHECK_ERRNO(enable(KVM_CAP_DISABLE_QUIRKS2, ~valid), EINVAL);
	CHECK_ERRNO(enable(KVM_CAP_DISABLE_QUIRKS2, 1ULL << 63), EINVAL);
	CHECK_EQ(enable(KVM_CAP_DISABLE_QUIRKS, ~valid), 0);
	rip = rip_at_out_7e();
	CHECK_EQ(enable(KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_OUT_7E_INC_RIP), 0);
	CHECK_EQ(rip_at_out_7e(), rip - 2);
	/* What is off stays off. */
	CHECK_EQ(enable(KVM_CAP_DISABLE_QUIRKS2, 0), 0);
	CHECK_EQ(rip_at_out_7e(), rip - 2);
	ut_vm_destroy(&vm);
}

UT_GUEST static void guest_mwait(void *args)
{
	__asm__ volatile("monitor" : : "a"(args), "c"(0), "d"(0));
	__asm__ volatile("mwait" : : "a"(0), "c"(0));
	ut_done(1);
}

static void test_mwait(void)
{
	uint32_t value;

	if (strcmp(ut_device(), "/dev/hv"))
		ut_skip("stock KVM gets #UD from the emulated CPU");
	create(false);
	/* A NOP to a guest whose CPUID does not have it. */
	ut_start(cpu, guest_mwait);
	ut_catch_exceptions(cpu);
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	CHECK_EQ(enable(KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS), 0);
	ut_start(cpu, guest_mwait);
	ut_catch_exceptions(cpu);
	CHECK_EQ(ut_run(cpu, &value), UT_EXIT);
	CHECK(ut_is_exception(cpu));
	ut_vm_destroy(&vm);
}

/* ---- exits that are turned off --------------------------------------------------------------- */

UT_GUEST static void guest_halt(void *args)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

UT_GUEST static void guest_halt_sti(void *args)
{
	for (;;)
		__asm__ volatile("sti; hlt");
}

static void *kicker(void *arg)
{
	usleep(300000);
	cpu->run->immediate_exit = 1;
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

static void on_signal(int sig)
{
}

/*
 * HLT without an irqchip would leave KVM_RUN; now the CPU halts, until an interrupt of the host's,
 * and only we end that.
 */
static void halt_until_kicked(ut_guest_fn fn)
{
	pthread_t me = pthread_self(), thread;
	int r;

	cpu->run->immediate_exit = 0;
	ut_start(cpu, fn);
	NEED(pthread_create(&thread, NULL, kicker, &me) == 0);
	r = ioctl(cpu->fd, KVM_RUN, 0);
	CHECK(r < 0 && errno == EINTR);
	pthread_join(thread, NULL);
}

static void test_disable_exits(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	ut_vm_create(&vm, 0);
	CHECK_ERRNO(enable(KVM_CAP_X86_DISABLE_EXITS, 1 << 20), EINVAL);
	CHECK_EQ(enable(KVM_CAP_X86_DISABLE_EXITS, KVM_X86_DISABLE_EXITS_HLT |
			KVM_X86_DISABLE_EXITS_PAUSE), 0);
	cpu = ut_vcpu_create(&vm);
	sigaction(SIGUSR1, &action, NULL);
	/* Bochs, the emulated Intel host, forgets its interrupts while a guest halts like this. */
	if (!__builtin_cpu_is("intel"))
		halt_until_kicked(guest_halt);
	halt_until_kicked(guest_halt_sti);
	ut_vm_destroy(&vm);
}

/* Exits that only some CPUs can make: no CPU that an emulated host has. */
static void check_cpu_exits(void)
{
	int lock = ioctl(vm.fd, KVM_CHECK_EXTENSION, KVM_CAP_X86_BUS_LOCK_EXIT);
	int notify = ioctl(vm.fd, KVM_CHECK_EXTENSION, KVM_CAP_X86_NOTIFY_VMEXIT);

	CHECK(lock == 0 || lock == 3);
	CHECK(notify == 0 || notify == 3);
	CHECK_ERRNO(enable(KVM_CAP_X86_BUS_LOCK_EXIT, 3), EINVAL);
	CHECK_ERRNO(enable(KVM_CAP_X86_BUS_LOCK_EXIT, 4), EINVAL);
	/* KVM accepts it and nothing comes of it. */
	if (!lock && strcmp(ut_device(), "/dev/kvm"))
		CHECK_ERRNO(enable(KVM_CAP_X86_BUS_LOCK_EXIT, KVM_BUS_LOCK_DETECTION_EXIT), EINVAL);
	if (lock) {
		CHECK_EQ(enable(KVM_CAP_X86_BUS_LOCK_EXIT, KVM_BUS_LOCK_DETECTION_EXIT), 0);
		CHECK_EQ(enable(KVM_CAP_X86_BUS_LOCK_EXIT, KVM_BUS_LOCK_DETECTION_OFF), 0);
	}
	CHECK_ERRNO(enable(KVM_CAP_X86_NOTIFY_VMEXIT, 4), EINVAL);
	CHECK_ERRNO(enable(KVM_CAP_X86_NOTIFY_VMEXIT, KVM_X86_NOTIFY_VMEXIT_USER), EINVAL);
	if (!notify)
		CHECK_ERRNO(enable(KVM_CAP_X86_NOTIFY_VMEXIT, KVM_X86_NOTIFY_VMEXIT_ENABLED),
			    EINVAL);
}

static void test_emulation_exit(void)
{
	create(false);
	CHECK_ERRNO(enable(KVM_CAP_EXIT_ON_EMULATION_FAILURE, 2), EINVAL);
	CHECK_EQ(enable(KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1), 0);
	CHECK_EQ(enable(KVM_CAP_EXIT_ON_EMULATION_FAILURE, 0), 0);
	CHECK_ERRNO(enable(KVM_CAP_HALT_POLL, 1ULL << 32), EINVAL);
	CHECK_EQ(enable(KVM_CAP_HALT_POLL, 50000), 0);
	CHECK_EQ(enable(KVM_CAP_HALT_POLL, 0), 0);
	check_cpu_exits();
	ut_vm_destroy(&vm);
}

/* ---- the APIC -------------------------------------------------------------------------------- */

static void test_apic_bus(void)
{
	if (ioctl(open(ut_device(), 2), KVM_CHECK_EXTENSION, KVM_CAP_X86_APIC_BUS_CYCLES_NS) <= 0)
		ut_skip("this kernel's KVM has no such capability");
	ut_vm_create(&vm, 0);
	CHECK_ERRNO(enable(KVM_CAP_X86_APIC_BUS_CYCLES_NS, 10), ENXIO);
	NEED(ioctl(vm.fd, KVM_CREATE_IRQCHIP, 0) == 0);
	CHECK_ERRNO(enable(KVM_CAP_X86_APIC_BUS_CYCLES_NS, 0), EINVAL);
	CHECK_ERRNO(enable(KVM_CAP_X86_APIC_BUS_CYCLES_NS, 1ULL << 40), EINVAL);
	CHECK_EQ(enable(KVM_CAP_X86_APIC_BUS_CYCLES_NS, 10), 0);
	cpu = ut_vcpu_create(&vm);
	CHECK_ERRNO(enable(KVM_CAP_X86_APIC_BUS_CYCLES_NS, 10), EINVAL);
	ut_vm_destroy(&vm);
}

static uint32_t lapic_id(void)
{
	struct kvm_lapic_state state;
	uint32_t id;

	NEED(ioctl(cpu->fd, KVM_GET_LAPIC, &state) == 0);
	memcpy(&id, state.regs + 0x20, 4);
	return id;
}

static void enter_x2apic(void)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[256];
	} cpuid = { .head.nent = 256 };

	NEED(ioctl(vm.dev, KVM_GET_SUPPORTED_CPUID, &cpuid) == 0);
	NEED(ioctl(cpu->fd, KVM_SET_CPUID2, &cpuid) == 0);
	NEED(set_msr(0x1b, 0xfee00c00) == 1);
}

static void test_x2apic_ids(void)
{
	struct kvm_msi msi = { .address_lo = 0xfee00000, .address_hi = 0x101, .data = 0x41 };
	struct kvm_lapic_state state;
	int fd;

	ut_vm_create(&vm, 0);
	NEED(ioctl(vm.fd, KVM_CREATE_IRQCHIP, 0) == 0);
	CHECK_ERRNO(enable(KVM_CAP_X2APIC_API, 4), EINVAL);
	fd = ioctl(vm.fd, KVM_CREATE_VCPU, 300);
	NEED(fd >= 0);
	cpu = &(struct ut_vcpu) { .vm = &vm, .fd = fd };
	enter_x2apic();
	CHECK_EQ(lapic_id(), 300u << 24);
	CHECK_EQ(enable(KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS |
			KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK), 0);
	CHECK_EQ(lapic_id(), 300);
	NEED(ioctl(fd, KVM_GET_LAPIC, &state) == 0);
	CHECK_EQ(ioctl(fd, KVM_SET_LAPIC, &state), 0);
	state.regs[0x20] ^= 1;
	CHECK_ERRNO(ioctl(fd, KVM_SET_LAPIC, &state), EINVAL);
	/* Bits 7:0 of the upper half mean nothing. */
	CHECK_ERRNO(ioctl(vm.fd, KVM_SIGNAL_MSI, &msi), EINVAL);
	msi.address_hi = 0x100;
	msi.address_lo |= (300 & 0xff) << 12;
	/* Its APIC is not enabled by software: addressed, not accepted. */
	CHECK_EQ(ioctl(vm.fd, KVM_SIGNAL_MSI, &msi), 0);
	close(fd);
	ut_vm_destroy(&vm);
}

/* ---- the task priority by memory ------------------------------------------------------------- */

#define VAPIC_GPA	0x60000UL

struct tpr_args {
	uint64_t apic;			/* address of the TPR's register */
	uint64_t first, second, third;
};

UT_GUEST static void guest_tpr(void *args)
{
	struct tpr_args *a = args;
	volatile uint32_t *tpr = (void *)(a->apic + 0x80), *word = (void *)VAPIC_GPA;

	*tpr = 0x20;
	a->first = *tpr;
	a->second = *word;		/* follows at an entry: the accesses above have exited */
	*word = 0x30;
	__asm__ volatile("cpuid" : : "a"(0) : "rbx", "rcx", "rdx", "memory");	/* an exit */
	a->third = *tpr;
	ut_done(1);
}

static void start_tpr(void)
{
	ut_start(cpu, guest_tpr);
	*(struct tpr_args *)ut_args(cpu) = (struct tpr_args) { .apic = 0xfee00000 };
}

static void test_tpr_access(void)
{
	struct kvm_tpr_access_ctl ctl = { .enabled = 1, .flags = 1 };
	struct kvm_regs regs;
	uint32_t value;

	if (ut_is_kvm_intel_with("flexpriority"))
		ut_skip("the TPR is not KVM's where the CPU has it");
	create(true);
	CHECK_ERRNO(ioctl(cpu->fd, KVM_TPR_ACCESS_REPORTING, &ctl), EINVAL);
	ctl.flags = 0;
	CHECK_EQ(ioctl(cpu->fd, KVM_TPR_ACCESS_REPORTING, &ctl), 0);
	start_tpr();
	NEED(ioctl(cpu->fd, KVM_GET_REGS, &regs) == 0);
	CHECK_EQ(ut_run(cpu, &value), UT_EXIT);
	CHECK_EQ(cpu->run->exit_reason, KVM_EXIT_TPR_ACCESS);
	CHECK_EQ(cpu->run->tpr_access.is_write, 1);
	CHECK(cpu->run->tpr_access.rip >= regs.rip && cpu->run->tpr_access.rip < regs.rip + 128);
	CHECK_EQ(ut_run(cpu, &value), UT_EXIT);
	CHECK_EQ(cpu->run->exit_reason, KVM_EXIT_TPR_ACCESS);
	CHECK_EQ(cpu->run->tpr_access.is_write, 0);
	ctl.enabled = 0;
	CHECK_EQ(ioctl(cpu->fd, KVM_TPR_ACCESS_REPORTING, &ctl), 0);
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	CHECK_EQ(((struct tpr_args *)ut_args(cpu))->first, 0x20);
	ut_vm_destroy(&vm);
}

static void test_vapic(void)
{
	struct kvm_vapic_addr vapic = { .vapic_addr = 0x123456789000 };
	struct tpr_args *a;
	uint32_t value;

	create(false);
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_VAPIC_ADDR, &vapic), EINVAL);
	ut_vm_destroy(&vm);
	create(true);
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_VAPIC_ADDR, &vapic), EINVAL);
	vapic.vapic_addr = VAPIC_GPA;
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_VAPIC_ADDR, &vapic), 0);
	start_tpr();
	a = ut_args(cpu);
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	/* KVM brings the word up to date only when it looks for interrupts. */
	if (!strcmp(ut_device(), "/dev/hv")) {
		CHECK_EQ(a->first, 0x20);
		CHECK_EQ(a->second, 0x20);
	}
	CHECK_EQ(a->third, 0x30);
	vapic.vapic_addr = 0;
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_VAPIC_ADDR, &vapic), 0);
	start_tpr();
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	CHECK_EQ(a->third, 0x20);
	ut_vm_destroy(&vm);
}

/* ---- machine checks -------------------------------------------------------------------------- */

#define MCI_VAL		(1ULL << 63)
#define MCI_OVER	(1ULL << 62)
#define MCI_UC		(1ULL << 61)
#define MCI_AR		(1ULL << 55)

static uint64_t get_msr(uint32_t index)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} m = { .head.nmsrs = 1, .entry.index = index };

	CHECK_EQ(ioctl(cpu->fd, KVM_GET_MSRS, &m), 1);
	return m.entry.data;
}

UT_GUEST static void guest_spin(void *args)
{
	for (;;)
		__asm__ volatile("pause");
}

static void test_mce(void)
{
	struct kvm_x86_mce mce = {
		.status = MCI_VAL | 0x136, .addr = 0x5000, .misc = 0x86, .bank = 2,
	};
	uint64_t cap = 10 | 1 << 8;
	struct kvm_sregs sregs;
	uint32_t value;

	create(false);
	NEED(ioctl(cpu->fd, KVM_X86_SETUP_MCE, &cap) == 0);
	mce.bank = 10;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_X86_SET_MCE, &mce), EINVAL);
	mce.bank = 2;
	mce.status &= ~MCI_VAL;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_X86_SET_MCE, &mce), EINVAL);
	/* Corrected: recorded; a second one says that it overwrote the first. */
	mce.status |= MCI_VAL;
	CHECK_EQ(ioctl(cpu->fd, KVM_X86_SET_MCE, &mce), 0);
	CHECK_EQ(get_msr(0x409), MCI_VAL | 0x136);
	CHECK_EQ(get_msr(0x40a), 0x5000);
	CHECK_EQ(get_msr(0x40b), 0x86);
	mce.addr = 0x6000;
	CHECK_EQ(ioctl(cpu->fd, KVM_X86_SET_MCE, &mce), 0);
	CHECK_EQ(get_msr(0x409), MCI_VAL | MCI_OVER | 0x136);
	CHECK_EQ(get_msr(0x40a), 0x6000);
	/* Uncorrected: an exception for a guest that takes them. */
	ut_start(cpu, guest_spin);
	ut_catch_exceptions(cpu);
	NEED(ioctl(cpu->fd, KVM_GET_SREGS, &sregs) == 0);
	sregs.cr4 |= 1 << 6;
	NEED(ioctl(cpu->fd, KVM_SET_SREGS, &sregs) == 0);
	mce = (struct kvm_x86_mce) {
		.status = MCI_VAL | MCI_UC | MCI_AR, .addr = 0x7000, .mcg_status = 5, .bank = 1,
	};
	CHECK_EQ(ioctl(cpu->fd, KVM_X86_SET_MCE, &mce), 0);
	CHECK_EQ(get_msr(0x17a), 5);
	CHECK_EQ(get_msr(0x405), mce.status);
	CHECK_EQ(ut_run(cpu, &value), UT_EXIT);
	CHECK(ut_is_exception(cpu));
	/* Another one before the guest has cleared MCIP: the end of it. */
	CHECK_EQ(ioctl(cpu->fd, KVM_X86_SET_MCE, &mce), 0);
	CHECK_EQ(ut_run(cpu, &value), UT_EXIT);
	CHECK_EQ(cpu->run->exit_reason, KVM_EXIT_SHUTDOWN);
	ut_vm_destroy(&vm);
}

#define FEATURE_CONTROL	0x3a
#define MCG_EXT_CTL	0x4d0
#define FEATURE_LMCE	(1UL << 20 | 1)		/* and the lock */
#define CAP_LMCE	(1UL << 27)

static bool msr_is_listed(uint32_t index)
{
	struct {
		struct kvm_msr_list head;
		uint32_t index[1000];
	} list = { .head.nmsrs = 1000 };
	unsigned int i;

	NEED(ioctl(vm.dev, KVM_GET_MSR_INDEX_LIST, &list) == 0);
	for (i = 0; i < list.head.nmsrs; i++)
		if (list.index[i] == index)
			return true;
	return false;
}

/* A write by the guest: does it have such a register, and may it? */
static bool guest_may_write(uint32_t index, uint64_t value)
{
	uint32_t done;

	start_msr(guest_wrmsr, index, value);
	if (ut_run(cpu, &done) == UT_DONE)
		return true;
	CHECK(ut_is_exception(cpu));
	return false;
}

static void test_lmce(void)
{
	uint64_t supported = 0, cap = 10 | CAP_LMCE;
	uint32_t value;

	create(false);
	NEED(ioctl(vm.dev, KVM_X86_GET_MCE_CAP_SUPPORTED, &supported) == 0);
	CHECK_EQ(msr_is_listed(MCG_EXT_CTL), !!(supported & CAP_LMCE));
	if (!(supported & CAP_LMCE)) {
		CHECK_ERRNO(ioctl(cpu->fd, KVM_X86_SETUP_MCE, &cap), EINVAL);
		CHECK_EQ(set_msr(MCG_EXT_CTL, 0), 0);
		ut_vm_destroy(&vm);
		return;
	}
	/* A guest without it. */
	CHECK(!guest_may_write(FEATURE_CONTROL, FEATURE_LMCE));
	NEED(ioctl(cpu->fd, KVM_X86_SETUP_MCE, &cap) == 0);
	/* Firmware turns it on, once; then the system may. */
	CHECK(!guest_may_write(MCG_EXT_CTL, 1));
	CHECK(guest_may_write(FEATURE_CONTROL, FEATURE_LMCE));
	CHECK(!guest_may_write(FEATURE_CONTROL, FEATURE_LMCE));
	CHECK(guest_may_write(MCG_EXT_CTL, 1));
	CHECK(!guest_may_write(MCG_EXT_CTL, 2));
	CHECK_EQ(get_msr(FEATURE_CONTROL), FEATURE_LMCE);
	CHECK_EQ(get_msr(MCG_EXT_CTL), 1);
	start_msr(guest_rdmsr, MCG_EXT_CTL, 0);
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	CHECK_EQ(msr_value(), 1);
	/* Saved state goes in whatever it says. */
	CHECK_EQ(set_msr(FEATURE_CONTROL, 0), 1);
	CHECK_EQ(set_msr(MCG_EXT_CTL, 1), 1);
	CHECK_EQ(set_msr(MCG_EXT_CTL, 2), 0);
	CHECK(!guest_may_write(MCG_EXT_CTL, 0));
	ut_vm_destroy(&vm);
}

static const struct ut_test tests[] = {
	{ "msr-exits", test_msr_exits },
	{ "msr-filter", test_msr_filter },
	{ "msr-filter-args", test_msr_filter_args },
	{ "platform-info", test_platform_info },
	{ "hypercall-exit", test_hypercall_exit },
	{ "hypercall-quirk", test_hypercall_quirk },
	{ "quirks", test_quirks },
	{ "mwait-quirk", test_mwait },
	{ "disable-exits", test_disable_exits },
	{ "emulation-exit", test_emulation_exit },
	{ "apic-bus", test_apic_bus },
	{ "x2apic-ids", test_x2apic_ids },
	{ "tpr-access", test_tpr_access },
	{ "vapic", test_vapic },
	{ "mce", test_mce },
	{ "lmce", test_lmce },
};

int main(int argc, char **argv)
{
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
