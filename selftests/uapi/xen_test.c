// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Xen guests: what user space sets up, hypercalls, events, timers, clocks, runstate; and memory that
 * is not there, goes away or lies badly.
 */
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>

#include "irq_guest.h"
#include "linux/kvm_later.h"

/* A slot of its own for what the guest shares with the hypervisor. */
#define XEN_SLOT	5
#define XEN_GPA		0x10000000UL
#define XEN_SIZE	(4 * UT_PAGE)
#define SHARED		XEN_GPA
#define INFO		(XEN_GPA + 0x1000)
#define RUNSTATE	(XEN_GPA + 0x3000 - 20)		/* across two pages */
#define TIME		(XEN_GPA + 0x3800)
#define HCALL_PAGE	0x180000UL
#define HCALL_MSR	0x40000200U

#define PENDING		0x800		/* in the shared page, 64-bit form */
#define MASK		0xa00
#define WALL		0xc00
#define WALL_32		0x900
#define SEL		8		/* in the info area */
#define INFO_TIME	0x20

#define VECTOR		0x60
#define OWN_VECTOR	0x70
#define PORT		70		/* word 1 */
#define PRIO		KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL

#define HC_SET_TIMER	15
#define HC_VERSION	17
#define HC_SCHED_OP	29
#define HC_EVENT_OP	32
#define SCHED_POLL	3
#define EVENT_SEND	4

static struct ut_vm vm;
static struct ut_vcpu *cpu;
static uint8_t *shared;			/* the slot's memory */

static bool on_kvm(void)
{
	return !strcmp(ut_device(), "/dev/kvm");
}

static struct kvm_xen_hvm_attr va;
static struct kvm_xen_vcpu_attr ca;

static int vm_set(void)
{
	return ioctl(vm.fd, KVM_XEN_HVM_SET_ATTR, &va);
}

static int vm_attr(uint16_t type, uint64_t value)
{
	va = (struct kvm_xen_hvm_attr){ .type = type, .u.shared_info.gfn = value };
	return vm_set();
}

static uint64_t vm_get(uint16_t type)
{
	va = (struct kvm_xen_hvm_attr){ .type = type };
	NEED(ioctl(vm.fd, KVM_XEN_HVM_GET_ATTR, &va) == 0);
	return va.u.shared_info.gfn;
}

static int cpu_set(void)
{
	return ioctl(cpu->fd, KVM_XEN_VCPU_SET_ATTR, &ca);
}

static int cpu_attr(uint16_t type, uint64_t value)
{
	ca = (struct kvm_xen_vcpu_attr){ .type = type, .u.gpa = value };
	return cpu_set();
}

static uint64_t cpu_get(uint16_t type)
{
	ca = (struct kvm_xen_vcpu_attr){ .type = type };
	NEED(ioctl(cpu->fd, KVM_XEN_VCPU_GET_ATTR, &ca) == 0);
	return ca.u.gpa;
}

static int timer(uint32_t port, uint32_t priority, uint64_t expires)
{
	ca = (struct kvm_xen_vcpu_attr){ .type = KVM_XEN_VCPU_ATTR_TYPE_TIMER };
	ca.u.timer.port = port;
	ca.u.timer.priority = priority;
	ca.u.timer.expires_ns = expires;
	return cpu_set();
}

static int send_event(uint32_t port)
{
	struct kvm_irq_routing_xen_evtchn e = { .port = port, .priority = PRIO };

	return ioctl(vm.fd, KVM_XEN_HVM_EVTCHN_SEND, &e);
}

static int set_slot(uint64_t gpa, uint64_t size, uint32_t flags)
{
	return ut_slot(&vm, XEN_SLOT, gpa, size, shared, flags);
}

static uint64_t word(uint64_t gpa)
{
	uint64_t value;

	memcpy(&value, shared + (gpa - XEN_GPA), sizeof(value));
	return value;
}

static uint64_t now(void)
{
	struct kvm_clock_data clock;

	NEED(ioctl(vm.fd, KVM_GET_CLOCK, &clock) == 0);
	return clock.clock;
}

static int config(uint32_t flags, uint32_t msr)
{
	struct kvm_xen_hvm_config c = { .flags = flags, .msr = msr };

	return ioctl(vm.fd, KVM_XEN_HVM_CONFIG, &c);
}

static void vm_create(void)
{
	ig_vm_create(&vm, 1);
	cpu = &vm.vcpu[0];
	shared = mmap(NULL, XEN_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(shared != MAP_FAILED);
	NEED(set_slot(XEN_GPA, XEN_SIZE, 0) == 0);
}

/* All of it, with vectors: that of the VM or the vCPU's own. */
static void vm_create_xen(uint8_t vector, uint8_t own)
{
	vm_create();
	NEED(config(KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL | KVM_XEN_HVM_CONFIG_EVTCHN_SEND,
		    HCALL_MSR) == 0);
	NEED(vm_attr(KVM_XEN_ATTR_TYPE_LONG_MODE, 1) == 0);
	NEED(vm_attr(KVM_XEN_ATTR_TYPE_SHARED_INFO, SHARED / UT_PAGE) == 0);
	NEED(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO, INFO) == 0);
	NEED(vm_attr(KVM_XEN_ATTR_TYPE_UPCALL_VECTOR, vector) == 0);
	NEED(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR, own) == 0);
}

static void vm_destroy(void)
{
	ut_vm_destroy(&vm);
	munmap(shared, XEN_SIZE);
}

/* ---- for guest code ------------------------------------------------------------------------- */

struct guest {
	uint64_t value[8];
	uint64_t args[4];		/* of a hypercall */
	uint32_t port;			/* to poll */
};
#define GUEST_ADDR(field) (UT_ARGS(0) + offsetof(struct guest, field))

IG_INLINE uint64_t hypercall(uint32_t nr, uint64_t a0, uint64_t a1)
{
	uint64_t rax, page = HCALL_PAGE + nr * 32;

	__asm__ volatile("call *%[page]" : "=a"(rax), "+D"(a0), "+S"(a1) : [page] "r"(page)
			 : "memory", "rdx", "r8", "r9", "r10", "cc");
	return rax;
}

IG_INLINE void apic_on(void)
{
	ig_apic_write(0xf0, 0x1ff);
}

/* Handler of the VM's vector: count, and take the byte back, as no EOI would end it. */
#define STR_(x) #x
#define STR(x) STR_(x)
IG_NAKED static void on_upcall(void)
{
	__asm__ volatile("lock incl " STR(0x34000 + 0x60 * 4) "\n\t"
			 "movb $0, 0x10001000\n\tiretq");
}

static void check_layout(void)
{
	NEED(IG_COUNTS == 0x34000 && VECTOR == 0x60 && INFO == 0x10001000);
	ig_set_gate(&vm, VECTOR, on_upcall);
}

/* ---- what user space sets ------------------------------------------------------------------- */

static void test_config(void)
{
	struct kvm_xen_hvm_config c = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL, .blob_size_64 = 1, .blob_addr_64 = 4096,
	};

	vm_create();
	CHECK_ERRNO(config(1 << 15, HCALL_MSR), EINVAL);
	CHECK_ERRNO(config(KVM_XEN_HVM_CONFIG_SHARED_INFO, HCALL_MSR), EINVAL);
	CHECK_ERRNO(ioctl(vm.fd, KVM_XEN_HVM_CONFIG, &c), EINVAL);
	/* Later kernels' rule, which 6.12's KVM does not have yet. */
	if (!on_kvm()) {
		CHECK_ERRNO(config(0, 0x10), EINVAL);
		CHECK_ERRNO(config(0, 0x50000000), EINVAL);
	}
	CHECK_EQ(config(KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL, HCALL_MSR), 0);
	CHECK_EQ(config(0, 0), 0);
	CHECK_ERRNO(ioctl(vm.fd, KVM_XEN_HVM_SET_ATTR, NULL), EFAULT);
	CHECK_ERRNO(ioctl(cpu->fd, KVM_XEN_VCPU_GET_ATTR, NULL), EFAULT);
	vm_destroy();
}

static void test_vm_attributes(void)
{
	vm_create();
	CHECK_ERRNO(vm_attr(77, 0), ENOENT);
	CHECK_EQ(vm_get(KVM_XEN_ATTR_TYPE_SHARED_INFO), KVM_XEN_INVALID_GFN);
	CHECK_EQ(vm_attr(KVM_XEN_ATTR_TYPE_LONG_MODE, 1), 0);
	CHECK_EQ(vm_get(KVM_XEN_ATTR_TYPE_LONG_MODE) & 0xff, 1);
	CHECK_ERRNO(vm_attr(KVM_XEN_ATTR_TYPE_UPCALL_VECTOR, 15), EINVAL);
	CHECK_EQ(vm_attr(KVM_XEN_ATTR_TYPE_UPCALL_VECTOR, 16), 0);
	CHECK_EQ(vm_get(KVM_XEN_ATTR_TYPE_UPCALL_VECTOR) & 0xff, 16);
	CHECK_EQ(vm_attr(KVM_XEN_ATTR_TYPE_XEN_VERSION, 0x40011), 0);
	CHECK_EQ(vm_get(KVM_XEN_ATTR_TYPE_XEN_VERSION) & 0xffffffff, 0x40011);
	CHECK_EQ(vm_attr(KVM_XEN_ATTR_TYPE_RUNSTATE_UPDATE_FLAG, 1), 0);
	CHECK_EQ(vm_get(KVM_XEN_ATTR_TYPE_RUNSTATE_UPDATE_FLAG) & 0xff, 1);

	CHECK_EQ(vm_attr(KVM_XEN_ATTR_TYPE_SHARED_INFO, SHARED / UT_PAGE), 0);
	CHECK_EQ(vm_get(KVM_XEN_ATTR_TYPE_SHARED_INFO), SHARED / UT_PAGE);
	CHECK_EQ(vm_get(KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA), 0);
	CHECK_EQ(word(SHARED + WALL) & 1, 0);
	CHECK(word(SHARED + WALL) != 0);
	CHECK_EQ(word(SHARED + WALL_32), 0);
	/* The time of day moves with the mode. */
	CHECK_EQ(vm_attr(KVM_XEN_ATTR_TYPE_LONG_MODE, 0), 0);
	CHECK(word(SHARED + WALL_32) != 0);
	CHECK_ERRNO(vm_attr(KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA, (uintptr_t)shared + 8), EINVAL);
	CHECK_EQ(vm_attr(KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA, (uintptr_t)shared), 0);
	CHECK_EQ(vm_get(KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA), (uintptr_t)shared);
	CHECK_EQ(vm_get(KVM_XEN_ATTR_TYPE_SHARED_INFO), KVM_XEN_INVALID_GFN);
	CHECK_EQ(vm_attr(KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA, 0), 0);
	CHECK_EQ(vm_get(KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA), 0);
	vm_destroy();
}

static void test_vcpu_attributes(void)
{
	vm_create();
	CHECK_ERRNO(cpu_attr(77, 0), ENOENT);
	CHECK_EQ(cpu_get(KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO), KVM_XEN_INVALID_GPA);
	CHECK_EQ(cpu_get(KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO), KVM_XEN_INVALID_GPA);
	ca = (struct kvm_xen_vcpu_attr){ .type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR };
	CHECK_ERRNO(ioctl(cpu->fd, KVM_XEN_VCPU_GET_ATTR, &ca), ENOENT);
	ca.type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_XEN_VCPU_GET_ATTR, &ca), EINVAL);

	CHECK_EQ(cpu_get(KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID) & 0xffffffff, 0);
	CHECK_EQ(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID, 7), 0);
	CHECK_EQ(cpu_get(KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID) & 0xffffffff, 7);
	CHECK_ERRNO(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID, 0x10000), EINVAL);
	CHECK_ERRNO(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR, 3), EINVAL);
	CHECK_EQ(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR, OWN_VECTOR), 0);
	CHECK_EQ(cpu_get(KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR) & 0xff, OWN_VECTOR);
	CHECK_ERRNO(timer(PORT, 0, 0), EINVAL);
	CHECK_EQ(timer(PORT, PRIO, 1ULL << 40), 0);
	CHECK_EQ(cpu_get(KVM_XEN_VCPU_ATTR_TYPE_TIMER) & 0xffffffff, PORT);
	CHECK_EQ(ca.u.timer.expires_ns, 1ULL << 40);
	CHECK_EQ(timer(0, 0, 0), 0);

	CHECK_ERRNO(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT, 4), EINVAL);
	ca = (struct kvm_xen_vcpu_attr){ .type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA };
	ca.u.runstate.state_entry_time = 100;
	ca.u.runstate.time_blocked = 99;
	CHECK_ERRNO(cpu_set(), EINVAL);		/* does not add up */
	ca.u.runstate.time_offline = 1;
	ca.u.runstate.state = 2;
	CHECK_EQ(cpu_set(), 0);
	memset(&ca.u, 0, sizeof(ca.u));
	CHECK_EQ(cpu_get(KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA), 2);
	CHECK_EQ(ca.u.runstate.state_entry_time, 100);
	CHECK_EQ(ca.u.runstate.time_blocked, 99);
	ca.u.runstate.state_entry_time = ca.u.runstate.time_blocked = 1ULL << 62;
	ca.u.runstate.time_offline = 0;
	CHECK_ERRNO(cpu_set(), EINVAL);		/* of the future */
	vm_destroy();
}

/* ---- areas that lie badly ------------------------------------------------------------------- */

static void test_bad_areas(void)
{
	vm_create();
	/* Where there is no memory, or none to write to. */
	CHECK_ERRNO(vm_attr(KVM_XEN_ATTR_TYPE_SHARED_INFO, 0x80000), EFAULT);
	CHECK_ERRNO(vm_attr(KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA, 0x7ffffffff000ULL & ~0xfffULL), EFAULT);
	CHECK_ERRNO(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO, 0x80000000), EFAULT);
	CHECK_ERRNO(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO, 0x80000000), EFAULT);
	CHECK_ERRNO(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR, 0x80000000), EFAULT);
	if (!on_kvm()) {
		/* Refused without an effect; KVM's are in force all the same. */
		CHECK_EQ(vm_get(KVM_XEN_ATTR_TYPE_SHARED_INFO), KVM_XEN_INVALID_GFN);
		CHECK_EQ(cpu_get(KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO), KVM_XEN_INVALID_GPA);
		/* The kernel's addresses. */
		CHECK_ERRNO(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA, 0xffffffff81000000ULL),
			    EFAULT);
		CHECK_ERRNO(vm_attr(KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA, 0xffffffff81000000ULL),
			    EFAULT);
	}
	CHECK_ERRNO(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO, INFO + 2), ENXIO);
	CHECK_ERRNO(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA, (uintptr_t)shared + 1), ENXIO);
	if (!on_kvm()) {		/* KVM's own warns of it in the log of a debug kernel */
		CHECK_ERRNO(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO, INFO + 4096 - 60), EINVAL);
		CHECK_ERRNO(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO, INFO + 4096 - 28),
			    EINVAL);
	}
	CHECK_EQ(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO, INFO + 4096 - 64), 0);
	/* The runstate's second page is missing. */
	CHECK_ERRNO(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR, XEN_GPA + XEN_SIZE - 8), EFAULT);
	CHECK_EQ(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR, RUNSTATE + 1), 0);
	CHECK_EQ(cpu_get(KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR), RUNSTATE + 1);

	CHECK_EQ(set_slot(0, 0, 0), 0);
	CHECK_EQ(set_slot(XEN_GPA, XEN_SIZE, KVM_MEM_READONLY), 0);
	CHECK_ERRNO(vm_attr(KVM_XEN_ATTR_TYPE_SHARED_INFO, SHARED / UT_PAGE), EFAULT);
	CHECK_ERRNO(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO, INFO), EFAULT);
	vm_destroy();
}

/* ---- hypercalls ----------------------------------------------------------------------------- */

UT_GUEST static void guest_hypercalls(void *args)
{
	volatile struct guest *g = args;

	ig_wrmsr(HCALL_MSR, HCALL_PAGE);
	g->value[0] = hypercall(HC_VERSION, 0, 0);
	g->value[1] = hypercall(HC_VERSION, 1, 0x1234);		/* user space's */
	g->value[2] = hypercall(5, 6, 7);
	ut_done(1);
}

static void check_exit(uint64_t nr, uint64_t a0, uint64_t a1, uint64_t result)
{
	struct kvm_run *run = cpu->run;

	NEED(ut_run(cpu, NULL) == UT_EXIT);
	NEED(run->exit_reason == KVM_EXIT_XEN && run->xen.type == KVM_EXIT_XEN_HCALL);
	CHECK_EQ(run->xen.u.hcall.longmode, 1);
	CHECK_EQ(run->xen.u.hcall.cpl, 0);
	CHECK_EQ(run->xen.u.hcall.input, nr);
	CHECK_EQ(run->xen.u.hcall.params[0], a0);
	CHECK_EQ(run->xen.u.hcall.params[1], a1);
	run->xen.u.hcall.result = result;
}

static void test_hypercalls(void)
{
	struct guest *g;

	vm_create_xen(0, 0);
	g = ut_args(cpu);
	NEED(vm_attr(KVM_XEN_ATTR_TYPE_LONG_MODE, 0) == 0);
	NEED(vm_attr(KVM_XEN_ATTR_TYPE_XEN_VERSION, 0x40011) == 0);
	ig_start(cpu, guest_hypercalls);
	check_exit(HC_VERSION, 1, 0x1234, 0xfeedULL << 32);
	check_exit(5, 6, 7, -38);
	CHECK_EQ(ig_finish(cpu), 1);
	CHECK_EQ(g->value[0], 0x40011);
	CHECK_EQ(g->value[1], 0xfeedULL << 32);
	CHECK_EQ(g->value[2], -38);
	/* The guest has said by the MSR which form it uses. */
	CHECK_EQ(vm_get(KVM_XEN_ATTR_TYPE_LONG_MODE) & 0xff, 1);
	vm_destroy();
}

/* The pages are user space's, and calls are KVM's. */
UT_GUEST static void guest_blob(void *args)
{
	ig_wrmsr(HCALL_MSR, HCALL_PAGE | 1);
	ut_done(*(volatile uint32_t *)HCALL_PAGE);
}

static void test_blob(void)
{
	static uint32_t blob[2 * 1024] __attribute__((aligned(4096)));
	struct kvm_xen_hvm_config c = {
		.msr = HCALL_MSR, .blob_addr_64 = (uintptr_t)blob, .blob_size_64 = 2,
	};

	vm_create();
	blob[1024] = 0x12345678;
	NEED(ioctl(vm.fd, KVM_XEN_HVM_CONFIG, &c) == 0);
	CHECK_EQ(ut_call(cpu, guest_blob), 0x12345678);
	/* A page that user space does not have. */
	c.blob_size_64 = 1;
	NEED(ioctl(vm.fd, KVM_XEN_HVM_CONFIG, &c) == 0);
	ut_start(cpu, guest_blob);
	ut_catch_exceptions(cpu);
	CHECK(ut_run(cpu, NULL) == UT_EXIT && ut_is_exception(cpu));
	vm_destroy();
}

/* ---- events --------------------------------------------------------------------------------- */

UT_GUEST static void guest_wait_own(void *args)
{
	volatile struct guest *g = args;

	apic_on();
	ig_halt_until(OWN_VECTOR, g->value[0]);
	ut_done(ig_count(OWN_VECTOR));
}

UT_GUEST static void guest_wait_upcall(void *args)
{
	volatile struct guest *g = args;

	apic_on();
	ig_halt_until(VECTOR, g->value[0]);
	ut_done(ig_count(VECTOR));
}

static void test_events(void)
{
	struct guest *g;

	vm_create_xen(0, OWN_VECTOR);
	g = ut_args(cpu);
	g->value[0] = 0;
	ig_start(cpu, guest_wait_own);		/* turns the APIC on */
	CHECK_EQ(ig_finish(cpu), 0);
	CHECK_ERRNO(send_event(0), EINVAL);
	CHECK_ERRNO(send_event(4096), EINVAL);
	CHECK_EQ(send_event(PORT), 0);
	CHECK_EQ(word(SHARED + PENDING + 8), 1 << 6);
	CHECK_EQ(word(INFO) & 0xff, 1);
	CHECK_EQ(word(INFO + SEL), 2);
	CHECK_EQ(send_event(PORT), 0);		/* pending already */
	/* Masked: it is pending, and nobody is told. */
	shared[MASK] = 1 << 3;
	CHECK_EQ(send_event(3), 0);
	CHECK_EQ(word(SHARED + PENDING), 1 << 3);
	CHECK_EQ(word(INFO + SEL), 2);
	g->value[0] = 1;
	ig_start(cpu, guest_wait_own);
	CHECK_EQ(ig_finish(cpu), 1);
	vm_destroy();
}

static void test_upcall(void)
{
	struct guest *g;

	vm_create_xen(VECTOR, 0);
	check_layout();
	g = ut_args(cpu);
	g->value[0] = 1;
	ig_start(cpu, guest_wait_upcall);
	/* User space sets the byte by itself. */
	shared[INFO - XEN_GPA] = 1;
	CHECK_EQ(ig_finish(cpu), 1);
	CHECK_EQ(word(INFO) & 0xff, 0);
	g->value[0] = 2;
	ig_start(cpu, guest_wait_upcall);
	CHECK_EQ(send_event(4095), 0);
	CHECK_EQ(ig_finish(cpu), 2);
	CHECK_EQ(word(INFO + SEL), 1ULL << 63);
	CHECK_EQ(word(SHARED + PENDING + 63 * 8), 1ULL << 63);
	vm_destroy();
}

UT_GUEST static void guest_send(void *args)
{
	volatile struct guest *g = args;

	ig_wrmsr(HCALL_MSR, HCALL_PAGE);
	g->args[0] = 9;
	g->value[0] = hypercall(HC_EVENT_OP, EVENT_SEND, GUEST_ADDR(args));
	g->args[0] = 10;
	g->value[1] = hypercall(HC_EVENT_OP, EVENT_SEND, GUEST_ADDR(args));
	g->value[2] = hypercall(HC_EVENT_OP, EVENT_SEND, 1ULL << 46);
	g->args[0] = 11;
	g->value[3] = hypercall(HC_EVENT_OP, EVENT_SEND, GUEST_ADDR(args));
	ut_done(1);
}

static int port(uint32_t send, uint32_t flags, uint32_t to, uint32_t vcpu)
{
	va = (struct kvm_xen_hvm_attr){ .type = KVM_XEN_ATTR_TYPE_EVTCHN };
	va.u.evtchn.send_port = send;
	va.u.evtchn.type = 2;
	va.u.evtchn.flags = flags;
	va.u.evtchn.deliver.port.port = to;
	va.u.evtchn.deliver.port.vcpu = vcpu;
	va.u.evtchn.deliver.port.priority = PRIO;
	return vm_set();
}

static void test_send(void)
{
	int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct guest *g;
	uint64_t n = 0;

	NEED(event >= 0);
	vm_create_xen(0, 0);
	g = ut_args(cpu);
	CHECK_ERRNO(port(0, 0, 5, 0), EINVAL);
	CHECK_ERRNO(port(4096, 0, 5, 0), EINVAL);
	CHECK_ERRNO(port(9, 0, 4096, 0), EINVAL);
	CHECK_ERRNO(port(9, 8, 5, 0), EINVAL);
	CHECK_ERRNO(port(9, KVM_XEN_EVTCHN_UPDATE, 5, 0), ENOENT);
	CHECK_ERRNO(port(9, KVM_XEN_EVTCHN_DEASSIGN, 5, 0), ENOENT);
	CHECK_EQ(port(9, 0, 5, 3), 0);
	CHECK_ERRNO(port(9, 0, 5, 3), EEXIST);
	CHECK_ERRNO(port(9, KVM_XEN_EVTCHN_UPDATE, 6, 0), EINVAL);
	CHECK_EQ(port(9, KVM_XEN_EVTCHN_UPDATE, 5, 0), 0);
	va = (struct kvm_xen_hvm_attr){ .type = KVM_XEN_ATTR_TYPE_EVTCHN };
	va.u.evtchn.send_port = 10;
	va.u.evtchn.type = 2;
	va.u.evtchn.deliver.eventfd.fd = 12345;
	CHECK_ERRNO(vm_set(), EBADF);
	va.u.evtchn.deliver.eventfd.fd = event;
	CHECK_EQ(vm_set(), 0);

	ig_start(cpu, guest_send);
	check_exit(HC_EVENT_OP, EVENT_SEND, GUEST_ADDR(args), 77);
	CHECK_EQ(ig_finish(cpu), 1);
	CHECK_EQ(g->value[0], 0);
	CHECK_EQ(g->value[1], 0);
	CHECK_EQ(g->value[2], -14);		/* no such address */
	CHECK_EQ(g->value[3], 77);		/* no such port: user space's */
	CHECK_EQ(word(SHARED + PENDING), 1 << 5);
	CHECK(read(event, &n, sizeof(n)) == sizeof(n) && n == 1);
	CHECK_EQ(port(0, KVM_XEN_EVTCHN_RESET, 0, 0), 0);
	CHECK_ERRNO(port(9, KVM_XEN_EVTCHN_DEASSIGN, 5, 0), ENOENT);
	close(event);
	vm_destroy();
}

/* ---- routes and eventfds -------------------------------------------------------------------- */

static int route(uint32_t gsi, uint32_t to, uint32_t vcpu, uint32_t priority)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry;
	} r = { .head.nr = 1, .entry = { .gsi = gsi, .type = KVM_IRQ_ROUTING_XEN_EVTCHN } };

	r.entry.u.xen_evtchn.port = to;
	r.entry.u.xen_evtchn.vcpu = vcpu;
	r.entry.u.xen_evtchn.priority = priority;
	return ioctl(vm.fd, KVM_SET_GSI_ROUTING, &r);
}

/* From a process with other memory: the vCPU's thread has to do it. */
static void signal_from_afar(int event)
{
	uint64_t one = 1;
	int status;
	pid_t child = fork();

	NEED(child >= 0);
	if (!child)
		_exit(write(event, &one, sizeof(one)) != sizeof(one));
	NEED(waitpid(child, &status, 0) == child);
	CHECK_EQ(status, 0);
}

static void test_route(void)
{
	struct kvm_irqfd irqfd = { .gsi = 40 };
	struct guest *g;
	uint64_t one = 1;
	int event;

	vm_create_xen(VECTOR, 0);
	check_layout();
	g = ut_args(cpu);
	event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	NEED(event >= 0);
	irqfd.fd = event;
	CHECK_ERRNO(route(40, PORT, 0, 0), EINVAL);
	CHECK_EQ(route(40, 60000, 99, PRIO), 0);	/* nowhere yet */
	CHECK_EQ(ioctl(vm.fd, KVM_IRQFD, &irqfd), 0);
	CHECK(write(event, &one, sizeof(one)) == sizeof(one));
	CHECK_EQ(route(40, PORT, 0, PRIO), 0);
	g->value[0] = 1;
	ig_start(cpu, guest_wait_upcall);
	CHECK(write(event, &one, sizeof(one)) == sizeof(one));
	CHECK_EQ(ig_finish(cpu), 1);
	CHECK_EQ(word(SHARED + PENDING + 8), 1 << 6);
	memset(shared + PENDING, 0, 64);
	memset(shared + 0x1000, 0, 64);
	g->value[0] = 2;
	ig_start(cpu, guest_wait_upcall);
	signal_from_afar(event);
	CHECK_EQ(ig_finish(cpu), 2);
	CHECK_EQ(word(SHARED + PENDING + 8), 1 << 6);
	close(event);
	vm_destroy();
}

/* ---- time ----------------------------------------------------------------------------------- */

UT_GUEST static void guest_timer(void *args)
{
	volatile struct guest *g = args;

	apic_on();
	ig_wrmsr(HCALL_MSR, HCALL_PAGE);
	g->value[1] = hypercall(HC_SET_TIMER, g->value[2], 0);
	ig_halt_until(OWN_VECTOR, g->value[0]);
	ut_done(1);
}

static void test_timer(void)
{
	struct guest *g;
	uint64_t when;

	vm_create_xen(0, OWN_VECTOR);
	g = ut_args(cpu);
	NEED(timer(PORT, PRIO, 0) == 0);
	/* By the guest, ahead and in the past; by user space. */
	g->value[0] = 1;
	when = g->value[2] = now() + 20000000;
	ig_start(cpu, guest_timer);
	CHECK_EQ(ig_finish(cpu), 1);
	CHECK_EQ(g->value[1], 0);
	CHECK(now() >= when);
	CHECK_EQ(word(SHARED + PENDING + 8), 1 << 6);
	cpu_get(KVM_XEN_VCPU_ATTR_TYPE_TIMER);
	CHECK_EQ(ca.u.timer.expires_ns, 0);
	memset(shared + PENDING, 0, 64);
	memset(shared + 0x1000, 0, 64);
	g->value[0] = 2;
	g->value[2] = 1;
	ig_start(cpu, guest_timer);
	CHECK_EQ(ig_finish(cpu), 1);
	memset(shared + PENDING, 0, 64);
	memset(shared + 0x1000, 0, 64);
	CHECK_EQ(timer(PORT, PRIO, now() + 1000), 0);
	usleep(2000);
	cpu_get(KVM_XEN_VCPU_ATTR_TYPE_TIMER);	/* by now its event is in memory */
	CHECK_EQ(ca.u.timer.expires_ns, 0);
	CHECK_EQ(word(SHARED + PENDING + 8), 1 << 6);
	vm_destroy();
}

UT_GUEST static void guest_poll(void *args)
{
	volatile struct guest *g = args;

	ig_wrmsr(HCALL_MSR, HCALL_PAGE);
	g->port = PORT;
	g->args[0] = GUEST_ADDR(port);
	g->args[1] = 129;
	g->args[2] = 0;
	g->value[0] = hypercall(HC_SCHED_OP, SCHED_POLL, GUEST_ADDR(args));
	g->args[1] = 1;
	g->args[2] = g->value[5];
	g->value[1] = hypercall(HC_SCHED_OP, SCHED_POLL, GUEST_ADDR(args));
	/* No timeout: until the event comes, masked as it is. */
	g->args[2] = 0;
	ut_done(1);
	while (!(*(volatile uint64_t *)(SHARED + PENDING + 8) & 1 << 6))
		g->value[2] = hypercall(HC_SCHED_OP, SCHED_POLL, GUEST_ADDR(args));
	g->port = 60000;
	g->value[3] = hypercall(HC_SCHED_OP, SCHED_POLL, GUEST_ADDR(args));
	ut_done(2);
}

static void test_poll(void)
{
	struct ig_thread t;
	struct guest *g;

	vm_create_xen(0, 0);
	g = ut_args(cpu);
	g->value[2] = 77;
	g->value[5] = now() + 20000000;
	ig_start(cpu, guest_poll);
	CHECK_EQ(ig_finish(cpu), 1);
	CHECK_EQ(g->value[0], -22);
	CHECK_EQ(g->value[1], 0);
	/* KVM takes the time to be relative, Xen does not. */
	CHECK(on_kvm() || now() >= g->value[5]);
	shared[MASK + 8] = 1 << 6;
	ig_thread_start(&t, cpu);
	usleep(20000);
	CHECK_EQ(send_event(PORT), 0);
	CHECK_EQ(ig_thread_join(&t), 2);
	CHECK_EQ(g->value[3], -22);
	vm_destroy();
}

UT_GUEST static void guest_nothing(void *args)
{
	ut_done(1);
}

static void test_clock(void)
{
	uint64_t version;

	vm_create_xen(0, 0);
	NEED(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO, TIME) == 0);
	CHECK_EQ(ut_call(cpu, guest_nothing), 1);
	version = word(INFO + INFO_TIME) & 0xffffffff;
	CHECK(version && !(version & 1));
	version = word(TIME) & 0xffffffff;
	CHECK(version && !(version & 1));
	CHECK_EQ(shared[TIME + 29 - XEN_GPA] & 1, shared[INFO + INFO_TIME + 29 - XEN_GPA] & 1);
	/* On request the clock is not said to be stable. */
	NEED(config(KVM_XEN_HVM_CONFIG_PVCLOCK_TSC_UNSTABLE, HCALL_MSR) == 0);
	CHECK_EQ(ut_call(cpu, guest_nothing), 1);
	CHECK_EQ(shared[TIME + 29 - XEN_GPA] & 1, 0);
	CHECK_EQ(shared[INFO + INFO_TIME + 29 - XEN_GPA] & 1, 0);
	vm_destroy();
}

/* By the byte, across pages, in both forms: state, entry time and four times. */
static void check_runstate(uint64_t gpa, unsigned int at, uint32_t state)
{
	uint64_t sum = 0, entry = word(gpa + at);
	uint32_t got;
	int i;

	memcpy(&got, shared + (gpa - XEN_GPA), sizeof(got));
	CHECK_EQ(got, state);
	for (i = 0; i < 4; i++)
		sum += word(gpa + at + 8 + i * 8);
	CHECK_EQ(sum, entry);
	CHECK(entry != 0 && !(entry >> 63));
}

static void test_runstate(void)
{
	vm_create_xen(0, 0);
	NEED(vm_attr(KVM_XEN_ATTR_TYPE_RUNSTATE_UPDATE_FLAG, 1) == 0);
	CHECK_EQ(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR, RUNSTATE), 0);
	CHECK_EQ(ut_call(cpu, guest_nothing), 1);
	check_runstate(RUNSTATE, 8, 0);
	CHECK_EQ(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT, 2), 0);
	check_runstate(RUNSTATE, 8, 2);
	CHECK_EQ(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR, RUNSTATE + 3), 0);
	check_runstate(RUNSTATE + 3, 8, 2);
	NEED(vm_attr(KVM_XEN_ATTR_TYPE_LONG_MODE, 0) == 0);
	CHECK_EQ(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT, 3), 0);
	check_runstate(RUNSTATE + 3, 4, 3);
	CHECK_EQ(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR, KVM_XEN_INVALID_GPA), 0);
	vm_destroy();
}

/* ---- memory that goes away ------------------------------------------------------------------ */

static void test_slot_gone(void)
{
	struct guest *g;

	vm_create_xen(VECTOR, 0);
	check_layout();
	g = ut_args(cpu);
	NEED(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO, TIME) == 0);
	NEED(cpu_attr(KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR, RUNSTATE) == 0);
	CHECK_EQ(ut_call(cpu, guest_nothing), 1);

	/* Gone: no events, and everything else goes on. */
	CHECK_EQ(set_slot(0, 0, 0), 0);
	CHECK_ERRNO(send_event(PORT), EFAULT);
	CHECK_EQ(ut_call(cpu, guest_nothing), 1);
	/* At another place: it is not there either. */
	CHECK_EQ(set_slot(XEN_GPA + 0x100000, XEN_SIZE, 0), 0);
	CHECK_ERRNO(send_event(PORT), EFAULT);
	CHECK_EQ(ut_call(cpu, guest_nothing), 1);
	CHECK_EQ(word(SHARED + PENDING + 8), 0);
	/* Back again. */
	CHECK_EQ(set_slot(XEN_GPA, XEN_SIZE, 0), 0);
	g->value[0] = 1;
	ig_start(cpu, guest_wait_upcall);
	CHECK_EQ(send_event(PORT), 0);
	CHECK_EQ(ig_finish(cpu), 1);
	CHECK_EQ(word(SHARED + PENDING + 8), 1 << 6);
	vm_destroy();
}

/* Only the vCPU's area is out of reach: what it misses waits for it. */
static void test_info_gone(void)
{
	struct guest *g;

	vm_create_xen(VECTOR, 0);
	check_layout();
	g = ut_args(cpu);
	NEED(vm_attr(KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA, (uintptr_t)shared) == 0);
	CHECK_EQ(set_slot(0, 0, 0), 0);
	CHECK_EQ(send_event(PORT), 0);
	CHECK_EQ(word(INFO + SEL), 0);
	CHECK_EQ(ut_call(cpu, guest_nothing), 1);
	CHECK_EQ(set_slot(XEN_GPA, XEN_SIZE, 0), 0);
	g->value[0] = 1;
	ig_start(cpu, guest_wait_upcall);
	CHECK_EQ(ig_finish(cpu), 1);
	CHECK_EQ(word(INFO + SEL), 2);
	vm_destroy();
}

/* The host takes the pages, and user space maps others in their place. */
static void test_remap(void)
{
	struct guest *g;
	void *p;

	vm_create_xen(VECTOR, 0);
	check_layout();
	g = ut_args(cpu);
	p = mmap(shared, XEN_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	NEED(p == shared);
	g->value[0] = 1;
	ig_start(cpu, guest_wait_upcall);
	CHECK_EQ(send_event(PORT), 0);
	CHECK_EQ(ig_finish(cpu), 1);
	CHECK_EQ(word(SHARED + PENDING + 8), 1 << 6);
	NEED(madvise(shared, XEN_SIZE, MADV_DONTNEED) == 0);
	g->value[0] = 2;
	ig_start(cpu, guest_wait_upcall);
	CHECK_EQ(send_event(3), 0);
	CHECK_EQ(ig_finish(cpu), 2);
	CHECK_EQ(word(SHARED + PENDING), 1 << 3);
	vm_destroy();
}

/* All of it at once: events, a vCPU that takes them, and a slot that comes and goes. */
static volatile bool storm_over;

static void *storm_slots(void *arg)
{
	while (!storm_over) {
		set_slot(0, 0, 0);
		set_slot(XEN_GPA, XEN_SIZE, 0);
		vm_attr(KVM_XEN_ATTR_TYPE_SHARED_INFO, KVM_XEN_INVALID_GFN);
		vm_attr(KVM_XEN_ATTR_TYPE_SHARED_INFO, SHARED / UT_PAGE);
	}
	return arg;
}

UT_GUEST static void guest_storm(void *args)
{
	volatile struct guest *g = args;

	apic_on();
	ig_wrmsr(HCALL_MSR, HCALL_PAGE);
	while (!g->value[7])
		__asm__ volatile("sti; pause; cli" ::: "memory");
	ut_done(1);
}

static void test_storm(void)
{
	struct ig_thread t;
	struct guest *g;
	pthread_t slots;
	unsigned int i;

	vm_create_xen(0, OWN_VECTOR);
	g = ut_args(cpu);
	NEED(timer(1, PRIO, 0) == 0);
	storm_over = false;
	ig_start(cpu, guest_storm);
	ig_thread_start(&t, cpu);
	NEED(pthread_create(&slots, NULL, storm_slots, NULL) == 0);
	for (i = 0; i < 3000; i++)
		send_event(1 + i % 4095);
	storm_over = true;
	pthread_join(slots, NULL);
	g->value[7] = 1;
	CHECK_EQ(ig_thread_join(&t), 1);
	vm_destroy();
}

static const struct ut_test tests[] = {
	{ "configuration", test_config },
	{ "attributes of the VM", test_vm_attributes },
	{ "attributes of a vCPU", test_vcpu_attributes },
	{ "areas that lie badly", test_bad_areas },
	{ "hypercalls", test_hypercalls },
	{ "hypercall pages of user space", test_blob },
	{ "events to a vCPU's own vector", test_events },
	{ "events to the VM's vector", test_upcall },
	{ "events that the guest sends", test_send },
	{ "routes and eventfds", test_route },
	{ "timer", test_timer },
	{ "poll for an event", test_poll },
	{ "clocks", test_clock },
	{ "runstate", test_runstate },
	{ "slot goes, moves and comes back", test_slot_gone },
	{ "info area goes and comes back", test_info_gone },
	{ "pages are replaced", test_remap },
	{ "all at once", test_storm },
};

int main(int argc, char **argv)
{
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
