// SPDX-License-Identifier: GPL-2.0-or-later
/* CPUID of a guest: topology, ids and counts, on tables as AMD and Intel processors give them. */
#include <errno.h>
#include <stdlib.h>

#include "../../vmm-user/cpuid.h"
#include "unit_test.h"

#define INDEXED	KVM_CPUID_FLAG_SIGNIFCANT_INDEX

static struct {
	struct kvm_cpuid2 hdr;
	struct kvm_cpuid_entry2 entry[64];
} table;

static struct hvm_cpuid c;
static struct hv_err err;

static void add(uint32_t leaf, uint32_t index, uint32_t flags, uint32_t eax, uint32_t ebx,
		uint32_t ecx, uint32_t edx)
{
	table.entry[table.hdr.nent++] = (struct kvm_cpuid_entry2){
		.function = leaf, .index = index, .flags = flags,
		.eax = eax, .ebx = ebx, .ecx = ecx, .edx = edx,
	};
}

static void make_amd(void)
{
	table.hdr.nent = 0;
	add(0, 0, 0, 0x10, 0x68747541, 0x444d4163, 0x69746e65);
	add(1, 0, 0, 0x00800f12, 0x05100800, 1u << 23, 0x078bfbff);
	add(0xb, 0, INDEXED, 1, 2, 0x100, 9);	/* the host's, to be replaced */
	add(0xb, 1, INDEXED, 7, 64, 0x201, 9);
	add(0x40000000, 0, 0, 0, 0x4b4d564b, 0x564b4d56, 0x4d);
	add(0x80000000, 0, 0, 0x8000001e, 0, 0, 0);
	add(0x80000001, 0, 0, 0, 0, 1u << 22, 0);
	add(0x80000008, 0, 0, 0x3028, 0, 0x70ff, 0);
	add(0x8000001d, 0, INDEXED, 0x00004121, 0x01c0003f, 0x3f, 0);	/* L1d, shared by 2 */
	add(0x8000001d, 3, INDEXED, 0x0001c163, 0x03c0003f, 0x1fff, 1);	/* L3, shared by 8 */
	add(0x8000001d, 4, INDEXED, 0, 0, 0, 0);
	add(0x8000001e, 0, 0, 9, 0x109, 0x300, 0);
}

static void make_intel(void)
{
	table.hdr.nent = 0;
	add(0, 0, 0, 0x1f, 0x756e6547, 0x6c65746e, 0x49656e69);
	add(1, 0, 0, 0x000806f8, 0x00100800, 0, 0x0fabfbff);
	add(4, 0, INDEXED, 0xfc004121, 0x02c0003f, 0x3f, 0);
	add(4, 3, INDEXED, 0xfc1fc163, 0x0300003f, 0x1bfff, 4);
	add(0x80000001, 0, 0, 0, 0, 0x21, 0);
	add(0x80000008, 0, 0, 0x302e, 0, 0, 0);
}

static void build(unsigned int cpus, bool deadline)
{
	CHECK_EQ(hvm_cpuid_build(&c, &table.hdr, cpus, deadline, &err), 0);
}

static const struct kvm_cpuid_entry2 *leaf(uint32_t function, uint32_t index)
{
	static const struct kvm_cpuid_entry2 none;
	const struct kvm_cpuid_entry2 *found = NULL;

	for (uint32_t i = 0; i < c.table->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &c.table->entries[i];

		if (e->function != function || e->index != index)
			continue;
		CHECK(!found);		/* once only */
		found = e;
	}
	return found ? found : &none;
}

static void test_one_cpu(void)
{
	make_amd();
	build(1, true);
	CHECK_EQ(leaf(1, 0)->ebx, 0x00010800);
	CHECK(leaf(1, 0)->ecx >> 31 && leaf(1, 0)->ecx >> 24 & 1 && leaf(1, 0)->ecx >> 23 & 1);
	CHECK(!(leaf(1, 0)->edx >> 28 & 1));
	CHECK_EQ(leaf(0x80000001, 0)->ecx, 1u << 22);
	CHECK_EQ(leaf(0x80000008, 0)->ecx, 0);
	CHECK_EQ(leaf(0x40000000, 0)->eax, 0x40000001);
	CHECK_EQ(c.phys_bits, 40);
	hvm_cpuid_fini(&c);
	build(1, false);
	CHECK(!(leaf(1, 0)->ecx >> 24 & 1));
	hvm_cpuid_fini(&c);
}

static void test_amd_smp(void)
{
	make_amd();
	build(6, true);
	for (unsigned int id = 0; id < 6; id++) {
		hvm_cpuid_for_vcpu(&c, id);
		CHECK_EQ(leaf(1, 0)->ebx, id << 24 | 0x00060800);
		CHECK_EQ(leaf(0xb, 0)->edx, id);
		CHECK_EQ(leaf(0xb, 1)->edx, id);
		CHECK_EQ(leaf(0x8000001e, 0)->eax, id);
		CHECK_EQ(leaf(0x8000001e, 0)->ebx, id);
		CHECK_EQ(leaf(0x8000001e, 0)->ecx, 0);
	}
	CHECK(leaf(1, 0)->edx >> 28 & 1);
	CHECK_EQ(leaf(0x80000001, 0)->ecx, 1u << 22 | 1u << 1);
	CHECK_EQ(leaf(0x80000008, 0)->ecx, 0x3005);
	/* Threads: one, no bits. Cores: six, three bits. Then the end. */
	CHECK_EQ(leaf(0xb, 0)->eax, 0);
	CHECK_EQ(leaf(0xb, 0)->ebx, 1);
	CHECK_EQ(leaf(0xb, 0)->ecx, 0x100);
	CHECK_EQ(leaf(0xb, 1)->eax, 3);
	CHECK_EQ(leaf(0xb, 1)->ebx, 6);
	CHECK_EQ(leaf(0xb, 1)->ecx, 0x201);
	CHECK_EQ(leaf(0xb, 2)->ebx, 0);
	CHECK_EQ(leaf(0x1f, 0)->function, 0);	/* above the processor's maximum */
	CHECK_EQ(leaf(0x8000001d, 0)->eax, 0x121);
	CHECK_EQ(leaf(0x8000001d, 3)->eax, 5 << 14 | 0x163);
	CHECK_EQ(leaf(0x8000001d, 4)->eax, 0);
	hvm_cpuid_fini(&c);
}

static void test_intel_smp(void)
{
	make_intel();
	build(4, true);
	hvm_cpuid_for_vcpu(&c, 3);
	CHECK_EQ(leaf(1, 0)->ebx, 0x03040800);
	CHECK_EQ(leaf(4, 0)->eax, 3u << 26 | 0x121);
	CHECK_EQ(leaf(4, 3)->eax, 3u << 26 | 3 << 14 | 0x163);
	CHECK_EQ(leaf(0xb, 1)->eax, 2);	/* made, though the table had none */
	CHECK_EQ(leaf(0x1f, 1)->ebx, 4);
	CHECK_EQ(leaf(0x1f, 1)->edx, 3);
	CHECK_EQ(leaf(0x80000001, 0)->ecx, 0x21);	/* bit 1 is AMD's only */
	CHECK_EQ(c.phys_bits, 46);
	hvm_cpuid_fini(&c);
}

static void test_largest(void)
{
	make_intel();
	build(254, true);
	hvm_cpuid_for_vcpu(&c, 253);
	CHECK_EQ(leaf(1, 0)->ebx, 0xfdfe0800);
	CHECK_EQ(leaf(0xb, 1)->eax, 8);
	CHECK_EQ(leaf(4, 3)->eax, 63u << 26 | 253u << 14 | 0x163);
	CHECK_EQ(leaf(0x80000008, 0)->ecx, 8 << 12 | 253);
	hvm_cpuid_fini(&c);
}

/* A table without anything we know still makes one. */
static void test_bare(void)
{
	table.hdr.nent = 0;
	build(2, true);
	CHECK_EQ(c.table->nent, 0);
	CHECK_EQ(c.phys_bits, 36);
	hvm_cpuid_for_vcpu(&c, 1);
	hvm_cpuid_fini(&c);
}

static void test_phys_bits(void)
{
	make_amd();
	for (uint32_t i = 0; i < table.hdr.nent; i++)
		if (table.entry[i].function == 0x80000008)
			table.entry[i].eax = 0x002d3034;	/* 52, and 45 for guests */
	build(1, true);
	CHECK_EQ(c.phys_bits, 45);
	hvm_cpuid_fini(&c);
}

int main(void)
{
	TEST_RUN(test_one_cpu);
	TEST_RUN(test_amd_smp);
	TEST_RUN(test_intel_smp);
	TEST_RUN(test_largest);
	TEST_RUN(test_bare);
	TEST_RUN(test_phys_bits);
	return TEST_EXIT();
}
