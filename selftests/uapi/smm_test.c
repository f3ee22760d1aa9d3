// SPDX-License-Identifier: GPL-2.0-or-later
/* System management mode: SMIs, the handler's own memory, RSM, and the state that is saved. */
#include <pthread.h>
#include <stddef.h>

#include "ut.h"

#define SMBASE		0x30000UL
#define SMRAM_SIZE	0x10000UL
#define HANDLER		0x8000UL	/* from SMBASE */
#define AREA		0xfe00UL
#define AREA_CR0	(AREA + 0x158)
#define AREA_RIP	(AREA + 0x178)
#define AREA_RAX	(AREA + 0x1f8)
#define AREA_SMBASE	(AREA + 0x100)
#define DATA_GPA	0x40000000UL
#define SMM_SLOT(n)	(0x10000u + (n))
#define OUTSIDE		0x11111111u
#define INSIDE		0x22222222u
#define MSR_SMBASE	0x9e

static struct ut_vm vm;
static struct ut_vcpu *cpu;
static uint8_t *smram, *outside, *inside;

/* mov eax, [DATA_GPA]; out 0xf0, eax; rsm: in real mode with 4 GiB segments. */
static const uint8_t handler[] = {
	0x66, 0x67, 0xa1, 0x00, 0x00, 0x00, 0x40, 0x66, 0xe7, 0xf0, 0x0f, 0xaa,
};

static uint8_t *map(size_t size)
{
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	NEED(p != MAP_FAILED);
	return p;
}

static void create(bool irqchip)
{
	ut_vm_create(&vm, 0);
	if (ioctl(vm.dev, KVM_CHECK_EXTENSION, KVM_CAP_X86_SMM) <= 0 ||
	    ioctl(vm.dev, KVM_CHECK_EXTENSION, KVM_CAP_MULTI_ADDRESS_SPACE) < 2) {
		ut_vm_destroy(&vm);
		ut_skip("no system management mode");
	}
	if (irqchip)
		NEED(ioctl(vm.fd, KVM_CREATE_IRQCHIP, 0) == 0);
	cpu = ut_vcpu_create(&vm);
	smram = map(SMRAM_SIZE);
	outside = map(UT_PAGE);
	inside = map(UT_PAGE);
	*(uint32_t *)outside = OUTSIDE;
	*(uint32_t *)inside = INSIDE;
	memcpy(smram + HANDLER, handler, sizeof(handler));
	NEED(ut_slot(&vm, 1, DATA_GPA, UT_PAGE, outside, 0) == 0);
	NEED(ut_slot(&vm, SMM_SLOT(0), SMBASE, SMRAM_SIZE, smram, 0) == 0);
	NEED(ut_slot(&vm, SMM_SLOT(1), DATA_GPA, UT_PAGE, inside, 0) == 0);
}

static void destroy(void)
{
	ut_vm_destroy(&vm);
	munmap(smram, SMRAM_SIZE);
	munmap(outside, UT_PAGE);
	munmap(inside, UT_PAGE);
}

struct loop_args {
	uint64_t stop, count, value;
};

UT_GUEST static void guest_loop(void *args)
{
	volatile struct loop_args *a = args;

	while (!a->stop)
		a->count++;
	a->value = *(volatile uint32_t *)DATA_GPA;
	ut_done(7);
}

static void start_loop(void)
{
	ut_start(cpu, guest_loop);
	memset(ut_args(cpu), 0, sizeof(struct loop_args));
}

/* The next exit is the handler's, which has read this value. */
static void expect_handler(uint32_t want)
{
	uint32_t value = 0;

	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	CHECK_EQ(value, want);
	CHECK_EQ(cpu->run->flags & KVM_RUN_X86_SMM, KVM_RUN_X86_SMM);
}

static void expect_end(void)
{
	struct loop_args *a = ut_args(cpu);
	uint32_t value = 0;

	a->stop = 1;
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	CHECK_EQ(value, 7);
	CHECK_EQ(a->value, OUTSIDE);
	CHECK_EQ(cpu->run->flags & KVM_RUN_X86_SMM, 0);
}

static struct kvm_vcpu_events events(void)
{
	struct kvm_vcpu_events e;

	NEED(ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, &e) == 0);
	CHECK(e.flags & KVM_VCPUEVENT_VALID_SMM);
	return e;
}

static int msr(bool set, uint32_t index, uint64_t *value)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} m = { .head.nmsrs = 1, .entry = { .index = index, .data = *value } };
	int r = ioctl(cpu->fd, set ? KVM_SET_MSRS : KVM_GET_MSRS, &m);

	*value = m.entry.data;
	return r;
}

/* In and out, several times; two SMIs at once are one. */
static void test_smi(void)
{
	struct kvm_vcpu_events e;
	uint64_t count = 0;
	int i;

	create(false);
	start_loop();
	for (i = 0; i < 3; i++) {
		NEED(ioctl(cpu->fd, KVM_SMI, 0) == 0);
		NEED(ioctl(cpu->fd, KVM_SMI, 0) == 0);
		expect_handler(INSIDE);
		e = events();
		CHECK_EQ(e.smi.smm, 1);
		CHECK_EQ(e.smi.pending, 0);
		CHECK_EQ(e.smi.smm_inside_nmi, 0);
		CHECK_EQ(e.nmi.masked, 1);
	}
	expect_end();
	CHECK_EQ(events().smi.smm, 0);
	CHECK_EQ(events().nmi.masked, 0);
	CHECK_EQ(msr(false, 0x34, &count), 1);
	CHECK_EQ(count, 3);
	destroy();
}

/* One that comes in SMM waits for its end; so does an NMI. */
static void test_pending(void)
{
	create(false);
	start_loop();
	NEED(ioctl(cpu->fd, KVM_SMI, 0) == 0);
	expect_handler(INSIDE);
	NEED(ioctl(cpu->fd, KVM_SMI, 0) == 0);
	CHECK_EQ(events().smi.pending, 1);
	expect_handler(INSIDE);
	CHECK_EQ(events().smi.pending, 0);
	expect_end();
	destroy();
}

/* What the handler writes into the save area is what RSM brings back. */
static void test_save_area(void)
{
	struct kvm_regs before, after;
	struct kvm_sregs sregs;
	uint64_t base = 0;
	uint32_t value;

	create(false);
	start_loop();
	NEED(ioctl(cpu->fd, KVM_GET_REGS, &before) == 0);
	NEED(ioctl(cpu->fd, KVM_SMI, 0) == 0);
	expect_handler(INSIDE);
	NEED(ioctl(cpu->fd, KVM_GET_SREGS, &sregs) == 0);
	CHECK_EQ(sregs.cs.base, SMBASE);
	CHECK_EQ(sregs.cs.selector, SMBASE >> 4);
	CHECK_EQ(sregs.cr0 & 1, 0);
	CHECK_EQ(sregs.efer, 0);
	CHECK_EQ(*(uint64_t *)(smram + AREA_RIP), before.rip);
	CHECK_EQ(*(uint32_t *)(smram + AREA_SMBASE), SMBASE);
	*(uint32_t *)(smram + AREA_SMBASE) = SMBASE + 0x1000;
	*(uint64_t *)(smram + AREA_RAX) = 0x1234567890;
	/* It comes back, and leaves again at once by an SMI at the new place. */
	memcpy(smram + 0x1000 + HANDLER, handler, sizeof(handler));
	NEED(ut_slot(&vm, SMM_SLOT(0), SMBASE, 0, smram, 0) == 0);
	NEED(ut_slot(&vm, SMM_SLOT(2), SMBASE, SMRAM_SIZE, smram, 0) == 0);
	NEED(ut_slot(&vm, SMM_SLOT(3), SMBASE + SMRAM_SIZE, UT_PAGE, outside, 0) == 0);
	NEED(ioctl(cpu->fd, KVM_SMI, 0) == 0);
	CHECK_EQ(ut_run(cpu, &value), UT_DONE);
	CHECK_EQ(value, INSIDE);
	CHECK_EQ(msr(false, MSR_SMBASE, &base), 1);
	CHECK_EQ(base, SMBASE + 0x1000);
	CHECK_EQ(*(uint64_t *)(outside + AREA_RAX + 0x1000 - SMRAM_SIZE), 0x1234567890);
	*(uint32_t *)outside = OUTSIDE;
	NEED(ioctl(cpu->fd, KVM_GET_REGS, &after) == 0);
	expect_end();
	destroy();
}

static void test_bad_save_area(void)
{
	uint32_t value;

	create(false);
	start_loop();
	NEED(ioctl(cpu->fd, KVM_SMI, 0) == 0);
	expect_handler(INSIDE);
	*(uint64_t *)(smram + AREA_CR0) = 1u << 31;	/* paging without protection */
	CHECK_EQ(ut_run(cpu, &value), UT_EXIT);
	CHECK_EQ(cpu->run->exit_reason, KVM_EXIT_SHUTDOWN);
	destroy();
}

UT_GUEST static void guest_rsm(void *args)
{
	__asm__ volatile(".byte 0x0f, 0xaa");
	ut_done(1);
}

static void test_rsm_outside(void)
{
	uint32_t value;

	create(false);
	ut_start(cpu, guest_rsm);
	ut_catch_exceptions(cpu);
	CHECK_EQ(ut_run(cpu, &value), UT_EXIT);
	CHECK(ut_is_exception(cpu));
	destroy();
}

UT_GUEST static void guest_halt(void *args)
{
	volatile struct loop_args *a = args;

	/* KVM finds a vCPU by its APIC id only once that APIC was touched. */
	*(volatile uint32_t *)0xfee000f0 = 0x1ff;
	__asm__ volatile("cli; hlt");
	a->value = *(volatile uint32_t *)DATA_GPA;
	ut_done(7);
}

static void send_message(unsigned int mode)
{
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = mode << 8 };

	CHECK(ioctl(vm.fd, KVM_SIGNAL_MSI, &msi) >= 0);
}

static void *late_smi(void *arg)
{
	usleep(200000);
	send_message(2);
	return NULL;
}

/*
 * By a message of the APIC, to a halted vCPU; it goes on behind HLT. INIT waits for the end of
 * SMM.
 */
static void test_apic_message(void)
{
	struct kvm_vcpu_events e;
	pthread_t thread;

	create(true);
	ut_start(cpu, guest_halt);
	NEED(pthread_create(&thread, NULL, late_smi, NULL) == 0);
	expect_handler(INSIDE);
	pthread_join(thread, NULL);
	CHECK_EQ(events().smi.latched_init, 0);
	send_message(5);
	CHECK_EQ(events().smi.latched_init, 1);
	/* User space may forget the INIT. */
	e = events();
	e.smi.latched_init = 0;
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_VCPU_EVENTS, &e), 0);
	expect_end();
	destroy();
}

/* The state moves to another VM in the middle of the handler. */
static void test_restore(void)
{
	struct kvm_vcpu_events e;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	uint64_t base = SMBASE;

	create(false);
	start_loop();
	CHECK_EQ(msr(true, MSR_SMBASE, &base), 1);
	NEED(ioctl(cpu->fd, KVM_SMI, 0) == 0);
	expect_handler(INSIDE);
	e = events();
	NEED(ioctl(cpu->fd, KVM_GET_REGS, &regs) == 0);
	NEED(ioctl(cpu->fd, KVM_GET_SREGS, &sregs) == 0);
	/* Out of it, and in again, as a new vCPU would be put. */
	e.smi.smm = 0;
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_VCPU_EVENTS, &e), 0);
	CHECK_EQ(events().smi.smm, 0);
	e.smi.smm = 1;
	e.smi.pending = 1;
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_VCPU_EVENTS, &e), 0);
	NEED(ioctl(cpu->fd, KVM_SET_SREGS, &sregs) == 0);
	NEED(ioctl(cpu->fd, KVM_SET_REGS, &regs) == 0);
	expect_handler(INSIDE);			/* the pending one */
	expect_end();
	destroy();
}

/* Slots of both kinds come and go; their pages follow the process's memory. */
static void test_memory(void)
{
	uint64_t log[1] = { 0 };
	struct kvm_dirty_log get = { .slot = SMM_SLOT(0), .dirty_bitmap = log };

	create(false);
	CHECK_ERRNO(ut_slot(&vm, 0x20000, 0x50000000, UT_PAGE, inside, 0), EINVAL);
	CHECK_ERRNO(ut_slot(&vm, SMM_SLOT(5), DATA_GPA, UT_PAGE, inside, 0), EEXIST);
	start_loop();
	NEED(ioctl(cpu->fd, KVM_SMI, 0) == 0);
	expect_handler(INSIDE);
	/* New memory behind the same address: the handler sees it. */
	NEED(mmap(inside, UT_PAGE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == inside);
	*(uint32_t *)inside = 0x33333333;
	NEED(ioctl(cpu->fd, KVM_SMI, 0) == 0);
	expect_handler(0x33333333);
	/* Another slot in its place. */
	NEED(ut_slot(&vm, SMM_SLOT(1), DATA_GPA, 0, inside, 0) == 0);
	NEED(ut_slot(&vm, SMM_SLOT(4), DATA_GPA, UT_PAGE, outside, 0) == 0);
	NEED(ioctl(cpu->fd, KVM_SMI, 0) == 0);
	expect_handler(OUTSIDE);
	/* What the entry writes to SMRAM is logged. */
	NEED(ut_slot(&vm, SMM_SLOT(0), SMBASE, SMRAM_SIZE, smram, KVM_MEM_LOG_DIRTY_PAGES) == 0);
	NEED(ioctl(cpu->fd, KVM_SMI, 0) == 0);
	expect_handler(OUTSIDE);
	CHECK_EQ(ioctl(vm.fd, KVM_GET_DIRTY_LOG, &get), 0);
	CHECK_EQ(log[0], 1u << 15);
	expect_end();
	destroy();
}

static const struct ut_test tests[] = {
	{ "smi", test_smi },
	{ "smi-pending", test_pending },
	{ "smm-save-area", test_save_area },
	{ "smm-bad-save-area", test_bad_save_area },
	{ "rsm-outside", test_rsm_outside },
	{ "smi-message", test_apic_message },
	{ "smm-restore", test_restore },
	{ "smm-memory", test_memory },
};

int main(int argc, char **argv)
{
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
