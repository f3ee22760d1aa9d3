// SPDX-License-Identifier: GPL-2.0-or-later
/* Control registers, KVM_SET_SREGS and KVM_SET_VCPU_EVENTS: which states exist. */
#include "cpuid_msr_world.h"

#define CR0_PE	1ULL
#define CR0_NW	(1ULL << 29)
#define CR0_CD	(1ULL << 30)
#define CR0_PG	(1ULL << 31)
#define CR4_PAE	(1ULL << 5)
#define EFER_LME_ (1ULL << 8)
#define EFER_LMA_ (1ULL << 10)

static struct kvm_sregs start(void)
{
	struct kvm_sregs s;

	cm_host_typical();
	cm_start();
	CHECK_EQ(cm_set_supported(), 0);
	hv_sregs_get(&cm_vcpu, &s);
	return s;
}

static struct kvm_sregs start_long_mode(void)
{
	struct kvm_sregs s = start();

	s.cr0 = CR0_PE | CR0_PG;
	s.cr4 = CR4_PAE;
	s.efer = EFER_LME_ | EFER_LMA_;
	s.cs.l = 1;
	CHECK_EQ(hv_sregs_set(&cm_vcpu, &s), 0);
	return s;
}

static void test_reset_values(void)
{
	struct kvm_sregs s = start();
	struct kvm_regs r;

	hv_regs_reset(&cm_vcpu, false);
	hv_regs_get(&cm_vcpu, &r);
	CHECK_EQ(r.rip, 0xfff0);
	CHECK_EQ(r.rflags, 2);
	CHECK_EQ(r.rdx, 0x663);
	CHECK_EQ(s.cr0, 0x60000010);
	CHECK_EQ(s.cs.selector, 0xf000);
	CHECK_EQ(s.cs.base, 0xffff0000);
	CHECK_EQ(s.gdt.limit, 0xffff);
	cm_vcpu.regs.cr0 = CR0_PE | CR0_CD;
	hv_regs_reset(&cm_vcpu, true);	/* INIT keeps the caching bits */
	CHECK_EQ(cm_vcpu.regs.cr0, CR0_CD | 0x10);
	cm_stop();
}

static void test_cr0(void)
{
	start();
	CHECK_EQ(hv_set_cr0(&cm_vcpu, CR0_PG), 1);
	CHECK_EQ(hv_set_cr0(&cm_vcpu, CR0_NW), 1);
	CHECK_EQ(hv_set_cr0(&cm_vcpu, 1ULL << 32), 1);
	CHECK_EQ(hv_set_cr0(&cm_vcpu, CR0_PE | CR0_CD | CR0_NW), 0);
	cm_vcpu.regs.efer = EFER_LME_;
	CHECK_EQ(hv_set_cr0(&cm_vcpu, CR0_PE | CR0_PG), 1);	/* no PAE */
	CHECK_EQ(hv_set_cr4(&cm_vcpu, CR4_PAE), 0);
	CHECK_EQ(hv_set_cr0(&cm_vcpu, CR0_PE | CR0_PG), 0);
	CHECK(cm_vcpu.regs.efer & EFER_LMA_);
	CHECK_EQ(hv_set_cr4(&cm_vcpu, 0), 1);			/* PAE cannot go in long mode */
	CHECK_EQ(hv_set_cr0(&cm_vcpu, CR0_PE), 0);
	CHECK(!(cm_vcpu.regs.efer & EFER_LMA_));
	cm_stop();
}

static void test_cr4(void)
{
	start();
	CHECK_EQ(hv_set_cr4(&cm_vcpu, 1 << 13), 1);	/* VMXE */
	CHECK_EQ(hv_set_cr4(&cm_vcpu, 1 << 23), 1);	/* CET */
	CHECK_EQ(hv_set_cr4(&cm_vcpu, 1ULL << 32), 1);
	CHECK_EQ(hv_set_cr4(&cm_vcpu, 1 << 17), 1);	/* PCIDE: not in this CPU */
	CHECK_EQ(hv_set_cr4(&cm_vcpu, 1 << 20 | 1 << 21 | 1 << 11 | 1 << 16), 0);
	clear_bit(HV_REQ_TLB_FLUSH, &cm_vcpu.requests);
	CHECK_EQ(hv_set_cr4(&cm_vcpu, 1 << 7), 0);	/* PGE and SMEP change: flush */
	CHECK(test_bit(HV_REQ_TLB_FLUSH, &cm_vcpu.requests));
	cm_stop();
}

/* Before there is a CPUID table, everything the host can give may be set. */
static void test_cr4_without_cpuid(void)
{
	cm_host_typical();
	cm_start();
	CHECK_EQ(hv_set_cr4(&cm_vcpu, 1 << 18 | 1 << 20), 0);
	CHECK_EQ(hv_set_cr4(&cm_vcpu, 1 << 13), 1);
	cm_stop();
}

static void test_sregs_long_mode(void)
{
	struct kvm_sregs s = start_long_mode(), bad;

	bad = s;
	bad.cr4 = 0;			/* no PAE */
	CHECK_EQ(hv_sregs_set(&cm_vcpu, &bad), -EINVAL);
	bad = s;
	bad.efer = EFER_LME_;		/* paging and LME, but not LMA */
	CHECK_EQ(hv_sregs_set(&cm_vcpu, &bad), -EINVAL);
	bad = s;
	bad.cr3 = 1ULL << 40;
	CHECK_EQ(hv_sregs_set(&cm_vcpu, &bad), -EINVAL);
	bad = s;
	bad.efer = 0;			/* a 64-bit code segment outside long mode */
	CHECK_EQ(hv_sregs_set(&cm_vcpu, &bad), -EINVAL);
	bad.cs.l = 0;
	CHECK_EQ(hv_sregs_set(&cm_vcpu, &bad), 0);
	bad.efer = EFER_LMA_;
	CHECK_EQ(hv_sregs_set(&cm_vcpu, &bad), -EINVAL);
	cm_stop();
}

static void test_sregs_invalid(void)
{
	struct kvm_sregs s = start(), bad;

	bad = s;
	bad.cr0 = CR0_PG;
	CHECK_EQ(hv_sregs_set(&cm_vcpu, &bad), -EINVAL);
	bad.cr0 = CR0_NW;
	CHECK_EQ(hv_sregs_set(&cm_vcpu, &bad), -EINVAL);
	bad.cr0 = 1ULL << 40;
	CHECK_EQ(hv_sregs_set(&cm_vcpu, &bad), -EINVAL);
	bad = s;
	bad.cr4 = 1 << 13;
	CHECK_EQ(hv_sregs_set(&cm_vcpu, &bad), -EINVAL);
	bad = s;
	bad.efer = 1 << 12;		/* SVME: VMRUN would refuse or worse */
	CHECK_EQ(hv_sregs_set(&cm_vcpu, &bad), -EINVAL);
	CHECK_EQ(hv_sregs_set(&cm_vcpu, &s), 0);
	cm_stop();
}

static void test_sregs_interrupt(void)
{
	struct kvm_sregs s = start();

	memset(s.interrupt_bitmap, 0, sizeof(s.interrupt_bitmap));
	s.interrupt_bitmap[0x41 / 64] = 1ULL << (0x41 % 64);
	CHECK_EQ(hv_sregs_set(&cm_vcpu, &s), 0);
	CHECK(cm_vcpu.events.interrupt.injected && cm_vcpu.events.interrupt.vector == 0x41);
	hv_sregs_get(&cm_vcpu, &s);
	CHECK_EQ(s.interrupt_bitmap[1], 2);
	cm_stop();
}

static void test_events(void)
{
	struct kvm_vcpu_events e;

	start();
	hv_events_get(&cm_vcpu, &e);
	CHECK_EQ(hv_events_set(&cm_vcpu, &e), 0);
	e.exception.injected = 1;
	e.exception.nr = 2;		/* an NMI is no exception */
	CHECK_EQ(hv_events_set(&cm_vcpu, &e), -EINVAL);
	e.exception.nr = 32;
	CHECK_EQ(hv_events_set(&cm_vcpu, &e), -EINVAL);
	e.exception.nr = 14;
	e.exception.has_error_code = 1;
	e.exception.error_code = 2;
	CHECK_EQ(hv_events_set(&cm_vcpu, &e), 0);
	hv_events_get(&cm_vcpu, &e);
	CHECK(e.exception.injected && e.exception.nr == 14 && e.exception.error_code == 2);
	e.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;	/* capability not enabled */
	CHECK_EQ(hv_events_set(&cm_vcpu, &e), -EINVAL);
	cm_vm.exception_payload = true;
	CHECK_EQ(hv_events_set(&cm_vcpu, &e), 0);
	e.exception.pending = 1;
	CHECK_EQ(hv_events_set(&cm_vcpu, &e), -EINVAL);
	e.exception.injected = 0;
	CHECK_EQ(hv_events_set(&cm_vcpu, &e), 0);
	CHECK(cm_vcpu.events.exception.pending && !cm_vcpu.events.exception.injected);
	e.flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	CHECK_EQ(hv_events_set(&cm_vcpu, &e), -EINVAL);
	e.flags = 1U << 31;
	CHECK_EQ(hv_events_set(&cm_vcpu, &e), -EINVAL);
	cm_stop();
}

static void test_set_regs_drops_exception(void)
{
	struct kvm_regs r;

	start();
	cm_vcpu.events.exception.pending = true;
	hv_regs_get(&cm_vcpu, &r);
	r.rflags = 0;
	r.r15 = 0x1515;
	hv_regs_set(&cm_vcpu, &r);
	CHECK(!cm_vcpu.events.exception.pending);
	CHECK_EQ(cm_vcpu.regs.rflags, 2);
	CHECK_EQ(cm_vcpu.regs.gpr[HV_R15], 0x1515);
	cm_stop();
}

static void test_debugregs_and_mp_state(void)
{
	struct kvm_debugregs d;
	struct kvm_mp_state mp = { .mp_state = 99 };

	start();
	hv_debugregs_get(&cm_vcpu, &d);
	CHECK(d.dr6 == 0xffff0ff0 && d.dr7 == 0x400);
	CHECK_EQ(hv_debugregs_set(&cm_vcpu, &d), 0);
	d.dr7 = 1ULL << 32;
	CHECK_EQ(hv_debugregs_set(&cm_vcpu, &d), -EINVAL);
	CHECK_EQ(hv_mp_state_set(&cm_vcpu, &mp), -EINVAL);
	mp.mp_state = KVM_MP_STATE_HALTED;	/* needs the LAPIC in the kernel */
	CHECK_EQ(hv_mp_state_set(&cm_vcpu, &mp), -EINVAL);
	mp.mp_state = KVM_MP_STATE_RUNNABLE;
	CHECK_EQ(hv_mp_state_set(&cm_vcpu, &mp), 0);
	cm_stop();
}

static void test_translate(void)
{
	struct kvm_translation tr = { .linear_address = 0x1234 };

	start();
	CHECK_EQ(hv_translate(&cm_vcpu, &tr), 0);
	CHECK(tr.valid && tr.physical_address == 0x1234);
	tr.linear_address = 1ULL << 41;
	CHECK_EQ(hv_translate(&cm_vcpu, &tr), 0);
	CHECK(!tr.valid && tr.physical_address == ~0ULL);
	cm_stop();
}

int main(void)
{
	static const struct cm_test tests[] = {
		{ "reset_values", test_reset_values },
		{ "cr0", test_cr0 },
		{ "cr4", test_cr4 },
		{ "cr4_without_cpuid", test_cr4_without_cpuid },
		{ "sregs_long_mode", test_sregs_long_mode },
		{ "sregs_invalid", test_sregs_invalid },
		{ "sregs_interrupt", test_sregs_interrupt },
		{ "events", test_events },
		{ "set_regs_drops_exception", test_set_regs_drops_exception },
		{ "debugregs_and_mp_state", test_debugregs_and_mp_state },
		{ "translate", test_translate },
	};

	return cm_main(tests, ARRAY_SIZE(tests));
}
