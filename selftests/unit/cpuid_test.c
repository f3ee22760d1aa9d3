// SPDX-License-Identifier: GPL-2.0-or-later
/* What guests get of the host's CPUID, and what their CPUID instruction returns. */
#include "cpuid_msr_world.h"
#include <asm/cpufeature.h>

#define BIT_(n) (1U << (n))

static const struct kvm_cpuid_entry2 *offered(u32 function, u32 index)
{
	u32 nr, i;
	const struct kvm_cpuid_entry2 *e = cm_supported(&nr);

	for (i = 0; i < nr; i++)
		if (e[i].function == function && e[i].index == index)
			return &e[i];
	return NULL;
}

static void start_with(void (*host)(void))
{
	host();
	cm_start();
	CHECK_EQ(cm_set_supported(), 0);
}

static void query(u32 function, u32 index, u32 reg[4])
{
	reg[0] = function;
	reg[2] = index;
	hv_cpuid_query(&cm_vcpu, &reg[0], &reg[1], &reg[2], &reg[3]);
}

/* Nothing of a host that claims to have everything gets through unlisted. */
static void test_full_host(void)
{
	const struct kvm_cpuid_entry2 *e;

	start_with(cm_host_full);
	e = offered(1, 0);
	CHECK(e && !(e->ecx & (BIT_(5) | BIT_(3) | BIT_(6) | BIT_(15) | BIT_(24) | BIT_(27))));
	CHECK(e && e->ecx & BIT_(31) && e->ecx & BIT_(21) && e->ecx & BIT_(26));
	CHECK(e && !(e->edx & (BIT_(28) | BIT_(22) | BIT_(21))));
	CHECK_EQ(e->ebx, 0xff00);
	e = offered(7, 0);
	CHECK(e && !(e->ebx & (BIT_(2) | BIT_(4) | BIT_(11) | BIT_(12) | BIT_(14) | BIT_(25))));
	CHECK(e && !(e->edx & (BIT_(22) | BIT_(24) | BIT_(25) | BIT_(30))));	/* AMX, ... */
	CHECK(e && e->edx & BIT_(29) && e->ebx & BIT_(1));
	CHECK(e && !(e->ecx & (BIT_(4) | BIT_(5) | BIT_(7))));	/* OSPKE, WAITPKG, shadow stacks */
	e = offered(0x80000001, 0);
	CHECK(e && !(e->ecx & (BIT_(2) | BIT_(3) | BIT_(10) | BIT_(23) | BIT_(24))));
	e = offered(0xa, 0);
	CHECK(e && !e->eax && !e->ebx && !e->ecx && !e->edx);
	e = offered(6, 0);
	CHECK(e && e->eax == 4 && !e->ebx && !e->ecx && !e->edx);
	e = offered(0x80000007, 0);
	CHECK(e && !e->eax && !e->ebx && !e->ecx && e->edx == 0x100);
	e = offered(0x8000001f, 0);
	CHECK(e && !e->eax && !e->ebx && !e->ecx && !e->edx);	/* no SEV */
	/* 52 bits of addresses, of which tables of four levels translate 48. */
	CHECK_EQ(offered(0x80000008, 0)->eax, 0x303934);
	CHECK_EQ(offered(0, 0)->eax, HV_CPUID_MAX_BASIC);
	CHECK_EQ(offered(0x80000000, 0)->eax, HV_CPUID_MAX_EXT);
	cm_stop();
}

static void test_typical_host(void)
{
	const struct kvm_cpuid_entry2 *e;

	start_with(cm_host_typical);
	e = offered(1, 0);
	CHECK(e && e->eax == 0x663);
	CHECK_EQ(offered(0x80000008, 0)->eax, 0x283928);
	CHECK_EQ(e->ecx, 0xf6f83203);
	CHECK_EQ(e->edx, 0x078bfbff & ~BIT_(18));
	CHECK_EQ(offered(7, 0)->ebx, 0x219c03ab);
	CHECK_EQ(offered(0x80000001, 0)->ecx, 0x173);
	CHECK_EQ(offered(0x80000001, 0)->edx, 0xedd3fbfd);
	CHECK_EQ(offered(0xd, 0)->eax, 0x207);
	CHECK_EQ(offered(0xd, 1)->eax, 0x5);
	CHECK_EQ(offered(0xd, 2)->ebx, 0x240);
	CHECK(!offered(0xd, 5));
	/* Who shares the cache is not passed on. */
	CHECK_EQ(offered(4, 0)->eax, 0x0121);
	CHECK(offered(0x40000000, 0) && offered(0x40000000, 0)->ebx == 0x4b4d564b);
	CHECK_EQ(offered(0x40000001, 0)->eax, HV_PV_FEATURES);
	CHECK_EQ(hv_caps.maxphyaddr, 40);
	cm_stop();
}

/* What the kernel has turned off ("clearcpuid=", errata) is not offered. */
static void test_kernel_clears(void)
{
	cm_host_typical();
	cm_start();
	boot_cpu_data.x86_capability[CPUID_7_0_EBX] = ~BIT_(8);
	CHECK_EQ(cm_set_supported(), 0);
	CHECK(!(offered(7, 0)->ebx & BIT_(8)));
	CHECK(offered(7, 0)->ebx & BIT_(3));
	cm_stop();
}

static void host_without_xsave(void)
{
	cm_host_full();
	hv_caps.xcr0 = 0;
	hv_caps.pku = false;
}

/* Registers that cannot be switched: none of their instructions. */
static void test_no_xsave(void)
{
	start_with(host_without_xsave);
	CHECK(!(offered(1, 0)->ecx & (BIT_(12) | BIT_(26) | BIT_(28) | BIT_(29))));
	CHECK(!(offered(7, 0)->ebx & (BIT_(5) | BIT_(16) | BIT_(30) | BIT_(31))));
	CHECK(!(offered(7, 0)->ecx & (BIT_(1) | BIT_(3) | BIT_(9) | BIT_(10) | BIT_(14))));
	CHECK(!offered(0xd, 0)->eax);
	CHECK(!(hv_caps.cr4 & (1 << 18)));
	cm_stop();
}

static void host_without_umip(void)
{
	cm_host_full();
	cm_host_set(7, 0, 1, ~0U, ~BIT_(2), ~0U);
}

/* The vendor's code can make up for a CPU that lacks it. */
static void test_umip(void)
{
	start_with(host_without_umip);
	CHECK(!(offered(7, 0)->ecx & BIT_(2)));
	CHECK(!(hv_caps.cr4 & (1 << 11)));
	cm_stop();
	hv_ops.umip = true;
	start_with(host_without_umip);
	CHECK(offered(7, 0)->ecx & BIT_(2));
	CHECK(hv_caps.cr4 & (1 << 11));
	cm_stop();
	hv_ops.umip = false;
}

static void host_without_avx512(void)
{
	cm_host_full();
	hv_caps.xcr0 = 7;
}

static void test_no_avx512(void)
{
	start_with(host_without_avx512);
	CHECK(offered(7, 0)->ebx & BIT_(5));
	CHECK(!(offered(7, 0)->ebx & (BIT_(16) | BIT_(17) | BIT_(21) | BIT_(28) | BIT_(30))));
	CHECK(!(offered(7, 0)->edx & BIT_(23)));
	CHECK_EQ(offered(0xd, 0)->ecx, 0x340);
	cm_stop();
}

static void test_too_small(void)
{
	struct kvm_cpuid_entry2 e[8];

	start_with(cm_host_typical);
	CHECK_EQ(hv_cpuid_supported(e, 8), -E2BIG);
	CHECK_EQ(hv_cpuid_emulated(e, 0), -E2BIG);
	CHECK_EQ(hv_cpuid_emulated(e, 1), 1);
	CHECK(!e[0].ebx && !e[0].ecx && !e[0].edx);
	cm_stop();
}

static void test_dynamic_bits(void)
{
	u32 r[4];

	start_with(cm_host_typical);
	query(1, 0, r);
	CHECK(!(r[2] & BIT_(27)) && r[3] & BIT_(9));
	CHECK_EQ(hv_set_cr4(&cm_vcpu, 1 << 18 | 1 << 22), 0);	/* OSXSAVE, PKE */
	query(1, 0, r);
	CHECK(r[2] & BIT_(27));
	query(7, 0, r);
	CHECK(r[2] & BIT_(4));
	CHECK_EQ(hv_set_cr4(&cm_vcpu, 0), 0);
	query(7, 0, r);
	CHECK(!(r[2] & BIT_(4)));
	query(1, 0, r);
	CHECK(!(r[2] & BIT_(27)));

	CHECK_EQ(hv_msr_set(&cm_vcpu, 0x1b, 0xfee00100, false, false), 0);
	query(1, 0, r);
	CHECK(!(r[3] & BIT_(9)));

	query(0xd, 0, r);
	CHECK_EQ(r[1], 576);
	cm_vcpu.fpu.xcr0 = 7;
	hv_cpuid_refresh(&cm_vcpu);
	query(0xd, 0, r);
	CHECK_EQ(r[1], 0x340);
	CHECK_EQ(r[2], 0xa88);
	cm_stop();
}

/* Compacted size: in order of number, AVX-512's parts unaligned, each after the other. */
static void test_compacted_size(void)
{
	u32 r[4];

	start_with(cm_host_full);
	cm_vcpu.fpu.xcr0 = 0x2e7;
	hv_cpuid_refresh(&cm_vcpu);
	query(0xd, 1, r);
	CHECK_EQ(r[0], 0xf);
	CHECK_EQ(r[1], 576 + 0x100 + 0x40 + 0x200 + 0x400 + 8);
	cm_stop();
}

static void test_out_of_range_amd(void)
{
	u32 r[4];

	start_with(cm_host_typical);
	query(0x1000, 0, r);
	CHECK(!r[0] && !r[1] && !r[2] && !r[3]);
	query(0x80000100, 0, r);
	CHECK(!r[0] && !r[1] && !r[2] && !r[3]);
	query(4, 7, r);			/* a sub-leaf that is not there */
	CHECK(!r[0] && !r[1] && !r[2] && !r[3]);
	cm_stop();
}

static void test_out_of_range_intel(void)
{
	static struct kvm_cpuid_entry2 t[] = {
		{.function = 0, .eax = 2, .ebx = 0x756e6547, .ecx = 0x6c65746e, .edx = 0x49656e69},
		{.function = 1, .eax = 0x306c1},
		{.function = 2, .eax = 0x11, .ebx = 0x22, .ecx = 0x33, .edx = 0x44},
		{.function = 0x40000000, .eax = 0x40000001},
		{.function = 0x80000000, .eax = 0x80000001},
	};
	u32 r[4];

	cm_host_full();
	cm_start();
	CHECK_EQ(hv_cpuid_set(&cm_vcpu, t, ARRAY_SIZE(t)), 0);
	query(5, 0, r);			/* beyond the maximum: the highest basic leaf */
	CHECK(r[0] == 0x11 && r[1] == 0x22 && r[2] == 0x33 && r[3] == 0x44);
	query(0x80000008, 0, r);
	CHECK(r[0] == 0x11 && r[3] == 0x44);
	query(0x40000001, 0, r);	/* within the range, but not given: zero */
	CHECK(!r[0] && !r[1]);
	query(0x40000123, 0, r);
	CHECK(r[0] == 0x11 || !r[0]);
	query(0x80000001, 0, r);
	CHECK(!r[0] && !r[1] && !r[2] && !r[3]);
	CHECK(!cm_vcpu.cpuid->vendor_amd);
	cm_stop();
}

static void test_topology_past_the_end(void)
{
	static struct kvm_cpuid_entry2 t[] = {
		{.function = 0, .eax = 0xb},
		{.function = 0xb, .index = 0, .flags = 1, .eax = 1, .ebx = 2, .edx = 5},
		{.function = 0xb,
	         .index = 1,
	         .flags = 1,
	         .eax = 4,
	         .ebx = 8,
	         .ecx = 0x201,
	         .edx = 5},
	};
	u32 r[4];

	cm_host_full();
	cm_start();
	CHECK_EQ(hv_cpuid_set(&cm_vcpu, t, ARRAY_SIZE(t)), 0);
	query(0xb, 1, r);
	CHECK(r[0] == 4 && r[2] == 0x201);
	query(0xb, 0x102, r);
	CHECK(!r[0] && !r[1] && r[2] == 2 && r[3] == 5);
	cm_stop();
}

static void test_widths(void)
{
	static struct kvm_cpuid_entry2 t[] = {
		{ .function = 0, .eax = 1 },
		{ .function = 0x80000000, .eax = 0x80000008 },
		{ .function = 0x80000008, .eax = 0x3028 },
	};

	cm_host_full();
	cm_start();
	CHECK_EQ(hv_caps.maxphyaddr, 48);	/* CPUID says 52, four levels give 48 */
	CHECK_EQ(cm_vcpu.cpuid->maxphyaddr, 36);
	CHECK_EQ(hv_cpuid_set(&cm_vcpu, t, ARRAY_SIZE(t)), 0);
	CHECK_EQ(cm_vcpu.cpuid->maxphyaddr, 40);
	t[2].eax = 0x3128;
	CHECK_EQ(hv_cpuid_set(&cm_vcpu, t, ARRAY_SIZE(t)), -EINVAL);
	CHECK_EQ(cm_vcpu.cpuid->entry[2].eax, 0x3028);
	t[2].eax = 0x3928;
	CHECK_EQ(hv_cpuid_set(&cm_vcpu, t, ARRAY_SIZE(t)), 0);
	cm_stop();
}

/* Once the guest has run, only the same table again. */
static void test_set_after_run(void)
{
	struct kvm_cpuid_entry2 *e;
	u32 nr, updates;

	start_with(cm_host_typical);
	CHECK_EQ(cm_updates, 1);
	cm_vcpu.stats.exits = 1;
	CHECK_EQ(hv_set_cr4(&cm_vcpu, 1 << 18), 0);
	updates = cm_updates;
	CHECK_EQ(cm_set_supported(), 0);
	e = cm_supported(&nr);
	e[1].eax ^= 1;
	CHECK_EQ(hv_cpuid_set(&cm_vcpu, e, nr), -EINVAL);
	CHECK_EQ(hv_cpuid_set(&cm_vcpu, e, nr - 1), -EINVAL);
	CHECK_EQ(cm_updates, updates);
	cm_stop();
}

static void test_no_memory(void)
{
	start_with(cm_host_typical);
	kshim_fail_alloc = true;
	CHECK_EQ(hv_cpuid_supported(NULL, 256), -ENOMEM);
	CHECK_EQ(hv_cpuid_set(&cm_vcpu, NULL, 0), -ENOMEM);
	kshim_fail_alloc = false;
	CHECK(cm_vcpu.cpuid->nr);
	cm_stop();
}

/* Tables of user space are hostile: any functions, any order, all the same. */
static void test_hostile_tables(void)
{
	static struct kvm_cpuid_entry2 t[HV_MAX_CPUID_ENTRIES];
	unsigned int round, i;
	u32 r[4];

	cm_host_full();
	cm_start();
	srand(1);
	for (round = 0; round < 300; round++) {
		u32 nr = rand() % (HV_MAX_CPUID_ENTRIES + 1);

		for (i = 0; i < nr; i++) {
			u32 base[] = { 0, 0x40000000, 0x80000000, 0xc0000000, (u32)rand() << 1 };

			t[i] = (struct kvm_cpuid_entry2) {
				.function = base[rand() % 5] + rand() % 0x40, .index = rand() % 4,
				.flags = rand() & 7, .eax = rand(), .ebx = rand(), .ecx = rand(),
				.edx = rand(),
			};
			if (t[i].function == 0x80000008)
				t[i].eax = 0x3028;
		}
		CHECK_EQ(hv_cpuid_set(&cm_vcpu, t, nr), 0);
		for (i = 0; i < 0x60; i++) {
			query(i, i & 3, r);
			query(0x80000000 + i, i & 3, r);
		}
		CHECK_EQ(cm_vcpu.cpuid->nr, nr);
	}
	cm_stop();
}

/* KVM's features are found wherever its signature is; Hyper-V's only in their place. */
static void test_interfaces(void)
{
	static struct kvm_cpuid_entry2 t[] = {
		{.function = 0, .eax = 1},
		{.function = 0x40000000, .eax = 0x40000004},
		{.function = 0x40000001, .eax = 0x31237648},
		{.function = 0x40000003, .eax = 0x11, .ebx = 0x22, .edx = 0x33},
		{.function = 0x40000004, .eax = 0x44, .ebx = 0x55},
		{.function = 0x40000100,
	         .eax = 0x40000101,
	         .ebx = 0x4b4d564b,
	         .ecx = 0x564b4d56,
	         .edx = 0x4d},
		{.function = 0x40000101, .eax = HV_PV_UNHALT | HV_PV_EOI},
		{.function = 0x80000007, .edx = 0x100},
	};
	const struct hv_cpuid *c;
	u32 r[4];

	cm_host_full();
	cm_start();
	cm_hyperv = 0;
	CHECK_EQ(hv_cpuid_set(&cm_vcpu, t, ARRAY_SIZE(t)), 0);
	c = cm_vcpu.cpuid;
	CHECK_EQ(c->kvm_features, HV_PV_UNHALT | HV_PV_EOI);
	CHECK(c->has_hyperv && cm_hyperv);
	CHECK(c->hyperv_eax == 0x11 && c->hyperv_ebx == 0x22 && c->hyperv_edx == 0x33);
	CHECK(c->hyperv_hints == 0x44 && c->hyperv_spins == 0x55);
	query(0x80000007, 0, r);
	CHECK_EQ(r[3], 0x100);
	cm_hide_invariant_tsc = true;
	query(0x80000007, 0, r);
	CHECK_EQ(r[3], 0);
	cm_hide_invariant_tsc = false;

	/* Nobody kicks a vCPU out of a HLT that does not exit. */
	cm_vm.disabled_exits = KVM_X86_DISABLE_EXITS_HLT;
	CHECK_EQ(hv_cpuid_set(&cm_vcpu, t, ARRAY_SIZE(t)), 0);
	CHECK_EQ(cm_vcpu.cpuid->kvm_features, HV_PV_EOI);
	query(0x40000101, 0, r);
	CHECK_EQ(r[0], HV_PV_EOI);
	cm_vm.disabled_exits = 0;

	t[2].eax = 0;
	t[5].ebx = 0;
	CHECK_EQ(hv_cpuid_set(&cm_vcpu, t, ARRAY_SIZE(t)), 0);
	CHECK(!cm_vcpu.cpuid->kvm_features && !cm_vcpu.cpuid->has_hyperv);
	CHECK(!cm_vcpu.cpuid->hyperv_eax);
	cm_stop();
}

int main(void)
{
	static const struct cm_test tests[] = {
		{ "full_host", test_full_host },
		{ "typical_host", test_typical_host },
		{ "kernel_clears", test_kernel_clears },
		{ "no_xsave", test_no_xsave },
		{ "umip", test_umip },
		{ "no_avx512", test_no_avx512 },
		{ "too_small", test_too_small },
		{ "dynamic_bits", test_dynamic_bits },
		{ "compacted_size", test_compacted_size },
		{ "out_of_range_amd", test_out_of_range_amd },
		{ "out_of_range_intel", test_out_of_range_intel },
		{ "topology_past_the_end", test_topology_past_the_end },
		{ "interfaces", test_interfaces },
		{ "widths", test_widths },
		{ "set_after_run", test_set_after_run },
		{ "no_memory", test_no_memory },
		{ "hostile_tables", test_hostile_tables },
	};

	return cm_main(tests, ARRAY_SIZE(tests));
}
