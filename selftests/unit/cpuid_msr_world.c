// SPDX-License-Identifier: GPL-2.0-or-later
#include "cpuid_msr_world.h"

#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include "events.h"
#include "irq/lapic.h"

struct hv_vm cm_vm;
struct hv_vcpu cm_vcpu;
struct hv_caps hv_caps;
struct hv_x86_ops hv_ops;
struct kshim_cpuinfo boot_cpu_data;
u64 kshim_wrmsr_value;
u32 kshim_wrmsr_index;
unsigned long long kshim_arch_capabilities;
unsigned int cm_updates, cm_flushes, cm_hyperv, cm_cmcis;
bool cm_hide_invariant_tsc;
bool kshim_fail_alloc;
u64 kshim_now;
int kshim_rcu_readers;
struct hlist_head *kshim_hlist;

/* ---- the host ------------------------------------------------------------------------------ */

static struct {
	u32 function, index, reg[4];
} host[64];
static unsigned int host_nr;
static u32 host_rest;			/* every bit of leaves not in the table */

void cm_host_clear(void)
{
	host_nr = 0;
	host_rest = 0;
}

void cm_host_set(u32 function, u32 index, u32 eax, u32 ebx, u32 ecx, u32 edx)
{
	unsigned int i;

	for (i = 0; i < host_nr; i++)
		if (host[i].function == function && host[i].index == index)
			break;
	BUG_ON(i == ARRAY_SIZE(host));
	host_nr = max(host_nr, i + 1);
	host[i].function = function;
	host[i].index = index;
	host[i].reg[0] = eax;
	host[i].reg[1] = ebx;
	host[i].reg[2] = ecx;
	host[i].reg[3] = edx;
}

void cpuid_count(u32 function, u32 index, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	unsigned int i;

	for (i = 0; i < host_nr; i++) {
		if (host[i].function != function || host[i].index != index)
			continue;
		*eax = host[i].reg[0];
		*ebx = host[i].reg[1];
		*ecx = host[i].reg[2];
		*edx = host[i].reg[3];
		return;
	}
	*eax = *ebx = *ecx = *edx = host_rest;
}

static void cm_host_xsave(void)
{
	cm_host_set(0xd, 0, 0x207, 0xa88, 0xa88, 0);
	cm_host_set(0xd, 2, 0x100, 0x240, 0, 0);
	cm_host_set(0xd, 5, 0x40, 0x440, 0, 0);
	cm_host_set(0xd, 6, 0x200, 0x480, 0, 0);
	cm_host_set(0xd, 7, 0x400, 0x680, 0, 0);
	cm_host_set(0xd, 9, 0x8, 0xa80, 0, 0);
}

void cm_host_typical(void)
{
	cm_host_clear();
	cm_host_set(0, 0, 0xd, 0x68747541, 0x444d4163, 0x69746e65);
	cm_host_set(1, 0, 0x663, 0x12340801, 0xfff83203, 0x178bfbff);
	cm_host_set(4, 0, 0x0c004121, 0x01c0003f, 0x3f, 1);
	cm_host_set(4, 1, 0, 0, 0, 0);
	cm_host_set(7, 0, 1, 0x219c43ab, 0x0041021c, 0x10);
	cm_host_xsave();
	cm_host_set(0xd, 1, 0x5, 0xa88, 0, 0);
	cm_host_set(0x80000000, 0, 0x8000000a, 0x68747541, 0x444d4163, 0x69746e65);
	cm_host_set(0x80000001, 0, 0x663, 0, 0x177, 0xedd3fbfd);
	cm_host_set(0x80000008, 0, 0x3928, 0x204, 0x1001, 0);
	cm_host_set(0x8000000a, 0, 1, 8, 0, 0x10010061);
	hv_caps.xcr0 = 0x207;
	hv_caps.pku = true;
}

void cm_host_full(void)
{
	cm_host_clear();
	host_rest = ~0U;
	cm_host_set(0, 0, 0x40, 0x756e6547, 0x6c65746e, 0x49656e69);
	cm_host_xsave();
	cm_host_set(0x80000000, 0, 0x80000040, 0, 0, 0);
	cm_host_set(0x80000008, 0, 0x3934, ~0U, ~0U, ~0U);
	hv_caps.xcr0 = 0x2e7;
	hv_caps.pku = true;
}

/* ---- the rest of the module ---------------------------------------------------------------- */

#define CM_MSRS 16
static struct {
	u32 index;
	u64 value;
} block[CM_MSRS];

static int cm_msr_get(struct hv_vcpu *vcpu, u32 index, u64 *value)
{
	unsigned int i;

	*value = 0;
	for (i = 0; i < CM_MSRS; i++)
		if (block[i].index == index)
			*value = block[i].value;
	return 0;
}

static int cm_msr_set(struct hv_vcpu *vcpu, u32 index, u64 value)
{
	unsigned int i;

	for (i = 0; i < CM_MSRS && block[i].index && block[i].index != index; i++)
		;
	BUG_ON(i == CM_MSRS);
	block[i].index = index;
	block[i].value = value;
	return 0;
}

static void cm_update(struct hv_vcpu *vcpu)
{
	cm_updates++;
}

void hv_op_regs_load(struct hv_vcpu *vcpu, u32 groups)
{
}

static u32 blocking;

u32 hv_op_blocking_get(struct hv_vcpu *vcpu)
{
	return blocking;
}

void hv_op_blocking_set(struct hv_vcpu *vcpu, u32 mask, u32 bits)
{
	blocking = (blocking & ~mask) | (bits & mask);
}

int hv_fpu_module_init(void)
{
	return 0;
}

void hv_fpu_module_exit(void)
{
}

void hv_fpu_set_tsc_aux(struct hv_vcpu *vcpu, u64 value)
{
	vcpu->msrs.tsc_aux = value;
}

u64 hv_tsc_read(struct hv_vcpu *vcpu)
{
	return 1000 + vcpu->pv.tsc_offset;
}

void hv_tsc_write(struct hv_vcpu *vcpu, u64 value, bool user)
{
	vcpu->pv.tsc_offset = value - 1000;
}

void hv_tsc_set_offset(struct hv_vcpu *vcpu, u64 offset)
{
	vcpu->pv.tsc_offset = offset;
}

int hv_clock_set_msr(struct hv_vcpu *vcpu, u64 value)
{
	vcpu->pv.msr_system_time = value;
	return 0;
}

int hv_clock_set_wall(struct hv_vcpu *vcpu, u64 value)
{
	vcpu->vm->msr_wall_clock = value;
	return 0;
}

int hv_steal_set_msr(struct hv_vcpu *vcpu, u64 value)
{
	vcpu->pv.msr_steal_time = value;
	return 0;
}

int hv_apf_set_enable(struct hv_vcpu *vcpu, u64 value)
{
	vcpu->apf.msr_enable = value;
	return 0;
}

int hv_apf_set_vector(struct hv_vcpu *vcpu, u64 value)
{
	vcpu->apf.msr_int = value;
	return 0;
}

int hv_apf_acknowledge(struct hv_vcpu *vcpu, u64 value)
{
	return 0;
}

void hv_apf_reset(struct hv_vcpu *vcpu)
{
	vcpu->apf.msr_enable = 0;
}

int hv_pv_eoi_set_msr(struct hv_vcpu *vcpu, u64 value, bool may_sleep)
{
	vcpu->para.msr_eoi = value;
	return 0;
}

/* Hyper-V's registers are another world's: here they are 0, and user space's alone. */
int hv_hyperv_msr_get(struct hv_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	if (index >> 12 != 0x40000)
		return -ENOENT;
	*value = 0;
	return !host;
}

int hv_hyperv_msr_set(struct hv_vcpu *vcpu, u32 index, u64 value, bool host, bool may_sleep)
{
	if (index >> 12 != 0x40000)
		return -ENOENT;
	return !host || value;
}

/* No Xen. */
int hv_xen_msr_set(struct hv_vcpu *vcpu, u32 index, u64 value, bool host, bool may_sleep)
{
	return -ENOENT;
}

void hv_clock_rate(const struct hv_vcpu *vcpu, u32 *mul, s8 *shift)
{
	*mul = 0x80000000;
	*shift = -1;
}

void hv_lapic_cmci_changed(struct hv_vcpu *vcpu)
{
}

void hv_lapic_cmci(struct hv_vcpu *vcpu)
{
	cm_cmcis++;
}

int hv_hyperv_vcpu_prepare(struct hv_vcpu *vcpu)
{
	cm_hyperv++;
	return 0;
}

bool hv_hyperv_hides_invariant_tsc(const struct hv_vcpu *vcpu)
{
	return cm_hide_invariant_tsc;
}

int hv_lapic_set_base(struct hv_vcpu *vcpu, u64 value, bool user)
{
	if (value & 0xff)
		return 1;
	vcpu->msrs.apic_base = value;
	return 0;
}

int hv_lapic_msr_get(struct hv_vcpu *vcpu, u32 index, u64 *value)
{
	return 1;
}

int hv_lapic_msr_set(struct hv_vcpu *vcpu, u32 index, u64 value)
{
	return 1;
}

u64 hv_lapic_get_tscdeadline(const struct hv_vcpu *vcpu)
{
	return 0;
}

void hv_lapic_set_tscdeadline(struct hv_vcpu *vcpu, u64 value)
{
}

u64 hv_lapic_get_cr8(const struct hv_vcpu *vcpu)
{
	return 0;
}

void hv_lapic_set_cr8(struct hv_vcpu *vcpu, u64 cr8)
{
}

bool hv_lapic_has_event(const struct hv_vcpu *vcpu)
{
	return false;
}

void hv_lapic_accept_event(struct hv_vcpu *vcpu)
{
}

void hv_take_nmis(struct hv_vcpu *vcpu)
{
}

void hv_exception_payload_apply(struct hv_vcpu *vcpu)
{
	vcpu->events.exception.has_payload = false;
}

void hv_debug_changed(struct hv_vcpu *vcpu)
{
}

int hv_gva_to_gpa(struct hv_vcpu *vcpu, u64 gva, u32 access, u64 *gpa)
{
	*gpa = gva;
	return gva >> 40 != 0;
}

void hv_smm_get(struct hv_vcpu *vcpu, struct kvm_vcpu_events *e)
{
}

int hv_smm_set(struct hv_vcpu *vcpu, const struct kvm_vcpu_events *e)
{
	return 0;
}

void hv_queue_exception(struct hv_vcpu *vcpu, u8 vector)
{
	vcpu->events.exception.pending = true;
	vcpu->events.exception.vector = vector;
}

int hv_guest_read(struct hv_vm *vm, u64 gpa, void *data, unsigned int len)
{
	return -EFAULT;		/* there is no memory in this world */
}

/* ---- the world ----------------------------------------------------------------------------- */

static struct kvm_cpuid_entry2 supported[HV_MAX_CPUID_ENTRIES];
static int supported_nr;

struct kvm_cpuid_entry2 *cm_supported(u32 *nr)
{
	*nr = supported_nr;
	return supported;
}

void cm_start(void)
{
	memset(&cm_vm, 0, sizeof(cm_vm));
	memset(&cm_vcpu, 0, sizeof(cm_vcpu));
	memset(block, 0, sizeof(block));
	memset(boot_cpu_data.x86_capability, 0xff, sizeof(boot_cpu_data.x86_capability));
	boot_cpu_data.x86_vendor = X86_VENDOR_AMD;
	hv_ops.msr_get = cm_msr_get;
	hv_ops.msr_set = cm_msr_set;
	hv_ops.update = cm_update;
	hv_ops.tdp.levels = 4;
	BUG_ON(hv_x86_init());
	hv_caps.spec_ctrl = true;
	cm_vcpu.vm = &cm_vm;
	cm_vcpu.regs_valid = HV_REGS_ALL;
	cm_vcpu.msrs.apic_base = 0xfee00900;
	BUG_ON(hv_cpuid_init(&cm_vcpu));
	BUG_ON(hv_msr_vcpu_init(&cm_vcpu));
	cm_vcpu.fpu.xcr0 = 1;
	hv_regs_reset(&cm_vcpu, false);
	hv_msr_reset(&cm_vcpu, false);
	cm_updates = 0;
}

void cm_stop(void)
{
	hv_cpuid_free(&cm_vcpu);
	hv_msr_vcpu_free(&cm_vcpu);
	hv_x86_exit();
}

int cm_set_supported(void)
{
	supported_nr = hv_cpuid_supported(supported, HV_MAX_CPUID_ENTRIES);
	BUG_ON(supported_nr < 0);
	return hv_cpuid_set(&cm_vcpu, supported, supported_nr);
}

int cm_main(const struct cm_test *tests, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		test_begin();
		tests[i].run();
		test_end(tests[i].name);
	}
	return TEST_EXIT();
}
