// SPDX-License-Identifier: GPL-2.0-or-later
/* Hyper-V's interface to guests: CPUID, MSRs, hypercalls, time, SynIC, synthetic timers. */
#include "irq_guest.h"

#include <poll.h>
#include <sys/eventfd.h>

#define VECTOR		0x60
#define AUTO_VECTOR	0x70
#define EOI_FLAG	0x20100
#define PAGE_HYPERCALL	0x180000UL
#define PAGE_TSC	0x181000UL
#define PAGE_MESSAGES	0x182000UL
#define PAGE_EVENTS	0x183000UL
#define PAGE_ASSIST	0x20000UL	/* of the flag above: the page of vCPU 0 */
#define SHARED		(UT_ARGS(0) + 0x800)

#define MSR_GUEST_OS_ID	0x40000000
#define MSR_HYPERCALL	0x40000001
#define MSR_VP_INDEX	0x40000002
#define MSR_RESET	0x40000003
#define MSR_VP_RUNTIME	0x40000010
#define MSR_REF_COUNT	0x40000020
#define MSR_REF_TSC	0x40000021
#define MSR_TSC_FREQ	0x40000022
#define MSR_APIC_FREQ	0x40000023
#define MSR_EOI		0x40000070
#define MSR_TPR		0x40000072
#define MSR_ASSIST	0x40000073
#define MSR_SCONTROL	0x40000080
#define MSR_SVERSION	0x40000081
#define MSR_SIEFP	0x40000082
#define MSR_SIMP	0x40000083
#define MSR_EOM		0x40000084
#define MSR_SINT0	0x40000090
#define MSR_STIMER0_CONFIG 0x400000b0
#define MSR_STIMER0_COUNT 0x400000b1
#define MSR_CRASH_P0	0x40000100
#define MSR_CRASH_CTL	0x40000105

#define HC_FLUSH_ALL	0x0002
#define HC_SEND_IPI	0x000b
#define HC_POST_MESSAGE	0x005c
#define HC_SIGNAL_EVENT	0x005d
#define HC_FAST		(1ULL << 16)

struct shared {
	uint64_t value[12];
};

static struct shared *shared(struct ut_vm *vm)
{
	return (struct shared *)(vm->low + SHARED);
}

struct cpuid {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entry[200];
};

struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

static int set_msr(struct ut_vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct one_msr m = { .head.nmsrs = 1, .entry = { .index = index, .data = value } };

	return ioctl(vcpu->fd, KVM_SET_MSRS, &m);
}

static uint64_t get_msr(struct ut_vcpu *vcpu, uint32_t index)
{
	struct one_msr m = { .head.nmsrs = 1, .entry.index = index };

	NEED(ioctl(vcpu->fd, KVM_GET_MSRS, &m) == 1);
	return m.entry.data;
}

static int enable_cap(struct ut_vcpu *vcpu, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap ec = { .cap = cap, .args[0] = arg };

	return ioctl(vcpu->fd, KVM_ENABLE_CAP, &ec);
}

/* The guest's CPUID with Hyper-V's leaves in place of KVM's. */
static void give_hyperv(struct ut_vcpu *vcpu)
{
	struct cpuid cpu = { .head.nent = 200 }, hyperv = { .head.nent = 200 };
	uint32_t i, n = 0;

	NEED(ioctl(vcpu->fd, KVM_GET_CPUID2, &cpu) == 0);
	NEED(ioctl(vcpu->vm->dev, KVM_GET_SUPPORTED_HV_CPUID, &hyperv) == 0);
	for (i = 0; i < cpu.head.nent; i++)
		if (cpu.entry[i].function >> 16 != 0x4000)
			cpu.entry[n++] = cpu.entry[i];
	NEED(n + hyperv.head.nent <= 200);
	memcpy(&cpu.entry[n], hyperv.entry, hyperv.head.nent * sizeof(hyperv.entry[0]));
	cpu.head.nent = n + hyperv.head.nent;
	NEED(ioctl(vcpu->fd, KVM_SET_CPUID2, &cpu) == 0);
}

static void vm_create(struct ut_vm *vm, unsigned int vcpus)
{
	unsigned int i;

	ig_vm_create(vm, vcpus);
	for (i = 0; i < vcpus; i++) {
		give_hyperv(&vm->vcpu[i]);
		NEED(enable_cap(&vm->vcpu[i], KVM_CAP_HYPERV_SYNIC2, 0) == 0);
	}
}

/* A call through the page that the hypervisor filled. */
IG_INLINE uint64_t hypercall(uint64_t control, uint64_t in, uint64_t out)
{
	uint64_t rax, page = PAGE_HYPERCALL;
	register uint64_t r8 __asm__("r8") = out;

	__asm__ volatile("call *%[page]" : "=a"(rax), "+c"(control), "+d"(in), "+r"(r8)
			 : [page] "r"(page) : "memory", "r9", "r10", "r11", "cc");
	return rax;
}

IG_INLINE void introduce(void)
{
	ig_wrmsr(MSR_GUEST_OS_ID, 0x8100000000000000ULL);
	ig_wrmsr(MSR_HYPERCALL, PAGE_HYPERCALL | 1);
}

IG_INLINE uint64_t read_tsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("lfence\n\trdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return lo | (uint64_t)hi << 32;
}

/* ---- identification ------------------------------------------------------------------------ */

static void check_leaves(int fd)
{
	struct cpuid c = { .head.nent = 3 };
	uint32_t i;

	CHECK_ERRNO(ioctl(fd, KVM_GET_SUPPORTED_HV_CPUID, &c), E2BIG);
	c.head.nent = 200;
	NEED(ioctl(fd, KVM_GET_SUPPORTED_HV_CPUID, &c) == 0);
	CHECK_EQ(c.head.nent, 10);
	for (i = 0; i < c.head.nent; i++) {
		const struct kvm_cpuid_entry2 *e = &c.entry[i];

		switch (e->function) {
		case 0x40000000:
			CHECK_EQ(e->eax, 0x40000082);
			CHECK(!memcmp(&e->ebx, "Linu", 4) && !memcmp(&e->ecx, "x KV", 4) &&
			      !memcmp(&e->edx, "M Hv", 4));
			break;
		case 0x40000001:
			CHECK_EQ(e->eax, 0x31237648);
			break;
		case 0x40000003:
			/* MSRs, hypercalls; crash, frequencies, direct timers, XMM input. */
			CHECK_EQ(e->eax & 0xaaff, 0xaaff);
			CHECK_EQ(e->ebx & 0x30, 0x30);
			CHECK_EQ(e->edx & 0x80510, 0x80510);
			break;
		case 0x40000004:
			CHECK_EQ(e->eax & 0xc2c, 0xc2c);
			break;
		}
	}
}

static void test_cpuid(void)
{
	struct ut_vm vm;

	ig_vm_create(&vm, 1);
	check_leaves(vm.dev);
	check_leaves(vm.vcpu[0].fd);
	ut_vm_destroy(&vm);
}

UT_GUEST static void guest_read(void *args)
{
	volatile uint64_t *v = ((volatile struct shared *)SHARED)->value;

	v[1] = ig_rdmsr(v[0]);
	ut_done(1);
}

/* Without its CPUID the guest has nothing of it; user space can prepare its state all the same. */
static void test_off(void)
{
	static const uint32_t msrs[] = {
		MSR_GUEST_OS_ID, MSR_VP_INDEX, MSR_REF_COUNT, MSR_SCONTROL,
	};
	struct ut_vm vm;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(msrs); i++) {
		ut_vm_create(&vm, 0);
		NEED(ioctl(vm.fd, KVM_CREATE_IRQCHIP, 0) == 0);
		ut_vcpu_create(&vm);
		shared(&vm)->value[0] = msrs[i];
		ut_start(&vm.vcpu[0], guest_read);
		ut_catch_exceptions(&vm.vcpu[0]);
		CHECK(ut_run(&vm.vcpu[0], NULL) == UT_EXIT && ut_is_exception(&vm.vcpu[0]));
		get_msr(&vm.vcpu[0], msrs[i]);
		ut_vm_destroy(&vm);
	}
}

/* ---- state --------------------------------------------------------------------------------- */

static void test_state(void)
{
	static const struct {
		uint32_t index;
		uint64_t value;
	} msrs[] = {
		{ MSR_GUEST_OS_ID, 0x8100000000000001ULL }, { MSR_HYPERCALL, PAGE_HYPERCALL | 1 },
		{ MSR_REF_TSC, PAGE_TSC | 1 }, { MSR_ASSIST, PAGE_ASSIST | 1 },
		{ MSR_CRASH_P0, 1 }, { MSR_CRASH_P0 + 4, 5 }, { MSR_CRASH_CTL, 1ULL << 63 },
		{ MSR_SCONTROL, 1 }, { MSR_SVERSION, 1 }, { MSR_SIEFP, PAGE_EVENTS | 1 },
		{ MSR_SIMP, PAGE_MESSAGES | 1 }, { MSR_SINT0 + 3, 0x20000 | VECTOR },
		{ MSR_STIMER0_COUNT, 1ULL << 60 }, { MSR_STIMER0_CONFIG, 0x1001 | VECTOR << 4 },
		{ MSR_STIMER0_COUNT + 6, 77 }, { 0x40000106, 0x1ff }, { 0x40000107, 1 },
		{ 0x40000108, 1 }, { 0x40000118, 1 },
	};
	struct ut_vm vm;
	unsigned int i;

	vm_create(&vm, 2);
	CHECK_EQ(get_msr(&vm.vcpu[0], MSR_SINT0 + 7), 0x10000);
	CHECK_EQ(get_msr(&vm.vcpu[0], MSR_VP_INDEX), 0);
	CHECK_EQ(get_msr(&vm.vcpu[1], MSR_VP_INDEX), 1);
	for (i = 0; i < ARRAY_SIZE(msrs); i++)
		CHECK_EQ(set_msr(&vm.vcpu[0], msrs[i].index, msrs[i].value), 1);
	for (i = 0; i < ARRAY_SIZE(msrs); i++)
		CHECK_EQ(get_msr(&vm.vcpu[0], msrs[i].index), msrs[i].value);
	/* What is the VM's, the other vCPU sees too; what is a vCPU's, it does not. */
	CHECK_EQ(get_msr(&vm.vcpu[1], MSR_GUEST_OS_ID), 0x8100000000000001ULL);
	CHECK_EQ(get_msr(&vm.vcpu[1], MSR_SINT0 + 3), 0x10000);
	CHECK_EQ(set_msr(&vm.vcpu[1], MSR_VP_INDEX, 5), 1);
	CHECK_EQ(get_msr(&vm.vcpu[1], MSR_VP_INDEX), 5);
	CHECK_EQ(set_msr(&vm.vcpu[1], MSR_VP_INDEX, 1u << 20), 0);
	CHECK_EQ(set_msr(&vm.vcpu[0], 0x40000118, 2), 0);
	/* Ended by forgetting who the guest is. */
	CHECK_EQ(set_msr(&vm.vcpu[0], MSR_GUEST_OS_ID, 0), 1);
	CHECK_EQ(get_msr(&vm.vcpu[0], MSR_HYPERCALL), PAGE_HYPERCALL);
	ut_vm_destroy(&vm);
}

/* ---- hypercalls ---------------------------------------------------------------------------- */

UT_GUEST static void guest_calls(void *args)
{
	volatile uint64_t *v = ((volatile struct shared *)SHARED)->value;
	volatile uint64_t *in = (volatile uint64_t *)PAGE_EVENTS;

	introduce();
	v[0] = hypercall(0x7777, 0, 0);				/* no such call */
	v[1] = hypercall(HC_SEND_IPI | 1ULL << 62, 0, 0);	/* a reserved bit */
	v[2] = hypercall(HC_FLUSH_ALL | HC_FAST, 0, 1);		/* everybody */
	in[0] = 0;
	in[1] = 1;
	in[2] = 0;
	v[3] = hypercall(HC_FLUSH_ALL, PAGE_EVENTS, 0);
	v[4] = hypercall(HC_FLUSH_ALL, 0x7fff0000000ULL, 0);	/* no memory there */
	v[5] = hypercall(HC_SEND_IPI | HC_FAST, 8, 1);		/* an illegal vector */
	v[6] = hypercall(HC_SEND_IPI | HC_FAST, VECTOR, 1);
	__asm__ volatile("sti; nop; nop; cli" ::: "memory");
	v[7] = ig_count(VECTOR);
	/* Flush of a list: two entries, both done. */
	in[3] = PAGE_TSC;
	in[4] = PAGE_MESSAGES;
	v[8] = hypercall(0x0003 | 2ULL << 32, PAGE_EVENTS, 0);
	ut_done(1);
}

UT_GUEST static void guest_calls_first(void *args)
{
	ig_apic_write(0xf0, 0x1ff);
	guest_calls(args);
}

static void test_hypercalls(void)
{
	const uint64_t *v;
	struct ut_vm vm;

	vm_create(&vm, 1);
	v = shared(&vm)->value;
	ig_start(&vm.vcpu[0], guest_calls_first);
	CHECK_EQ(ig_finish(&vm.vcpu[0]), 1);
	CHECK_EQ(vm.low[PAGE_HYPERCALL + 3], 0xc3);
	CHECK_EQ(v[0], 2);
	CHECK_EQ(v[1], 3);
	CHECK_EQ(v[2], 0);
	CHECK_EQ(v[3], 0);
	CHECK_EQ(v[4], 3);
	CHECK_EQ(v[5], 3);
	CHECK_EQ(v[6], 0);
	CHECK_EQ(v[7], 1);
	CHECK_EQ(v[8], 2ULL << 32);
	ut_vm_destroy(&vm);
}

UT_GUEST static void guest_post(void *args)
{
	volatile uint64_t *v = ((volatile struct shared *)SHARED)->value;

	introduce();
	v[0] = hypercall(HC_POST_MESSAGE, 0x1000, 0x2000);
	v[1] = hypercall(HC_SIGNAL_EVENT | HC_FAST, 77, 0);
	v[2] = hypercall(HC_SIGNAL_EVENT | HC_FAST, 78, 0);
	ut_done(1);
}

static void check_hcall(struct ut_vcpu *vcpu, uint64_t code, uint64_t p0, uint64_t result)
{
	struct kvm_run *run = vcpu->run;

	NEED(ut_run(vcpu, NULL) == UT_EXIT);
	NEED(run->exit_reason == KVM_EXIT_HYPERV && run->hyperv.type == KVM_EXIT_HYPERV_HCALL);
	CHECK_EQ(run->hyperv.u.hcall.input & 0xffff, code);
	CHECK_EQ(run->hyperv.u.hcall.params[0], p0);
	run->hyperv.u.hcall.result = result;
}

static void test_events(void)
{
	int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct kvm_hyperv_eventfd he = { .conn_id = 77, .fd = event };
	struct ut_vm vm;
	uint64_t n = 0;

	vm_create(&vm, 1);
	NEED(event >= 0);
	CHECK_EQ(ioctl(vm.fd, KVM_HYPERV_EVENTFD, &he), 0);
	CHECK_ERRNO(ioctl(vm.fd, KVM_HYPERV_EVENTFD, &he), EEXIST);
	he.conn_id = 1u << 24;
	CHECK_ERRNO(ioctl(vm.fd, KVM_HYPERV_EVENTFD, &he), EINVAL);
	he.conn_id = 78;
	he.fd = -1;
	CHECK_ERRNO(ioctl(vm.fd, KVM_HYPERV_EVENTFD, &he), EBADF);
	he.flags = KVM_HYPERV_EVENTFD_DEASSIGN;
	CHECK_ERRNO(ioctl(vm.fd, KVM_HYPERV_EVENTFD, &he), ENOENT);
	he.flags = 2;
	CHECK_ERRNO(ioctl(vm.fd, KVM_HYPERV_EVENTFD, &he), EINVAL);
	ig_start(&vm.vcpu[0], guest_post);
	check_hcall(&vm.vcpu[0], HC_POST_MESSAGE, 0x1000, 0x12);
	/* 77 is the kernel's, 78 is not. */
	check_hcall(&vm.vcpu[0], HC_SIGNAL_EVENT, 78, 0x13);
	CHECK_EQ(ig_finish(&vm.vcpu[0]), 1);
	CHECK_EQ(shared(&vm)->value[0], 0x12);
	CHECK_EQ(shared(&vm)->value[1], 0);
	CHECK_EQ(shared(&vm)->value[2], 0x13);
	CHECK(read(event, &n, sizeof(n)) == sizeof(n) && n == 1);
	he.flags = KVM_HYPERV_EVENTFD_DEASSIGN;
	he.conn_id = 77;
	CHECK_EQ(ioctl(vm.fd, KVM_HYPERV_EVENTFD, &he), 0);
	ut_vm_destroy(&vm);
	close(event);
}

/* ---- time ---------------------------------------------------------------------------------- */

struct tsc_page {
	volatile uint32_t sequence, reserved;
	volatile uint64_t scale;
	volatile int64_t offset;
};

UT_GUEST static void guest_time(void *args)
{
	volatile uint64_t *v = ((volatile struct shared *)SHARED)->value;
	volatile struct tsc_page *p = (volatile struct tsc_page *)PAGE_TSC;
	uint64_t hi, lo;

	v[3] = ig_rdmsr(MSR_REF_COUNT);
	ig_wrmsr(MSR_REF_TSC, PAGE_TSC | 1);
	v[4] = ig_rdmsr(MSR_TSC_FREQ);
	v[5] = ig_rdmsr(MSR_APIC_FREQ);
	v[0] = ig_rdmsr(MSR_REF_COUNT);
	lo = read_tsc();
	__asm__("mulq %3" : "=d"(hi), "+a"(lo) : "0"(0), "rm"(p->scale));
	v[1] = hi + (uint64_t)p->offset;
	v[2] = ig_rdmsr(MSR_REF_COUNT);
	v[6] = p->sequence;
	ut_done(1);
}

static void check_time(struct ut_vm *vm)
{
	const uint64_t *v = shared(vm)->value;
	struct kvm_clock_data before, after;

	NEED(ioctl(vm->fd, KVM_GET_CLOCK, &before) == 0);
	ig_start(&vm->vcpu[0], guest_time);
	CHECK_EQ(ig_finish(&vm->vcpu[0]), 1);
	NEED(ioctl(vm->fd, KVM_GET_CLOCK, &after) == 0);
	CHECK(v[3] <= v[0] + 1 && v[0] <= v[2]);
	CHECK(v[0] + 100000 >= before.clock / 100 && v[2] <= after.clock / 100 + 100000);
	CHECK(v[4] / 1000 == (uint64_t)ioctl(vm->vcpu[0].fd, KVM_GET_TSC_KHZ, 0));
	CHECK_EQ(v[5], 1000000000);
	/* Both ways agree, where the page is in use. */
	if (v[6])
		CHECK(v[1] >= v[0] && v[1] <= v[2]);
	if (before.flags & KVM_CLOCK_TSC_STABLE)
		CHECK(v[6]);
}

static void test_time(void)
{
	struct kvm_clock_data clock = { .clock = 5000000000000ULL };
	struct ut_vm vm;

	vm_create(&vm, 1);
	check_time(&vm);
	/* Set while the guest has its page: it is written again. */
	NEED(ioctl(vm.fd, KVM_SET_CLOCK, &clock) == 0);
	check_time(&vm);
	CHECK(shared(&vm)->value[0] >= 50000000000ULL);
	ut_vm_destroy(&vm);
}

/* ---- crash and reset ----------------------------------------------------------------------- */

UT_GUEST static void guest_crash(void *args)
{
	ig_wrmsr(MSR_CRASH_P0, 0xc0ffee);
	ig_wrmsr(MSR_CRASH_CTL, 1ULL << 63);
	ig_wrmsr(MSR_RESET, 1);
	ut_done(1);
}

static void test_crash(void)
{
	struct kvm_run *run;
	struct ut_vm vm;

	vm_create(&vm, 1);
	run = vm.vcpu[0].run;
	ig_start(&vm.vcpu[0], guest_crash);
	NEED(ut_run(&vm.vcpu[0], NULL) == UT_EXIT);
	CHECK_EQ(run->exit_reason, KVM_EXIT_SYSTEM_EVENT);
	CHECK_EQ(run->system_event.type, KVM_SYSTEM_EVENT_CRASH);
	CHECK_EQ(get_msr(&vm.vcpu[0], MSR_CRASH_P0), 0xc0ffee);
	NEED(ut_run(&vm.vcpu[0], NULL) == UT_EXIT);
	CHECK_EQ(run->exit_reason, KVM_EXIT_SYSTEM_EVENT);
	CHECK_EQ(run->system_event.type, KVM_SYSTEM_EVENT_RESET);
	CHECK_EQ(ig_finish(&vm.vcpu[0]), 1);
	ut_vm_destroy(&vm);
}

/* ---- the APIC ------------------------------------------------------------------------------ */

/* Counts, and does not end the interrupt. */
IG_NAKED static void handler_no_eoi(void)
{
	__asm__ volatile("lock incl 0x341c0\n\t"		/* IG_COUNTS + 4 * AUTO_VECTOR */
			 "iretq");
}

/* Counts, and ends the interrupt by MSR if the assist page does not say that it need not. */
IG_NAKED static void handler_msr_eoi(void)
{
	__asm__ volatile("push %rax\n\t"
			 "push %rcx\n\t"
			 "push %rdx\n\t"
			 "lock incl 0x34180\n\t"		/* IG_COUNTS + 4 * VECTOR */
			 "btrl $0, 0x20000\n\t"
			 "jc 1f\n\t"
			 "lock incl 0x20880\n\t"
			 "mov $0x40000070, %ecx\n\t"
			 "xor %eax, %eax\n\t"
			 "xor %edx, %edx\n\t"
			 "wrmsr\n"
			 "1: pop %rdx\n\t"
			 "pop %rcx\n\t"
			 "pop %rax\n\t"
			 "iretq");
}

UT_GUEST static void guest_assist(void *args)
{
	volatile uint64_t *v = ((volatile struct shared *)SHARED)->value;
	unsigned int i;

	ig_apic_write(0xf0, 0x1ff);
	for (i = 0; i < 20; i++) {
		if (i == 10)
			ig_wrmsr(MSR_ASSIST, PAGE_ASSIST | 1);
		ig_wrmsr(MSR_EOI + 1, 0x40000 | VECTOR);	/* ICR */
		__asm__ volatile("sti; nop; nop; cli" ::: "memory");
		if (ig_apic_read(0x100 + (VECTOR >> 5) * 0x10))
			v[0]++;
	}
	v[1] = ig_count(VECTOR);
	ig_wrmsr(MSR_TPR, 0x30);
	v[2] = ig_rdmsr(MSR_TPR);
	v[3] = ig_apic_read(0x80);
	ut_done(1);
}

static void test_assist_page(void)
{
	struct ut_vm vm;

	if (ut_is_kvm_intel_with("enable_apicv"))
		ut_skip("the CPU takes the EOI, KVM's assist page does not");
	vm_create(&vm, 1);
	ig_set_gate(&vm, VECTOR, handler_msr_eoi);
	ig_start(&vm.vcpu[0], guest_assist);
	CHECK_EQ(ig_finish(&vm.vcpu[0]), 1);
	CHECK_EQ(shared(&vm)->value[0], 0);
	CHECK_EQ(shared(&vm)->value[1], 20);
	CHECK_EQ(shared(&vm)->value[2], 0x30);
	CHECK_EQ(shared(&vm)->value[3], 0x30);
	/*
	 * Ten without the page, none with it: but KVM takes its word back when the CPU leaves the
	 * guest between the interrupt and its end, as for an interrupt of the host.
	 */
	CHECK(*(uint32_t *)(vm.low + 0x20880) >= 10);
	CHECK(*(uint32_t *)(vm.low + 0x20880) <= 15);
	ut_vm_destroy(&vm);
}

/* ---- SynIC --------------------------------------------------------------------------------- */

UT_GUEST static void guest_synic(void *args)
{
	volatile uint64_t *v = ((volatile struct shared *)SHARED)->value;

	ig_apic_write(0xf0, 0x1ff);
	ig_wrmsr(MSR_SCONTROL, 1);
	ig_wrmsr(MSR_SIMP, PAGE_MESSAGES | 1);
	ig_wrmsr(MSR_SINT0 + 2, VECTOR);
	ig_wrmsr(MSR_SINT0 + 3, 0x20000 | AUTO_VECTOR);
	ut_done(1);
	ig_halt_until(VECTOR, 1);
	ig_halt_until(AUTO_VECTOR, 2);
	v[0] = ig_apic_read(0x100 + (AUTO_VECTOR >> 5) * 0x10);
	ig_wrmsr(MSR_EOM, 0);
	ut_done(2);
}

static void check_synic_exit(struct ut_vcpu *vcpu, uint32_t msr, uint64_t messages)
{
	struct kvm_run *run = vcpu->run;

	NEED(ut_run(vcpu, NULL) == UT_EXIT);
	NEED(run->exit_reason == KVM_EXIT_HYPERV && run->hyperv.type == KVM_EXIT_HYPERV_SYNIC);
	CHECK_EQ(run->hyperv.u.synic.msr, msr);
	CHECK_EQ(run->hyperv.u.synic.control, 1);
	CHECK_EQ(run->hyperv.u.synic.msg_page, messages);
}

static int route_sint(struct ut_vm *vm, uint32_t vp, uint32_t sint_a, uint32_t sint_b)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry[2];
	} table = {
		.head.nr = 2,
		.entry = {
			{ .gsi = 30, .type = KVM_IRQ_ROUTING_HV_SINT,
			  .u.hv_sint = { .vcpu = vp, .sint = sint_a } },
			{ .gsi = 31, .type = KVM_IRQ_ROUTING_HV_SINT,
			  .u.hv_sint = { .vcpu = vp, .sint = sint_b } },
		},
	};

	return ioctl(vm->fd, KVM_SET_GSI_ROUTING, &table);
}

static void test_synic(void)
{
	int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct kvm_irqfd irqfd = { .fd = (uint32_t)event, .gsi = 31 };
	struct ig_thread t;
	struct ut_vm vm;
	uint64_t one = 1;
	int i;

	vm_create(&vm, 1);
	ig_set_gate(&vm, AUTO_VECTOR, handler_no_eoi);
	NEED(route_sint(&vm, 0, 2, 3) == 0);
	NEED(ioctl(vm.fd, KVM_IRQFD, &irqfd) == 0);
	ig_start(&vm.vcpu[0], guest_synic);
	check_synic_exit(&vm.vcpu[0], MSR_SCONTROL, 0);
	check_synic_exit(&vm.vcpu[0], MSR_SIMP, PAGE_MESSAGES | 1);
	CHECK_EQ(ig_finish(&vm.vcpu[0]), 1);
	ig_thread_start(&t, &vm.vcpu[0]);
	CHECK_EQ(ig_irq_line(&vm, 30, 1), 0);
	for (i = 0; i < 2; i++) {
		NEED(write(event, &one, sizeof(one)) == sizeof(one));
		while (ig_counts(&vm)[AUTO_VECTOR] <= (uint32_t)i)
			usleep(1000);
	}
	CHECK_EQ(ig_thread_join(&t), 2);
	CHECK_EQ(ig_counts(&vm)[VECTOR], 1);
	/* Without an EOI the source with automatic EOI came twice and is not in service. */
	CHECK_EQ(shared(&vm)->value[0], 0);
	ut_vm_destroy(&vm);
	close(event);
}

/* Only with a local APIC in the kernel, and nothing before it is enabled. */
static void test_synic_off(void)
{
	struct ut_vm vm;

	ut_vm_create(&vm, 1);
	CHECK_ERRNO(enable_cap(&vm.vcpu[0], KVM_CAP_HYPERV_SYNIC2, 0), EINVAL);
	ut_vm_destroy(&vm);
	ig_vm_create(&vm, 1);
	give_hyperv(&vm.vcpu[0]);
	CHECK_EQ(set_msr(&vm.vcpu[0], MSR_SIMP, PAGE_MESSAGES | 1), 0);
	CHECK_EQ(set_msr(&vm.vcpu[0], MSR_SIMP, 0), 1);
	CHECK_ERRNO(enable_cap(&vm.vcpu[0], KVM_CAP_HYPERV_SYNIC2, 1), EINVAL);
	CHECK_EQ(enable_cap(&vm.vcpu[0], KVM_CAP_HYPERV_SYNIC, 0), 0);
	CHECK_EQ(set_msr(&vm.vcpu[0], MSR_SIMP, PAGE_MESSAGES | 1), 1);
	ut_vm_destroy(&vm);
}

/* ---- synthetic timers ---------------------------------------------------------------------- */

struct message {
	volatile uint32_t type;
	volatile uint8_t size, flags, reserved[2];
	volatile uint64_t sender;
	volatile uint32_t timer, reserved2;
	volatile uint64_t expired, delivered;
};

#define MS	10000ULL		/* 100 ns */

UT_GUEST static void guest_stimer(void *args)
{
	volatile uint64_t *v = ((volatile struct shared *)SHARED)->value;
	volatile struct message *m = (volatile struct message *)(PAGE_MESSAGES + 2 * 256);
	unsigned int i;

	ig_apic_write(0xf0, 0x1ff);
	ig_wrmsr(MSR_SIMP, PAGE_MESSAGES | 1);
	ig_wrmsr(MSR_SINT0 + 2, VECTOR);
	/* One shot, by message; enabled by the write of the count. */
	v[0] = ig_rdmsr(MSR_REF_COUNT) + 20 * MS;
	ig_wrmsr(MSR_STIMER0_CONFIG, 2 << 16 | 8);
	ig_wrmsr(MSR_STIMER0_COUNT, v[0]);
	ig_halt_until(VECTOR, 1);
	v[1] = m->type;
	v[2] = m->expired;
	v[3] = ig_rdmsr(MSR_REF_COUNT);
	v[4] = ig_rdmsr(MSR_STIMER0_CONFIG);
	/* The slot is taken when the next one comes: it waits for EOM. */
	ig_wrmsr(MSR_STIMER0_COUNT, ig_rdmsr(MSR_REF_COUNT) + MS);
	while (!(m->flags & 1))
		__asm__ volatile("pause" ::: "memory");
	v[5] = ig_count(VECTOR);
	m->type = 0;
	ig_wrmsr(MSR_EOM, 0);
	ig_halt_until(VECTOR, 2);
	m->type = 0;
	/* Periodic, direct. */
	ig_wrmsr(MSR_STIMER0_COUNT + 2, 10 * MS);
	ig_wrmsr(MSR_STIMER0_CONFIG + 2, 0x1003 | (VECTOR + 1) << 4);
	v[6] = ig_rdmsr(MSR_REF_COUNT);
	ig_halt_until(VECTOR + 1, 5);
	v[7] = ig_rdmsr(MSR_REF_COUNT);
	ig_wrmsr(MSR_STIMER0_CONFIG + 2, 0);
	i = ig_count(VECTOR + 1);
	/* One shot in the past, direct: at once. */
	ig_wrmsr(MSR_STIMER0_CONFIG + 4, 0x1008 | (VECTOR + 2) << 4);
	ig_wrmsr(MSR_STIMER0_COUNT + 4, 1);
	ig_halt_until(VECTOR + 2, 1);
	v[8] = ig_count(VECTOR + 1) - i;
	ut_done(1);
}

static void test_stimers(void)
{
	const uint64_t *v;
	struct ut_vm vm;
	enum ut_result r;
	uint32_t value = 0;

	vm_create(&vm, 1);
	v = shared(&vm)->value;
	ig_start(&vm.vcpu[0], guest_stimer);
	/* SIMP is told to user space. */
	do {
		r = ut_run(&vm.vcpu[0], &value);
	} while (r == UT_EXIT && vm.vcpu[0].run->exit_reason == KVM_EXIT_HYPERV);
	NEED(r == UT_DONE && value == 1);
	CHECK_EQ(v[1], 0x80000010);
	CHECK_EQ(v[2], v[0]);
	CHECK(v[3] >= v[0] && v[3] < v[0] + 5000 * MS);
	CHECK_EQ(v[4], 2 << 16 | 8);
	CHECK_EQ(v[5], 1);
	CHECK(v[7] - v[6] >= 49 * MS);
	CHECK(v[8] <= 1);
	ut_vm_destroy(&vm);
}

int main(int argc, char **argv)
{
	static const struct ut_test tests[] = {
		{ "hyperv-cpuid", test_cpuid },
		{ "hyperv-off", test_off },
		{ "hyperv-state", test_state },
		{ "hyperv-hypercalls", test_hypercalls },
		{ "hyperv-events", test_events },
		{ "hyperv-time", test_time },
		{ "hyperv-crash", test_crash },
		{ "hyperv-assist-page", test_assist_page },
		{ "hyperv-synic", test_synic },
		{ "hyperv-synic-off", test_synic_off },
		{ "hyperv-stimers", test_stimers },
	};

	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
