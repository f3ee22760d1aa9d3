// SPDX-License-Identifier: GPL-2.0-or-later
/* What user space sets is what it gets; many VMs leave nothing; CPUs that go away under a guest. */
#include <fcntl.h>
#include <pthread.h>

#include "ut.h"

static struct ut_vm vm;
static struct ut_vcpu *cpu;

static void create(bool irqchip)
{
	ut_vm_create(&vm, 0);
	if (irqchip)
		NEED(ioctl(vm.fd, KVM_CREATE_IRQCHIP, 0) == 0);
	cpu = ut_vcpu_create(&vm);
}

static void fill(void *p, size_t n, uint8_t first)
{
	size_t i;

	for (i = 0; i < n; i++)
		((uint8_t *)p)[i] = (uint8_t)(first + i * 3);
}

static void test_regs(void)
{
	struct kvm_regs regs, back;

	create(false);
	fill(&regs, sizeof(regs), 1);
	regs.rip = 0x123456789a;
	regs.rflags = 0x246;
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_REGS, &regs), 0);
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_REGS, &back), 0);
	CHECK(!memcmp(&regs, &back, sizeof(regs)));
	/* Bit 1 of the flags is always set. */
	regs.rflags = 0;
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_REGS, &regs), 0);
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_REGS, &back), 0);
	CHECK_EQ(back.rflags, 2);
	ut_vm_destroy(&vm);
}

static void segment(struct kvm_segment *s, unsigned int i)
{
	s->base = 0x1000 * i;
	s->limit = 0xfffff;
	s->selector = (uint16_t)(8 * i);
	s->type = 3;
	s->present = s->s = s->db = 1;
	s->g = 0;
	s->avl = i & 1;
}

static void test_sregs(void)
{
	struct kvm_sregs sregs, back;
	struct kvm_segment *segs[] = { &sregs.ds, &sregs.es, &sregs.fs, &sregs.gs, &sregs.ss };
	unsigned int i;

	create(true);
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_SREGS, &sregs), 0);
	for (i = 0; i < ARRAY_SIZE(segs); i++)
		segment(segs[i], i + 1);
	sregs.gdt = (struct kvm_dtable){ .base = 0x1234, .limit = 0x77 };
	sregs.idt = (struct kvm_dtable){ .base = 0x4321, .limit = 0x3ff };
	sregs.cr0 = 0x11;
	sregs.cr2 = 0xdead;
	sregs.cr3 = 0x5000;
	sregs.cr4 = 0x20;
	sregs.cr8 = 5;
	sregs.efer = 0x801;
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_SREGS, &sregs), 0);
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_SREGS, &back), 0);
	CHECK(!memcmp(&sregs, &back, sizeof(sregs)));
	/* An interrupt on its way. */
	sregs.interrupt_bitmap[0x41 / 64] = 1ULL << 0x41 % 64;
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_SREGS, &sregs), 0);
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_SREGS, &back), 0);
	CHECK(!memcmp(&sregs, &back, sizeof(sregs)));
	ut_vm_destroy(&vm);
}

/* KVM_SET_FPU and KVM_GET_XSAVE are two views of the same registers. */
static void test_fpu(void)
{
	static struct kvm_xsave xsave, back;
	bool kvm = !strcmp(ut_device(), "/dev/kvm");
	struct kvm_fpu fpu, got;
	uint32_t unknown[2] = { 0, 1u << 30 };

	create(false);
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_FPU, &fpu), 0);
	CHECK_EQ(fpu.fcw, 0x37f);
	/* KVM leaves MXCSR out, and does not show by KVM_GET_XSAVE what KVM_SET_FPU just set. */
	CHECK_EQ(fpu.mxcsr, kvm ? 0 : 0x1f80);
	fill(fpu.xmm, sizeof(fpu.xmm), 7);
	memset(fpu.fpr, 0, sizeof(fpu.fpr));
	fpu.fpr[2][3] = 0x55;
	fpu.fcw = 0x27f;
	fpu.mxcsr = 0x1fa0;
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_FPU, &fpu), 0);
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_FPU, &got), 0);
	CHECK(!memcmp(fpu.xmm, got.xmm, sizeof(fpu.xmm)));
	CHECK(!memcmp(fpu.fpr, got.fpr, sizeof(fpu.fpr)));
	CHECK_EQ(got.fcw, 0x27f);
	CHECK_EQ(got.mxcsr, kvm ? 0 : 0x1fa0);
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_XSAVE, &xsave), 0);
	CHECK(kvm || !memcmp((uint8_t *)xsave.region + 160, fpu.xmm, sizeof(fpu.xmm)));
	CHECK(kvm || !memcmp((uint8_t *)xsave.region + 32, fpu.fpr, sizeof(fpu.fpr)));
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_XSAVE, &xsave), 0);
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_XSAVE, &back), 0);
	CHECK(!memcmp(&xsave, &back, sizeof(xsave)));
	/* A component that the CPU does not have. */
	memcpy((uint8_t *)xsave.region + 512, unknown, sizeof(unknown));
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_XSAVE, &xsave), EINVAL);
	ut_vm_destroy(&vm);
}

static void test_xcrs(void)
{
	struct kvm_xcrs xcrs, back;

	create(false);
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_XCRS, &xcrs), 0);
	CHECK_EQ(xcrs.nr_xcrs, 1);
	CHECK_EQ(xcrs.xcrs[0].value, 1);
	xcrs.xcrs[0].value = 3;
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_XCRS, &xcrs), 0);
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_XCRS, &back), 0);
	CHECK_EQ(back.xcrs[0].value, 3);
	ut_vm_destroy(&vm);
}

static void test_debugregs(void)
{
	struct kvm_debugregs dr, back;

	create(false);
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_DEBUGREGS, &dr), 0);
	CHECK_EQ(dr.dr6, 0xffff0ff0);
	CHECK_EQ(dr.dr7, 0x400);
	fill(dr.db, sizeof(dr.db), 9);
	dr.dr6 = 0xffff4ff1;
	dr.dr7 = 0xd0402;
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_DEBUGREGS, &dr), 0);
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_DEBUGREGS, &back), 0);
	CHECK(!memcmp(&dr, &back, sizeof(dr)));
	ut_vm_destroy(&vm);
}

static void test_events(void)
{
	struct kvm_vcpu_events e, back;

	create(true);
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, &e), 0);
	CHECK_EQ(e.exception.injected, 0);
	CHECK_EQ(e.nmi.pending, 0);
	e.nmi.injected = 1;
	e.nmi.masked = 1;
	e.nmi.pending = 1;
	/* A VMCS has a bit for each kind of shadow, but allows only one; AMD has one for both. */
	e.interrupt.shadow = KVM_X86_SHADOW_INT_MOV_SS;
	e.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_VCPU_EVENTS, &e), 0);
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, &back), 0);
	CHECK_EQ(back.nmi.injected, 1);
	CHECK_EQ(back.nmi.masked, 1);
	CHECK_EQ(back.nmi.pending, 1);
	CHECK(back.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS);
	e.interrupt.shadow = KVM_X86_SHADOW_INT_STI;
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_VCPU_EVENTS, &e), 0);
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, &back), 0);
	CHECK(back.interrupt.shadow & KVM_X86_SHADOW_INT_STI);
	ut_vm_destroy(&vm);
}

static void test_mp_state(void)
{
	static const uint32_t states[] = {
		KVM_MP_STATE_HALTED, KVM_MP_STATE_UNINITIALIZED, KVM_MP_STATE_RUNNABLE,
	};
	struct kvm_mp_state mp;
	unsigned int i;

	create(true);
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_MP_STATE, &mp), 0);
	CHECK_EQ(mp.mp_state, KVM_MP_STATE_RUNNABLE);
	for (i = 0; i < ARRAY_SIZE(states); i++) {
		mp.mp_state = states[i];
		CHECK_EQ(ioctl(cpu->fd, KVM_SET_MP_STATE, &mp), 0);
		mp.mp_state = 99;
		CHECK_EQ(ioctl(cpu->fd, KVM_GET_MP_STATE, &mp), 0);
		CHECK_EQ(mp.mp_state, states[i]);
	}
	ut_vm_destroy(&vm);
	/* Without a local APIC there is only one. */
	create(false);
	mp.mp_state = KVM_MP_STATE_HALTED;
	CHECK_ERRNO(ioctl(cpu->fd, KVM_SET_MP_STATE, &mp), EINVAL);
	ut_vm_destroy(&vm);
}

UT_GUEST static void guest_nothing(void *args)
{
	ut_done(1);
}

static void test_translate(void)
{
	struct kvm_translation tr = { .linear_address = 0x123456 };

	create(false);
	ut_start(cpu, guest_nothing);
	CHECK_EQ(ioctl(cpu->fd, KVM_TRANSLATE, &tr), 0);
	CHECK_EQ(tr.valid, 1);
	CHECK_EQ(tr.physical_address, 0x123456);
	tr.linear_address = 1ULL << 40;
	CHECK_EQ(ioctl(cpu->fd, KVM_TRANSLATE, &tr), 0);
	CHECK_EQ(tr.valid, 0);
	ut_vm_destroy(&vm);
}

static void test_tsc(void)
{
	long khz;

	create(false);
	khz = ioctl(cpu->fd, KVM_GET_TSC_KHZ, 0);
	CHECK(khz > 1000);
	CHECK_EQ(ioctl(cpu->fd, KVM_SET_TSC_KHZ, khz), 0);
	CHECK_EQ(ioctl(cpu->fd, KVM_GET_TSC_KHZ, 0), khz);
	ut_vm_destroy(&vm);
}

/* ---- nothing stays behind ------------------------------------------------------------------ */

/*
 * Objects in the module's own caches. Those that a CPU keeps for itself count as used, but not the
 * next time: it gives them back.
 */
static long slab_objects(void)
{
	FILE *f = fopen("/proc/slabinfo", "r");
	char line[256], name[64], path[128];
	long objects, sum = 0;

	if (!f)
		ut_skip("no /proc/slabinfo");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %ld", name, &objects) != 2 ||
		    (strncmp(name, "hv_", 3) && strncmp(name, "kvm_", 4)))
			continue;
		sum += objects;
		snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", name);
		ut_write_file(path, "1");
	}
	fclose(f);
	return sum;
}

static void many_vms(unsigned int n)
{
	while (n--) {
		create(true);
		CHECK_EQ(ut_call(cpu, guest_nothing), 1);
		ut_vm_destroy(&vm);
	}
}

static void test_many(void)
{
	unsigned int tries;
	long before, after;

	if (access("/sys/kernel/debug/kmemleak", F_OK) == 0)
		ut_skip("a debug kernel keeps what is freed for a while, and finds leaks itself");
	many_vms(20);
	slab_objects();
	before = slab_objects();
	many_vms(150);
	/*
	 * Caches keep some for the next one: not one per VM. And some are freed when all CPUs have
	 * been quiet once.
	 */
	for (tries = 0; tries < 100; tries++) {
		after = slab_objects();
		if (after <= before + 100)
			break;
		usleep(100000);
	}
	if (after > before + 100)
		ut_fail(__FILE__, __LINE__, "%ld objects before, %ld after 150 VMs", before, after);
}

/* ---- CPUs that come and go ----------------------------------------------------------------- */

UT_GUEST static void guest_spin(void *args)
{
	volatile uint64_t *p = args;

	while (!p[0])
		p[1]++;
	ut_done(2);
}

static void *run_thread(void *arg)
{
	return (void *)(uintptr_t)ut_run(arg, NULL);
}

#define CPU1 "/sys/devices/system/cpu/cpu1/online"

static void test_hotplug(void)
{
	volatile uint64_t *args;
	uint64_t last;
	pthread_t t;
	void *result;
	unsigned int i;

	if (access(CPU1, W_OK))
		ut_skip("CPU 1 cannot be taken offline");
	create(false);
	args = ut_args(cpu);
	ut_start(cpu, guest_spin);
	NEED(pthread_create(&t, NULL, run_thread, cpu) == 0);
	for (i = 0; i < 3; i++) {
		CHECK(ut_write_file(CPU1, "0"));
		last = args[1];
		usleep(50000);
		CHECK(args[1] != last);
		CHECK(ut_write_file(CPU1, "1"));
		last = args[1];
		usleep(50000);
		CHECK(args[1] != last);
	}
	args[0] = 1;
	pthread_join(t, &result);
	CHECK_EQ((uintptr_t)result, UT_DONE);
	ut_vm_destroy(&vm);
	/* New guests find the CPU ready. */
	many_vms(4);
}

static const struct ut_test tests[] = {
	{ "state-regs", test_regs },
	{ "state-sregs", test_sregs },
	{ "state-fpu", test_fpu },
	{ "state-xcrs", test_xcrs },
	{ "state-debugregs", test_debugregs },
	{ "state-events", test_events },
	{ "state-mp-state", test_mp_state },
	{ "state-translate", test_translate },
	{ "state-tsc", test_tsc },
	{ "vm-many-leave-nothing", test_many },
	{ "cpu-hotplug", test_hotplug },
};

int main(int argc, char **argv)
{
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
