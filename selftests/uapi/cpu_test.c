// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A vCPU's state: MSRs, floating point, debug registers, control registers, over exits and ioctls.
 */
#include "ut.h"

#include <sched.h>

static bool has_leaf_bit(uint32_t leaf, unsigned int reg, unsigned int bit)
{
	uint32_t r[4];

	__asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(0));
	return r[reg] >> bit & 1;
}

/* ---- MSRs ---------------------------------------------------------------------------------- */

struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

static int get_msr(struct ut_vcpu *vcpu, uint32_t index, uint64_t *value)
{
	struct one_msr m = { .head.nmsrs = 1, .entry.index = index };
	int r = ioctl(vcpu->fd, KVM_GET_MSRS, &m);

	*value = m.entry.data;
	return r;
}

static int set_msr(struct ut_vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct one_msr m = { .head.nmsrs = 1, .entry = { .index = index, .data = value } };

	return ioctl(vcpu->fd, KVM_SET_MSRS, &m);
}

/* Everything listed can be saved and restored. */
static void test_msr_list(void)
{
	struct {
		struct kvm_msr_list head;
		uint32_t index[1000];
	} list = { .head.nmsrs = 1000 };
	struct ut_vm vm;
	uint64_t value;
	uint32_t i;

	ut_vm_create(&vm, 1);
	NEED(ioctl(vm.dev, KVM_GET_MSR_INDEX_LIST, &list) == 0);
	CHECK(list.head.nmsrs > 20);
	for (i = 0; i < list.head.nmsrs; i++) {
		/* kvm-amd lists what it has of Intel's and Hyper-V's, whether or not it works. */
		if (get_msr(&vm.vcpu[0], list.index[i], &value) != 1 ||
		    set_msr(&vm.vcpu[0], list.index[i], value) != 1)
			CHECK(strcmp(ut_device(), "/dev/kvm") == 0);
	}
	ut_vm_destroy(&vm);
}

/* The ioctls stop at the first that does not work and say how many did. */
static void test_msr_count(void)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[3];
	} m = { .head.nmsrs = 3, .entry = { { .index = 0x10 }, { .index = 0xdeadbeef },
					    { .index = 0x10 } } };
	struct ut_vm vm;

	ut_vm_create(&vm, 1);
	CHECK_EQ(ioctl(vm.vcpu[0].fd, KVM_GET_MSRS, &m), 1);
	m.entry[1].index = 0xc0000081;
	CHECK_EQ(ioctl(vm.vcpu[0].fd, KVM_GET_MSRS, &m), 3);
	m.head.nmsrs = 256;
	CHECK_ERRNO(ioctl(vm.vcpu[0].fd, KVM_GET_MSRS, &m), E2BIG);
	ut_vm_destroy(&vm);
}

/* Arguments: the MSRs from word 8 on; their values go to words 0 to 4, and one bit is turned. */
UT_GUEST static void guest_msrs(void *args)
{
	uint64_t *words = args;
	unsigned int i;

	for (i = 0; i < 5; i++) {
		uint32_t lo, hi, msr = (uint32_t)words[8 + i];

		__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
		words[i] = lo | (uint64_t)hi << 32;
		lo ^= msr == 0x277 ? 2 : 0x10;
		__asm__ volatile("wrmsr" : : "a"(lo), "d"(hi), "c"(msr));
	}
	ut_done(1);
}

/* What user space writes the guest reads, and the other way round. */
static void test_msr_guest(void)
{
	static const uint32_t index[] = { 0xc0000081, 0xc0000082, 0xc0000102, 0x277, 0x174 };
	static const uint64_t value[] = { 0x23001000000000, 0xffffffff81000000, 0xffff888000000000,
					  0x0007040600070406, 0x10 };
	struct ut_vm vm;
	uint64_t now;
	unsigned int i;

	ut_vm_create(&vm, 1);
	for (i = 0; i < ARRAY_SIZE(index); i++) {
		CHECK_EQ(set_msr(&vm.vcpu[0], index[i], value[i]), 1);
		((uint64_t *)ut_args(&vm.vcpu[0]))[8 + i] = index[i];
	}
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_msrs), 1);
	for (i = 0; i < ARRAY_SIZE(index); i++) {
		CHECK_EQ(((uint64_t *)ut_args(&vm.vcpu[0]))[i], value[i]);
		CHECK_EQ(get_msr(&vm.vcpu[0], index[i], &now), 1);
		CHECK_EQ(now, value[i] ^ (i == 3 ? 2 : 0x10));
	}
	ut_vm_destroy(&vm);
}

/* ---- floating point ------------------------------------------------------------------------ */

UT_GUEST static void guest_xmm_swap(void *args)
{
	/*
	 * Hand out XMM0 and XMM15, then put other values in; the x87 control word and MXCSR, too.
	 */
	__asm__ volatile("movups %%xmm0, (%0)\n\tmovups %%xmm15, 16(%0)\n\t"
			 "movups 64(%0), %%xmm0\n\tmovups 80(%0), %%xmm15\n\t"
			 "fnstcw 32(%0)\n\tstmxcsr 36(%0)\n\tfldcw 96(%0)\n\tldmxcsr 100(%0)"
			 : : "r"(args) : "memory");
	ut_done(2);
}

static void test_fpu_state(void)
{
	/* KVM leaves MXCSR out of KVM_GET_FPU and KVM_SET_FPU. */
	bool kvm = strcmp(ut_device(), "/dev/kvm") == 0;
	struct kvm_fpu fpu;
	struct ut_vm vm;
	uint8_t *args;
	unsigned int i;

	ut_vm_create(&vm, 1);
	args = ut_args(&vm.vcpu[0]);
	NEED(ioctl(vm.vcpu[0].fd, KVM_GET_FPU, &fpu) == 0);
	CHECK_EQ(fpu.fcw, 0x37f);
	/* KVM takes SET_FPU for good only once the guest has used the registers. */
	memcpy(args + 96, "\x7f\x02", 2);
	memcpy(args + 100, "\xc0\x1f\0\0", 4);
	memset(args + 64, 0x33, 32);
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_xmm_swap), 2);
	CHECK_EQ(*(uint16_t *)(args + 32), 0x37f);
	CHECK_EQ(*(uint32_t *)(args + 36), 0x1f80);
	for (i = 0; i < 16; i++) {
		fpu.xmm[0][i] = (uint8_t)(0xa0 + i);
		fpu.xmm[15][i] = (uint8_t)(0x50 + i);
		args[64 + i] = (uint8_t)(1 + i);
		args[80 + i] = (uint8_t)(101 + i);
	}
	fpu.fcw = 0x27f;
	fpu.mxcsr = 0x3f80;
	memcpy(args + 96, "\x7f\x0f", 2);
	memcpy(args + 100, "\xc0\x1f\0\0", 4);
	NEED(ioctl(vm.vcpu[0].fd, KVM_SET_FPU, &fpu) == 0);
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_xmm_swap), 2);
	CHECK(memcmp(args, fpu.xmm[0], 16) == 0);
	CHECK(memcmp(args + 16, fpu.xmm[15], 16) == 0);
	CHECK_EQ(*(uint16_t *)(args + 32), 0x27f);
	if (!kvm)
		CHECK_EQ(*(uint32_t *)(args + 36), 0x3f80);
	NEED(ioctl(vm.vcpu[0].fd, KVM_GET_FPU, &fpu) == 0);
	CHECK(memcmp(args + 64, fpu.xmm[0], 16) == 0);
	CHECK(memcmp(args + 80, fpu.xmm[15], 16) == 0);
	CHECK_EQ(fpu.fcw, 0xf7f);
	if (!kvm)
		CHECK_EQ(fpu.mxcsr, 0x1fc0);
	ut_vm_destroy(&vm);
}

/* Nothing that would make the CPU fault gets in. */
static void test_xsave_invalid(void)
{
	struct kvm_xsave xsave = {}, bad;
	struct kvm_xcrs xcrs = {};
	struct ut_vm vm;

	ut_vm_create(&vm, 1);
	NEED(ioctl(vm.vcpu[0].fd, KVM_GET_XSAVE, &xsave) == 0);
	CHECK(ioctl(vm.vcpu[0].fd, KVM_SET_XSAVE, &xsave) == 0);
	bad = xsave;
	bad.region[128] |= 3;
	bad.region[129] |= 1u << 30;		/* XSTATE_BV: a component that does not exist */
	CHECK_ERRNO(ioctl(vm.vcpu[0].fd, KVM_SET_XSAVE, &bad), EINVAL);
	bad = xsave;
	bad.region[128] |= 3;
	bad.region[6] = 0xffffffff;		/* MXCSR */
	CHECK_ERRNO(ioctl(vm.vcpu[0].fd, KVM_SET_XSAVE, &bad), EINVAL);
	NEED(ioctl(vm.vcpu[0].fd, KVM_GET_XCRS, &xcrs) == 0);
	CHECK(xcrs.nr_xcrs == 1 && xcrs.xcrs[0].xcr == 0 && xcrs.xcrs[0].value == 1);
	xcrs.xcrs[0].value = 4;			/* AVX without SSE and x87 */
	CHECK_ERRNO(ioctl(vm.vcpu[0].fd, KVM_SET_XCRS, &xcrs), EINVAL);
	xcrs.xcrs[0].value = 3;
	CHECK(ioctl(vm.vcpu[0].fd, KVM_SET_XCRS, &xcrs) == 0);
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_xmm_swap), 2);
	ut_vm_destroy(&vm);
}

struct churn {
	uint32_t seed, rounds;
	uint32_t bad;
};

/*
 * Fill the YMM registers (XMM without AVX), exit in every way, look whether they are still there.
 */
UT_GUEST static void guest_churn(void *args)
{
	struct churn *c = args;
	uint32_t *buf = (uint32_t *)((uint8_t *)args + 256), round, i, eax, ebx, ecx, edx;

	eax = 1;
	ecx = 0;
	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	if (ecx >> 28 & 1) {
		uint64_t cr4;

		__asm__ volatile("mov %%cr4, %0\n\tor $0x40000, %0\n\tmov %0, %%cr4" : "=r"(cr4));
		__asm__ volatile("xsetbv" : : "a"(7), "d"(0), "c"(0));
		c->seed |= 0x80000000;
	}
	for (round = 0; round < c->rounds; round++) {
		for (i = 0; i < 24; i++)
			buf[i] = c->seed * 2654435761u + round * 40503u + i;
		if (c->seed >> 31)
			__asm__ volatile("vmovups (%0), %%ymm3\n\tvmovups 32(%0), %%ymm8\n\t"
					 "vmovups 64(%0), %%ymm15" : : "r"(buf) : "memory");
		else
			__asm__ volatile("movups (%0), %%xmm3\n\tmovups 32(%0), %%xmm8\n\t"
					 "movups 64(%0), %%xmm15" : : "r"(buf) : "memory");
		eax = 0x40000000;
		__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx));
		if (!(round & 15))
			ut_done(0x1000);
		for (i = 0; i < 24; i++)
			buf[32 + i] = 0;
		if (c->seed >> 31)
			__asm__ volatile("vmovups %%ymm3, 128(%0)\n\tvmovups %%ymm8, 160(%0)\n\t"
					 "vmovups %%ymm15, 192(%0)" : : "r"(buf) : "memory");
		else
			__asm__ volatile("movups %%xmm3, 128(%0)\n\tmovups %%xmm8, 160(%0)\n\t"
					 "movups %%xmm15, 192(%0)" : : "r"(buf) : "memory");
		for (i = 0; i < 24; i++)
			if (buf[32 + i] != buf[i] && (c->seed >> 31 || (i & 7) < 4))
				c->bad++;
	}
	ut_done(0x2000);
}

/* A thread runs its vCPU and uses the same registers between two KVM_RUNs. */
static void *churn_thread(void *arg)
{
	struct ut_vcpu *vcpu = arg;
	enum ut_result r;
	uint32_t value = 0;

	while ((r = ut_run(vcpu, &value)) == UT_DONE && value == 0x1000) {
		uint64_t lo = 0x1111111111111111ULL * vcpu->index, now;

		__asm__ volatile("movq %1, %%xmm3\n\tmovq %1, %%xmm8\n\tmovq %1, %%xmm15\n\t"
				 "movq %%xmm8, %0" : "=r"(now) : "r"(lo) : "xmm3", "xmm8", "xmm15");
		if (now != lo)
			return (void *)1;
	}
	return (void *)(uintptr_t)(r != UT_DONE || value != 0x2000);
}

/* Four vCPUs on as many CPUs as there are, each with registers of its own; so has each thread. */
static void test_fpu_churn(void)
{
	pthread_t thread[4];
	struct churn *c;
	struct ut_vm vm;
	unsigned int i;
	void *result;

	ut_vm_create(&vm, 4);
	for (i = 0; i < 4; i++) {
		c = ut_args(&vm.vcpu[i]);
		c->seed = i + 1;
		c->rounds = 2000;
		ut_start(&vm.vcpu[i], guest_churn);
	}
	for (i = 0; i < 4; i++)
		NEED(pthread_create(&thread[i], NULL, churn_thread, &vm.vcpu[i]) == 0);
	for (i = 0; i < 4; i++) {
		pthread_join(thread[i], &result);
		CHECK(!result);
		c = ut_args(&vm.vcpu[i]);
		CHECK_EQ(c->bad, 0);
	}
	ut_vm_destroy(&vm);
}

/* ---- TSC_AUX: also the host's -------------------------------------------------------------- */

UT_GUEST static void guest_rdtscp(void *args)
{
	uint32_t lo, hi, aux;

	__asm__ volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(aux));
	*(uint32_t *)args = aux;
	__asm__ volatile("wrmsr" : : "a"(0x1234), "d"(0), "c"(0xc0000103));
	__asm__ volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(aux));
	ut_done(aux);
}

static void test_tsc_aux(void)
{
	unsigned int cpu, aux, tries, good = 0;
	uint64_t value;
	struct ut_vm vm;

	if (!has_leaf_bit(0x80000001, 3, 27))
		ut_skip("no RDTSCP");
	ut_vm_create(&vm, 1);
	CHECK_EQ(set_msr(&vm.vcpu[0], 0xc0000103, 0x77), 1);
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_rdtscp), 0x1234);
	CHECK_EQ(*(uint32_t *)ut_args(&vm.vcpu[0]), 0x77);
	CHECK_EQ(get_msr(&vm.vcpu[0], 0xc0000103, &value), 1);
	CHECK_EQ(value, 0x1234);
	for (tries = 0; tries < 100; tries++) {
		__asm__ volatile("rdtscp" : "=c"(aux) : : "rax", "rdx");
		cpu = (unsigned int)sched_getcpu();
		good += (aux & 0xfff) == cpu;
	}
	CHECK(good > 50);
	ut_vm_destroy(&vm);
}

/* ---- debug registers ----------------------------------------------------------------------- */

UT_GUEST static void guest_dr(void *args)
{
	uint64_t *out = args, i = 0;

	for (i = 0; i < 3; i++) {
		__asm__ volatile("mov %0, %%db0" : : "r"(0x1000 + i));
		__asm__ volatile("mov %0, %%db1" : : "r"(0x2000 + i));
		__asm__ volatile("mov %0, %%db3" : : "r"(0x4000 + i));
		ut_done(0x10 + i);
		__asm__ volatile("mov %%db0, %0" : "=r"(out[0]));
		__asm__ volatile("mov %%db1, %0" : "=r"(out[1]));
		__asm__ volatile("mov %%db3, %0" : "=r"(out[2]));
		__asm__ volatile("mov %%db6, %0" : "=r"(out[3]));
		__asm__ volatile("mov %%db7, %0" : "=r"(out[4]));
		ut_done(0x20 + i);
	}
}

static void test_debugregs(void)
{
	struct kvm_debugregs dbg;
	struct ut_vm vm;
	uint64_t *out;
	uint32_t value, i;

	ut_vm_create(&vm, 1);
	out = ut_args(&vm.vcpu[0]);
	ut_start(&vm.vcpu[0], guest_dr);
	for (i = 0; i < 3; i++) {
		NEED(ut_run(&vm.vcpu[0], &value) == UT_DONE && value == 0x10 + i);
		NEED(ioctl(vm.vcpu[0].fd, KVM_GET_DEBUGREGS, &dbg) == 0);
		CHECK_EQ(dbg.db[0], 0x1000 + i);
		CHECK_EQ(dbg.db[3], 0x4000 + i);
		dbg.db[1] = 0x5555;
		NEED(ioctl(vm.vcpu[0].fd, KVM_SET_DEBUGREGS, &dbg) == 0);
		NEED(ut_run(&vm.vcpu[0], &value) == UT_DONE && value == 0x20 + i);
		CHECK_EQ(out[0], 0x1000 + i);
		CHECK_EQ(out[1], 0x5555);
		CHECK_EQ(out[2], 0x4000 + i);
		CHECK_EQ(out[3], 0xffff0ff0);
		CHECK_EQ(out[4], 0x400);
	}
	dbg.dr6 = 1ULL << 32;
	CHECK_ERRNO(ioctl(vm.vcpu[0].fd, KVM_SET_DEBUGREGS, &dbg), EINVAL);
	ut_vm_destroy(&vm);
}

UT_GUEST static void guest_step(void *args)
{
	__asm__ volatile("nop\n\tmov $1, %%eax\n\tcpuid\n\tnop" : : : "rax", "rbx", "rcx", "rdx");
	ut_done(7);
}

/* Each instruction gives one exit, the ones that are emulated, too. */
static void test_single_step(void)
{
	struct kvm_guest_debug dbg = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP };
	struct kvm_regs regs;
	uint64_t rip = 0, steps;
	uint32_t value = 0;
	struct ut_vm vm;

	ut_vm_create(&vm, 1);
	ut_start(&vm.vcpu[0], guest_step);
	NEED(ioctl(vm.vcpu[0].fd, KVM_SET_GUEST_DEBUG, &dbg) == 0);
	for (steps = 0; steps < 40; steps++) {
		enum ut_result r = ut_run(&vm.vcpu[0], &value);

		if (r == UT_DONE)
			break;
		NEED(r == UT_EXIT && vm.vcpu[0].run->exit_reason == KVM_EXIT_DEBUG);
		CHECK_EQ(vm.vcpu[0].run->debug.arch.exception, 1);
		NEED(ioctl(vm.vcpu[0].fd, KVM_GET_REGS, &regs) == 0);
		CHECK_EQ(vm.vcpu[0].run->debug.arch.pc, regs.rip);
		CHECK(regs.rip != rip);
		CHECK(regs.rip - rip < 16 || !rip);
		rip = regs.rip;
	}
	CHECK_EQ(value, 7);
	CHECK(steps >= 5 && steps < 40);
	dbg.control = 0;
	NEED(ioctl(vm.vcpu[0].fd, KVM_SET_GUEST_DEBUG, &dbg) == 0);
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_step), 7);
	ut_vm_destroy(&vm);
}

UT_GUEST static void guest_write_mark(void *args)
{
	uint64_t dr7;

	__asm__ volatile("mov %%db7, %0" : "=r"(dr7));
	((volatile uint64_t *)args)[1] = dr7;
	((volatile uint64_t *)args)[0] = 1;
	ut_done(9);
}

/* User space watches an address; the guest does not see that it does. */
static void test_hw_breakpoint(void)
{
	struct kvm_guest_debug dbg = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP };
	struct ut_vcpu *vcpu;
	uint32_t value = 0;
	struct ut_vm vm;

	ut_vm_create(&vm, 1);
	vcpu = &vm.vcpu[0];
	dbg.arch.debugreg[2] = UT_ARGS(0);
	dbg.arch.debugreg[7] = 0x400 | 1 << 5 | 1u << 24 | 2u << 26;	/* G2: writes of 8 bytes */
	ut_start(vcpu, guest_write_mark);
	NEED(ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &dbg) == 0);
	NEED(ut_run(vcpu, &value) == UT_EXIT && vcpu->run->exit_reason == KVM_EXIT_DEBUG);
	CHECK(vcpu->run->debug.arch.dr6 & 4);
	CHECK_EQ(*(uint64_t *)ut_args(vcpu), 1);
	CHECK_EQ(((uint64_t *)ut_args(vcpu))[1], 0x400);
	NEED(ut_run(vcpu, &value) == UT_DONE);
	CHECK_EQ(value, 9);
	dbg.control = 0;
	NEED(ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &dbg) == 0);
	CHECK_EQ(ut_call(vcpu, guest_write_mark), 9);
	ut_vm_destroy(&vm);
}

/* Stock KVM on a processor of AMD's that does not say which register an instruction names. */
static bool kvm_emulates_mov_dr(void)
{
	return !strcmp(ut_device(), "/dev/kvm") && __builtin_cpu_is("amd") &&
	       !has_leaf_bit(0x8000000a, 3, 7);
}

/* User space guards the debug registers: the guest stops before its first access. */
static void test_debug_guard(void)
{
	struct kvm_guest_debug dbg = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP };
	struct kvm_debug_exit_arch *exit;
	struct ut_vcpu *vcpu;
	struct kvm_regs regs;
	uint32_t value = 0;
	struct ut_vm vm;

	if (kvm_emulates_mov_dr())
		ut_skip("KVM's emulation gives the guest the #DB");
	ut_vm_create(&vm, 1);
	vcpu = &vm.vcpu[0];
	exit = &vcpu->run->debug.arch;
	dbg.arch.debugreg[7] = 0x400 | 1 << 13;
	ut_start(vcpu, guest_write_mark);
	NEED(ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &dbg) == 0);
	NEED(ut_run(vcpu, &value) == UT_EXIT && vcpu->run->exit_reason == KVM_EXIT_DEBUG);
	CHECK_EQ(exit->exception, 1);
	CHECK_EQ(exit->dr6, 0xffff0ff0 | 1 << 13);
	CHECK_EQ(exit->dr7, 0x2400);
	NEED(ioctl(vcpu->fd, KVM_GET_REGS, &regs) == 0);
	CHECK_EQ(exit->pc, regs.rip);
	CHECK_EQ(*(uint64_t *)ut_args(vcpu), 0);
	dbg.control = 0;
	NEED(ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &dbg) == 0);
	NEED(ut_run(vcpu, &value) == UT_DONE);
	CHECK_EQ(value, 9);
	CHECK_EQ(((uint64_t *)ut_args(vcpu))[1], 0x400);
	ut_vm_destroy(&vm);
}

/* ---- control registers, events ------------------------------------------------------------- */

static void test_sregs_invalid(void)
{
	struct kvm_sregs good, bad;
	struct ut_vcpu *vcpu;
	struct ut_vm vm;

	ut_vm_create(&vm, 1);
	vcpu = &vm.vcpu[0];
	ut_start(vcpu, guest_step);
	NEED(ioctl(vcpu->fd, KVM_GET_SREGS, &good) == 0);
	CHECK(ioctl(vcpu->fd, KVM_SET_SREGS, &good) == 0);
	bad = good;
	bad.cr4 &= ~(1ULL << 5);			/* long mode without PAE */
	CHECK_ERRNO(ioctl(vcpu->fd, KVM_SET_SREGS, &bad), EINVAL);
	bad = good;
	bad.efer &= ~(1ULL << 10);			/* paging, LME, but no LMA */
	CHECK_ERRNO(ioctl(vcpu->fd, KVM_SET_SREGS, &bad), EINVAL);
	bad = good;
	bad.cr0 &= ~1ULL;				/* paging in real mode */
	CHECK_ERRNO(ioctl(vcpu->fd, KVM_SET_SREGS, &bad), EINVAL);
	bad = good;
	bad.cr0 |= 1ULL << 32;
	CHECK_ERRNO(ioctl(vcpu->fd, KVM_SET_SREGS, &bad), EINVAL);
	bad = good;
	bad.cr4 |= 1ULL << 31;
	CHECK_ERRNO(ioctl(vcpu->fd, KVM_SET_SREGS, &bad), EINVAL);
	bad = good;
	bad.cr3 |= 1ULL << 59;
	CHECK_ERRNO(ioctl(vcpu->fd, KVM_SET_SREGS, &bad), EINVAL);
	/* None of that has changed anything. */
	NEED(ioctl(vcpu->fd, KVM_GET_SREGS, &bad) == 0);
	CHECK(bad.cr0 == good.cr0 && bad.cr3 == good.cr3 && bad.cr4 == good.cr4 &&
	      bad.efer == good.efer);
	ut_vm_destroy(&vm);
}

UT_GUEST static void guest_osxsave(void *args)
{
	uint32_t *out = args, eax, ebx, edx, i;
	uint64_t cr4;

	for (i = 0; i < 2; i++) {
		eax = 1;
		__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "=c"(out[i]), "=d"(edx));
		__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
		cr4 |= 1 << 18;
		__asm__ volatile("mov %0, %%cr4" : : "r"(cr4));
	}
	ut_done(3);
}

/* CPUID's OSXSAVE follows CR4. */
static void test_osxsave(void)
{
	uint32_t *out;
	struct ut_vm vm;

	ut_vm_create(&vm, 1);
	out = ut_args(&vm.vcpu[0]);
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_osxsave), 3);
	if (out[0] >> 26 & 1) {
		CHECK(!(out[0] >> 27 & 1));
		CHECK(out[1] >> 27 & 1);
	}
	ut_vm_destroy(&vm);
}

static void test_events(void)
{
	struct kvm_vcpu_events e, got;
	struct ut_vm vm;

	ut_vm_create(&vm, 1);
	NEED(ioctl(vm.vcpu[0].fd, KVM_GET_VCPU_EVENTS, &e) == 0);
	CHECK(ioctl(vm.vcpu[0].fd, KVM_SET_VCPU_EVENTS, &e) == 0);
	e.nmi.masked = 1;
	e.nmi.pending = 1;
	e.interrupt.shadow = KVM_X86_SHADOW_INT_STI;
	e.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	CHECK(ioctl(vm.vcpu[0].fd, KVM_SET_VCPU_EVENTS, &e) == 0);
	NEED(ioctl(vm.vcpu[0].fd, KVM_GET_VCPU_EVENTS, &got) == 0);
	CHECK(got.nmi.masked && got.nmi.pending == 1 && got.interrupt.shadow);
	e.exception.injected = 1;
	e.exception.nr = 2;
	CHECK_ERRNO(ioctl(vm.vcpu[0].fd, KVM_SET_VCPU_EVENTS, &e), EINVAL);
	e.exception.injected = 0;
	e.flags = 1u << 31;
	CHECK_ERRNO(ioctl(vm.vcpu[0].fd, KVM_SET_VCPU_EVENTS, &e), EINVAL);
	ut_vm_destroy(&vm);
}

/* No CPUID change once the guest has run, except to the same. */
static void test_cpuid_after_run(void)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[256];
	} cpuid = { .head.nent = 256 };
	struct ut_vm vm;

	ut_vm_create(&vm, 1);
	NEED(ioctl(vm.dev, KVM_GET_SUPPORTED_CPUID, &cpuid) == 0);
	CHECK_EQ(ut_call(&vm.vcpu[0], guest_step), 7);
	NEED(ioctl(vm.vcpu[0].fd, KVM_GET_CPUID2, &cpuid) == 0);
	CHECK(ioctl(vm.vcpu[0].fd, KVM_SET_CPUID2, &cpuid) == 0);
	cpuid.entry[1].eax ^= 1;
	CHECK_ERRNO(ioctl(vm.vcpu[0].fd, KVM_SET_CPUID2, &cpuid), EINVAL);
	cpuid.head.nent = 1;
	CHECK_ERRNO(ioctl(vm.vcpu[0].fd, KVM_GET_CPUID2, &cpuid), E2BIG);
	ut_vm_destroy(&vm);
}

static void test_translate(void)
{
	struct kvm_translation tr = { .linear_address = 0x123456 };
	struct ut_vm vm;

	ut_vm_create(&vm, 1);
	ut_start(&vm.vcpu[0], guest_step);
	NEED(ioctl(vm.vcpu[0].fd, KVM_TRANSLATE, &tr) == 0);
	CHECK(tr.valid && tr.physical_address == 0x123456);
	tr.linear_address = 5ULL << 32;
	NEED(ioctl(vm.vcpu[0].fd, KVM_TRANSLATE, &tr) == 0);
	CHECK(!tr.valid);
	ut_vm_destroy(&vm);
}

int main(int argc, char **argv)
{
	static const struct ut_test tests[] = {
		{ "cpu-msr-list", test_msr_list },
		{ "cpu-msr-count", test_msr_count },
		{ "cpu-msr-guest", test_msr_guest },
		{ "cpu-fpu-state", test_fpu_state },
		{ "cpu-xsave-invalid", test_xsave_invalid },
		{ "cpu-fpu-churn", test_fpu_churn },
		{ "cpu-tsc-aux", test_tsc_aux },
		{ "cpu-debugregs", test_debugregs },
		{ "cpu-single-step", test_single_step },
		{ "cpu-hw-breakpoint", test_hw_breakpoint },
		{ "cpu-debug-guard", test_debug_guard },
		{ "cpu-sregs-invalid", test_sregs_invalid },
		{ "cpu-osxsave", test_osxsave },
		{ "cpu-events", test_events },
		{ "cpu-cpuid-after-run", test_cpuid_after_run },
		{ "cpu-translate", test_translate },
	};

	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
