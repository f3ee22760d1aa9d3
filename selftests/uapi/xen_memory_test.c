// SPDX-License-Identifier: GPL-2.0-or-later
/* Xen guests: memory that is not there, lies badly, goes away or changes under the hypervisor. */
#include "xen_guest.h"

/* ---- areas that lie badly ------------------------------------------------------------------- */

static void test_bad_areas(void)
{
	vm_create();
	/* Where there is no memory, or none to write to. */
	CHECK_ERRNO(vm_attr(KVM_XEN_ATTR_TYPE_SHARED_INFO, 0x80000), EFAULT);
	CHECK_ERRNO(vm_attr(KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA, 0x1000), EFAULT);
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
	{ "areas that lie badly", test_bad_areas },
	{ "slot goes, moves and comes back", test_slot_gone },
	{ "info area goes and comes back", test_info_gone },
	{ "pages are replaced", test_remap },
	{ "all at once", test_storm },
};

int main(int argc, char **argv)
{
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
