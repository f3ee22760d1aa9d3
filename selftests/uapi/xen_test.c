// SPDX-License-Identifier: GPL-2.0-or-later
/* Xen guests: what user space sets up, hypercalls, events, timers, clocks, runstate. */
#include <sys/eventfd.h>
#include <sys/wait.h>

#include "xen_guest.h"

/* ---- what user space sets ------------------------------------------------------------------- */

static void test_config(void)
{
	struct kvm_xen_hvm_config c = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL,
		.blob_size_64 = 1, .blob_addr_64 = 4096,
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

static const struct ut_test tests[] = {
	{ "configuration", test_config },
	{ "attributes of the VM", test_vm_attributes },
	{ "attributes of a vCPU", test_vcpu_attributes },
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
};

int main(int argc, char **argv)
{
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
