// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every ioctl with each of its allocations and user copies failing in turn, until it succeeds
 * without a failure. A failure must have its errno, and the same call must then succeed on the
 * same object, whose guest must still run. That nothing leaks and the kernel does not complain is
 * for the runner to see.
 */
#include "fault.h"
#include "linux/kvm_later.h"
#include "world.h"

#define MOST       3000 /* failures per call; a call that has more is a loop */
#define RING_BYTES 65536UL

static union {
	char bytes[65536];
	struct kvm_cpuid2 cpuid;
	struct kvm_msrs msrs;
	struct kvm_msr_list msr_list;
	struct kvm_irqchip chip;
	struct kvm_irq_routing routing;
	struct kvm_lapic_state lapic;
	struct kvm_xsave xsave;
	struct kvm_xcrs xcrs;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_sregs2 sregs2;
	struct kvm_fpu fpu;
	struct kvm_vcpu_events events;
	struct kvm_debugregs debugregs;
	struct kvm_mp_state mp_state;
	struct kvm_clock_data clock;
	struct kvm_pit_state2 pit;
	struct kvm_translation translation;
	struct kvm_pre_fault_memory pre_fault;
} u;

/* Write to every page of the memory. */
UT_GUEST static void guest_touch(void *args)
{
	uint64_t gpa;

	for (gpa = MEM_GPA; gpa < MEM_GPA + MEM_SIZE; gpa += 64 * UT_PAGE)
		*(volatile uint64_t *)gpa = gpa;
	ut_done(ANSWER);
}

/* Turn the local APIC into an x2APIC, which makes the VM look its APICs up anew. */
UT_GUEST static void guest_x2apic(void *args)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(0x1b));
	__asm__ volatile("wrmsr" : : "a"(low | 0xc00), "d"(high), "c"(0x1b));
	ut_done(ANSWER);
}

/* ---- the calls ----------------------------------------------------------------------------- */

struct op {
	const char *name;
	int (*call)(void);        /* like ioctl() */
	void (*undo)(int result); /* the success of @call; NULL: nothing to undo */
	void (*world)(void);      /* NULL: a full one, the same for every failure */
	void (*prepare)(void);    /* before each call */
	unsigned int least;       /* this many failures are possible in it at least */
};

static void undo_close(int result)
{
	CHECK(close(result) == 0);
}

static int vm_ioctl(unsigned long request, void *arg)
{
	return ioctl(vm.fd, request, arg);
}

static int call_create_vm(void)
{
	return ioctl(vm.dev, KVM_CREATE_VM, 0);
}

static int call_supported_cpuid(void)
{
	u.cpuid.nent = 200;
	return ioctl(vm.dev, KVM_GET_SUPPORTED_CPUID, &u);
}

static int call_emulated_cpuid(void)
{
	u.cpuid.nent = 200;
	return ioctl(vm.dev, KVM_GET_EMULATED_CPUID, &u);
}

static int call_hv_cpuid(void)
{
	u.cpuid.nent = 50;
	return ioctl(vm.dev, KVM_GET_SUPPORTED_HV_CPUID, &u);
}

static int call_msr_list(void)
{
	u.msr_list.nmsrs = 1000;
	return ioctl(vm.dev, KVM_GET_MSR_INDEX_LIST, &u);
}

static int call_feature_list(void)
{
	u.msr_list.nmsrs = 1000;
	return ioctl(vm.dev, KVM_GET_MSR_FEATURE_INDEX_LIST, &u);
}

static int call_feature_msrs(void)
{
	u.msrs.nmsrs = 1;
	u.msrs.entries[0].index = 0x8b;
	return ioctl(vm.dev, KVM_GET_MSRS, &u) == 1 ? 0 : -1;
}

static int call_create_vcpu(void)
{
	return ioctl(vm.fd, KVM_CREATE_VCPU, 1);
}

static int call_create_irqchip(void)
{
	return ioctl(vm.fd, KVM_CREATE_IRQCHIP, 0);
}

static int call_create_pit(void)
{
	struct kvm_pit_config pit = {0};

	return vm_ioctl(KVM_CREATE_PIT2, &pit);
}

static int enable_cap(int fd, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap enable = {.cap = cap, .args[0] = arg};

	return ioctl(fd, KVM_ENABLE_CAP, &enable);
}

static int call_split_irqchip(void)
{
	return enable_cap(vm.fd, KVM_CAP_SPLIT_IRQCHIP, 24);
}

static int call_dirty_ring(void)
{
	return enable_cap(vm.fd, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, RING_BYTES);
}

static void prepare_dirty_ring(void)
{
	NEED(call_dirty_ring() == 0);
}

static int call_slot(void)
{
	return ut_slot(&vm, 2, 2 * MEM_GPA, MEM_SIZE, mem, KVM_MEM_LOG_DIRTY_PAGES);
}

static void undo_slot(int result)
{
	CHECK(ut_slot(&vm, 2, 0, 0, NULL, 0) == 0);
}

static void prepare_slot(void)
{
	NEED(ut_slot(&vm, 2, 2 * MEM_GPA, MEM_SIZE, mem, 0) == 0);
}

static int call_slot_move(void)
{
	return ut_slot(&vm, 2, 3 * MEM_GPA, MEM_SIZE, mem, 0);
}

static int call_slot_flags(void)
{
	return ut_slot(&vm, 2, 2 * MEM_GPA, MEM_SIZE, mem, KVM_MEM_LOG_DIRTY_PAGES);
}

static int call_slot_delete(void)
{
	return ut_slot(&vm, 2, 0, 0, NULL, 0);
}

static int call_slot2(void)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = 2,
		.guest_phys_addr = 2 * MEM_GPA,
		.memory_size = MEM_SIZE,
		.userspace_addr = (uintptr_t)mem,
	};

	return vm_ioctl(KVM_SET_USER_MEMORY_REGION2, &region);
}

static int call_dirty_log(void)
{
	struct kvm_dirty_log log = {.slot = 1, .dirty_bitmap = &u};

	return vm_ioctl(KVM_GET_DIRTY_LOG, &log);
}

static int call_clear_log(void)
{
	struct kvm_clear_dirty_log log = {
		.slot = 1,
		.num_pages = MEM_SIZE / UT_PAGE,
		.dirty_bitmap = &u,
	};

	return vm_ioctl(KVM_CLEAR_DIRTY_LOG, &log);
}

static void prepare_manual_protect(void)
{
	NEED(enable_cap(vm.fd, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 1) == 0);
	memset(&u, 0xff, MEM_SIZE / UT_PAGE / 8);
}

static int call_get_irqchip(void)
{
	memset(&u.chip, 0, sizeof(u.chip));
	u.chip.chip_id = KVM_IRQCHIP_IOAPIC;
	return vm_ioctl(KVM_GET_IRQCHIP, &u);
}

static int call_set_irqchip(void)
{
	return vm_ioctl(KVM_SET_IRQCHIP, &u);
}

static int call_routing(void)
{
	memset(&u.routing, 0, sizeof(u.routing) + 4 * sizeof(u.routing.entries[0]));
	u.routing.nr = 2;
	u.routing.entries[0].gsi = 1000;
	u.routing.entries[0].type = KVM_IRQ_ROUTING_MSI;
	u.routing.entries[0].u.msi.data = 0x60;
	u.routing.entries[1].gsi = 5;
	u.routing.entries[1].type = KVM_IRQ_ROUTING_IRQCHIP;
	u.routing.entries[1].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
	u.routing.entries[1].u.irqchip.pin = 5;
	return vm_ioctl(KVM_SET_GSI_ROUTING, &u);
}

static int irqfd(uint32_t flags)
{
	struct kvm_irqfd fd = {
		.fd = (uint32_t)event,
		.gsi = 5,
		.flags = flags,
		.resamplefd = (uint32_t)other_event,
	};

	return vm_ioctl(KVM_IRQFD, &fd);
}

static int call_irqfd(void)
{
	return irqfd(0);
}

static int call_resample(void)
{
	return irqfd(KVM_IRQFD_FLAG_RESAMPLE);
}

static void undo_irqfd(int result)
{
	CHECK(irqfd(KVM_IRQFD_FLAG_DEASSIGN) == 0);
}

static int ioeventfd(uint32_t flags)
{
	struct kvm_ioeventfd fd = {
		.addr = 0xd0000000,
		.len = 4,
		.fd = event,
		.flags = flags,
	};

	return vm_ioctl(KVM_IOEVENTFD, &fd);
}

static int call_ioeventfd(void)
{
	return ioeventfd(0);
}

static void undo_ioeventfd(int result)
{
	CHECK(ioeventfd(KVM_IOEVENTFD_FLAG_DEASSIGN) == 0);
}

static void prepare_ioeventfd(void)
{
	ioeventfd(KVM_IOEVENTFD_FLAG_DEASSIGN);
	NEED(ioeventfd(0) == 0);
}

static int call_ioeventfd_off(void)
{
	return ioeventfd(KVM_IOEVENTFD_FLAG_DEASSIGN);
}

static int coalesce(unsigned long request)
{
	struct kvm_coalesced_mmio_zone zone = {.addr = 0xd1000000, .size = 4096};

	return vm_ioctl(request, &zone);
}

static int call_coalesce(void)
{
	return coalesce(KVM_REGISTER_COALESCED_MMIO);
}

static void undo_coalesce(int result)
{
	CHECK(coalesce(KVM_UNREGISTER_COALESCED_MMIO) == 0);
}

static int call_msr_filter(void)
{
	static uint8_t bitmap[32];
	struct kvm_msr_filter filter = {
		.ranges[0] =
			{
				.flags = KVM_MSR_FILTER_READ,
				.nmsrs = 256,
				.base = 0x4b564d00,
				.bitmap = bitmap,
			},
		.ranges[1] =
			{
				.flags = KVM_MSR_FILTER_WRITE,
				.nmsrs = 256,
				.base = 0x40000000,
				.bitmap = bitmap,
			},
	};

	return vm_ioctl(KVM_X86_SET_MSR_FILTER, &filter);
}

static int hyperv_eventfd(uint32_t flags)
{
	struct kvm_hyperv_eventfd fd = {.conn_id = 7, .fd = event, .flags = flags};

	return vm_ioctl(KVM_HYPERV_EVENTFD, &fd);
}

static int call_hyperv_eventfd(void)
{
	return hyperv_eventfd(0);
}

static void undo_hyperv_eventfd(int result)
{
	CHECK(hyperv_eventfd(KVM_HYPERV_EVENTFD_DEASSIGN) == 0);
}

static int call_xen_config(void)
{
	struct kvm_xen_hvm_config config = {.msr = 0x40000200};

	return vm_ioctl(KVM_XEN_HVM_CONFIG, &config);
}

static int xen_port(uint32_t flags)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_EVTCHN,
		.u.evtchn = {.send_port = 7, .type = 2, .flags = flags},
	};

	attr.u.evtchn.deliver.eventfd.fd = event;
	return vm_ioctl(KVM_XEN_HVM_SET_ATTR, &attr);
}

static int call_xen_port(void)
{
	return xen_port(0);
}

static void undo_xen_port(int result)
{
	CHECK(xen_port(KVM_XEN_EVTCHN_DEASSIGN) == 0);
}

static int call_xen_shared(void)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_SHARED_INFO, .u.shared_info.gfn = MEM_GPA / UT_PAGE,
	};

	return vm_ioctl(KVM_XEN_HVM_SET_ATTR, &attr);
}

static int call_vm_stats(void)
{
	return ioctl(vm.fd, KVM_GET_STATS_FD, 0);
}

static int call_vcpu_stats(void)
{
	return ioctl(vcpu->fd, KVM_GET_STATS_FD, 0);
}

static int call_get_clock(void)
{
	return vm_ioctl(KVM_GET_CLOCK, &u);
}

static int call_get_pit(void)
{
	return vm_ioctl(KVM_GET_PIT2, &u);
}

static void prepare_cpuid(void)
{
	NEED(call_supported_cpuid() == 0);
}

static int call_set_cpuid(void)
{
	return ioctl(vcpu->fd, KVM_SET_CPUID2, &u);
}

static int call_get_cpuid(void)
{
	u.cpuid.nent = 256;
	return ioctl(vcpu->fd, KVM_GET_CPUID2, &u);
}

static int vcpu_msrs(unsigned long request)
{
	unsigned int i;
	int r;

	memset(&u.msrs, 0, sizeof(u.msrs) + 20 * sizeof(u.msrs.entries[0]));
	u.msrs.nmsrs = 20;
	for (i = 0; i < 20; i++)
		u.msrs.entries[i].index = 0xc0000081 + i % 4; /* STAR and its neighbours */
	r = ioctl(vcpu->fd, request, &u);
	return r == 20 ? 0 : r < 0 ? r : -1;
}

static int call_get_msrs(void)
{
	return vcpu_msrs(KVM_GET_MSRS);
}

static int call_set_msrs(void)
{
	return vcpu_msrs(KVM_SET_MSRS);
}

/*
 * The guest OS id: the first Hyper-V register gives the vCPU its Hyper-V state. KVM_SET_MSRS stops
 * where it fails and says how far it came, not why.
 */
static int call_hyperv_msr(void)
{
	int r;

	memset(&u.msrs, 0, sizeof(u.msrs) + sizeof(u.msrs.entries[0]));
	u.msrs.nmsrs = 1;
	u.msrs.entries[0].index = 0x40000000;
	u.msrs.entries[0].data = 1;
	r = ioctl(vcpu->fd, KVM_SET_MSRS, &u);
	if (r == 0)
		errno = ENOMEM;
	return r == 1 ? 0 : -1;
}

static int call_synic(void)
{
	return enable_cap(vcpu->fd, KVM_CAP_HYPERV_SYNIC2, 0);
}

static int call_setup_mce(void)
{
	uint64_t cap = 10 | 1ULL << 8;

	return ioctl(vcpu->fd, KVM_X86_SETUP_MCE, &cap);
}

static int call_signal_mask(void)
{
	struct {
		struct kvm_signal_mask head;
		uint8_t set[8];
	} mask = {.head.len = 8};

	return ioctl(vcpu->fd, KVM_SET_SIGNAL_MASK, &mask);
}

static int call_debug(void)
{
	struct kvm_guest_debug debug = {0};

	return ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug);
}

static int call_translate(void)
{
	u.translation.linear_address = UT_CODE;
	return ioctl(vcpu->fd, KVM_TRANSLATE, &u);
}

static void prepare_fresh_memory(void)
{
	NEED(madvise(mem, MEM_SIZE, MADV_DONTNEED) == 0);
}

static int call_pre_fault(void)
{
	u.pre_fault = (struct kvm_pre_fault_memory){.gpa = MEM_GPA, .size = 16 * UT_PAGE};
	return ioctl(vcpu->fd, KVM_PRE_FAULT_MEMORY, &u);
}

/* A pair of ioctls that get a piece of vCPU state into @u, and set it. */
#define STATE(name, NAME)                                                                          \
	static int call_get_##name(void)                                                           \
	{                                                                                          \
		return ioctl(vcpu->fd, KVM_GET_##NAME, &u);                                        \
	}                                                                                          \
	static void prepare_##name(void)                                                           \
	{                                                                                          \
		NEED(call_get_##name() == 0);                                                      \
	}                                                                                          \
	static int call_set_##name(void)                                                           \
	{                                                                                          \
		return ioctl(vcpu->fd, KVM_SET_##NAME, &u);                                        \
	}
STATE(regs, REGS)
STATE(sregs, SREGS)
STATE(sregs2, SREGS2)
STATE(fpu, FPU)
STATE(xsave, XSAVE)
STATE(xcrs, XCRS)
STATE(events, VCPU_EVENTS)
STATE(debugregs, DEBUGREGS)
STATE(mp_state, MP_STATE)
STATE(lapic, LAPIC)

static int call_get_xsave2(void)
{
	return ioctl(vcpu->fd, KVM_GET_XSAVE2, &u);
}

/* KVM_RUN until the guest says that it is done; goes on where a failure ended it. */
static int call_run(void)
{
	uint32_t value = 0;

	switch (ut_run(vcpu, &value)) {
	case UT_DONE:
		return value == ANSWER ? 0 : -1;
	case UT_ERROR:
		return -1;
	default:
		ut_fail(__FILE__, __LINE__, "exit %u", vcpu->run->exit_reason);
		ut_abort();
	}
}

static void prepare_touch(void)
{
	prepare_fresh_memory();
	ut_start(vcpu, guest_touch);
}

/* Pages that are there, but must be made writable one by one. */
static void prepare_touch_logged(void)
{
	memset(mem, 1, MEM_SIZE);
	NEED(call_dirty_log() == 0);
	ut_start(vcpu, guest_touch);
}

static void prepare_touch_huge(void)
{
	NEED(ut_slot(&vm, 1, MEM_GPA, MEM_SIZE, mem, 0) == 0);
	madvise(mem, MEM_SIZE, MADV_HUGEPAGE);
	prepare_touch();
}

static void prepare_x2apic(void)
{
	ut_start(vcpu, guest_x2apic);
}

/* The end of a VM with something of everything. */
static void world_rich(void)
{
	world_full();
	NEED(call_irqfd() == 0 && call_ioeventfd() == 0 && call_coalesce() == 0);
	NEED(call_routing() == 0 && call_hyperv_eventfd() == 0 && call_msr_filter() == 0);
	CHECK_EQ(ut_call(vcpu, guest_touch), ANSWER);
}

static int call_destroy(void)
{
	munmap(vcpu->run, vcpu->run_size);
	close(vcpu->fd);
	vm.nr_vcpus = 0;
	/* The file's last reference: the VM goes on the way out of this. */
	return close(vm.fd);
}

static void undo_destroy(int result)
{
	vcpu = NULL;
	vm.fd = ioctl(vm.dev, KVM_CREATE_VM, 0);
	NEED(vm.fd >= 0);
	NEED(ut_slot(&vm, 0, 0, UT_LOW_SIZE, vm.low, 0) == 0);
}

static const struct op ops[] = {
	{"create_vm", call_create_vm, undo_close, .least = 5},
	{"supported_cpuid", call_supported_cpuid, .least = 2},
	{"emulated_cpuid", call_emulated_cpuid, .least = 1},
	{"hv_cpuid", call_hv_cpuid, .least = 2},
	{"msr_list", call_msr_list, .least = 1},
	{"feature_list", call_feature_list, .least = 1},
	{"feature_msrs", call_feature_msrs, .least = 2},
	{"create_vcpu", call_create_vcpu, undo_close, world_bare, .least = 5},
	{"create_vcpu_lapic", call_create_vcpu, undo_close, world_chip, .least = 6},
	{"create_vcpu_ring", call_create_vcpu, undo_close, world_bare, prepare_dirty_ring, 6},
	{"create_irqchip", call_create_irqchip, NULL, world_bare, .least = 3},
	{"create_pit", call_create_pit, NULL, world_chip, .least = 2},
	{"split_irqchip", call_split_irqchip, NULL, world_bare, .least = 1},
	{"dirty_ring", call_dirty_ring, NULL, world_bare, .least = 1},
	{"slot", call_slot, undo_slot, .least = 3},
	{"slot_delete", call_slot_delete, NULL, world_full, prepare_slot, 2},
	{"slot_move", call_slot_move, undo_slot, world_full, prepare_slot, 2},
	{"slot_flags", call_slot_flags, undo_slot, world_full, prepare_slot, 2},
	{"slot2", call_slot2, undo_slot, .least = 3},
	{"dirty_log", call_dirty_log, .least = 2},
	{"clear_log", call_clear_log, NULL, world_full, prepare_manual_protect, 2},
	{"get_irqchip", call_get_irqchip, .least = 3},
	{"set_irqchip", call_set_irqchip, .least = 2},
	{"routing", call_routing, .least = 4},
	{"irqfd", call_irqfd, undo_irqfd, .least = 2},
	{"irqfd_resample", call_resample, undo_irqfd, .least = 3},
	{"ioeventfd", call_ioeventfd, undo_ioeventfd, .least = 3},
	{"ioeventfd_off", call_ioeventfd_off, .prepare = prepare_ioeventfd, .least = 1},
	{"coalesced", call_coalesce, undo_coalesce, .least = 3},
	{"msr_filter", call_msr_filter, .least = 4},
	{"xen_config", call_xen_config, NULL, world_full, .least = 2},
	{"xen_port", call_xen_port, undo_xen_port, .least = 2},
	{"xen_shared", call_xen_shared, .least = 1},
	{"hyperv_eventfd", call_hyperv_eventfd, undo_hyperv_eventfd, world_full, .least = 2},
	{"vm_stats", call_vm_stats, undo_close, .least = 3},
	{"vcpu_stats", call_vcpu_stats, undo_close, .least = 3},
	{"get_clock", call_get_clock, .least = 1},
	{"get_pit", call_get_pit, .least = 1},
	{"set_cpuid", call_set_cpuid, NULL, world_full, prepare_cpuid, 3},
	{"get_cpuid", call_get_cpuid, .least = 2},
	{"get_msrs", call_get_msrs, .least = 3},
	{"set_msrs", call_set_msrs, .least = 2},
	{"hyperv_msr", call_hyperv_msr, NULL, world_full, .least = 3},
	{"synic", call_synic, NULL, world_full, .least = 2},
	{"setup_mce", call_setup_mce, NULL, world_full, .least = 1},
	{"signal_mask", call_signal_mask, .least = 2},
	{"guest_debug", call_debug, .least = 1},
	{"translate", call_translate, .least = 2},
	{"pre_fault", call_pre_fault, .prepare = prepare_fresh_memory, .least = 3},
	{"get_regs", call_get_regs, .least = 1},
	{"set_regs", call_set_regs, .prepare = prepare_regs, .least = 1},
	{"get_sregs", call_get_sregs, .least = 1},
	{"set_sregs", call_set_sregs, .prepare = prepare_sregs, .least = 1},
	{"get_sregs2", call_get_sregs2, .least = 1},
	{"set_sregs2", call_set_sregs2, .prepare = prepare_sregs2, .least = 1},
	{"get_fpu", call_get_fpu, .least = 1},
	{"set_fpu", call_set_fpu, .prepare = prepare_fpu, .least = 1},
	{"get_xsave", call_get_xsave, .least = 2},
	{"set_xsave", call_set_xsave, .prepare = prepare_xsave, .least = 2},
	{"get_xsave2", call_get_xsave2, .least = 2},
	{"get_xcrs", call_get_xcrs, .least = 1},
	{"set_xcrs", call_set_xcrs, .prepare = prepare_xcrs, .least = 1},
	{"get_events", call_get_events, .least = 1},
	{"set_events", call_set_events, .prepare = prepare_events, .least = 1},
	{"get_debugregs", call_get_debugregs, .least = 1},
	{"set_debugregs", call_set_debugregs, .prepare = prepare_debugregs, .least = 1},
	{"get_mp_state", call_get_mp_state, .least = 1},
	{"set_mp_state", call_set_mp_state, .prepare = prepare_mp_state, .least = 1},
	{"get_lapic", call_get_lapic, .least = 2},
	{"set_lapic", call_set_lapic, .prepare = prepare_lapic, .least = 2},
	{"run_touch", call_run, .prepare = prepare_touch, .least = 10},
	{"run_touch_first", call_run, NULL, world_full, prepare_touch, 10},
	{"run_touch_logged", call_run, .prepare = prepare_touch_logged, .least = 1},
	{"run_touch_huge", call_run, NULL, world_full, prepare_touch_huge, 4},
	{"run_x2apic", call_run, NULL, world_full, prepare_x2apic, 1},
	{"destroy", call_destroy, undo_destroy, world_rich, .least = 0},
};

/* ---- each failure in turn ------------------------------------------------------------------ */

static const struct op *op;

static bool errno_is_clean(int e)
{
	return e == ENOMEM || e == EFAULT;
}

/* One call whose @n-th chance to fail does. True if it had that many. */
static bool fail_one(unsigned int n)
{
	bool injected;
	int result, e;

	if (op->prepare)
		op->prepare();
	fault_arm(n);
	errno = 0;
	result = op->call();
	injected = fault_disarm();
	e = errno;
	if (result < 0) {
		if (!injected || !errno_is_clean(e)) {
			ut_fail(__FILE__, __LINE__, "%s, failure %u%s: errno %d (%s)", op->name, n,
			        injected ? "" : " (none injected)", e, strerror(e));
			if (!injected)
				ut_abort();
		}
		result = op->call();
		if (result < 0) {
			ut_fail(__FILE__, __LINE__, "%s after failure %u: errno %d (%s)", op->name,
			        n, errno, strerror(errno));
			ut_abort();
		}
	}
	if (op->undo)
		op->undo(result);
	world_check_alive();
	return injected;
}

static void run_op(void)
{
	unsigned int n = 0;
	bool more;

	if (!op->world)
		world_full();
	do {
		if (op->world)
			op->world();
		more = fail_one(++n);
		if (op->world)
			world_end();
	} while (more && n < MOST);
	if (!op->world)
		world_end();
	printf("# %s: %u failures\n", op->name, n - 1);
	CHECK(!more);
	CHECK(n > op->least);
}

int main(int argc, char **argv)
{
	struct ut_test tests[ARRAY_SIZE(ops)];
	unsigned int i;
	int failures = 0;

	if (!fault_available()) {
		printf("skip fault_injection this kernel has none\n");
		return 0;
	}
	fault_setup();
	/* ut_main() runs a table of functions without arguments: one test at a time. */
	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		op = &ops[i];
		tests[i] = (struct ut_test){op->name, run_op};
		failures |= ut_main(argc, argv, &tests[i], 1);
	}
	return failures;
}
