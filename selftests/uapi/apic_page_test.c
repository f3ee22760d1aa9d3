// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An APIC in xAPIC mode is a page of the guest's address space: of each vCPU its own, where its
 * base is, and memory or nothing elsewhere. A CPU that virtualizes the page has one place for all
 * vCPUs.
 */
#include "irq_guest.h"

#define MOVED		0xfed01000UL
#define ENABLED		0x800
#define X2APIC		0x400
#define ID		0x20
#define LDR		0xd0

struct page_args {
	uint64_t apic;
	uint32_t id, id_again, ldr;
};

static struct ut_vm vm;

UT_GUEST static void guest_look(void *args)
{
	volatile struct page_args *a = args;

	a->id = *(volatile uint32_t *)(a->apic + ID);
	*(volatile uint32_t *)(a->apic + LDR) = 0x12345678;
	a->ldr = *(volatile uint32_t *)(a->apic + LDR);
	a->id_again = *(volatile uint32_t *)(a->apic + ID);
	ut_done(1);
}

/* One vCPU looks at @apic: its id there, or what user space answers (@mmio: it must be asked). */
static void look(unsigned int cpu, uint64_t apic, uint32_t id, uint32_t ldr, bool mmio)
{
	static const uint32_t answer = 0x55667788;
	struct ut_vcpu *v = &vm.vcpu[cpu];
	struct page_args *a = ut_args(v);
	unsigned int exits = 0;
	enum ut_result r;
	uint32_t value;

	ig_start(v, guest_look);
	*a = (struct page_args) { .apic = apic };
	while ((r = ut_run(v, &value)) == UT_EXIT && v->run->exit_reason == KVM_EXIT_MMIO) {
		CHECK_EQ(v->run->mmio.phys_addr & ~0xfffULL, apic);
		if (!v->run->mmio.is_write)
			memcpy(v->run->mmio.data, &answer, 4);
		exits++;
	}
	CHECK_EQ(r, UT_DONE);
	CHECK_EQ(exits, mmio ? 4 : 0);
	CHECK_EQ(a->id, mmio ? answer : id);
	CHECK_EQ(a->id_again, mmio ? answer : id);
	CHECK_EQ(a->ldr, mmio ? answer : ldr);
}

static void set_base(unsigned int cpu, uint64_t base)
{
	struct kvm_sregs sregs;

	NEED(ioctl(vm.vcpu[cpu].fd, KVM_GET_SREGS, &sregs) == 0);
	sregs.apic_base = base | (cpu ? 0 : 0x100);
	NEED(ioctl(vm.vcpu[cpu].fd, KVM_SET_SREGS, &sregs) == 0);
}

static void test_own_page(void)
{
	ig_vm_create(&vm, 2);
	look(0, IG_APIC, 0, 0x12000000, false);
	look(1, IG_APIC, 1 << 24, 0x12000000, false);
	ut_vm_destroy(&vm);
}

/* The other vCPU's APIC is where it was; at the default address there is nothing for this one. */
static void test_moved(void)
{
	unsigned int round;

	ig_vm_create(&vm, 2);
	for (round = 0; round < 3; round++) {
		look(0, IG_APIC, 0, 0x12000000, false);
		look(1, IG_APIC, 1 << 24, 0x12000000, false);
		set_base(1, MOVED | ENABLED);
		look(0, IG_APIC, 0, 0x12000000, false);
		look(1, MOVED, 1 << 24, 0x12000000, false);
		look(1, IG_APIC, 0, 0, true);
		look(0, MOVED, 0, 0, true);
		set_base(1, IG_APIC | ENABLED);
	}
	ut_vm_destroy(&vm);
}

/* Off, or in x2APIC mode: reads of the page float. KVM on Intel may give it memory there. */
static void test_off(void)
{
	bool flex = ut_is_kvm_intel_with("flexpriority");
	unsigned int round;

	ig_vm_create(&vm, 2);
	for (round = 0; round < 2; round++) {
		look(0, IG_APIC, 0, 0x12000000, false);
		set_base(1, IG_APIC);
		if (!flex)
			look(1, IG_APIC, 0xffffffff, 0xffffffff, false);
		look(0, IG_APIC, 0, 0x12000000, false);
		set_base(1, IG_APIC | ENABLED | X2APIC);
		if (!flex)
			look(1, IG_APIC, 0xffffffff, 0xffffffff, false);
		look(0, IG_APIC, 0, 0x12000000, false);
		set_base(1, IG_APIC);
		set_base(1, IG_APIC | ENABLED);
		look(1, IG_APIC, 1 << 24, 0x12000000, false);
	}
	ut_vm_destroy(&vm);
}

/* Memory of user space's over the page wins, as long as it is there. */
static void test_slot(void)
{
	struct kvm_userspace_memory_region region = {
		.slot = 20, .guest_phys_addr = IG_APIC, .memory_size = UT_PAGE,
	};
	uint32_t *page = mmap(NULL, UT_PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	NEED(page != MAP_FAILED);
	ig_vm_create(&vm, 1);
	look(0, IG_APIC, 0, 0x12000000, false);
	page[ID / 4] = 0x4711;
	region.userspace_addr = (uintptr_t)page;
	/* KVM has a slot of its own there. */
	if (ut_is_kvm_intel_with("flexpriority")) {
		CHECK_ERRNO(ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION, &region), EEXIST);
	} else if (!strcmp(ut_device(), "/dev/hv")) {
		CHECK_EQ(ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION, &region), 0);
		look(0, IG_APIC, 0x4711, 0x12345678, false);
		CHECK_EQ(page[LDR / 4], 0x12345678);
		region.memory_size = 0;
		CHECK_EQ(ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION, &region), 0);
	}
	look(0, IG_APIC, 0, 0x12000000, false);
	ut_vm_destroy(&vm);
	munmap(page, UT_PAGE);
}

int main(int argc, char **argv)
{
	static const struct ut_test tests[] = {
		{ "apic-page-own", test_own_page },
		{ "apic-page-moved", test_moved },
		{ "apic-page-off", test_off },
		{ "apic-page-slot", test_slot },
	};

	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
