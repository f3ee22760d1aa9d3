// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * KVM's paravirtual features besides the clock: preempted mark, EOI by memory, kick, yield, IPI,
 * poll control, asynchronous page faults, enforcement by CPUID, hypercalls that user space answers.
 */
#include "irq_guest.h"

#include <asm/kvm_para.h>
#include <fcntl.h>
#include <linux/kvm_para.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <sys/syscall.h>

#define VECTOR		0x60
#define READY_VECTOR	0x68
#define HC_ENOSYS	((uint64_t)-1000)

/* Where guest and host meet, in the page of vCPU 0. */
#define SHARED		(UT_ARGS(0) + 0x800)
#define APF_AREA	(UT_ARGS(0) + 0x400)
#define FAULTS		(UT_ARGS(0) + 0x440)	/* of the #PF handler: count, last token */

struct shared {
	uint64_t value[8];
	uint64_t amd;			/* VMMCALL or VMCALL */
};

static struct shared *shared(struct ut_vm *vm)
{
	return (struct shared *)(vm->low + SHARED);
}

struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

static int set_msr(struct ut_vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct one_msr m = { .head.nmsrs = 1, .entry = { .index = index, .data = value } };

	return ioctl(vcpu->fd, KVM_SET_MSRS, &m);
}

static int get_msr(struct ut_vcpu *vcpu, uint32_t index, uint64_t *value)
{
	struct one_msr m = { .head.nmsrs = 1, .entry.index = index };
	int r = ioctl(vcpu->fd, KVM_GET_MSRS, &m);

	*value = m.entry.data;
	return r;
}

static bool host_is_amd(void)
{
	uint32_t eax = 0, ebx, ecx = 0, edx;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return ebx == 0x68747541;
}

static void vm_create(struct ut_vm *vm, unsigned int vcpus)
{
	ig_vm_create(vm, vcpus);
	shared(vm)->amd = host_is_amd();
}

IG_INLINE uint64_t hypercall(uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
	uint64_t rax = nr;

	if (((volatile struct shared *)SHARED)->amd)
		__asm__ volatile("vmmcall" : "+a"(rax) : "b"(a0), "c"(a1), "d"(a2), "S"(a3)
				 : "memory");
	else
		__asm__ volatile("vmcall" : "+a"(rax) : "b"(a0), "c"(a1), "d"(a2), "S"(a3)
				 : "memory");
	return rax;
}

#define STR_(x)		#x
#define STR(x)		STR_(x)

/* ---- MSRs ---------------------------------------------------------------------------------- */

static void test_msrs(void)
{
	static const struct {
		uint32_t index;
		uint64_t good, bad;
	} msrs[] = {
		{ MSR_KVM_POLL_CONTROL, 0, 2 },
		{ MSR_KVM_PV_EOI_EN, 0x5001, 0x5003 },
		{ MSR_KVM_STEAL_TIME, 0x5001, 0x5003 },
		{ MSR_KVM_ASYNC_PF_EN, 0x5009, 0x5019 },
		{ MSR_KVM_ASYNC_PF_INT, 0xec, 0x100 },
	};
	uint64_t value;
	struct ut_vm vm;
	unsigned int i;

	vm_create(&vm, 1);
	CHECK_EQ(get_msr(&vm.vcpu[0], MSR_KVM_POLL_CONTROL, &value), 1);
	CHECK_EQ(value, 1);
	for (i = 0; i < ARRAY_SIZE(msrs); i++) {
		CHECK_EQ(set_msr(&vm.vcpu[0], msrs[i].index, msrs[i].good), 1);
		CHECK_EQ(set_msr(&vm.vcpu[0], msrs[i].index, msrs[i].bad), 0);
		CHECK_EQ(get_msr(&vm.vcpu[0], msrs[i].index, &value), 1);
		CHECK_EQ(value, msrs[i].good);
	}
	CHECK_EQ(get_msr(&vm.vcpu[0], MSR_KVM_ASYNC_PF_ACK, &value), 1);
	CHECK_EQ(value, 0);
	/* Outside of memory. */
	CHECK_EQ(set_msr(&vm.vcpu[0], MSR_KVM_PV_EOI_EN, 0x40000001), 0);
	CHECK_EQ(set_msr(&vm.vcpu[0], MSR_KVM_ASYNC_PF_EN, 0x40000009), 0);
	ut_vm_destroy(&vm);
}

static int enable_cap(struct ut_vcpu *vcpu, uint32_t cap, uint64_t arg, uint32_t flags)
{
	struct kvm_enable_cap ec = { .cap = cap, .flags = flags, .args[0] = arg };

	return ioctl(vcpu->fd, KVM_ENABLE_CAP, &ec);
}

UT_GUEST static void guest_enosys(void *args)
{
	volatile uint64_t *v = ((volatile struct shared *)SHARED)->value;

	v[0] = hypercall(KVM_HC_KICK_CPU, 0, 0, 0, 0);
	v[1] = hypercall(KVM_HC_SEND_IPI, 0, 0, 0, 0);
	v[2] = hypercall(KVM_HC_SCHED_YIELD, 0, 0, 0, 0);
	ut_done(1);
}

/* What CPUID does not offer is not there, if user space wants it so. */
static void test_enforce(void)
{
	static const uint32_t msrs[] = {
		MSR_KVM_SYSTEM_TIME, MSR_KVM_SYSTEM_TIME_NEW, MSR_KVM_WALL_CLOCK,
		MSR_KVM_WALL_CLOCK_NEW, MSR_KVM_ASYNC_PF_EN, MSR_KVM_STEAL_TIME,
		MSR_KVM_PV_EOI_EN, MSR_KVM_POLL_CONTROL, MSR_KVM_ASYNC_PF_INT,
	};
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[200];
	} cpuid = { .head.nent = 200 };
	struct ut_vcpu *vcpu;
	uint64_t value;
	struct ut_vm vm;
	unsigned int i;

	vm_create(&vm, 1);
	vcpu = &vm.vcpu[0];
	CHECK_EQ(ioctl(vm.dev, KVM_CHECK_EXTENSION, KVM_CAP_ENFORCE_PV_FEATURE_CPUID), 1);
	CHECK_ERRNO(enable_cap(vcpu, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1, 1), EINVAL);
	CHECK_ERRNO(enable_cap(vcpu, 0xffff, 1, 0), EINVAL);
	CHECK_EQ(enable_cap(vcpu, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1, 0), 0);
	for (i = 0; i < ARRAY_SIZE(msrs); i++)
		CHECK_EQ(get_msr(vcpu, msrs[i], &value), 1);
	NEED(ioctl(vcpu->fd, KVM_GET_CPUID2, &cpuid) == 0);
	for (i = 0; i < cpuid.head.nent; i++)
		if (cpuid.entry[i].function == 0x40000001)
			cpuid.entry[i].eax = 0;
	NEED(ioctl(vcpu->fd, KVM_SET_CPUID2, &cpuid) == 0);
	for (i = 0; i < ARRAY_SIZE(msrs); i++) {
		/* Reading what is listed works or not, by KVM's age, but tells nothing. */
		CHECK(!get_msr(vcpu, msrs[i], &value) || !value);
		CHECK_EQ(set_msr(vcpu, msrs[i], 1), 0);
	}
	ig_start(vcpu, guest_enosys);
	CHECK_EQ(ig_finish(vcpu), 1);
	for (i = 0; i < 3; i++)
		CHECK_EQ(shared(&vm)->value[i], HC_ENOSYS);
	ut_vm_destroy(&vm);
}

/* ---- EOI by memory ------------------------------------------------------------------------- */

#define EOI_FLAG	0x20100		/* in the page of vCPU 0 */

/* Clears the bit, and counts if it was set; else writes EOI and counts that. */
IG_NAKED static void eoi_handler(void)
{
	__asm__ volatile("btrl $0, " STR(EOI_FLAG) "\n\t"
			 "jnc 1f\n\t"
			 "lock incl 0x34180\n\t"		/* IG_COUNTS + 4 * VECTOR */
			 "iretq\n"
			 "1: push %rax\n\t"
			 "lock incl 0x34184\n\t"
			 "mov $0xfee000b0, %eax\n\t"
			 "movl $0, (%rax)\n\t"
			 "pop %rax\n\t"
			 "iretq");
}

UT_GUEST static void guest_pv_eoi(void *args)
{
	volatile uint64_t *v = ((volatile struct shared *)SHARED)->value;
	unsigned int i;

	ig_apic_write(0xf0, 0x1ff);
	ig_wrmsr(MSR_KVM_PV_EOI_EN, EOI_FLAG | 1);
	for (i = 0; i < 100; i++) {
		ig_apic_write(0x300, 0x40000 | VECTOR);		/* to itself */
		__asm__ volatile("sti; nop; nop; cli" ::: "memory");
		if (ig_apic_read(0x100 + (VECTOR >> 5) * 0x10) & (1u << (VECTOR & 31)))
			v[1]++;			/* still in service */
	}
	v[0] = ig_count(VECTOR);
	v[4] = ig_count(VECTOR + 1);
	/* A lower one waits: the first must be ended by a write, so that the second comes. */
	ig_apic_write(0x300, 0x40000 | (VECTOR + 0x20));
	ig_apic_write(0x300, 0x40000 | VECTOR);
	__asm__ volatile("sti; nop; nop; nop; cli" ::: "memory");
	v[2] = ig_count(VECTOR + 0x20);
	v[3] = ig_count(VECTOR) + ig_count(VECTOR + 1);
	ig_wrmsr(MSR_KVM_PV_EOI_EN, 0);
	ut_done(1);
}

static void test_pv_eoi(void)
{
	struct kvm_lapic_state lapic;
	struct ut_vm vm;

	_Static_assert(IG_COUNTS + 4 * VECTOR == 0x34180, "in eoi_handler()");
	_Static_assert(UT_ARGS(0) + 0x100 == EOI_FLAG, "in eoi_handler()");
	if (ut_has_apicv())
		ut_skip("the CPU takes the EOI, the flag in memory is not used");
	vm_create(&vm, 1);
	ig_set_gate(&vm, VECTOR, eoi_handler);
	ig_start(&vm.vcpu[0], guest_pv_eoi);
	CHECK_EQ(ig_finish(&vm.vcpu[0]), 1);
	/*
	 * Interrupts find the bit set, clear it, and are seen to have ended. Where a host interrupt
	 * comes between, KVM takes the bit back.
	 */
	CHECK(shared(&vm)->value[0] > 50);
	CHECK_EQ(shared(&vm)->value[0] + shared(&vm)->value[4], 100);
	CHECK_EQ(shared(&vm)->value[1], 0);
	CHECK_EQ(shared(&vm)->value[2], 1);
	CHECK_EQ(shared(&vm)->value[3], 101);
	NEED(ioctl(vm.vcpu[0].fd, KVM_GET_LAPIC, &lapic) == 0);
	CHECK_EQ(*(uint32_t *)(lapic.regs + 0x100 + (VECTOR >> 5) * 0x10), 0);
	ut_vm_destroy(&vm);
}

IG_NAKED static void leave_in_handler(void)
{
	__asm__ volatile("push %rax\n\t"
			 "mov $0x77, %eax\n\t"
			 "out %eax, $0xf0\n\t"
			 "pop %rax\n\t"
			 "btrl $0, " STR(EOI_FLAG) "\n\t"
			 "jc 1f\n\t"
			 "push %rax\n\t"
			 "mov $0xfee000b0, %eax\n\t"
			 "movl $0, (%rax)\n\t"
			 "pop %rax\n"
			 "1: iretq");
}

/* User space sees no bit set: the interrupt is in service, as it would be without all this. */
static void test_pv_eoi_user(void)
{
	struct kvm_lapic_state lapic;
	uint32_t value = 0;
	struct ut_vm vm;

	vm_create(&vm, 1);
	ig_set_gate(&vm, VECTOR, leave_in_handler);
	ig_start(&vm.vcpu[0], guest_pv_eoi);
	CHECK(ut_run(&vm.vcpu[0], &value) == UT_DONE && value == 0x77);
	CHECK(!(vm.low[EOI_FLAG] & 1));
	NEED(ioctl(vm.vcpu[0].fd, KVM_GET_LAPIC, &lapic) == 0);
	CHECK_EQ(*(uint32_t *)(lapic.regs + 0x100 + (VECTOR >> 5) * 0x10), 1u << (VECTOR & 31));
	ut_vm_destroy(&vm);
}

/* ---- other vCPUs --------------------------------------------------------------------------- */

UT_GUEST static void guest_halt_closed(void *args)
{
	ig_apic_write(0xf0, 0x1ff);
	__asm__ volatile("cli; hlt" ::: "memory");
	ut_done(7);
}

UT_GUEST static void guest_kick(void *args)
{
	volatile uint64_t *v = ((volatile struct shared *)SHARED)->value;

	v[0] = hypercall(KVM_HC_KICK_CPU, 0, 1, 0, 0);
	v[1] = hypercall(KVM_HC_KICK_CPU, 0, 77, 0, 0);
	v[2] = hypercall(KVM_HC_SCHED_YIELD, 1, 0, 0, 0);
	v[3] = hypercall(KVM_HC_SCHED_YIELD, 77, 0, 0, 0);
	ut_done(1);
}

static void test_kick(void)
{
	struct ig_thread t;
	struct ut_vm vm;
	int i;

	vm_create(&vm, 2);
	/* Halted already, or about to halt: the kick is not lost. */
	for (i = 0; i < 2; i++) {
		memset(shared(&vm)->value, 0xff, sizeof(shared(&vm)->value));
		ig_start(&vm.vcpu[1], guest_halt_closed);
		ig_start(&vm.vcpu[0], guest_kick);
		if (i) {
			CHECK_EQ(ig_finish(&vm.vcpu[0]), 1);
			ig_thread_start(&t, &vm.vcpu[1]);
		} else {
			ig_thread_start(&t, &vm.vcpu[1]);
			usleep(100000);
			CHECK_EQ(ig_finish(&vm.vcpu[0]), 1);
		}
		CHECK_EQ(ig_thread_join(&t), 7);
		CHECK_EQ(shared(&vm)->value[0], 0);
		CHECK_EQ(shared(&vm)->value[1], 0);
		CHECK_EQ(shared(&vm)->value[2], 0);
		CHECK_EQ(shared(&vm)->value[3], 0);
	}
	ut_vm_destroy(&vm);
}

UT_GUEST static void guest_ipi(void *args)
{
	volatile uint64_t *v = ((volatile struct shared *)SHARED)->value;

	ig_apic_write(0xf0, 0x1ff);
	v[0] = hypercall(KVM_HC_SEND_IPI, 6, 0, 0, VECTOR);	/* APIC ids 1 and 2 */
	v[1] = hypercall(KVM_HC_SEND_IPI, 1, 0, 2, VECTOR);	/* 2 */
	v[2] = hypercall(KVM_HC_SEND_IPI, 1, 0, 200, VECTOR);	/* nobody */
	ut_done(1);
}

UT_GUEST static void guest_await_ipi(void *args)
{
	volatile struct shared *s = (volatile struct shared *)SHARED;

	ig_apic_write(0xf0, 0x1ff);
	__atomic_add_fetch(&s->value[4], 1, __ATOMIC_SEQ_CST);
	ig_halt_until(VECTOR, 1);
	ut_done(1);
}

static void test_ipi(void)
{
	struct ig_thread t[2];
	struct ut_vm vm;
	int i;

	vm_create(&vm, 3);
	for (i = 0; i < 2; i++) {
		ig_start(&vm.vcpu[i + 1], guest_await_ipi);
		ig_thread_start(&t[i], &vm.vcpu[i + 1]);
	}
	/* Until they have enabled their APICs. */
	for (i = 0; i < 500 && *(volatile uint64_t *)&shared(&vm)->value[4] < 2; i++)
		usleep(10000);
	CHECK_EQ(shared(&vm)->value[4], 2);
	ig_start(&vm.vcpu[0], guest_ipi);
	CHECK_EQ(ig_finish(&vm.vcpu[0]), 1);
	for (i = 0; i < 2; i++)
		CHECK_EQ(ig_thread_join(&t[i]), 1);
	CHECK_EQ(shared(&vm)->value[0], 2);
	CHECK_EQ(shared(&vm)->value[1], 1);
	CHECK_EQ(shared(&vm)->value[2], 0);
	ut_vm_destroy(&vm);
}

/* ---- steal time's mark --------------------------------------------------------------------- */

#define STEAL		(UT_ARGS(0) + 0x440)
#define STEAL_MARK	(STEAL + 16)
#define FRAME_A		0x180000UL
#define FRAME_B		0x181000UL
#define VIRT		0x8000000000UL		/* its own entry of the top table */

UT_GUEST static void guest_mark(void *args)
{
	volatile uint64_t *v = ((volatile struct shared *)SHARED)->value;

	ig_wrmsr(MSR_KVM_STEAL_TIME, STEAL | 1);
	v[0] = *(volatile uint8_t *)STEAL_MARK;
	v[1] = *(volatile uint64_t *)VIRT;
	v[4] = 1;
	while (!v[5])
		__asm__ volatile("pause" ::: "memory");
	v[2] = *(volatile uint8_t *)STEAL_MARK;
	v[3] = *(volatile uint64_t *)VIRT;
	ut_done(2);
}

static void on_signal(int nr)
{
}

static void *run_until_stopped(void *vcpu)
{
	ut_run(vcpu, NULL);
	return NULL;
}

/* Out of the guest the vCPU counts as preempted; a TLB flush asked for meanwhile is done. */
static void test_preempted(void)
{
	volatile uint64_t *v;
	pthread_t thread;
	struct ut_vm vm;
	uint64_t *table;

	vm_create(&vm, 1);
	v = shared(&vm)->value;
	/* 512 GiB: one page, by tables of its own. */
	*(uint64_t *)(vm.low + 0x1000 + 8) = 0x190003;
	*(uint64_t *)(vm.low + 0x190000) = 0x191003;
	*(uint64_t *)(vm.low + 0x191000) = 0x192003;
	table = (uint64_t *)(vm.low + 0x192000);
	table[0] = FRAME_A | 3;
	*(uint64_t *)(vm.low + FRAME_A) = 0xaaaa;
	*(uint64_t *)(vm.low + FRAME_B) = 0xbbbb;
	ig_start(&vm.vcpu[0], guest_mark);
	signal(SIGUSR1, on_signal);
	NEED(pthread_create(&thread, NULL, run_until_stopped, &vm.vcpu[0]) == 0);
	while (!v[4])
		usleep(10000);
	CHECK_EQ(v[0], 0);
	CHECK_EQ(v[1], 0xaaaa);
	vm.vcpu[0].stop = true;
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, NULL);
	vm.vcpu[0].stop = false;
	/* KVM marks a vCPU more rarely. */
	if (strcmp(ut_device(), "/dev/kvm"))
		CHECK_EQ(vm.low[STEAL_MARK], 1);
	table[0] = FRAME_B | 3;
	vm.low[STEAL_MARK] = 3;
	v[5] = 1;
	CHECK_EQ(ig_finish(&vm.vcpu[0]), 2);
	CHECK_EQ(shared(&vm)->value[2], 0);
	CHECK_EQ(shared(&vm)->value[3], 0xbbbb);
	ut_vm_destroy(&vm);
}

/* ---- hypercalls that user space answers ---------------------------------------------------- */

UT_GUEST static void guest_map_gpa(void *args)
{
	volatile uint64_t *v = ((volatile struct shared *)SHARED)->value;

	v[0] = hypercall(KVM_HC_MAP_GPA_RANGE, 0x1000, 2, 0x10, 0);
	v[1] = hypercall(KVM_HC_MAP_GPA_RANGE, 0x1001, 2, 0x10, 0);
	v[2] = hypercall(KVM_HC_MAP_GPA_RANGE, 0x1000, 0, 0x10, 0);
	ut_done(1);
}

static void test_hypercall_exit(void)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXIT_HYPERCALL };
	struct kvm_run *run;
	struct ut_vm vm;

	vm_create(&vm, 1);
	run = vm.vcpu[0].run;
	CHECK_EQ(ioctl(vm.dev, KVM_CHECK_EXTENSION, KVM_CAP_EXIT_HYPERCALL),
		 1 << KVM_HC_MAP_GPA_RANGE);
	ig_start(&vm.vcpu[0], guest_map_gpa);
	CHECK_EQ(ig_finish(&vm.vcpu[0]), 1);
	CHECK_EQ(shared(&vm)->value[0], HC_ENOSYS);
	cap.args[0] = 1 << KVM_HC_SEND_IPI;
	CHECK_ERRNO(ioctl(vm.fd, KVM_ENABLE_CAP, &cap), EINVAL);
	cap.args[0] = 1 << KVM_HC_MAP_GPA_RANGE;
	CHECK_EQ(ioctl(vm.fd, KVM_ENABLE_CAP, &cap), 0);
	ig_start(&vm.vcpu[0], guest_map_gpa);
	NEED(ut_run(&vm.vcpu[0], NULL) == UT_EXIT);
	NEED(run->exit_reason == KVM_EXIT_HYPERCALL);
	CHECK_EQ(run->hypercall.nr, KVM_HC_MAP_GPA_RANGE);
	CHECK_EQ(run->hypercall.args[0], 0x1000);
	CHECK_EQ(run->hypercall.args[1], 2);
	CHECK_EQ(run->hypercall.args[2], 0x10);
	CHECK_EQ(run->hypercall.longmode, 1);
	run->hypercall.ret = 0x1234;
	CHECK_EQ(ig_finish(&vm.vcpu[0]), 1);
	CHECK_EQ(shared(&vm)->value[0], 0x1234);
	CHECK_EQ((int64_t)shared(&vm)->value[1], -KVM_EINVAL);
	CHECK_EQ((int64_t)shared(&vm)->value[2], -KVM_EINVAL);
	ut_vm_destroy(&vm);
}

/* ---- asynchronous page faults -------------------------------------------------------------- */

#define FAR_GPA		0x400000UL
#define FAR_SIZE	(4 * UT_PAGE)
#define WHILE_MISSING	0x55

/* #PF: note the token, show that the guest runs, then wait for the page's interrupt. */
IG_NAKED static void apf_fault(void)
{
	__asm__ volatile("push %rax\n\t"
			 "lock incl 0x20440\n\t"
			 "mov %cr2, %rax\n\t"
			 "mov %rax, 0x20448\n\t"
			 "mov 0x20400, %eax\n\t"
			 "mov %eax, 0x20454\n\t"
			 "movl $0, 0x20400\n\t"
			 "mov $0x55, %eax\n\t"
			 "out %eax, $0xf0\n"
			 "1: cmpl $0, 0x20444\n\t"
			 "jne 2f\n\t"
			 "sti\n\t"
			 "hlt\n\t"
			 "cli\n\t"
			 "jmp 1b\n"
			 "2: pop %rax\n\t"
			 "add $8, %rsp\n\t"
			 "iretq");
}

IG_NAKED static void apf_ready(void)
{
	__asm__ volatile("push %rax\n\t"
			 "push %rcx\n\t"
			 "push %rdx\n\t"
			 "mov 0x20404, %eax\n\t"
			 "mov %eax, 0x20450\n\t"
			 "movl $0, 0x20404\n\t"
			 "lock incl 0x20444\n\t"
			 "mov $1, %eax\n\t"
			 "xor %edx, %edx\n\t"
			 "mov $0x4b564d07, %ecx\n\t"
			 "wrmsr\n\t"
			 "mov $0xfee000b0, %eax\n\t"
			 "movl $0, (%rax)\n\t"
			 "pop %rdx\n\t"
			 "pop %rcx\n\t"
			 "pop %rax\n\t"
			 "iretq");
}

struct faults {
	uint32_t faults, ready;
	uint64_t token;
	uint32_t ready_token, reason;
};

UT_GUEST static void guest_apf(void *args)
{
	volatile struct faults *f = (volatile struct faults *)FAULTS;
	volatile uint64_t *v = ((volatile struct shared *)SHARED)->value;

	ig_apic_write(0xf0, 0x1ff);
	ig_wrmsr(MSR_KVM_ASYNC_PF_INT, READY_VECTOR);
	ig_wrmsr(MSR_KVM_ASYNC_PF_EN, APF_AREA | v[1]);
	/* The first word is always: whatever was missing before has come. */
	while (!f->ready)
		__asm__ volatile("sti; hlt; cli" ::: "memory");
	v[2] = f->ready_token;
	f->ready = 0;
	/* Not in the shadow of STI, where the guest could not take an interrupt. */
	__asm__ volatile("sti; nop" ::: "memory");
	v[0] = *(volatile uint64_t *)FAR_GPA;
	__asm__ volatile("cli" ::: "memory");
	ut_done(1);
}

struct far {
	int uffd;
	uint8_t *mem;
};

static void far_create(struct ut_vm *vm, struct far *far)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	far->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (far->uffd < 0)
		ut_skip("no userfaultfd");
	NEED(ioctl(far->uffd, UFFDIO_API, &api) == 0);
	far->mem = mmap(NULL, FAR_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(far->mem != MAP_FAILED);
	reg.range.start = (uintptr_t)far->mem;
	reg.range.len = FAR_SIZE;
	NEED(ioctl(far->uffd, UFFDIO_REGISTER, &reg) == 0);
	NEED(ut_slot(vm, 1, FAR_GPA, FAR_SIZE, far->mem, 0) == 0);
	ig_set_gate(vm, 14, apf_fault);
	ig_set_gate(vm, READY_VECTOR, apf_ready);
}

static void far_bring(struct far *far, unsigned int page, uint64_t value)
{
	static uint64_t data[UT_PAGE / 8];
	struct uffdio_copy copy = {
		.dst = (uintptr_t)far->mem + page * UT_PAGE,
		.src = (uintptr_t)data,
		.len = UT_PAGE,
	};

	data[0] = value;
	CHECK(ioctl(far->uffd, UFFDIO_COPY, &copy) == 0);
}

static void far_destroy(struct far *far)
{
	close(far->uffd);
	munmap(far->mem, FAR_SIZE);
}

/* The guest learns that a page is missing, runs on, and learns that it has come. */
static void test_apf(void)
{
	struct faults *f;
	uint32_t value = 0;
	struct ut_vm vm;
	struct far far;

	vm_create(&vm, 1);
	far_create(&vm, &far);
	f = (struct faults *)(vm.low + FAULTS);
	shared(&vm)->value[1] = 1 | 2 | 8;	/* enabled, always, by interrupt */
	ig_start(&vm.vcpu[0], guest_apf);
	NEED(ut_run(&vm.vcpu[0], &value) == UT_DONE);
	CHECK_EQ(value, WHILE_MISSING);
	CHECK_EQ(f->faults, 1);
	CHECK_EQ(f->reason, 1);
	CHECK(f->token);
	CHECK_EQ(f->ready, 0);
	far_bring(&far, 0, 0x1111);
	CHECK_EQ(ig_finish(&vm.vcpu[0]), 1);
	CHECK_EQ(shared(&vm)->value[0], 0x1111);
	CHECK_EQ((uint32_t)shared(&vm)->value[2], 0xffffffffu);
	CHECK_EQ(f->faults, 1);
	CHECK_EQ(f->ready, 1);
	CHECK_EQ(f->ready_token, f->token);
	ut_vm_destroy(&vm);
	far_destroy(&far);
}

/* A guest in its kernel that did not ask for more is not told; the vCPU just waits. */
static void test_apf_kernel(void)
{
	struct ig_thread t;
	struct ut_vm vm;
	struct far far;

	vm_create(&vm, 1);
	far_create(&vm, &far);
	shared(&vm)->value[1] = 1 | 8;
	ig_start(&vm.vcpu[0], guest_apf);
	ig_thread_start(&t, &vm.vcpu[0]);
	usleep(200000);
	far_bring(&far, 0, 0x2222);
	CHECK_EQ(ig_thread_join(&t), 1);
	CHECK_EQ(shared(&vm)->value[0], 0x2222);
	CHECK_EQ(((struct faults *)(vm.low + FAULTS))->faults, 0);
	ut_vm_destroy(&vm);
	far_destroy(&far);
}

/* The VM goes away while a page is still on its way: nothing hangs. */
static void test_apf_abandon(void)
{
	uint32_t value = 0;
	struct ut_vm vm;
	struct far far;

	vm_create(&vm, 1);
	far_create(&vm, &far);
	shared(&vm)->value[1] = 1 | 2 | 8;
	ig_start(&vm.vcpu[0], guest_apf);
	NEED(ut_run(&vm.vcpu[0], &value) == UT_DONE);
	CHECK_EQ(value, WHILE_MISSING);
	/* Stock KVM waits for the page here. */
	if (!strcmp(ut_device(), "/dev/kvm"))
		far_bring(&far, 0, 0);
	ut_vm_destroy(&vm);
	far_destroy(&far);
}

int main(int argc, char **argv)
{
	static const struct ut_test tests[] = {
		{ "pv-msrs", test_msrs },
		{ "pv-enforce", test_enforce },
		{ "pv-eoi", test_pv_eoi },
		{ "pv-eoi-user", test_pv_eoi_user },
		{ "pv-kick", test_kick },
		{ "pv-ipi", test_ipi },
		{ "pv-preempted", test_preempted },
		{ "pv-hypercall-exit", test_hypercall_exit },
		{ "pv-apf", test_apf },
		{ "pv-apf-kernel", test_apf_kernel },
		{ "pv-apf-abandon", test_apf_abandon },
	};

	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
